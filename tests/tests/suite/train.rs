//! From nothing to an artifact: `tfc train`, and everything else on what it wrote.

use tfc_formats::import::{self, ImportOptions};

use crate::common::{DIGITS, Folder, safetensors};

#[test]
fn a_known_architecture_comes_back() {
    let folder = Folder::new();
    let train = format!("train lenet_300_100 --data {DIGITS} --epochs 5 --device cpu -o m.safetensors");
    let report = folder.json(&train);
    let test_error = report["test_error_percent"].as_f64().unwrap();
    assert!(test_error < 50.0, "{test_error}% of ten classes");
    assert_eq!(folder.names(), ["m.safetensors"], "unfinished work is gone");

    // The same weights as PyTorch would save them, without the graph in the metadata.
    let network = import::load(&folder.path("m.safetensors"), &ImportOptions::default()).unwrap();
    let tensors: Vec<(&str, &[usize], &[f32])> =
        network.tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice(), t.data.as_slice())).collect();
    folder.write("bare.safetensors", &safetensors(&tensors));

    for file in ["m", "bare"] {
        folder.done(&format!("compile {file}.safetensors"));
        let evaluated = folder.json(&format!("eval {file}.tfc --data {DIGITS}"));
        assert_eq!(evaluated["error_percent"].as_f64(), Some(test_error), "{file}");
    }

    // The description that `graph` drafts serves to read the file.
    let draft = folder.done("graph bare.safetensors").stdout;
    folder.write("graph.toml", draft.as_bytes());
    folder.done("compile bare.safetensors --graph graph.toml -o drafted.tfc");
    let evaluated = folder.json(&format!("eval drafted.tfc --data {DIGITS}"));
    assert_eq!(evaluated["error_percent"].as_f64(), Some(test_error));
}

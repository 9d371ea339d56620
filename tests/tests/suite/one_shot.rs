//! Pruning without labels.

use serde_json::Value;

use tfc_formats::dataset;

use crate::common::{DIGITS, Folder, trained};

/// A folder with the trained network as `m.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder
}

/// Writes some inputs without labels as `inputs.npy`.
fn inputs(folder: &Folder) {
    let data = dataset::load(DIGITS).unwrap();
    let samples = &data.train.data[..20 * 28 * 28];
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (20, 1, 28, 28), }";
    bytes.extend(format!("{header:<117}\n").bytes());
    bytes.extend(samples);
    folder.write("inputs.npy", &bytes);
}

/// Share of the test images that are classified otherwise than by the network that was pruned.
fn disagreement(folder: &Folder, file: &str) -> f64 {
    let report = folder.json(&format!("diff m.safetensors {file} --data {DIGITS}"));
    1.0 - report["agreement"]["top1"].as_f64().unwrap()
}

#[test]
fn calibration_comes_closer_to_the_dense_network_than_magnitude() {
    let folder = folder();
    let args = "compile m.safetensors --device cpu --sparsity 0.8 --low-rank off";
    let report = folder.json(&format!("{args} --calibration {DIGITS} --calibration-samples 200 -o a.tfc"));
    folder.json(&format!("{args} -o magnitude.tfc"));
    let layers = report["one_shot"]["layers"].as_array().unwrap();
    assert_eq!(report["one_shot"]["samples"], 200);
    assert!(layers.iter().all(|layer| layer["output_error"].as_f64().unwrap() < 1.0));
    let sum = |key: &str| layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum::<u64>() as f64;
    assert!((sum("zeros") / sum("weights") - 0.8).abs() < 0.001, "{report}");
    assert_eq!(report["test"], Value::Null);
    // Not by errors, of which the dense network itself makes many.
    let (ours, theirs) = (disagreement(&folder, "a.tfc"), disagreement(&folder, "magnitude.tfc"));
    assert!(ours < 0.5 * theirs, "{ours} and {theirs}");

    folder.done(&format!("{args} --calibration {DIGITS} --calibration-samples 200 -o again.tfc"));
    assert_eq!(folder.read("again.tfc"), folder.read("a.tfc"));
}

#[test]
fn labelled_data_may_be_pruned_in_one_shot_too() {
    let folder = folder();
    let report = folder.json(&format!(
        "compile m.safetensors --device cpu --data {DIGITS} --one-shot --sparsity 0.7 --low-rank off -o a.tfc"
    ));
    assert_eq!(report["history"].as_array().unwrap().len(), 0);
    assert_eq!(report["one_shot"]["samples"], 360);
    let test = &report["test"];
    assert!(test["artifact"].as_f64() < test["pruned"].as_f64(), "{test}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let folder = folder();
    inputs(&folder);
    for args in [
        format!("--calibration {DIGITS}"),
        format!("--calibration {DIGITS} --sparsity 0.5 --method random"),
        format!("--calibration {DIGITS} --sparsity 0.5 --scope layer"),
        "--one-shot --sparsity 0.5".to_owned(),
        format!("--one-shot --data {DIGITS}"),
        format!("--one-shot --data {DIGITS} --sparsity 0.5 --epochs 3"),
        format!("--calibration {DIGITS} --sparsity 0.5 --momentum 0.5"),
        "--calibration-samples 10".to_owned(),
        format!("--data {DIGITS} --sparsity 0.5 --calibration-samples 10"),
        "--max-bytes 4kB --scope layer".to_owned(),
        "--block 4".to_owned(),
        "--data inputs.npy --max-bytes 4kB".to_owned(),
        format!("--data {DIGITS} --calibration inputs.npy --max-drop 1"),
    ] {
        let outcome = folder.tfc(&format!("compile m.safetensors {args} -o a.tfc"));
        assert_eq!(outcome.status, Some(2), "{args}: {outcome:?}");
    }
    assert_eq!(folder.names(), ["inputs.npy", "m.safetensors"]);
    let outcome = folder.tfc("compile m.safetensors --data inputs.npy --max-bytes 4kB -o a.tfc");
    assert!(outcome.stderr.contains("a budget needs labelled data, or none at all"), "{outcome:?}");
}

/// Data without labels does nothing by itself, and what is done to weights is not measured by it.
#[test]
fn data_without_labels_is_said_to_do_nothing() {
    let folder = folder();
    inputs(&folder);
    let args = "compile m.safetensors --device cpu --data inputs.npy";
    let outcome = folder.done(&format!("{args} -o a.tfc"));
    assert!(outcome.stderr.contains("inputs.npy has no labels: give --sparsity"), "{outcome:?}");
    let report = folder.json(&format!("{args} --low-rank svd --rank 2 -o b.tfc"));
    assert!(report["notes"].to_string().contains("accuracy unknown"), "{report}");
    assert_eq!(report["options"]["one_shot"], false);
    let report = folder.json(&format!("{args} --sparsity 0.5 -o c.tfc"));
    assert!(!report["notes"].to_string().contains("accuracy unknown"), "{report}");
    assert_eq!(report["one_shot"]["samples"], 20);
}

//! Pruning without labels.

use serde_json::Value;

use crate::common::{DIGITS, Folder, trained};

/// A folder with the trained network as `m.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder
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
    for args in [
        format!("--calibration {DIGITS}"),
        format!("--calibration {DIGITS} --sparsity 0.5 --method random"),
        format!("--calibration {DIGITS} --sparsity 0.5 --scope layer"),
        "--one-shot --sparsity 0.5".to_owned(),
        format!("--one-shot --data {DIGITS}"),
    ] {
        let outcome = folder.tfc(&format!("compile m.safetensors {args} -o a.tfc"));
        assert_eq!(outcome.status, Some(2), "{args}: {outcome:?}");
    }
    assert_eq!(folder.names(), ["m.safetensors"]);
}

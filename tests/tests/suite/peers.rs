//! `tfc bench --peers` with scripts that stand in for the Python of virtual environments.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tfc::bench::ramp;
use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Model, Prepared};

use crate::common::{Folder, perceptron};

/// A folder with `a.tfc` and an `a.onnx` that nobody reads.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("a.safetensors", &perceptron(&[8]));
    folder.done("compile a.safetensors");
    folder.write("a.onnx", b"");
    folder
}

/// Installs what answers as `peer.py` does, for the engine that `$3` names.
fn install(folder: &Folder, venv: &str, script: &str) {
    let path = format!("peers/{venv}/bin/python");
    folder.write(&path, format!("#!/bin/sh\nread -r job\n{script}\n").as_bytes());
    fs::set_permissions(folder.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The outputs of `a.tfc`, the last one with something added.
fn outputs(folder: &Folder, added: f32) -> String {
    let file = AlignedBytes::from(folder.read("a.tfc").as_slice());
    let model = Model::new(&file).unwrap();
    let prepared = Prepared::new(&model).unwrap();
    let mut session = prepared.session();
    let mut outputs = session.run(&ramp(784)).unwrap().to_vec();
    *outputs.last_mut().unwrap() += added;
    serde_json::to_string(&outputs).unwrap()
}

/// Each run takes a second in every turn.
fn slow(outputs: &str) -> String {
    format!(
        "echo '{{\"version\": \"9.9\", \"output\": {outputs}}}'\n\
         while read -r turn; do echo '[1000000000, 1000000000]'; done"
    )
}

#[test]
fn engines_that_run_and_engines_that_fail_are_listed() {
    let folder = folder();
    let (right, wrong) = (outputs(&folder, 0.0), outputs(&folder, 1e6));
    let main = format!(
        "case $3 in\n\
         onnxruntime) {} ;;\n\
         openvino) {} ;;\n\
         *) echo 'Traceback' >&2; echo 'ModuleNotFoundError: no engine' >&2; exit 1 ;;\n\
         esac",
        slow(&right),
        slow(&wrong)
    );
    install(&folder, "main", &main);

    let rows = folder.json("bench a.tfc --seconds 0 --peers peers --min-speedup 1.5");
    let names: Vec<&str> = rows.as_array().unwrap().iter().map(|r| r["engine"].as_str().unwrap()).collect();
    assert_eq!(names, ["tfc", "onnxruntime", "openvino", "mnn", "deepsparse"]);
    let keys: Vec<&str> = rows[1].as_object().unwrap().keys().map(String::as_str).collect();
    let expected =
        ["differs", "engine", "min_ratio", "min_us", "p50_us", "p90_us", "ratio", "runs", "version"];
    assert_eq!(keys, expected);
    assert_eq!(rows[0]["ratio"], 1.0);
    assert_eq!(rows[1]["version"], "9.9");
    assert_eq!(rows[1]["p50_us"], 1e6);
    assert_eq!(rows[1]["runs"], 20);
    // Its outputs were computed in place, ours are by the kernels of prepared models.
    assert!(rows[1]["differs"].as_f64().unwrap() < 1e-6, "{rows}");
    let ratio = 1e6 / rows[0]["p50_us"].as_f64().unwrap();
    assert!((rows[1]["ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9, "{rows}");
    let error = |row: usize| rows[row]["error"].as_str().unwrap();
    assert!(error(2).contains("another network?"), "{rows}");
    assert_eq!(error(3), "ModuleNotFoundError: no engine");
    assert!(error(4).starts_with("peers/deepsparse/bin/python: No such file"), "{rows}");

    let text = folder.done("bench a.tfc --seconds 0 --peers peers --onnx a.onnx").stdout;
    assert!(text.contains(" onnxruntime   9.9 "), "{text}");
    assert!(text.ends_with(&format!("{}\n", error(4))), "{text}");
    let slow = folder.tfc("bench a.tfc --seconds 0 --peers peers --min-speedup 1e12");
    assert_eq!(slow.status, Some(1), "{slow:?}");
    assert!(slow.stderr.contains("is below 1000000000000x"), "{slow:?}");
}

#[test]
fn an_engine_that_ends_in_its_turn_is_listed_as_failed() {
    let folder = folder();
    let outputs = outputs(&folder, 0.0);
    let once =
        format!("echo '{{\"version\": \"1\", \"output\": {outputs}}}'; read -r turn; echo '[1]'; exit 7");
    install(&folder, "deepsparse", &once);
    install(&folder, "main", &slow(&outputs));
    let rows = folder.json("bench a.tfc --seconds 0 --peers peers");
    assert_eq!(rows[4]["error"], "ended without a word: exit status: 7");
    assert!(rows[3]["p50_us"].is_number(), "{rows}");
}

#[test]
fn nothing_to_compare_with_is_an_error() {
    let folder = folder();
    for (args, named) in [
        ("--peers missing", "no engine could be timed"),
        ("--peers missing --onnx b.onnx", "b.onnx: not found"),
        ("--onnx a.onnx", "--peers <DIR>"),
        ("--peers missing --against a.tfc", "cannot be used with"),
    ] {
        let outcome = folder.tfc(&format!("bench a.tfc --seconds 0 {args}"));
        assert_eq!(outcome.status, Some(2), "{args}: {outcome:?}");
        assert!(outcome.stderr.contains(named), "{args}: {outcome:?}");
    }
}

//! `tfc compile` and what it leaves: every number that it prints is that of the artifact.

use std::collections::BTreeSet;

use serde_json::Value;
use tfc::device::cpu::Cpu;
use tfc::execute;
use tfc::prune::Method;
use tfc::train::logits;
use tfc_formats::artifact::{AlignedBytes, Artifact, Matrix};
use tfc_formats::dataset;
use tfc_formats::op::{Conv2d, Op, Padding, Shape};

use crate::common::{DIGITS, Folder, Sketch, perceptron, trained};

/// A folder with the trained network as `m.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder
}

fn compile(folder: &Folder, args: &str) -> Value {
    folder.json(&format!("compile m.safetensors --data {DIGITS} --device cpu {args}"))
}

/// Zeros and elements of all matrices of a report, with those that went with their channels.
fn zeros(report: &Value) -> (u64, u64) {
    let sum = |key: &str| -> u64 {
        report["layers"].as_array().unwrap().iter().map(|layer| layer[key].as_u64().unwrap()).sum()
    };
    let weights = sum("weights") + sum("weights_removed");
    (weights - sum("nonzeros"), weights)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_method_gives_the_zeros_asked_for() {
    let folder = folder();
    for method in Method::ALL {
        let out = format!("{method}.tfc");
        let args =
            format!("--sparsity 0.8 --method {method} --iterations 5 --epochs 2 --low-rank off -o {out}");
        let report = compile(&folder, &args);
        let (zeros, weights) = zeros(&report);
        assert!(zeros as f64 >= 0.8 * weights as f64, "{method}: {zeros} of {weights}");
        assert!((zeros as f64) < 0.81 * weights as f64, "{method}: {zeros} of {weights}");
        // Zeros that rounding to f16 adds are the file's alone.
        let percent = report["zero_percent"].as_f64().unwrap();
        assert!((percent - 100.0 * zeros as f64 / weights as f64).abs() < 0.05, "{method}: {percent}");
    }
}

#[test]
fn the_report_is_of_the_artifact() {
    let folder = folder();
    let report = compile(&folder, "--sparsity 0.9 --epochs 3 --report r.json -o a.tfc");
    let written: Value = serde_json::from_slice(&folder.read("r.json")).unwrap();
    assert_eq!(written, report, "stdout and the file differ");

    let evaluated = folder.json(&format!("eval a.tfc --data {DIGITS}"));
    assert_eq!(evaluated["error_percent"], report["test"]["artifact"]);
    assert_eq!(evaluated["confusion"], report["test_confusion"]);
    assert_eq!(evaluated["samples"], report["test"]["samples"]);

    let inspected = folder.json("inspect a.tfc");
    let bytes = folder.read("a.tfc").len();
    assert_eq!(report["file_bytes"], bytes);
    assert_eq!(inspected["file_bytes"], bytes);
    assert_eq!(report["arena_bytes"], inspected["arena_bytes"]);
    let layers = report["layers"].as_array().unwrap();
    for (layer, inspected) in layers.iter().zip(inspected["layers"].as_array().unwrap()) {
        for (key, value) in inspected.as_object().unwrap() {
            assert_eq!(layer[key], *value, "{key}");
        }
    }
    let parameters: usize = trained().tensors.iter().map(|tensor| 4 * tensor.data.len()).sum();
    assert_eq!(report["dense_bytes"], parameters);
}

/// Programs read these names.
#[test]
fn names_in_json_are_stable() {
    let folder = folder();
    let report = compile(&folder, "--sparsity 0.5 --epochs 1 -o a.tfc");
    let expected = [
        "arena_bytes",
        "budget",
        "dense_bytes",
        "device",
        "factorizations",
        "file_bytes",
        "history",
        "layers",
        "network",
        "notes",
        "one_shot",
        "options",
        "passes",
        "producer",
        "seconds",
        "test",
        "test_confusion",
        "validation",
        "zero_percent",
    ];
    assert_eq!(keys(&report), expected);
    let layer = [
        "bytes",
        "bytes_before",
        "dense_macs",
        "encoding",
        "macs",
        "macs_before",
        "name",
        "nonzeros",
        "op",
        "output",
        "selection",
        "shared",
        "weights",
        "weights_removed",
        "why",
    ];
    assert_eq!(keys(&report["layers"][0]), layer);
    assert_eq!(keys(&report["passes"]), ["batch_norms_folded", "channels_removed", "nodes_removed"]);
    assert_eq!(keys(&report["test"]), ["artifact", "dense", "pruned", "samples"]);
    assert_eq!(keys(&report["history"][0]), ["pruned", "seconds", "train", "validation"]);
    let options = [
        "block",
        "calibration_samples",
        "goal",
        "half",
        "held_out",
        "iterations",
        "low_rank",
        "method",
        "one_shot",
        "rank",
        "rounds",
        "scope",
        "seed",
        "solver",
        "training",
    ];
    assert_eq!(keys(&report["options"]), options);

    let inspected = folder.json("inspect a.tfc");
    let expected = [
        "arena_bytes",
        "file_bytes",
        "input",
        "layers",
        "network",
        "output",
        "preprocess",
        "producer",
        "scratch_bytes",
    ];
    assert_eq!(keys(&inspected), expected);
    let evaluated = folder.json(&format!("eval a.tfc --data {DIGITS}"));
    assert_eq!(keys(&evaluated), ["confusion", "data", "error_percent", "errors", "model", "samples"]);
    let benched = folder.json("bench a.tfc --seconds 0");
    let expected = [
        "arena_bytes",
        "file_bytes",
        "init_us",
        "min_us",
        "name",
        "p50_us",
        "p90_us",
        "p99_us",
        "ratio",
        "runs",
    ];
    let found: Vec<&str> = keys(&benched[0]).into_iter().filter(|key| *key != "steps").collect();
    assert_eq!(found, expected);
    assert_eq!(keys(&benched[0]["steps"][0]), ["name", "p50_us", "share"]);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = folder();
    for seed in [1, 1, 2] {
        let args = format!("--sparsity 0.9 --method mfbp --iterations 3 --epochs 2 --seed {seed}");
        compile(&folder, &format!("{args} -o {seed}.tfc --force"));
        if !folder.path("first.tfc").exists() {
            folder.write("first.tfc", &folder.read("1.tfc"));
        }
    }
    assert_eq!(folder.read("1.tfc"), folder.read("first.tfc"));
    assert_ne!(folder.read("2.tfc"), folder.read("first.tfc"), "the seed changes nothing");
}

#[test]
fn thin_factors_run() {
    let folder = Folder::new();
    folder.save("m.safetensors", &perceptron(&[40, 30]));
    for kind in ["svd", "tri"] {
        let args = format!("--low-rank {kind} --rank 6 --iterations 5 --epochs 1 -o {kind}.tfc");
        let report = compile(&folder, &args);
        let evaluated = folder.json(&format!("eval {kind}.tfc --data {DIGITS}"));
        assert_eq!(evaluated["error_percent"], report["test"]["artifact"], "{kind}");
    }

    let svd = AlignedBytes::from(folder.read("svd.tfc").as_slice());
    let shapes: Vec<(u32, u32)> = matrices(&svd).iter().map(|(_, m)| (m.rows, m.cols)).collect();
    // 30 x 40 and 10 x 30 become smaller at rank 6 as well: 6 * 70 < 1200, 6 * 40 < 300.
    assert_eq!(shapes, [(6, 784), (40, 6), (6, 40), (30, 6), (6, 30), (10, 6)]);

    // Nine steps, G S G' each, over four G and three S: neighbours share theirs.
    let tri = AlignedBytes::from(folder.read("tri.tfc").as_slice());
    let shapes: Vec<(u32, u32)> = matrices(&tri).iter().map(|(_, m)| (m.rows, m.cols)).collect();
    let (core, g) = ((6, 6), |n| (n, 6));
    assert_eq!(shapes, [g(784), core, g(40), g(40), core, g(30), g(30), core, g(10)]);
    let sections: BTreeSet<String> = matrices(&tri).iter().map(|(_, m)| format!("{:?}", m.storage)).collect();
    assert_eq!(sections.len(), 7, "{sections:#?}");
    let stored: u64 = folder.json("inspect tri.tfc")["layers"].as_array().unwrap().iter().map(bytes).sum();
    let values = 6 * (784 + 40 + 30 + 10) + 3 * 36 + 40 + 30 + 10;
    assert!(stored <= 4 * values, "{stored} bytes for {values} values");
}

fn bytes(layer: &Value) -> u64 {
    layer["bytes"].as_u64().unwrap()
}

fn matrices(file: &AlignedBytes) -> Vec<(String, Matrix)> {
    let artifact = Artifact::parse(file).unwrap();
    let named = artifact.steps().filter_map(|step| Some((step.name.to_owned(), step.matrix?)));
    named.collect()
}

#[test]
fn a_drop_that_is_allowed_is_kept() {
    let folder = folder();
    let mut last = 0.0;
    for drop in [0.0, 20.0, 100.0] {
        let report = compile(&folder, &format!("--max-drop {drop} --epochs 8 -o {drop}.tfc"));
        let [dense, artifact] = ["dense", "artifact"].map(|key| report["validation"][key].as_f64().unwrap());
        assert_eq!(report["validation"]["samples"], 40);
        // The choice of f16 may change one prediction in a thousand: none of 40.
        assert!(artifact <= dense + drop, "{artifact}% after {dense}%, {drop} points allowed");
        let (zeros, weights) = zeros(&report);
        let share = zeros as f64 / weights as f64;
        assert!(share >= last, "{drop} points allow fewer zeros than less: {share}, {last}");
        last = share;
    }
    assert!(last >= 0.995, "{last}: with everything allowed all levels are kept");
}

/// Without data, nothing that a network says changes: against the forward pass of training, which
/// shares no code with the runtime.
#[test]
fn predictions_are_kept_without_data() {
    let folder = folder();
    let mut network = trained().clone();
    // With zeros, so that sparse encodings are chosen.
    for tensor in network.tensors.iter_mut().filter(|tensor| tensor.shape.len() > 1) {
        tensor.data.iter_mut().filter(|v| v.abs() < 0.02).for_each(|v| *v = 0.0);
    }
    folder.save("m.safetensors", &network);
    let report = folder.json("compile m.safetensors -o a.tfc");
    assert_eq!((&report["validation"], &report["test"]), (&Value::Null, &Value::Null));
    assert!(folder.read("a.tfc").len() < report["dense_bytes"].as_u64().unwrap() as usize / 2 + 4096);

    let samples = dataset::load(DIGITS).unwrap().test;
    let expected = logits(&Cpu, &network, &samples, 32).unwrap();
    let found = execute::outputs_of(&folder.read("a.tfc"), &samples).unwrap();
    for (found, expected) in found.iter().zip(expected.chunks_exact(10)) {
        assert_eq!(execute::arg_max(found), execute::arg_max(expected), "{found:?} and {expected:?}");
    }
}

#[test]
fn checks_that_fail_have_status_1() {
    let folder = folder();
    folder.done("compile m.safetensors -o a.tfc");
    let error = folder.json(&format!("eval a.tfc --data {DIGITS}"))["error_percent"].as_f64().unwrap();
    assert!(error > 0.0 && error < 60.0, "{error}% is no network that was trained a little");
    folder.done(&format!("eval a.tfc --data {DIGITS} --max-error {error}"));
    folder.done("bench a.tfc --seconds 0 --min-speedup 0.000001");
    for (args, named) in [
        (format!("eval a.tfc --data {DIGITS} --max-error {}", error - 0.1), "is above"),
        ("bench a.tfc --seconds 0 --min-speedup 1000000".to_owned(), "is below 1000000x"),
    ] {
        let outcome = folder.tfc(&args);
        assert_eq!(outcome.status, Some(1), "{args}: {outcome:?}");
        assert!(outcome.stderr.starts_with("tfc: ") && outcome.stderr.contains(named), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(!outcome.stdout.is_empty(), "what was measured is printed all the same");
    }
}

/// A shortcut that only moves channels has no weights, also if some of its channels are removed.
#[test]
fn removed_channels_count_as_zeros_and_shortcuts_do_not() {
    let conv = |out_channels, size| {
        let (kernel, pad) = ([size; 2], Padding::same(size / 2));
        Op::Conv2d(Conv2d { out_channels, kernel, stride: [1; 2], dilation: [1; 2], pad, groups: 1 })
    };
    let mut sketch = Sketch::new(Shape::new(1, 6, 6), 12);
    let value = sketch.weighted(conv(4, 3), 0);
    // The second channel is dead.
    let [weight, bias] = sketch.network.nodes[0].params[..] else { panic!() };
    sketch.network.tensors[weight].data[9..18].fill(0.0);
    sketch.network.tensors[bias].data[1] = 0.0;
    let value = sketch.relu(value);
    let taps = (0..8 * 4).map(|at| f32::from(at / 4 == at % 4 + 2)).collect();
    let taps = sketch.tensor(&[8, 4, 1, 1], taps);
    let shortcut = sketch.node(conv(8, 1), &[value], vec![taps]);
    assert!(sketch.network.selection(2).is_some());
    let value = sketch.weighted(conv(8, 3), value);
    let value = sketch.node(Op::Add, &[shortcut, value], Vec::new());
    let value = sketch.node(Op::GlobalAvgPool, &[value], Vec::new());
    sketch.dense(value, 3);
    let folder = Folder::new();
    folder.save("m.safetensors", &sketch.finish());
    let report = folder.json("compile m.safetensors -o a.tfc");
    assert_eq!(report["passes"]["channels_removed"], 1);
    // Of 4 and of 8 x 4 filters of 9 weights those of one channel, and none of 24 dense weights.
    let expected = 100.0 * 81.0 / 348.0;
    assert!((report["zero_percent"].as_f64().unwrap() - expected).abs() < 1e-9, "{report}");
    let text = folder.done("compile m.safetensors -o a.tfc --force").stdout;
    assert!(text.contains("23.28% of weights are zero or removed"), "{text}");
}

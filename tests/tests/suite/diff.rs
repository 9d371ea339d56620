//! `tfc diff`: what it finds between networks whose difference is known.

use serde_json::{Value, json};
use tfc::encode::{Precision, encode};
use tfc_formats::network::Network;
use tfc_formats::op::{Activation, Conv2d, Op, Padding, Shape};

use crate::common::{DIGITS, Folder, Random, Sketch, trained};

/// A folder with the trained network as `a.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("a.safetensors", trained());
    folder
}

fn layers(report: &Value) -> &Vec<Value> {
    report["layers"].as_array().unwrap()
}

fn names(report: &Value) -> Vec<&str> {
    layers(report).iter().map(|layer| layer["name"].as_str().unwrap()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn artifact(network: &Network) -> Vec<u8> {
    encode(network, &vec![Precision::F32; network.tensors.len()]).unwrap().bytes
}

#[test]
fn a_network_does_not_differ_from_itself() {
    let folder = folder();
    folder.done("compile a.safetensors -o a.tfc --precision f32");
    for (a, b) in [("a.safetensors", "a.safetensors"), ("a.safetensors", "a.tfc"), ("a.tfc", "a.safetensors")]
    {
        for (data, samples) in [("", 64), ("--samples 3", 3), (DIGITS, 150)] {
            let data = if data == DIGITS { format!("--data {data}") } else { data.to_owned() };
            let report = folder.json(&format!("diff {a} {b} {data} --tolerance 0 --min-agreement 1"));
            assert_eq!(report["samples"], samples);
            assert_eq!(names(&report), ["conv2d0", "max_pool2", "dense4", "dense6"]);
            for part in layers(&report).iter().map(|layer| &layer["errors"]).chain([&report["output"]]) {
                assert_eq!([&part["max_abs"], &part["mean_abs"], &part["relative"]], [&json!(0.0); 3]);
                assert!(number(&part["range"]) > 0.0, "{part}");
            }
            assert_eq!(report["agreement"], json!({ "top1": 1.0, "top5": 1.0 }));
            assert_eq!([&report["only_a"], &report["only_b"]], [&json!([]); 2]);
            assert_eq!(report["first_beyond_tolerance"], Value::Null);
            assert_eq!(report["preprocessing_differs"], false);
        }
    }
}

#[test]
fn the_layer_that_was_changed_comes_first() {
    let folder = folder();
    let mut changed = trained().clone();
    let dense = changed.nodes.iter().position(|node| node.name == "dense4").unwrap();
    let bias = changed.nodes[dense].params[1];
    changed.tensors[bias].data[0] += 8.0;
    folder.write("b.tfc", &artifact(&changed));
    let args = format!("diff a.safetensors b.tfc --data {DIGITS}");
    let report = folder.json(&args);
    assert_eq!(report["first_beyond_tolerance"], "dense4");
    let errors: Vec<f64> = layers(&report).iter().map(|layer| number(&layer["errors"]["max_abs"])).collect();
    assert_eq!(errors[..2], [0.0; 2]);
    // One of 24 units grows by 8, less what its rectifier cut off.
    assert!(errors[2] > 1.0 && errors[2] < 8.0 + 1e-4, "{errors:?}");
    let mean = number(&layers(&report)[2]["errors"]["mean_abs"]);
    assert!(mean > 0.0 && mean <= 8.0 / 24.0 + 1e-6, "{mean}");
    let agreement = &report["agreement"];
    assert!(number(&agreement["top1"]) < number(&agreement["top5"]), "{agreement}");

    // Without a limit there is nothing to violate.
    for (limit, status, word) in [
        ("--tolerance 0.01", 1, "layer `dense4` differs by"),
        ("--min-agreement 1", 1, "% of the predictions agree, less than 100%"),
        ("--tolerance 1 --min-agreement 0", 0, ""),
    ] {
        let outcome = folder.tfc(&format!("{args} {limit}"));
        assert_eq!(outcome.status, Some(status), "{limit}: {outcome:?}");
        assert!(outcome.stderr.contains(word), "{limit}: {outcome:?}");
        assert!(
            outcome.stdout.contains("first layer that differs") != limit.contains("--tolerance 1"),
            "{outcome:?}"
        );
    }
}

#[test]
fn the_report_has_these_fields() {
    let folder = folder();
    let report = folder.json("diff a.safetensors a.safetensors --samples 2");
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut found = keys(&report);
    found.sort();
    assert_eq!(
        found,
        [
            "a",
            "agreement",
            "b",
            "data",
            "first_beyond_tolerance",
            "layers",
            "only_a",
            "only_b",
            "output",
            "preprocessing_differs",
            "samples",
            "tolerance"
        ]
    );
    let layer = &layers(&report)[0];
    assert_eq!(keys(layer).len(), 7);
    for (key, value) in [("name", "conv2d0"), ("op", "conv2d+relu"), ("shape", "4x14x14")] {
        assert_eq!([&layer[key], &layer[format!("{key}_b")]], [&json!(value); 2]);
    }
    assert_eq!(keys(&layer["errors"]), ["max_abs", "mean_abs", "range", "relative"]);
    assert_eq!([&report["data"], &report["tolerance"]], [&Value::Null, &json!(0.001)]);
}

fn conv(out_channels: u32, pad: u16) -> Op {
    Op::Conv2d(Conv2d {
        out_channels,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(pad),
        groups: 1,
    })
}

/// Convolution, batch norm and activation, twice, joined by a sum.
fn residual(activation: Activation) -> Network {
    let mut sketch = Sketch::new(Shape::new(1, 8, 8), 5);
    let mut values = vec![0];
    for _ in 0..2 {
        let value = sketch.weighted(conv(3, 1), *values.last().unwrap());
        let params = [[0.5, -1.5, 2.0], [0.25, 0.5, -1.0], [0.5, 0.0, -0.5], [1.0, 4.0, 0.25]];
        let params = params.map(|data| sketch.tensor(&[3], data.to_vec())).to_vec();
        let value = sketch.node(Op::BatchNorm { eps: 1e-3 }, &[value], params);
        values.push(sketch.node(Op::Activation(activation), &[value], Vec::new()));
    }
    let sum = sketch.node(Op::Add, &values[1..], Vec::new());
    let value = sketch.node(Op::Flatten, &[sum], Vec::new());
    sketch.dense(value, 4);
    sketch.finish()
}

/// The same with the batch norms in the convolutions.
fn folded(mut network: Network) -> Network {
    while let Some(at) = network.nodes.iter().position(|node| matches!(node.op, Op::BatchNorm { .. })) {
        let norm = network.nodes.remove(at);
        let [gamma, beta, mean, var] =
            [0, 1, 2, 3].map(|role| network.tensors[norm.params[role]].data.clone());
        let [weight, bias] = network.nodes[at - 1].params[..] else { panic!() };
        for c in 0..3 {
            let scale = gamma[c] / (var[c] + 1e-3).sqrt();
            let taps = network.tensors[weight].data.len() / 3;
            network.tensors[weight].data[c * taps..][..taps].iter_mut().for_each(|w| *w *= scale);
            let bias = &mut network.tensors[bias].data[c];
            *bias = (*bias - mean[c]) * scale + beta[c];
        }
        let moved = |value: &mut usize| *value -= usize::from(*value > at);
        network.nodes[at..].iter_mut().flat_map(|node| &mut node.inputs).for_each(moved);
        moved(&mut network.output);
    }
    network.check().unwrap();
    network
}

#[test]
fn folded_batch_norms_do_not_matter() {
    let folder = Folder::new();
    for activation in [Activation::Relu, Activation::Tanh] {
        let network = residual(activation);
        folder.save("a.safetensors", &network);
        folder.write("b.tfc", &artifact(&folded(network)));
        for (a, b, ends) in
            [("a.safetensors", "b.tfc", ["op", "op_b"]), ("b.tfc", "a.safetensors", ["op_b", "op"])]
        {
            let report = folder.json(&format!("diff {a} {b} --tolerance 1e-5"));
            assert_eq!(names(&report), ["conv2d0", "conv2d3", "add6", "dense8"]);
            assert_eq!([&report["only_a"], &report["only_b"]], [&json!([]); 2]);
            let name = activation.name();
            for layer in &layers(&report)[..2] {
                assert_eq!(layer[ends[0]], format!("conv2d+batch_norm+{name}"));
                assert_eq!(layer[ends[1]], format!("conv2d+{name}"));
            }
            // Rounding differs, so that the comparison is of numbers that are there.
            assert!(number(&layers(&report)[1]["errors"]["max_abs"]) > 0.0);
        }
    }
}

/// A value that is read by more than its activation stays a value of its own.
#[test]
fn shared_values_are_layers() {
    let mut sketch = Sketch::new(Shape::vector(4), 6);
    let value = sketch.dense(0, 4);
    let relu = sketch.relu(value);
    let sum = sketch.node(Op::Add, &[value, relu], Vec::new());
    sketch.relu(sum);
    let folder = Folder::new();
    folder.save("a.safetensors", &sketch.finish());
    let report = folder.json("diff a.safetensors a.safetensors");
    assert_eq!(names(&report), ["dense0", "relu1", "add2"]);
    let ops: Vec<&Value> = layers(&report).iter().map(|layer| &layer["op"]).collect();
    assert_eq!(ops, ["dense", "relu", "add+relu"]);
}

#[test]
fn removed_channels_and_layers_are_said() {
    let network = |channels: u32, extra: bool| {
        let mut sketch = Sketch::new(Shape::new(1, 6, 6), 7);
        let value = sketch.weighted(conv(channels, 0), 0);
        let value = if extra { sketch.weighted(conv(channels, 1), value) } else { value };
        let value = sketch.node(Op::GlobalAvgPool, &[value], Vec::new());
        sketch.dense(value, 3);
        let mut network = sketch.finish();
        // Nodes are named by their position.
        for (node, name) in network.nodes.iter_mut().rev().zip(["classes", "mean"]) {
            node.name = name.into();
        }
        network
    };
    let folder = Folder::new();
    folder.save("a.safetensors", &network(4, true));
    folder.save("b.safetensors", &network(3, false));
    let report = folder.json("diff a.safetensors b.safetensors");
    assert_eq!(names(&report), ["conv2d0", "mean", "classes"]);
    assert_eq!([&report["only_a"], &report["only_b"]], [&json!(["conv2d1"]), &json!([])]);
    let conv = &layers(&report)[0];
    assert_eq!(
        [&conv["shape"], &conv["shape_b"], &conv["errors"]],
        ["4x4x4", "3x4x4", ""].map(|s| if s.is_empty() { json!(null) } else { json!(s) }).each_ref()
    );
    assert_eq!(report["first_beyond_tolerance"], "classes");
    assert_eq!(report["agreement"]["top5"], Value::Null);
    let text = folder.done("diff a.safetensors b.safetensors").stdout;
    for part in ["shape differs", "4x4x4 | 3x4x4", "only in a.safetensors: conv2d1", "64 random inputs"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
}

#[test]
fn networks_without_a_common_name_are_compared_in_order() {
    let folder = folder();
    let mut renamed = trained().clone();
    renamed.nodes.iter_mut().for_each(|node| node.name.insert(0, '/'));
    folder.save("b.safetensors", &renamed);
    let report = folder.json("diff a.safetensors b.safetensors --tolerance 0");
    assert_eq!(names(&report).len(), 4);
    assert_eq!(layers(&report)[0]["name_b"], "/conv2d0");

    // An export with one layer more: the others are still compared.
    let mut sketch = Sketch { network: renamed, random: Random(9) };
    let output = sketch.network.output;
    sketch.node(Op::Softmax, &[output], Vec::new());
    folder.save("c.safetensors", &sketch.finish());
    for (a, b) in [("a.safetensors", "c.safetensors"), ("c.safetensors", "a.safetensors")] {
        let report = folder.json(&format!("diff {a} {b}"));
        assert_eq!(names(&report).len(), 4);
        assert!(layers(&report).iter().all(|layer| layer["errors"]["max_abs"] == 0.0), "{report}");
        let only = [&report["only_a"], &report["only_b"]].map(|only| only.as_array().unwrap().len());
        assert_eq!(only.iter().sum::<usize>(), 1, "{report}");
    }
}

/// No pass folds a batch norm through a flattening, so that both sides of it are layers.
#[test]
fn nothing_is_joined_through_a_flattening() {
    let mut sketch = Sketch::new(Shape::new(1, 6, 6), 10);
    let value = sketch.weighted(conv(3, 1), 0);
    let value = sketch.node(Op::Flatten, &[value], Vec::new());
    let params = [0.5, 0.25, 0.5, 4.0].map(|value| sketch.tensor(&[108], vec![value; 108])).to_vec();
    sketch.node(Op::BatchNorm { eps: 1e-3 }, &[value], params);
    let folder = Folder::new();
    folder.write("a.tfc", &artifact(&sketch.finish()));
    let report = folder.json("diff a.tfc a.tfc");
    assert_eq!(names(&report), ["conv2d0", "batch_norm2"]);
}

#[test]
fn each_network_preprocesses_raw_samples_itself() {
    let folder = folder();
    let mut other = trained().clone();
    other.preprocess.scale *= 0.5;
    folder.save("b.safetensors", &other);
    // The first layer undoes what the preprocessing does.
    let weight = other.nodes[0].params[0];
    other.tensors[weight].data.iter_mut().for_each(|w| *w *= 2.0);
    folder.save("c.safetensors", &other);
    for data in [String::new(), format!("--data {DIGITS}")] {
        let report = folder.json(&format!("diff a.safetensors b.safetensors {data}"));
        assert_eq!(report["preprocessing_differs"], true);
        assert_eq!(report["first_beyond_tolerance"], "conv2d0");
        let report = folder.json(&format!("diff a.safetensors c.safetensors {data} --tolerance 1e-6"));
        assert_eq!(report["preprocessing_differs"], true);
    }
    let text = folder.done("diff a.safetensors b.safetensors").stdout;
    assert!(text.contains("the networks preprocess differently"), "{text}");
}

#[test]
fn values_that_are_no_numbers_differ() {
    let mut sketch = Sketch::new(Shape::vector(3), 8);
    let value = sketch.dense(0, 3);
    sketch.dense(value, 2);
    let mut network = sketch.finish();
    let folder = Folder::new();
    folder.save("a.safetensors", &network);
    let weight = network.nodes[0].params[0];
    network.tensors[weight].data.fill(3e38);
    folder.save("b.safetensors", &network);
    let report = folder.json("diff a.safetensors b.safetensors --scale 1");
    assert_eq!(report["first_beyond_tolerance"], "dense0");
    assert_eq!(layers(&report)[0]["errors"]["relative"], Value::Null);
    assert_eq!(folder.tfc("diff a.safetensors b.safetensors --scale 1 --tolerance 1e9").status, Some(1));
}

//! Bytes that were not written by an exporter.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// A model with a bit of everything.
fn sample() -> Builder {
    let model =
        Builder::new(13, &[0, 2, 4, 4]).weight("w", &[2, 2, 3, 3]).ints("p", &[0, 0, 1, 1, 0, 1, 0, 0]);
    let model = model.node("Pad", &["x", "p"], "a").ints("s", &[0]).ints("e", &[2]).ints("ax", &[1]);
    let model = model.node("Slice", &["a", "s", "e", "ax"], "b");
    let model = model.node_with("Conv", &["b", "w"], "c", Vec::from([ints("pads", &[1, 1, 1, 1])]));
    let model = model.node("Relu", &["c"], "d").node("Shape", &["d"], "sh").ints("i", &[0]);
    let model = model.node_with("Gather", &["sh", "i"], "n", Vec::new()).ints("r", &[-1]);
    let model = model.node_with("Concat", &["n", "r"], "to", Vec::from([int("axis", 0)]));
    let model =
        model.node("Reshape", &["d", "to"], "f").weight("m", &[50, 3]).node("MatMul", &["f", "m"], "g");
    model.weight("bias", &[3]).node("Add", &["g", "bias"], "h").node("Softmax", &["h"], "y")
}

fn survives(bytes: &[u8]) {
    if let Ok(network) = load(bytes) {
        network.check().unwrap();
    }
}

const OPS: [&str; 50] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "Div",
    "Dropout",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LRN",
    "LeakyRelu",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pad",
    "Range",
    "ReduceMean",
    "ReduceProd",
    "Relu",
    "Reshape",
    "Reshape",
    "Shape",
    "Size",
    "Slice",
    "Slice",
    "Softmax",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

const ATTRIBUTES: [&str; 18] = [
    "axis",
    "axes",
    "perm",
    "pads",
    "kernel_shape",
    "strides",
    "dilations",
    "group",
    "starts",
    "ends",
    "transB",
    "keepdims",
    "to",
    "size",
    "ceil_mode",
    "start",
    "end",
    "shape",
];

fn attributes() -> impl Strategy<Value = Vec<AttributeProto>> {
    let number = || prop_oneof![8 => -3..5i64, 1 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let ints = prop_oneof![
        4 => prop::collection::vec(number(), 0..9),
        1 => Just(Vec::from([0, 3, 1, 2])),
        1 => Just(Vec::from([0, 2, 3, 1])),
    ];
    let one = (0..ATTRIBUTES.len(), number(), ints).prop_map(|(name, i, ints)| AttributeProto {
        name: ATTRIBUTES[name].into(),
        i,
        ints,
        ..Default::default()
    });
    prop::collection::vec(one, 0..4)
}

/// Nodes that read the input, some constants, and each other.
fn any_graph(nodes: &[(prop::sample::Index, Vec<usize>, Vec<AttributeProto>)], rank: usize) -> Builder {
    let mut model =
        Builder::new(13, [&[0, 4][..], &[0, 2, 4, 4], &[0, 4, 4, 2], &[0, 1, 1, 4], &[3, 2, 3, 1]][rank]);
    let mut names: Vec<std::string::String> = Vec::from(["x".into(), "x".into()]);
    for (at, dims) in [&[4, 4][..], &[2, 2, 3, 3], &[2], &[4], &[], &[2, 1, 1], &[0, 3]].iter().enumerate() {
        names.push(std::format!("w{at}"));
        model = model.weight(&std::format!("w{at}"), dims);
    }
    for (at, values) in
        [&[0, -1][..], &[1], &[2], &[0, 0, 1, 1, 0, 0, 1, 1], &[1, 4, 1, 1], &[i64::MIN]].iter().enumerate()
    {
        names.push(std::format!("i{at}"));
        model = model.ints(&std::format!("i{at}"), values);
    }
    for (at, (op, inputs, attributes)) in nodes.iter().enumerate() {
        // Mostly the last value, so that graphs get deep.
        let name = |input: &usize| names[names.len() - 1 - input % names.len()].clone();
        let inputs: Vec<_> = inputs.iter().map(name).collect();
        let inputs: Vec<&str> = inputs.iter().map(|n| n.as_str()).collect();
        let output = if at + 1 == nodes.len() { "y".into() } else { std::format!("n{at}") };
        model = model.node_with(OPS[op.index(OPS.len())], &inputs, &output, attributes.clone());
        names.push(output);
    }
    model
}

#[test]
fn the_sample_loads() {
    assert_eq!(sample().network().nodes.len(), 7, "{:?}", sample().network().nodes);
}

#[test]
fn every_truncation_survives() {
    let bytes = sample().bytes();
    for len in 0..bytes.len() {
        survives(&bytes[..len]);
    }
}

proptest! {
    #[test]
    fn flipped_bits_survive(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..6)) {
        let mut bytes = sample().bytes();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        survives(&bytes);
    }

    #[test]
    fn any_integers_survive(values in prop::collection::vec(any::<i64>(), 0..9), at in 0..6usize, small in any::<bool>()) {
        let mut model = sample();
        let values: Vec<i64> = values.iter().map(|v| if small { v % 7 } else { *v }).collect();
        let tensors = model.graph().initializer.iter_mut().filter(|t| t.data_type == data_type::INT64);
        if let Some(tensor) = tensors.into_iter().nth(at) {
            *tensor = ints_tensor(&tensor.name.clone(), &values);
        }
        survives(&model.bytes());
    }

    #[test]
    fn any_graph_survives(
        nodes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0..16usize, 1..5), attributes()), 1..12),
        rank in 0..5usize,
    ) {
        survives(&any_graph(&nodes, rank).bytes());
    }

    #[test]
    fn any_bytes_survive(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        bytes[0] = 0x08;
        survives(&bytes);
    }
}

/// Field 7 (the graph), or a field in it, that claims more bytes than there are.
#[test]
fn lengths_that_lie() {
    let two_gigabytes = [0x80, 0x80, 0x80, 0x80, 0x08];
    let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    for length in [&two_gigabytes[..], &most] {
        // The graph; a tensor's raw data; its packed extents; a node's name.
        for path in [&[0x3a][..], &[0x3a, 0x2a, 0x4a], &[0x3a, 0x2a, 0x0a], &[0x3a, 0x0a, 0x1a]] {
            let mut bytes = length.to_vec();
            for (depth, tag) in path.iter().rev().enumerate() {
                if depth > 0 {
                    bytes.insert(0, bytes.len() as u8);
                }
                bytes.insert(0, *tag);
            }
            bytes.splice(0..0, [0x08, 0x08]);
            assert!(matches!(load(&bytes), Err(ImportError::Damaged { .. })), "{bytes:x?}");
        }
    }
}

/// Groups nest without lengths; the decoder must not follow them forever.
#[test]
fn deep_nesting_is_an_error() {
    let mut bytes = Vec::from([0x08, 0x08]);
    bytes.extend([0xa3, 0x06].repeat(100_000));
    assert!(matches!(load(&bytes), Err(ImportError::Damaged { .. })));
}

#[test]
fn small_files_cannot_ask_for_much_memory() {
    let big = i64::from(i32::MAX);
    let filled = Builder::new(13, &[0, 4]).ints("n", &[big]).node("ConstantOfShape", &["n"], "c");
    assert!(filled.node("Add", &["x", "c"], "y").reason().contains("memory"));
    let range = Builder::new(13, &[0, 4]).node_with("Constant", &[], "z", Vec::from([int("value_int", 0)]));
    let range = range.node_with("Constant", &[], "o", Vec::from([int("value_int", 1)]));
    let range = range.node_with("Constant", &[], "b", Vec::from([int("value_int", i64::MAX)]));
    assert!(
        range
            .node("Range", &["z", "b", "o"], "r")
            .node("Reshape", &["x", "r"], "y")
            .reason()
            .contains("memory")
    );
    let expand = Builder::new(13, &[0, 4]).floats("v", &[1], &[1.0]).ints("n", &[big, big]);
    assert!(
        expand.node("Expand", &["v", "n"], "e").node("Add", &["x", "e"], "y").reason().contains("memory")
    );
    let padded = Builder::new(13, &[0, 9000, 1, 1]).ints("p", &[0, 100_000_000, 0, 0, 0, 0, 0, 0]);
    assert!(padded.node("Pad", &["x", "p"], "y").load().is_err());
    let wide = Builder::new(13, &[0, big]).floats("one", &[], &[1.0]).node("Add", &["x", "one"], "y");
    assert!(wide.reason().contains("memory"));
    // Each node asks for a little, all together for much.
    let mut many = Builder::new(13, &[0, 4]).ints("n", &[1 << 20]);
    for at in 0..40 {
        many = many.node("ConstantOfShape", &["n"], &std::format!("c{at}"));
    }
    let all: Vec<_> = (0..40).map(|at| std::format!("c{at}")).collect();
    let all: Vec<_> = all.iter().map(|name| name.as_str()).collect();
    let many = many.node_with("Concat", &all, "c", Vec::from([int("axis", 0)])).node("Add", &["x", "c"], "y");
    assert!(many.unsupported().nodes.iter().all(|n| n.reason.contains("memory")));
    let rank =
        Builder::new(13, &[0, 4]).ints("s", &[1, 4, 1, 1, 1, 1, 1, 1, 1]).node("Reshape", &["x", "s"], "y");
    assert!(rank.reason().contains("9 dimensions"));
}

/// Extents whose product is 0 say nothing about how many rows there are.
#[test]
fn rows_without_elements_take_no_time() {
    let mut model = Builder::new(13, &[0, 4]).ints("i", &[0]);
    let dims = Vec::from([1 << 40, 0]);
    model.graph().initializer.push(TensorProto { name: "e".into(), dims, ..floats("", &[], &[]) });
    let joined = model.clone().node_with("Concat", &["e", "e"], "c", Vec::from([int("axis", 1)]));
    let sliced = joined.node("Transpose", &["c"], "t").node("Add", &["x", "t"], "y");
    assert!(sliced.reason().contains("not one value"));
    let gathered = model.node_with("Gather", &["e", "i"], "g", Vec::from([int("axis", 1)]));
    assert!(gathered.node("Add", &["x", "g"], "y").reason().contains("out of range"));
}

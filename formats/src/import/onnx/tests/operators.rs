//! One operator at a time.

use std::vec::Vec;

use super::*;
use crate::op::{Activation, Conv2d, Dense, Padding, Pool};

fn pad(top: u16, left: u16, bottom: u16, right: u16) -> Padding {
    Padding { top, left, bottom, right }
}

fn conv(input: &[i64], weight: &[i64], attributes: Vec<AttributeProto>) -> Builder {
    Builder::new(13, input).weight("w", weight).node_with("Conv", &["x", "w"], "y", attributes)
}

#[test]
fn convolution() {
    let attributes = Vec::from([
        ints("pads", &[1, 2, 3, 4]),
        ints("strides", &[2, 1]),
        ints("dilations", &[1, 2]),
        ints("kernel_shape", &[3, 2]),
        int("group", 2),
    ]);
    let expected = Conv2d {
        out_channels: 6,
        kernel: [3, 2],
        stride: [2, 1],
        dilation: [1, 2],
        pad: pad(1, 2, 3, 4),
        groups: 2,
    };
    let with_bias = conv(&[0, 4, 9, 9], &[6, 2, 3, 2], attributes).weight("b", &[6]);
    assert_eq!(with_bias.op(), Op::Conv2d(expected));
    let mut with_bias = with_bias;
    with_bias.graph().node[0].input.push("b".into());
    let network = with_bias.network();
    assert_eq!(network.tensors.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["w", "b"]);
    assert_eq!((network.nodes[0].name.as_str(), &network.nodes[0].params[..]), ("conv_0", &[0, 1][..]));
}

#[test]
fn automatic_padding() {
    let of = |mode: &str, extent: i64, kernel: i64, stride: i64| {
        let attributes = Vec::from([text("auto_pad", mode), ints("strides", &[stride, stride])]);
        match conv(&[1, 1, extent, extent], &[1, 1, kernel, kernel], attributes).op() {
            Op::Conv2d(conv) => conv.pad,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(of("SAME_UPPER", 8, 3, 2), pad(0, 0, 1, 1));
    assert_eq!(of("SAME_LOWER", 8, 3, 2), pad(1, 1, 0, 0));
    assert_eq!(of("SAME_UPPER", 7, 3, 2), pad(1, 1, 1, 1));
    assert_eq!(of("SAME_UPPER", 7, 1, 2), pad(0, 0, 0, 0));
    assert_eq!(of("VALID", 8, 3, 2), pad(0, 0, 0, 0));
    let dilated = Vec::from([text("auto_pad", "SAME_UPPER"), ints("dilations", &[2, 2])]);
    let Op::Conv2d(op) = conv(&[1, 1, 8, 8], &[1, 1, 3, 3], dilated).op() else { panic!() };
    assert_eq!(op.pad, pad(2, 2, 2, 2));
    let wrong = conv(&[1, 1, 8, 8], &[1, 1, 3, 3], Vec::from([text("auto_pad", "ELSE")]));
    assert!(wrong.reason().contains("ELSE"));
}

#[test]
fn convolutions_that_do_not_fit() {
    for (weight, attributes, word) in [
        (&[4, 3, 3, 3][..], Vec::new(), "does not fit"),
        (&[4, 2, 3, 3], Vec::from([ints("kernel_shape", &[1, 1])]), "kernel [1, 1]"),
        (&[4, 2, 3, 3], Vec::from([int("group", 0)]), "does not fit"),
        (&[4, 2, 3], Vec::new(), "two-dimensional"),
        (&[4, 2, 3, 3], Vec::from([ints("pads", &[-1, 0, 0, 0])]), "-1 is not in"),
        (&[4, 2, 9, 9], Vec::new(), "larger than the padded input"),
        (&[4, 2, 3, 3], Vec::from([ints("strides", &[0, 1])]), "window"),
    ] {
        let reason = conv(&[1, 2, 8, 8], weight, attributes).reason();
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

#[test]
fn pools() {
    let attributes = Vec::from([
        ints("kernel_shape", &[3, 2]),
        ints("strides", &[2, 2]),
        ints("pads", &[1, 0, 1, 1]),
        int("ceil_mode", 1),
        int("count_include_pad", 1),
    ]);
    let pool =
        Pool { kernel: [3, 2], stride: [2, 2], pad: pad(1, 0, 1, 1), ceil: true, count_include_pad: true };
    let of = |op: &str, attributes: &[AttributeProto]| {
        Builder::new(11, &[0, 3, 9, 9]).node_with(op, &["x"], "y", attributes.to_vec())
    };
    assert_eq!(of("AveragePool", &attributes).op(), Op::AvgPool(pool));
    assert_eq!(of("MaxPool", &attributes).op(), Op::MaxPool(Pool { count_include_pad: false, ..pool }));
    let Op::MaxPool(plain) = of("MaxPool", &attributes[..1]).op() else { panic!() };
    assert_eq!((plain.stride, plain.pad, plain.ceil), ([1, 1], Padding::default(), false));
    let same = [ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2]), text("auto_pad", "SAME_UPPER")];
    let Op::MaxPool(same) = of("MaxPool", &same).op() else { panic!() };
    assert_eq!(same.pad, pad(0, 0, 1, 1));
    let dilated = [ints("kernel_shape", &[2, 2]), ints("dilations", &[2, 2])];
    assert!(of("MaxPool", &dilated).reason().contains("dilated"));
    assert_eq!(of("GlobalAveragePool", &[]).op(), Op::GlobalAvgPool);
    let Op::MaxPool(global) = of("GlobalMaxPool", &[]).op() else { panic!() };
    assert_eq!(global.kernel, [9, 9]);
}

#[test]
fn means_over_rows_and_columns() {
    for axes in [&[2, 3][..], &[-1, -2]] {
        for keep in [0, 1] {
            let mean = Builder::new(13, &[0, 3, 4, 5]);
            let mean = mean.node_with(
                "ReduceMean",
                &["x"],
                "y",
                Vec::from([ints("axes", axes), int("keepdims", keep)]),
            );
            assert_eq!(mean.op(), Op::GlobalAvgPool);
        }
    }
    let input = Builder::new(18, &[0, 3, 4, 5]).ints("axes", &[2, 3]).node("ReduceMean", &["x", "axes"], "y");
    assert_eq!(input.op(), Op::GlobalAvgPool);
    for axes in [&[1][..], &[2], &[1, 2, 3], &[0, 2, 3]] {
        let other =
            Builder::new(18, &[0, 3, 4, 5]).ints("axes", axes).node("ReduceMean", &["x", "axes"], "y");
        assert!(other.reason().contains("other axes"), "{axes:?}");
    }
    let all = Builder::new(18, &[0, 3, 4, 5]).node("ReduceMean", &["x"], "y");
    assert!(all.reason().contains("other axes"));
}

#[test]
fn activations() {
    use Activation as A;
    let of = |op: &str, attributes: Vec<AttributeProto>| {
        Builder::new(9, &[0, 3]).node_with(op, &["x"], "y", attributes)
    };
    assert_eq!(of("Relu", Vec::new()).op(), Op::Activation(A::Relu));
    assert_eq!(of("Sigmoid", Vec::new()).op(), Op::Activation(A::Sigmoid));
    assert_eq!(of("Tanh", Vec::new()).op(), Op::Activation(A::Tanh));
    assert_eq!(of("HardSwish", Vec::new()).op(), Op::Activation(A::HardSwish));
    assert_eq!(of("HardSigmoid", Vec::new()).op(), Op::Activation(A::HardSigmoid { alpha: 0.2 }));
    let hard = |beta: f32| of("HardSigmoid", Vec::from([float("alpha", 0.5), float("beta", beta)]));
    assert_eq!(hard(0.5).op(), Op::Activation(A::HardSigmoid { alpha: 0.5 }));
    assert!(hard(0.25).reason().contains("beta is 0.25"));
    assert_eq!(of("LeakyRelu", Vec::new()).op(), Op::Activation(A::LeakyRelu { alpha: 0.01 }));
    let leaky = of("LeakyRelu", Vec::from([float("alpha", 0.2)]));
    assert_eq!(leaky.op(), Op::Activation(A::LeakyRelu { alpha: 0.2 }));
    let clip = |min: f32, max: f32| of("Clip", Vec::from([float("min", min), float("max", max)]));
    assert_eq!(clip(0.0, 6.0).op(), Op::Activation(A::Relu6));
    assert_eq!(clip(0.0, f32::MAX).op(), Op::Activation(A::Relu));
    assert!(clip(-1.0, 1.0).reason().contains("-1..1"));
    let inputs = |max: &str| {
        let model = Builder::new(13, &[0, 3]).floats("0", &[], &[0.0]).floats("6", &[], &[6.0]);
        model.node("Clip", &["x", "0", max], "y")
    };
    assert_eq!(inputs("6").op(), Op::Activation(A::Relu6));
    assert_eq!(inputs("").op(), Op::Activation(A::Relu));
    let prelu = |slopes: &[f32]| {
        let model = Builder::new(13, &[0, 2, 3, 3]).floats("s", &[slopes.len() as i64, 1, 1], slopes);
        model.node("PRelu", &["x", "s"], "y")
    };
    assert_eq!(prelu(&[0.25; 2]).op(), Op::Activation(A::LeakyRelu { alpha: 0.25 }));
    assert!(prelu(&[0.25, 0.5]).reason().contains("slopes"));
}

#[test]
fn matrix_products() {
    let gemm = |weight: &[i64], attributes: Vec<AttributeProto>| {
        let model = Builder::new(13, &[0, 3]).weight("w", weight).floats("b", &[2], &[1.0, -1.0]);
        model.node_with("Gemm", &["x", "w", "b"], "y", attributes)
    };
    let plain = gemm(&[2, 3], Vec::from([int("transB", 1)]));
    assert_eq!(plain.op(), Op::Dense(Dense { out_features: 2, transposed: false }));
    let network = plain.network();
    assert_eq!((&network.tensors[0].shape[..], network.tensors[0].data[1]), (&[2, 3][..], 0.5));

    let turned = gemm(&[3, 2], Vec::from([float("alpha", 2.0), float("beta", 4.0)])).network();
    assert_eq!(turned.tensors[0].data, [0.5, 1.5, 2.5, 1.0, 2.0, 3.0]);
    assert_eq!((&turned.tensors[0].name[..], &turned.tensors[1].data[..]), ("w", &[4.0, -4.0][..]));
    assert!(gemm(&[3, 2], Vec::from([int("transA", 1)])).reason().contains("transA"));
    assert!(gemm(&[4, 2], Vec::new()).reason().contains("does not fit"));
    assert!(gemm(&[3, 5], Vec::new()).reason().contains("expected [5]"));

    let product = Builder::new(13, &[0, 3]).weight("w", &[3, 2]).weight("b", &[2]);
    let product = product.node("MatMul", &["x", "w"], "t").node("Add", &["b", "t"], "y");
    let network = product.network();
    assert_eq!((network.nodes.len(), &network.nodes[0].params[..]), (1, &[0, 1][..]));
    let wrong = Builder::new(13, &[0, 3]).weight("w", &[2, 3]).node("MatMul", &["w", "x"], "y");
    assert!(wrong.reason().contains("constant times"));
}

#[test]
fn normalizations() {
    let mut model = Builder::new(9, &[0, 2, 4, 4]);
    for name in ["gamma", "beta", "mean", "var"] {
        model = model.weight(name, &[2]);
    }
    let inputs = ["x", "gamma", "beta", "mean", "var"];
    let norm =
        model.clone().node_with("BatchNormalization", &inputs, "y", Vec::from([float("epsilon", 0.5)]));
    assert_eq!(norm.op(), Op::BatchNorm { eps: 0.5 });
    assert_eq!(norm.network().nodes[0].params, [0, 1, 2, 3]);
    let training = model.node_with("BatchNormalization", &inputs, "y", Vec::from([int("training_mode", 1)]));
    assert!(training.reason().contains("evaluation"));

    let lrn = |size: i64| {
        Builder::new(13, &[0, 8, 4, 4]).node_with("LRN", &["x"], "y", Vec::from([int("size", size)]))
    };
    assert_eq!(lrn(5).op(), Op::Lrn { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 });
    assert!(lrn(4).reason().contains("odd"));

    let softmax = |opset: i64, input: &[i64], axis: Option<i64>| {
        let attributes = axis.map(|a| int("axis", a)).into_iter().collect();
        Builder::new(opset, input).node_with("Softmax", &["x"], "y", attributes)
    };
    assert_eq!(softmax(9, &[0, 5], None).op(), Op::Softmax);
    assert_eq!(softmax(13, &[0, 5], None).op(), Op::Softmax);
    assert_eq!(softmax(13, &[0, 5, 2, 2], Some(1)).op(), Op::Softmax);
    assert!(softmax(13, &[0, 5, 2, 2], None).reason().contains("not that of the channels"));
    assert!(softmax(9, &[0, 5, 2, 2], Some(1)).reason().contains("not that of the channels"));
}

#[test]
fn sums_and_concatenations() {
    let two = |op: &str, shape: &[i64], attributes: Vec<AttributeProto>| {
        let model = Builder::new(13, shape).node("Relu", &["x"], "a").node("Tanh", &["x"], "b");
        model.node_with(op, &["a", "b"], "y", attributes)
    };
    for op in ["Add", "Sum"] {
        assert_eq!(two(op, &[0, 2, 3, 3], Vec::new()).ops()[2], Op::Add);
    }
    assert!(two("Mul", &[0, 2, 3, 3], Vec::new()).reason().contains("only sums"));
    let joined = two("Concat", &[0, 2, 3, 3], Vec::from([int("axis", -3)])).network();
    assert_eq!((joined.nodes[2].op, joined.shapes().unwrap()[3].c), (Op::Concat, 4));
    assert_eq!(two("Concat", &[0, 7], Vec::from([int("axis", 1)])).ops()[2], Op::Concat);
    assert!(two("Concat", &[0, 2, 3, 3], Vec::from([int("axis", 2)])).reason().contains("axis 2"));
}

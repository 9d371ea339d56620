//! What exporters write.

use std::vec::Vec;

use super::eval::output_of_counting;
use super::*;
use crate::op::Padding;

/// PyTorch's `x.view(x.size(0), -1)`.
#[test]
fn shapes_are_folded() {
    let model = Builder::new(11, &[0, 2, 3, 3]).node("Shape", &["x"], "shape");
    let model = model.node_with("Constant", &[], "zero", Vec::from([value(scalar(0))]));
    let model = model.node_with("Gather", &["shape", "zero"], "batch", Vec::from([int("axis", 0)]));
    let model = model.node_with("Unsqueeze", &["batch"], "u", Vec::from([ints("axes", &[0])]));
    let model = model.node_with("Constant", &[], "rest", Vec::from([ints("value_ints", &[-1])]));
    let model = model.node_with("Concat", &["u", "rest"], "to", Vec::from([int("axis", 0)]));
    assert_eq!(model.node("Reshape", &["x", "to"], "y").op(), Op::Flatten);
}

fn scalar(v: i64) -> TensorProto {
    TensorProto { dims: Vec::new(), ..ints_tensor("", &[v]) }
}

/// PyTorch's `F.pad` before opset 19: pads in reverse order, by arithmetic, reshape, slice and
/// transposition.
#[test]
fn pads_that_are_computed() {
    let model =
        Builder::new(13, &[0, 1, 4, 4]).ints("pads", &[0, 0, 1, 2]).ints("four", &[4]).ints("two", &[2]);
    let model = model.node("Mul", &["four", "two"], "eight").node("Shape", &["pads"], "n");
    let model = model.node("Sub", &["eight", "n"], "missing");
    let zero = value(ints_tensor("", &[0]));
    let model = model.node_with("ConstantOfShape", &["missing"], "zeros", Vec::from([zero]));
    let model = model.node_with("Cast", &["pads"], "cast", Vec::from([int("to", 7)]));
    let model = model.node_with("Concat", &["cast", "zeros"], "all", Vec::from([int("axis", 0)]));
    let model = model.ints("pairs", &[-1, 2]).node("Reshape", &["all", "pairs"], "r");
    let model = model.ints("s", &[-1]).ints("e", &[-i64::MAX]).ints("a", &[0]).ints("t", &[-1]);
    let model = model.node("Slice", &["r", "s", "e", "a", "t"], "reversed");
    let model = model.node_with("Transpose", &["reversed"], "turned", Vec::from([ints("perm", &[1, 0])]));
    let model = model.ints("flat", &[-1]).node("Reshape", &["turned", "flat"], "to");
    let model = model.node_with("Pad", &["x", "to", ""], "p", Vec::from([text("mode", "constant")]));
    let model = model.weight("w", &[1, 1, 2, 2]).node("Conv", &["p", "w"], "y");
    let Op::Conv2d(conv) = model.op() else { panic!() };
    // The last pair of `F.pad` is for the rows.
    assert_eq!(conv.pad, Padding { top: 1, left: 0, bottom: 2, right: 0 });
}

#[test]
fn more_arithmetic() {
    let model = Builder::new(13, &[0, 12]).ints("a", &[2, 3, 4]).node("ReduceProd", &["a"], "p");
    let model = model.ints("two", &[2]).node("Div", &["p", "two"], "half");
    let (zero, one) = (scalar(0), scalar(1));
    let model = model.node_with("Constant", &[], "0", Vec::from([value(zero)]));
    let model = model.node_with("Constant", &[], "1", Vec::from([value(one)]));
    let model = model.node("Size", &["a"], "3").node("Range", &["0", "3", "1"], "range");
    let model = model.node_with("Gather", &["range", "1"], "g", Vec::new()).ints("shape", &[1]);
    let model = model.node("Expand", &["g", "shape"], "first").node("Max", &["first", "shape"], "batch");
    let model = model.node("Neg", &["batch"], "n").node("Abs", &["n"], "b");
    let model = model.node_with("Concat", &["b", "half"], "to", Vec::from([int("axis", -1)]));
    let model = model.node("Reshape", &["x", "to"], "r").node("Relu", &["r"], "y");
    assert!(matches!(model.op(), Op::Activation(_)));
    let overflow = Builder::new(13, &[0, 3]).ints("m", &[i64::MAX]).node("Add", &["m", "m"], "s");
    assert!(overflow.node("Reshape", &["x", "s"], "y").reason().contains("overflow"));
    let zero = Builder::new(13, &[0, 3]).ints("m", &[0]).node("Div", &["m", "m"], "s");
    assert!(zero.node("Reshape", &["x", "s"], "y").reason().contains("divides by 0"));
}

#[test]
fn constants_scale_and_shift_channels() {
    let model = |op: &str, first: bool, dims: &[i64], values: &[f32]| {
        let inputs = if first { ["c", "x"] } else { ["x", "c"] };
        Builder::new(13, &[0, 2, 1, 1]).floats("c", dims, values).node(op, &inputs, "y")
    };
    for (op, first, expected) in [
        ("Add", false, [5.0, 10.0]),
        ("Add", true, [5.0, 10.0]),
        ("Sub", false, [-3.0, -6.0]),
        ("Sub", true, [3.0, 6.0]),
        ("Mul", true, [4.0, 16.0]),
        ("Div", false, [0.25, 0.25]),
    ] {
        let network = model(op, first, &[2, 1, 1], &[4.0, 8.0]).network();
        assert!(matches!(network.nodes[0].op, Op::BatchNorm { eps: 0.0 }));
        assert_eq!(output_of_counting(&network), expected, "{op} {first}");
    }
    assert_eq!(output_of_counting(&model("Mul", false, &[], &[3.0]).network()), [3.0, 6.0]);
    assert!(model("Div", true, &[], &[1.0]).reason().contains("divided by a value"));
    assert!(model("Add", false, &[2], &[1.0, 2.0]).reason().contains("not one value for each channel"));
    assert!(model("Add", false, &[1, 1, 1, 1, 1], &[1.0]).reason().contains("not one value"));

    let both =
        Builder::new(13, &[0, 2, 1, 1]).floats("m", &[], &[2.0]).floats("a", &[1, 2, 1, 1], &[1.0, -1.0]);
    let network = both.node("Mul", &["x", "m"], "t").node("Add", &["t", "a"], "y").network();
    assert_eq!((network.nodes.len(), output_of_counting(&network)), (1, Vec::from([3.0, 3.0])));
}

#[test]
fn a_sum_after_a_convolution_is_its_bias() {
    let conv = |read_twice: bool| {
        let model =
            Builder::new(13, &[0, 1, 2, 2]).weight("w", &[2, 1, 2, 2]).floats("b", &[2, 1, 1], &[10.0, 20.0]);
        let model =
            model.node("Conv", &["x", "w"], "c").node("Identity", &["c"], "i").node("Add", &["i", "b"], "s");
        let other = if read_twice { "c" } else { "s" };
        model.node_with("Concat", &["s", other], "y", Vec::from([int("axis", 1)])).network()
    };
    assert_eq!(conv(false).nodes.len(), 2);
    assert_eq!(output_of_counting(&conv(false)), [17.5, 37.5, 17.5, 37.5]);
    assert_eq!(conv(true).nodes.len(), 3);
    assert_eq!(output_of_counting(&conv(true)), [17.5, 37.5, 7.5, 17.5]);
}

#[test]
fn initializers_listed_as_inputs() {
    let mut model = Builder::new(9, &[0, 1, 4, 4]).weight("w", &[2, 1, 3, 3]).node("Conv", &["x", "w"], "y");
    let input = ValueInfoProto { name: "w".into(), r#type: None };
    model.graph().input.insert(0, input);
    assert!(matches!(model.op(), Op::Conv2d(_)));
}

#[test]
fn identities_vanish_and_names_are_unique() {
    let model = Builder::new(13, &[0, 4]).node("Identity", &["x"], "a").node("Dropout", &["a"], "b");
    let model = model.node_with("Cast", &["b"], "c", Vec::from([int("to", 10)]));
    let mut model = model.node("Relu", &["c"], "d").node("Relu", &["d"], "e").node("Tanh", &["e"], "y");
    for (index, name) in [(3, "act"), (4, "act\n"), (5, "act")] {
        model.graph().node[index].name = name.into();
    }
    let names: Vec<_> = model.network().nodes.into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["act", "act ", "act_2"]);
}

#[test]
fn nodes_that_nobody_needs_do_not_count() {
    let model = Builder::new(13, &[0, 4]).node("Relu", &["x"], "y").node("NonZero", &["y"], "unused");
    let model = model.floats("unused_weight", &[1 << 40], &[]);
    assert_eq!(model.op(), Op::Activation(crate::op::Activation::Relu));
}

#[test]
fn one_constant_is_one_tensor() {
    let model = Builder::new(13, &[0, 2, 3, 3]).weight("w", &[2, 2, 1, 1]).node("Conv", &["x", "w"], "a");
    let network = model.node("Conv", &["a", "w"], "y").network();
    assert_eq!(network.tensors.len(), 1);
    let model = Builder::new(13, &[0, 2]).weight("w", &[2, 2]).node("MatMul", &["x", "w"], "a");
    let network = model.node_with("Gemm", &["a", "w"], "y", Vec::from([int("transB", 1)])).network();
    let names: Vec<_> = network.tensors.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["w", "w_2"]);
}

#[test]
fn a_fixed_batch_is_kept() {
    let model = Builder::new(13, &[8, 2, 3, 3]).ints("s", &[8, -1]).node("Reshape", &["x", "s"], "y");
    assert_eq!(model.op(), Op::Flatten);
}

/// `x * hardsigmoid(x)` and the three orders of `x * relu6(x + 3) / 6`.
#[test]
fn hard_swish_is_put_together() {
    let swish = Op::Activation(crate::op::Activation::HardSwish);
    let start = || {
        let model = Builder::new(13, &[0, 2, 3, 3]).floats("0", &[], &[0.0]);
        model.floats("3", &[], &[3.0]).floats("6", &[], &[6.0]).floats("sixth", &[], &[1.0 / 6.0])
    };
    let clip = |offset: &str| start().node("Add", &["x", offset], "a").node("Clip", &["a", "0", "6"], "c");
    let sigmoid = |alpha: f32| {
        let attributes = Vec::from([float("alpha", alpha)]);
        start().node_with("HardSigmoid", &["x"], "h", attributes).node("Mul", &["x", "h"], "y")
    };
    for model in [
        sigmoid(1.0 / 6.0),
        clip("3").node("Mul", &["x", "c"], "m").node("Div", &["m", "6"], "y"),
        clip("3").node("Mul", &["c", "x"], "m").node("Mul", &["sixth", "m"], "y"),
        clip("3").node("Div", &["c", "6"], "g").node("Mul", &["x", "g"], "y"),
        clip("3").node("Mul", &["c", "sixth"], "g").node("Mul", &["g", "x"], "y"),
    ] {
        assert_eq!(model.op(), swish);
        assert_eq!(model.network().tensors, []);
    }
    let six_times = clip("3").node("Mul", &["x", "c"], "y").network();
    assert_eq!(six_times.nodes.iter().map(|n| n.op).collect::<Vec<_>>(), [swish, Op::BatchNorm { eps: 0.0 }]);
    assert_eq!(six_times.tensors[0].data, [6.0, 6.0]);
    for other in [sigmoid(0.2), clip("sixth").node("Mul", &["x", "c"], "y")] {
        assert!(other.reason().contains("only sums and hard swish"));
    }
}

#[test]
fn shared_parts_of_a_hard_swish_stay() {
    let model = Builder::new(13, &[0, 2]).floats("0", &[], &[0.0]);
    let model = model.floats("3", &[], &[3.0]).floats("6", &[], &[6.0]);
    let model = model.node("Add", &["x", "3"], "a").node("Clip", &["a", "0", "6"], "c");
    let model = model.node("Mul", &["x", "c"], "m").node("Div", &["m", "6"], "s");
    let network = model.node("Add", &["s", "a"], "y").network();
    let ops: Vec<&str> = network.nodes.iter().map(|n| n.op.name()).collect();
    assert_eq!(ops, ["batch_norm", "hard_swish", "add"]);
    assert_eq!(network.nodes[2].inputs, [2, 1]);
}

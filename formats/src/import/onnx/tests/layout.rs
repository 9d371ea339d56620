//! Slices, pads, reshapes and transpositions: what is computed is compared with a plain evaluation.

use std::vec::Vec;

use proptest::prelude::*;

use super::eval::{output, output_of_counting};
use super::{AttributeProto, ImportError, OnnxError};
use super::{Builder, float, int, ints, text};
use crate::op::{Op, Padding, Shape};

fn slice(input: &[i64], starts: &[i64], ends: &[i64], axes: &[i64], steps: &[i64]) -> Builder {
    let model = Builder::new(13, input).ints("s", starts).ints("e", ends).ints("a", axes).ints("t", steps);
    model.node("Slice", &["x", "s", "e", "a", "t"], "y")
}

#[test]
fn slices_in_space_are_exact() {
    for (start, end, step) in
        [(0, i64::MAX, 2), (1, 6, 1), (2, -1, 3), (0, 5, 4), (6, 7, 1), (1, 100, 2), (-4, -2, 1)]
    {
        let model = slice(&[0, 2, 7, 3], &[start], &[end], &[2], &[step]);
        let rows: Vec<i64> = {
            let at = |v: i64| if v < 0 { v + 7 } else { v.min(7) };
            (at(start)..at(end)).step_by(step as usize).collect()
        };
        let expected: Vec<f32> = (0..2)
            .flat_map(|c| rows.iter().flat_map(move |r| (0..3).map(move |w| (c * 21 + r * 3 + w + 1) as f32)))
            .collect();
        assert_eq!(output_of_counting(&model.network()), expected, "{start}:{end}:{step}");
        let Op::Conv2d(conv) = model.op() else { panic!() };
        assert_eq!(conv.groups, 2);
    }
}

#[test]
fn slices_of_channels_are_exact() {
    let model = slice(&[0, 5, 1, 2], &[1, 1], &[5, 2], &[1, 3], &[2, 1]);
    assert_eq!(output_of_counting(&model.network()), [4.0, 8.0]);
    let vector = slice(&[0, 6], &[2], &[4], &[1], &[1]);
    assert_eq!(output_of_counting(&vector.network()), [3.0, 4.0]);
    let old = Builder::new(9, &[0, 6]).node_with(
        "Slice",
        &["x"],
        "y",
        Vec::from([ints("starts", &[0, 4]), ints("ends", &[9, 6]), ints("axes", &[0, 1])]),
    );
    assert_eq!(output_of_counting(&old.network()), [5.0, 6.0]);
}

#[test]
fn slices_that_are_not_supported() {
    for (starts, ends, axes, steps, word) in [
        (&[5][..], &[0][..], &[2][..], &[-1][..], "backwards"),
        (&[3], &[3], &[2], &[1], "empty"),
        (&[0], &[0], &[0], &[1], "axis 0"),
        (&[0, 0], &[1, 1], &[2, 2], &[1, 1], "twice"),
        (&[0], &[1], &[4], &[1], "out of range"),
        (&[0], &[1], &[2], &[0], "step is 0"),
        (&[0, 1], &[1], &[2], &[1], "differ in length"),
    ] {
        let reason = slice(&[0, 2, 7, 3], starts, ends, axes, steps).reason();
        assert!(reason.contains(word), "{word}: {reason}");
    }
}

fn pad(opset: i64, input: &[i64], pads: &[i64]) -> Builder {
    Builder::new(opset, input).ints("p", pads).node("Pad", &["x", "p"], "y")
}

#[test]
fn pads_are_exact() {
    let space = pad(13, &[0, 1, 1, 2], &[0, 0, 1, 0, 0, 0, 0, 1]).network();
    assert_eq!(output_of_counting(&space), [0.0, 0.0, 0.0, 1.0, 2.0, 0.0]);
    let channels = pad(13, &[0, 1, 1, 2], &[0, 1, 0, 0, 0, 1, 0, 0]).network();
    assert_eq!(output_of_counting(&channels), [0.0, 0.0, 1.0, 2.0, 0.0, 0.0]);
    let attribute =
        Builder::new(9, &[0, 2]).node_with("Pad", &["x"], "y", Vec::from([ints("pads", &[0, 1, 0, 0])]));
    assert_eq!(output_of_counting(&attribute.network()), [0.0, 1.0, 2.0]);
    let axes = Builder::new(18, &[0, 1, 1, 2]).ints("p", &[1, 0]).ints("a", &[-1]);
    let axes = axes.node("Pad", &["x", "p", "", "a"], "y").network();
    assert_eq!(output_of_counting(&axes), [0.0, 1.0, 2.0]);
}

#[test]
fn pads_that_are_not_supported() {
    let with = |attribute: AttributeProto| {
        let attributes = Vec::from([ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), attribute]);
        Builder::new(9, &[0, 1, 2, 2]).node_with("Pad", &["x"], "y", attributes).reason()
    };
    assert!(with(text("mode", "reflect")).contains("reflect"));
    assert!(with(float("value", 1.0)).contains("only zeros"));
    assert!(pad(13, &[0, 1, 3, 3], &[0, 0, -1, 0, 0, 0, 0, 0]).reason().contains("negative"));
    assert!(pad(13, &[0, 1, 3, 3], &[1, 0, 0, 0, 0, 0, 0, 0]).reason().contains("axis 0"));
    assert!(pad(13, &[0, 1, 3, 3], &[0, 0]).reason().contains("2 pads for 4 axes"));
}

#[test]
fn pads_merge_into_what_follows() {
    let padded = |relu: bool| {
        let first = if relu { "Relu" } else { "Tanh" };
        let model =
            Builder::new(13, &[0, 1, 4, 4]).ints("p", &[0, 0, 0, 0, 0, 0, 1, 1]).node(first, &["x"], "a");
        model.node("Pad", &["a", "p"], "b")
    };
    let after = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    let ops = padded(false).weight("w", &[1, 1, 3, 3]).node("Conv", &["b", "w"], "y").ops();
    let [_, Op::Conv2d(conv)] = ops[..] else { panic!("{ops:?}") };
    assert_eq!(conv.pad, after);

    let kernel = Vec::from([ints("kernel_shape", &[3, 3])]);
    let ops = padded(true).node_with("MaxPool", &["b"], "y", kernel.clone()).ops();
    let [_, Op::MaxPool(pool)] = ops[..] else { panic!("{ops:?}") };
    assert_eq!(pool.pad, after);
    // The zeros would be the maximum of negative numbers.
    let ops = padded(false).node_with("MaxPool", &["b"], "y", kernel.clone()).ops();
    assert!(matches!(ops[..], [_, Op::Conv2d(_), Op::MaxPool(pool)] if pool.pad.is_zero()));
    let ops = padded(false).node_with("AveragePool", &["b"], "y", kernel).ops();
    let [_, Op::AvgPool(pool)] = ops[..] else { panic!("{ops:?}") };
    assert_eq!((pool.pad, pool.count_include_pad), (after, true));
}

proptest! {
    #[test]
    fn a_slice_and_a_pad_of_any_axis(
        axis in 1..4usize,
        (start, len, rest) in (0..4i64, 1..5i64, 0..4i64),
        step in 1..4i64,
        pads in (0..4i64, 0..4i64),
    ) {
        let (end, extent) = (start + len, start + len + rest);
        let mut dims = [0, 2, 2, 2];
        dims[axis] = extent;
        let mut all = [0; 8];
        (all[axis], all[axis + 4]) = pads;
        let model = slice(&dims, &[start], &[end], &[axis as i64], &[step]).ints("p", &all);
        let mut model = model.node("Pad", &["y", "p"], "z");
        model.graph().output[0].name = "z".into();

        // Positions of one axis, `None` for a zero.
        let mut axes = [1, 2, 3].map(|a| (0..dims[a]).map(Some).collect::<Vec<_>>());
        let zeros = |n: i64| std::iter::repeat_n(None, n as usize);
        let kept = (start..end).step_by(step as usize).map(Some);
        axes[axis - 1] = zeros(pads.0).chain(kept).chain(zeros(pads.1)).collect();
        let mut expected = Vec::new();
        for c in &axes[0] {
            for h in &axes[1] {
                for w in &axes[2] {
                    let at = c.zip(*h).zip(*w).map(|((c, h), w)| (c * dims[2] + h) * dims[3] + w + 1);
                    expected.push(at.unwrap_or(0) as f32);
                }
            }
        }
        // A slice of everything and no zeros leave no node.
        match model.load() {
            Ok(network) => prop_assert_eq!(output_of_counting(&network), expected),
            Err(error) => {
                let empty = matches!(error, ImportError::Network { .. });
                prop_assert!(empty);
                prop_assert!(start == 0 && end == extent && (step == 1 || extent == 1) && pads == (0, 0));
            }
        }
    }
}

#[test]
fn every_second_pixel_with_channels_around_is_one_convolution() {
    let model =
        Builder::new(13, &[0, 2, 4, 4]).ints("s", &[0, 0]).ints("e", &[i64::MAX; 2]).ints("a", &[2, 3]);
    let model = model.ints("t", &[2, 2]).ints("p", &[0, 1, 0, 0, 0, 1, 0, 0]);
    let model = model.node("Slice", &["x", "s", "e", "a", "t"], "h").node("Pad", &["h", "p"], "y");
    let network = model.network();
    let Op::Conv2d(conv) = model.op() else { panic!() };
    assert_eq!((conv.kernel, conv.stride, conv.pad), ([1, 1], [2, 2], Padding::default()));
    assert_eq!(network.tensors[0].nonzeros(), 2);
    let expected = [0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 9.0, 11.0, 17.0, 19.0, 25.0, 27.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(output_of_counting(&network), expected);
}

#[test]
fn a_pad_after_a_slice_that_leaves_pixels_out() {
    let model = Builder::new(13, &[0, 1, 1, 5]).ints("s", &[1]).ints("e", &[3]).ints("a", &[3]);
    let model = model.ints("p", &[0, 0, 0, 1, 0, 0, 0, 1]);
    let model = model.node("Slice", &["x", "s", "e", "a"], "h").node("Pad", &["h", "p"], "y");
    assert_eq!(output_of_counting(&model.network()), [0.0, 2.0, 3.0, 0.0]);
    let again = model.node("Slice", &["y", "s", "e", "a"], "z");
    let mut again = again;
    again.graph().output[0].name = "z".into();
    assert_eq!(output_of_counting(&again.network()), [2.0, 3.0]);
}

#[test]
fn reshapes_keep_the_order() {
    let flat = Builder::new(13, &[0, 2, 2, 3]).node("Flatten", &["x"], "f").weight("w", &[12, 1]);
    let flat = flat.node("MatMul", &["f", "w"], "y");
    assert!(matches!(flat.ops()[..], [Op::Flatten, Op::Dense(_)]));
    let shape = Builder::new(13, &[0, 3, 1, 1]).ints("s", &[0, -1]).node("Reshape", &["x", "s"], "r");
    let shape = shape.node("Relu", &["r"], "y");
    assert!(matches!(shape.ops()[..], [Op::Activation(_)]));
    let squeezed = Builder::new(13, &[0, 3, 1, 1]).node("Squeeze", &["x"], "r").ints("a", &[2, 3]);
    let squeezed = squeezed.node("Unsqueeze", &["r", "a"], "q").weight("w", &[4, 3, 1, 1]);
    assert!(matches!(squeezed.node("Conv", &["q", "w"], "y").ops()[..], [Op::Conv2d(_)]));
    let batch = Builder::new(13, &[0, 4, 1, 1]).ints("s", &[2, 2]).node("Reshape", &["x", "s"], "y");
    assert!(batch.reason().contains("the batch"));
    let uneven = Builder::new(13, &[0, 4, 1, 1]).ints("s", &[1, 3]).node("Reshape", &["x", "s"], "y");
    assert!(uneven.reason().contains("cannot be reshaped"));
    let shuffle =
        Builder::new(13, &[0, 4, 2, 2]).ints("s", &[1, 2, 2, 2, 2]).node("Reshape", &["x", "s"], "a");
    let shuffle = shuffle.node_with("Transpose", &["a"], "y", Vec::from([ints("perm", &[0, 2, 1, 3, 4])]));
    assert!(shuffle.reason().contains("not made of"));
}

#[test]
fn a_vector_that_becomes_an_image_is_an_image() {
    let model = Builder::new(13, &[0, 9]).ints("s", &[-1, 1, 3, 3]).node("Reshape", &["x", "s"], "i");
    let network = model.weight("w", &[2, 1, 3, 3]).node("Conv", &["i", "w"], "y").network();
    assert_eq!(network.input, Shape::new(1, 3, 3));
    // As from Keras, where a transposition of one channel is a reshape.
    let model = Builder::new(13, &[0, 4, 3, 1]).ints("s", &[-1, 1, 4, 3]).node("Reshape", &["x", "s"], "i");
    let network = model.weight("w", &[2, 1, 3, 3]).node("Conv", &["i", "w"], "y").network();
    assert_eq!(network.input, Shape::new(1, 4, 3));
    let model = Builder::new(13, &[0, 12]).ints("s", &[-1, 4, 3, 1]).node("Reshape", &["x", "s"], "i");
    let model = model.node_with("Transpose", &["i"], "t", Vec::from([ints("perm", &[0, 3, 1, 2])]));
    let network = model.weight("w", &[2, 1, 3, 3]).node("Conv", &["t", "w"], "y").network();
    assert_eq!(network.input, Shape::new(1, 4, 3));
}

/// `x[h][w][c]` and a dense layer that reads rows, columns, channels.
#[test]
fn channels_last() {
    let (nchw, nhwc) = (ints("perm", &[0, 3, 1, 2]), ints("perm", &[0, 2, 3, 1]));
    let model = Builder::new(13, &[0, 2, 3, 4]).node_with("Transpose", &["x"], "t", Vec::from([nchw]));
    let model = model.weight("k", &[2, 4, 1, 1]).node("Conv", &["t", "k"], "c");
    let model = model.node_with("Transpose", &["c"], "l", Vec::from([nhwc]));
    let values = [1.0, -2.0, 3.0, 5.0, 7.0, 11.0, 13.0, -17.0, 19.0, 23.0, 29.0, 31.0];
    let model = model.floats("b", &[2], &[100.0, 200.0]).node("Add", &["l", "b"], "s");
    let model =
        model.node("Flatten", &["s"], "f").floats("w", &[12, 1], &values).node("MatMul", &["f", "w"], "y");
    let network = model.network();
    assert_eq!(network.input, Shape::new(4, 2, 3));
    assert!(matches!(network.nodes[..], [_, _]), "{:?}", network.nodes);

    // The same by hand, over the image in rows, columns, channels.
    let x = |c: usize, at: usize| (at * 4 + c) as f32;
    let conv = |o: usize, at: usize| (0..4).map(|c| (o * 4 + c + 1) as f32 * 0.25 * x(c, at)).sum::<f32>();
    let expected: f32 = (0..6)
        .flat_map(|at| (0..2).map(move |o| (at, o)))
        .map(|(at, o)| values[at * 2 + o] * (conv(o, at) + [100.0, 200.0][o]))
        .sum();
    let image = (0..4).flat_map(|c| (0..6).map(move |at| x(c, at))).collect();
    assert_eq!(output(&network, image), [expected]);
}

#[test]
fn channels_last_at_the_end() {
    let perm = ints("perm", &[0, 2, 3, 1]);
    let model = Builder::new(13, &[0, 2, 3, 4]).node_with("Transpose", &["x"], "t", Vec::from([perm]));
    let error = model.clone().node("Flatten", &["t"], "y").load();
    let Err(ImportError::Onnx { error, .. }) = error else { panic!("{error:?}") };
    assert!(matches!(*error, OnnxError::Value { ref name, .. } if name == "y"), "{error}");
    let joined = model.clone().node_with("Concat", &["t", "t"], "y", Vec::from([int("axis", 3)])).network();
    assert_eq!(joined.shapes().unwrap()[1], Shape::new(4, 3, 4));
    let mean =
        model.node_with("ReduceMean", &["t"], "y", Vec::from([ints("axes", &[1, 2]), int("keepdims", 0)]));
    assert_eq!(mean.op(), Op::GlobalAvgPool);
}

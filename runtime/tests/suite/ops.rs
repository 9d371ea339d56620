//! Every op against its definition, written again here in f64 and in the most direct way, over
//! random shapes, windows, halos and encodings, with all kernels that this processor runs.

use crate::common::{Arena, Builder, Encoding, noise, sparse_noise};
use crate::oracle::{self, Plane};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::{Kernels, Model, Session};

/// Largest difference from the definition, as a share of the sum of the magnitudes that are added up
/// (at least 1), for anything computed in f32.
const TOLERANCE: f64 = 1e-5;

/// One op, everything but its input shapes and data drawn at random.
#[derive(Clone, Debug)]
struct Case {
    op: Op,
    shapes: Vec<Shape>,
    halos: [Padding; 2],
    activation: Option<Activation>,
    encoding: Encoding,
    bias: bool,
    seed: u32,
    zeros: f32,
}

fn padding(most: u16) -> impl Strategy<Value = Padding> {
    let side = 0..=most;
    (side.clone(), side.clone(), side.clone(), side).prop_map(|(top, left, bottom, right)| Padding {
        top,
        left,
        bottom,
        right,
    })
}

fn activation() -> impl Strategy<Value = Option<Activation>> {
    prop_oneof![
        Just(None),
        Just(Some(Activation::Relu)),
        Just(Some(Activation::Relu6)),
        Just(Some(Activation::LeakyRelu { alpha: 0.1 })),
        Just(Some(Activation::Sigmoid)),
        Just(Some(Activation::Tanh)),
        Just(Some(Activation::HardSigmoid { alpha: 0.2 })),
        Just(Some(Activation::HardSwish)),
    ]
}

fn shape() -> impl Strategy<Value = Shape> {
    (1u32..6, 1u32..14, 1u32..14).prop_map(|(c, h, w)| Shape { c, h, w })
}

/// A case of `op` on one or more inputs.
fn case(op: impl Strategy<Value = (Op, Vec<Shape>)>) -> impl Strategy<Value = Case> {
    let encodings: Vec<Encoding> = Encoding::all().collect();
    // The last but one leaves gaps that deltas of a byte must bridge.
    let zeros = prop_oneof![Just(0.0f32), 0.5f32..1.0, Just(0.99), Just(0.997), Just(1.0)];
    let rest = (padding(3), padding(2), activation(), proptest::sample::select(encodings), any::<bool>());
    (op, rest, any::<u32>(), zeros).prop_filter_map("the op cannot be applied", |(op, rest, seed, zeros)| {
        let ((op, shapes), (halo, out_halo, activation, encoding, bias)) = (op, rest);
        op.output_shape(&shapes).ok()?;
        // The format asks for a halo of at least the padding, and for none before a dense layer.
        let halo = match op {
            Op::Conv2d(conv) => halo.max(conv.pad),
            Op::Dense(_) => Padding::default(),
            _ => halo,
        };
        Some(Case { op, shapes, halos: [halo, out_halo], activation, encoding, bias, seed, zeros })
    })
}

fn conv() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    let field = |most: u16| (1..=most, 1..=most).prop_map(|(a, b)| [a, b]);
    let stride = prop_oneof![2 => Just([1, 1]), 1 => Just([2, 2]), 1 => field(3)];
    let group = prop_oneof![Just((1, 1, 1)), (1u32..4, 1u32..3, 1u32..6)];
    // Wide planes, so that every length of tile is met.
    let extent = (group, 1u32..12, prop_oneof![1u32..12, 60u32..80]);
    (extent, field(4), stride, field(2), padding(2)).prop_map(|(extent, kernel, stride, dilation, pad)| {
        let ((groups, group_in, group_out), h, w) = extent;
        let op = Conv2d { out_channels: groups * group_out, kernel, stride, dilation, pad, groups };
        (Op::Conv2d(op), vec![Shape { c: groups * group_in, h, w }])
    })
}

fn dense() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    let input = prop_oneof![shape(), (1u32..600).prop_map(Shape::vector)];
    (input, 1u32..40, any::<bool>())
        .prop_map(|(x, out_features, transposed)| (Op::Dense(Dense { out_features, transposed }), vec![x]))
}

fn pool() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    let field = || (1u16..5, 1u16..5).prop_map(|(a, b)| [a, b]);
    let window = prop_oneof![Just(([2, 2], [2, 2])), (field(), field())];
    (shape(), window, padding(3), any::<(bool, bool, bool)>()).prop_map(|(x, window, pad, flags)| {
        let ((kernel, stride), (max, ceil, count_include_pad)) = (window, flags);
        let pool = Pool { kernel, stride, pad, ceil, count_include_pad };
        (if max { Op::MaxPool(pool) } else { Op::AvgPool(pool) }, vec![x])
    })
}

fn lrn() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    (shape(), 1u16..6, 1e-4f32..1.0, 0.3f32..1.0, 0.5f32..2.0)
        .prop_map(|(x, size, alpha, beta, bias)| (Op::Lrn { size, alpha, beta, bias }, vec![x]))
}

fn maxout() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    (shape(), 1u16..4)
        .prop_map(|(x, pieces)| (Op::Maxout { pieces }, vec![Shape { c: x.c * u32::from(pieces), ..x }]))
}

fn variadic() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    let add = (shape(), 2usize..8).prop_map(|(x, n)| (Op::Add, vec![x; n]));
    let concat = (shape(), proptest::collection::vec(1u32..4, 1..8))
        .prop_map(|(x, channels)| (Op::Concat, channels.iter().map(|c| Shape { c: *c, ..x }).collect()));
    prop_oneof![add, concat]
}

fn simple() -> impl Strategy<Value = (Op, Vec<Shape>)> {
    let ops = [
        Op::GlobalAvgPool,
        Op::BatchNorm { eps: 1e-5 },
        Op::Flatten,
        Op::Softmax,
        Op::Dropout { rate: 0.5 },
        Op::Activation(Activation::Relu),
        Op::Activation(Activation::LeakyRelu { alpha: 0.3 }),
        Op::Activation(Activation::Tanh),
        Op::Activation(Activation::HardSigmoid { alpha: 0.3 }),
        Op::Activation(Activation::HardSwish),
    ];
    (proptest::sample::select(ops.to_vec()), shape()).prop_map(|(op, x)| (op, vec![x]))
}

/// Builds a file of three steps: inputs are copies of parts of the network's input, so that they
/// have halos; then the op; then a copy without a halo.
fn check(case: Case) -> TestCaseResult {
    let Case { op, ref shapes, halos: [halo, out_halo], activation, encoding, .. } = case;
    let none = Padding::default();
    let mut b = Builder::new();
    let input = b.value(shapes[0], none);
    let copy = Op::Dropout { rate: 0.0 };

    let x = noise(case.seed, shapes[0].elements().unwrap() as usize);
    let mut planes = vec![];
    let mut inputs = vec![];
    for (i, shape) in shapes.iter().enumerate() {
        if *shape == shapes[0] {
            inputs.push(b.step(copy, &[input], halo, None, &[], None));
            planes.push(Plane::new(*shape, &x));
        } else {
            // Other numbers of channels: a 1x1 convolution with known weights.
            let conv = Conv2d {
                out_channels: shape.c,
                kernel: [1, 1],
                stride: [1, 1],
                dilation: [1, 1],
                pad: none,
                groups: 1,
            };
            let weights = noise(i as u32, (shape.c * shapes[0].c) as usize);
            let matrix =
                b.matrix(shape.c, shapes[0].c, &weights, Encoding { index: None, block: 1, half: false });
            inputs.push(b.step(Op::Conv2d(conv), &[input], halo, Some(matrix), &[], None));
            planes.push(oracle::conv(conv, &Plane::new(shapes[0], &x), &oracle::wide(&weights), None));
        }
    }

    let out = op.output_shape(shapes).unwrap();
    let mut weights = vec![];
    let matrix = op.weight_shape(shapes[0]).map(|(rows, cols)| {
        weights = sparse_noise(case.seed.wrapping_add(1), (rows * cols) as usize, case.zeros);
        weights = oracle::stored(&weights, encoding.half);
        b.matrix(rows, cols, &weights, encoding)
    });
    let wanted = match op {
        Op::Conv2d(_) | Op::Dense(_) => usize::from(case.bias),
        Op::BatchNorm { .. } => 2,
        _ => 0,
    };
    let params: Vec<Vec<f32>> = (0..wanted)
        .map(|i| oracle::stored(&noise(case.seed.wrapping_add(7 + i as u32), out.c as usize), encoding.half))
        .collect();
    let arrays: Vec<_> = params.iter().map(|p| b.floats(p, encoding.half)).collect();
    let result = b.step(op, &inputs, out_halo, matrix, &arrays, activation);
    let output = b.step(copy, &[result], none, None, &[], None);
    let file = b.finish(input, output, Preprocess::identity());

    let model = Model::new(&file).unwrap();
    let (expected, magnitude) = oracle::run(op, &planes, &oracle::wide(&weights), &params, activation);
    for kernels in Kernels::available() {
        let mut arena = Arena::of(&model);
        let mut session = Session::with_kernels(&model, arena.bytes(), kernels).unwrap();
        let found = session.run(&x).unwrap();
        prop_assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            prop_assert!(
                difference <= TOLERANCE * magnitude.max(1.0),
                "{} {}: element {} is {} and not {}",
                kernels.name(),
                op.name(),
                i,
                found,
                expected
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn convolutions(case in case(conv())) { check(case)?; }

    #[test]
    fn dense_layers(case in case(dense())) { check(case)?; }

    #[test]
    fn poolings(case in case(pool())) { check(case)?; }

    #[test]
    fn local_response_normalization(case in case(lrn())) { check(case)?; }

    #[test]
    fn maxouts(case in case(maxout())) { check(case)?; }

    #[test]
    fn sums_and_concatenations(case in case(variadic())) { check(case)?; }

    #[test]
    fn element_wise_and_other_ops(case in case(simple())) { check(case)?; }
}

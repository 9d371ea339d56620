//! Dense layers of a prepared model against their definition in f64, over random extents, densities
//! and encodings, with all kernels that this processor runs.

use crate::common::{Builder, Encoding, noise, sparse_noise};
use crate::oracle::{self, Plane};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tfc_formats::artifact::Dtype;
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::{Kernels, Model, Prepared};

/// As in [`crate::ops`].
const TOLERANCE: f64 = 1e-5;

#[derive(Clone, Debug)]
struct Case {
    op: Op,
    input: Shape,
    encoding: Encoding,
    bias: bool,
    activation: Option<Activation>,
    zeros: f32,
    seed: u32,
}

fn case() -> impl Strategy<Value = Case> {
    let input = prop_oneof![
        1 => (1u32..6, 1u32..9, 1u32..9).prop_map(|(c, h, w)| Shape { c, h, w }),
        1 => (1u32..40).prop_map(Shape::vector),
        2 => (40u32..600).prop_map(Shape::vector),
    ];
    let outputs = prop_oneof![1u32..40, 40u32..150];
    let zeros = prop_oneof![Just(0.0f32), 0.5f32..1.0, Just(0.95), Just(0.997), Just(1.0)];
    let encodings: Vec<Encoding> = Encoding::all().collect();
    let activations = [None, Some(Activation::Relu), Some(Activation::LeakyRelu { alpha: 0.1 })];
    let rest = (
        proptest::sample::select(encodings),
        any::<bool>(),
        proptest::sample::select(activations.to_vec()),
        zeros,
        any::<u32>(),
    );
    (input, outputs, 0..3, rest).prop_map(|(input, outputs, op, rest)| {
        let (encoding, bias, activation, zeros, seed) = rest;
        let pointwise = Conv2d {
            out_channels: outputs,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: Padding::default(),
            groups: 1,
        };
        let op = match op {
            0 if input.is_vector() => Op::Conv2d(pointwise),
            0 | 1 => Op::Dense(Dense { out_features: outputs, transposed: false }),
            _ => Op::Dense(Dense { out_features: outputs, transposed: true }),
        };
        Case { op, input, encoding, bias, activation, zeros, seed }
    })
}

fn check(case: Case) -> TestCaseResult {
    let Case { op, input: shape, encoding, .. } = case;
    let mut b = Builder::new();
    let input = b.value(shape, Padding::default());
    // Zeros among the inputs, as behind a ReLU.
    let x = sparse_noise(case.seed, shape.elements().unwrap() as usize, 0.3);
    let (rows, cols) = op.weight_shape(shape).unwrap();
    let weights = sparse_noise(case.seed.wrapping_add(1), (rows * cols) as usize, case.zeros);
    let weights = oracle::stored(&weights, encoding.half);
    let matrix = b.matrix(rows, cols, &weights, encoding);
    let outputs = op.output_shape(&[shape]).unwrap().elements().unwrap() as usize;
    let params: Vec<Vec<f32>> = (0..usize::from(case.bias))
        .map(|_| oracle::stored(&noise(case.seed.wrapping_add(7), outputs), encoding.half))
        .collect();
    let arrays: Vec<_> = params.iter().map(|p| b.floats(p, encoding.half)).collect();
    let output = b.step(op, &[input], Padding::default(), Some(matrix), &arrays, case.activation);
    let file = b.finish(input, output, Preprocess::identity());

    let model = Model::new(&file).unwrap();
    let plane = Plane::new(shape, &x);
    let (expected, magnitude) = oracle::run(op, &[plane], &oracle::wide(&weights), &params, case.activation);
    for kernels in Kernels::available() {
        let prepared = Prepared::with_kernels(&model, kernels).unwrap();
        let mut session = prepared.session();
        let found = session.run(&x).unwrap();
        prop_assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            prop_assert!(
                difference <= TOLERANCE * magnitude.max(1.0),
                "{}: element {} is {} and not {}",
                kernels.name(),
                i,
                found,
                expected
            );
        }
    }
    Ok(())
}

/// Bytes that a layer of f32 takes on the heap with each of the kernels.
fn bytes(inputs: u32, outputs: u32, zeros: f32, index: Option<Dtype>) -> Vec<usize> {
    let mut b = Builder::new();
    let input = b.value(Shape::vector(inputs), Padding::default());
    let weights = sparse_noise(1, (inputs * outputs) as usize, zeros);
    let matrix = b.matrix(outputs, inputs, &weights, Encoding { index, block: 1, half: false });
    let op = Op::Dense(Dense { out_features: outputs, transposed: false });
    let output = b.step(op, &[input], Padding::default(), Some(matrix), &[], None);
    let file = b.finish(input, output, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    Kernels::available().map(|k| Prepared::with_kernels(&model, k).unwrap().bytes()).collect()
}

#[test]
fn dense_rows_are_read_where_they_lie() {
    for bytes in bytes(256, 200, 0.0, None) {
        assert_eq!(bytes, 200 * size_of::<f32>(), "only the bias is copied");
    }
}

#[test]
fn the_layout_is_chosen_by_the_zeros_and_not_by_the_encoding() {
    let all = 256 * 200 * size_of::<f32>();
    for index in [None, Some(Dtype::U8)] {
        assert!(bytes(256, 200, 0.95, index).iter().all(|bytes| *bytes < all / 2), "{index:?}");
    }
    assert!(bytes(256, 200, 0.3, Some(Dtype::U8)).iter().all(|bytes| *bytes == all + 200 * size_of::<f32>()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn prepared_dense_layers(case in case()) { check(case)?; }
}

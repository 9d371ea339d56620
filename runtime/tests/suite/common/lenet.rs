//! LeNet-5 as Caffe has it, with made-up weights.

use super::{Builder, Encoding, noise, sparse_noise};
use tfc_formats::artifact::AlignedBytes;
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;

/// With this share of zeros in every weight.
pub(crate) fn lenet5(zeros: f32, encoding: Encoding) -> AlignedBytes {
    let mut b = Builder::new();
    let none = Padding::default();
    let input = b.value(Shape::new(1, 28, 28), none);
    let pool = Pool { kernel: [2, 2], stride: [2, 2], pad: none, ceil: true, count_include_pad: false };
    let mut x = input;
    for (seed, out_channels) in [(1, 20), (2, 50)] {
        let conv =
            Conv2d { out_channels, kernel: [5, 5], stride: [1, 1], dilation: [1, 1], pad: none, groups: 1 };
        let cols = x.shape.c * 25;
        let weights = sparse_noise(seed, (out_channels * cols) as usize, zeros);
        let matrix = b.matrix(out_channels, cols, &weights, encoding);
        let bias = b.floats(&noise(seed + 10, out_channels as usize), false);
        x = b.step(Op::Conv2d(conv), &[x], none, Some(matrix), &[bias], None);
        x = b.step(Op::MaxPool(pool), &[x], none, None, &[], None);
    }
    for (seed, out_features, activation) in [(3, 500, Some(Activation::Relu)), (4, 10, None)] {
        let cols = x.shape.elements().unwrap();
        let weights = sparse_noise(seed, (out_features * cols) as usize, zeros);
        let matrix = b.matrix(out_features, cols, &weights, encoding);
        let bias = b.floats(&noise(seed + 10, out_features as usize), false);
        let dense = Dense { out_features, transposed: false };
        x = b.step(Op::Dense(dense), &[x], none, Some(matrix), &[bias], activation);
    }
    let output = b.step(Op::Softmax, &[x], none, None, &[], None);
    b.finish(input, output, Preprocess::default())
}

//! Layers of networks that people run, each as a file of one step, and LeNet-5 in every encoding.

use tfc_formats::artifact::{AlignedBytes, Dtype};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::Model;

use crate::common::{Builder, Encoding, lenet, noise, sparse_noise};

/// Something to time.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) file: AlignedBytes,
}

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, input: Shape, op: Op, weights: &[Weights]| {
        for weights in weights {
            let name = format!("{name} {}", weights.text());
            cases.push(Case { name, file: layer(input, op, *weights) });
        }
    };
    let sparse = |zeros| Weights { zeros, block: 1 };
    let (dense, blocks) = (sparse(0.0), Weights { zeros: 0.9, block: 4 });
    for (channels, side) in [(16, 32), (32, 16), (64, 8)] {
        let input = Shape::new(channels, side, side);
        let name = format!("resnet20 {input} 3x3");
        add(&name, input, conv(channels, 3, 1), &[sparse(0.9), blocks, dense]);
    }
    for (channels, side) in [(64, 16), (128, 8)] {
        let input = Shape::new(channels, side, side);
        add(&format!("mobilenet {input} 1x1"), input, conv(channels, 1, 1), &[sparse(0.8), dense]);
        add(&format!("mobilenet {input} 3x3 depthwise"), input, conv(channels, 3, channels), &[dense]);
    }
    add("squeezenet 16x56x56 3x3 to 64", Shape::new(16, 56, 56), conv(64, 3, 1), &[sparse(0.8), dense]);
    let op = Op::Dense(Dense { out_features: 300, transposed: false });
    add("lenet300 784 to 300", Shape::vector(784), op, &[sparse(0.9), dense]);

    cases.extend(Encoding::all().map(|encoding| {
        let weights = if encoding.index.is_some() { sparse(0.95) } else { dense };
        let index = encoding.index.map_or(String::new(), |index| format!(" {index:?}"));
        let dtype = if encoding.half { "f16" } else { "f32" };
        let name = format!("lenet5 {}{index} {dtype}", weights.text());
        Case { name, file: lenet::lenet5(weights.zeros, encoding) }
    }));
    cases
}

/// Multiply-adds of one run with weights that are not zero, those on padding included.
pub(crate) fn macs(model: &Model<'_>) -> u64 {
    let artifact = model.artifact();
    let of = |step: tfc_runtime::Step<'_>| {
        let rows = step.matrix.and_then(|matrix| artifact.rows(&matrix)).into_iter().flatten();
        let nonzeros = rows.flatten().filter(|(_, value)| *value != 0.0).count() as u64;
        nonzeros * u64::from(step.output.shape.h * step.output.shape.w)
    };
    artifact.steps().map(of).sum()
}

/// What the weights of a layer are like.
#[derive(Clone, Copy)]
struct Weights {
    /// Share of zeros.
    zeros: f32,
    /// Neighbouring outputs that have them in the same places.
    block: usize,
}

impl Weights {
    fn text(self) -> String {
        match self {
            Self { zeros: 0.0, .. } => "dense".into(),
            Self { zeros, block: 1 } => format!("{:.0}%", 100.0 * zeros),
            Self { zeros, block } => format!("{:.0}% in blocks of {block}", 100.0 * zeros),
        }
    }

    fn values(self, rows: usize, cols: usize) -> Vec<f32> {
        let patterns = sparse_noise(1, rows.div_ceil(self.block) * cols, self.zeros);
        let kept = |at: usize| patterns[at / cols / self.block * cols + at % cols] != 0.0;
        let values = noise(3, rows * cols).into_iter().enumerate();
        values.map(|(at, value)| if kept(at) { value } else { 0.0 }).collect()
    }
}

/// A file of one step with a bias and a ReLU.
fn layer(input: Shape, op: Op, weights: Weights) -> AlignedBytes {
    let mut b = Builder::new();
    let none = Padding::default();
    let halo = if let Op::Conv2d(conv) = op { conv.pad } else { none };
    let (rows, cols) = op.weight_shape(input).unwrap();
    let input = b.value(input, halo);
    let index = (weights.zeros > 0.0).then_some(Dtype::U8);
    let weights = weights.values(rows as usize, cols as usize);
    let matrix = b.matrix(rows, cols, &weights, Encoding { index, block: 1, half: false });
    let bias = b.floats(&noise(2, rows as usize), false);
    let output = b.step(op, &[input], none, Some(matrix), &[bias], Some(Activation::Relu));
    b.finish(input, output, Preprocess::identity())
}

/// A convolution that keeps rows and columns.
fn conv(out_channels: u32, side: u16, groups: u32) -> Op {
    let pad = Padding::same(side / 2);
    Op::Conv2d(Conv2d { out_channels, kernel: [side; 2], stride: [1; 2], dilation: [1; 2], pad, groups })
}

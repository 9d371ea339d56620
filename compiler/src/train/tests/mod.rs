//! Training end to end on small networks.

mod checkpoints;
mod fitting;
mod gradients;

use rand::RngExt;
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;

use super::*;

/// Builds a network node by node.
struct Builder(Network);

impl Builder {
    fn new(input: Shape) -> Self {
        let network = Network {
            name: "test".to_owned(),
            input,
            preprocess: Preprocess::default(),
            nodes: Vec::new(),
            tensors: Vec::new(),
            output: 0,
        };
        Self(network)
    }

    fn tensor(&mut self, shape: &[usize]) -> usize {
        let id = self.0.tensors.len();
        let data = vec![0.0; shape.iter().product()];
        self.0.tensors.push(Tensor { name: format!("t{id}"), shape: shape.to_vec(), data });
        id
    }

    fn node(&mut self, op: Op, inputs: &[usize], params: &[usize]) -> usize {
        let name = format!("n{}", self.0.nodes.len());
        self.0.nodes.push(Node { name, op, inputs: inputs.to_vec(), params: params.to_vec() });
        self.0.output = self.0.nodes.len();
        self.0.output
    }

    fn conv(&mut self, conv: Conv2d, x: usize, c: usize) -> usize {
        let out = conv.out_channels as usize;
        let [kh, kw] = conv.kernel.map(usize::from);
        let params = [self.tensor(&[out, c / conv.groups as usize, kh, kw]), self.tensor(&[out])];
        self.node(Op::Conv2d(conv), &[x], &params)
    }

    fn dense(&mut self, x: usize, out: usize, n: usize) -> usize {
        let params = [self.tensor(&[out, n]), self.tensor(&[out])];
        let dense = Dense { out_features: out as u32, transposed: false };
        self.node(Op::Dense(dense), &[x], &params)
    }

    fn activation(&mut self, x: usize, f: Activation) -> usize {
        self.node(Op::Activation(f), &[x], &[])
    }

    /// With all tensors, biases too, drawn at random.
    fn random(mut self, seed: u64) -> Network {
        let mut rng = random::rng(&[seed]);
        for tensor in &mut self.0.tensors {
            tensor.data.fill_with(|| rng.random_range(-0.5..0.5));
        }
        self.0.check().unwrap();
        self.0
    }
}

fn conv(out: u32, kernel: u16, pad: u16) -> Conv2d {
    Conv2d {
        out_channels: out,
        kernel: [kernel; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: Padding::same(pad),
        groups: 1,
    }
}

fn pool(kernel: u16) -> Pool {
    let (kernel, stride) = ([kernel; 2], [kernel; 2]);
    Pool { kernel, stride, pad: Padding::same(0), ceil: false, count_include_pad: false }
}

/// Convolution, pooling, dropout and a dense layer for [`corners`].
fn small(seed: u64) -> Network {
    let mut b = Builder::new(Shape::new(1, 8, 8));
    let x = b.conv(conv(4, 3, 1), 0, 1);
    let x = b.activation(x, Activation::Relu);
    let x = b.node(Op::MaxPool(pool(2)), &[x], &[]);
    let x = b.node(Op::Flatten, &[x], &[]);
    let x = b.node(Op::Dropout { rate: 0.25 }, &[x], &[]);
    let x = b.dense(x, 4, 64);
    b.node(Op::Softmax, &[x], &[]);
    let mut network = b.0;
    init(&mut network, seed);
    network
}

/// Noise with one bright corner, whose number is the class.
fn corners(n: usize, seed: u64) -> Samples {
    let mut rng = random::rng(&[seed]);
    let labels: Vec<u32> = (0..n).map(|_| rng.random_range(0..4)).collect();
    let data = labels.iter().flat_map(|&l| (0..64).map(move |i| (l, i / 8, i % 8))).map(|(label, y, x)| {
        let bright = (y / 4 * 2 + x / 4) == label;
        rng.random_range(0..160) + if bright { 60 } else { 0 }
    });
    let data = data.collect();
    Samples { shape: Shape::new(1, 8, 8), classes: 4, data, labels }
}

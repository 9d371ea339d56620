//! Training end to end on small networks.

mod checkpoints;
mod fitting;
mod gradients;
mod norms;

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

    /// A convolution without bias and a batch normalization.
    fn conv_norm(&mut self, conv: Conv2d, x: usize, c: usize) -> usize {
        let out = conv.out_channels as usize;
        let [kh, kw] = conv.kernel.map(usize::from);
        let weight = self.tensor(&[out, c / conv.groups as usize, kh, kw]);
        let x = self.node(Op::Conv2d(conv), &[x], &[weight]);
        self.norm(x, out)
    }

    fn norm(&mut self, x: usize, c: usize) -> usize {
        let params = [(); 4].map(|()| self.tensor(&[c]));
        self.node(Op::BatchNorm { eps: 1e-3 }, &[x], &params)
    }

    /// Every second pixel of `c` channels as channels 1 and on of `out`.
    fn shortcut(&mut self, x: usize, c: usize, out: usize) -> usize {
        let weight = self.tensor(&[out, c, 1, 1]);
        for channel in 0..c {
            self.0.tensors[weight].data[(channel + 1) * c + channel] = 1.0;
        }
        let shortcut = Conv2d { stride: [2, 2], ..conv(out as u32, 1, 0) };
        self.node(Op::Conv2d(shortcut), &[x], &[weight])
    }

    /// With all tensors, biases too, drawn at random; variances are positive, selections stay.
    fn random(mut self, seed: u64) -> Network {
        let mut rng = random::rng(&[seed]);
        let selects = |n: &usize| self.0.selection(*n).is_some();
        let fixed: Vec<_> =
            (0..self.0.nodes.len()).filter(selects).map(|n| self.0.nodes[n].params[0]).collect();
        for (id, tensor) in self.0.tensors.iter_mut().enumerate().filter(|(id, _)| !fixed.contains(id)) {
            let variance = self.0.nodes.iter().any(|n| n.params.get(3) == Some(&id));
            // About what the values of these networks vary by.
            let range = if variance { 0.1..0.5 } else { -0.5..0.5 };
            tensor.data.fill_with(|| rng.random_range(range.clone()));
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

/// Two convolutions with batch normalization, the second of two strides beside a shortcut of channels.
fn residual(input: Shape, channels: u32, classes: usize, seed: u64) -> Network {
    let c = channels as usize;
    let mut b = Builder::new(input);
    let x = b.conv_norm(Conv2d { stride: [2, 2], ..conv(channels, 3, 1) }, 0, input.c as usize);
    let x = b.activation(x, Activation::Relu);
    let y = b.conv_norm(Conv2d { stride: [2, 2], ..conv(2 * channels, 3, 1) }, x, c);
    let shortcut = b.shortcut(x, c, 2 * c);
    let x = b.node(Op::Add, &[y, shortcut], &[]);
    let x = b.activation(x, Activation::Relu);
    let features = 2 * c * (input.h.div_ceil(4) * input.w.div_ceil(4)) as usize;
    b.dense(x, classes, features);
    let mut network = b.0;
    init(&mut network, seed);
    network.check().unwrap();
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

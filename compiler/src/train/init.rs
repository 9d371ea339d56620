//! Initial weights for training from scratch.

use rand::RngExt;
use tfc_formats::network::Network;
use tfc_formats::op::{Activation, Op};

use super::random;

/// Fills all parameters: weights uniformly after He et al. 2015 where a rectifier follows and
/// after Glorot & Bengio 2010 elsewhere, biases with 0, and batch norms so that they do nothing.
/// Convolutions that only select channels stay as they are.
/// A weight that several nodes share is drawn for the first of them. The same seed gives the same weights.
pub fn init(network: &mut Network, seed: u64) {
    let mut done = vec![false; network.tensors.len()];
    for n in 0..network.nodes.len() {
        let rectified = feeds_rectifier(network, n);
        if network.selection(n).is_some() {
            continue;
        }
        let node = &network.nodes[n];
        for (role, &id) in node.params.iter().enumerate() {
            if std::mem::replace(&mut done[id], true) {
                continue;
            }
            let tensor = &mut network.tensors[id];
            match (&node.op, role) {
                (Op::Conv2d(_) | Op::Dense(_), 0) => {
                    let (fan_in, fan_out) = fans(&node.op, &tensor.shape);
                    let limit =
                        if rectified { (6.0 / fan_in).sqrt() } else { (6.0 / (fan_in + fan_out)).sqrt() };
                    let mut rng = random::rng(&[seed, 1, id as u64]);
                    tensor.data.fill_with(|| rng.random_range(-limit..=limit));
                }
                (Op::BatchNorm { .. }, 0 | 3) => tensor.data.fill(1.0),
                _ => tensor.data.fill(0.0),
            }
        }
    }
}

/// Inputs of an output and outputs of an input.
fn fans(op: &Op, shape: &[usize]) -> (f32, f32) {
    let taps: usize = shape[2..].iter().product();
    let (fan_in, fan_out) = match op {
        Op::Conv2d(conv) => (shape[1] * taps, shape[0] / conv.groups as usize * taps),
        Op::Dense(dense) if dense.transposed => (shape[0], shape[1]),
        _ => (shape[1], shape[0]),
    };
    (fan_in as f32, fan_out as f32)
}

/// Whether a rectifier is the next non-linearity after a node.
fn feeds_rectifier(network: &Network, node: usize) -> bool {
    network.consumers(node + 1).any(|next| match network.nodes[next].op {
        Op::Activation(f) => {
            matches!(
                f,
                Activation::Relu | Activation::Relu6 | Activation::LeakyRelu { .. } | Activation::HardSwish
            )
        }
        Op::Maxout { .. } => true,
        Op::BatchNorm { .. } | Op::MaxPool(_) | Op::AvgPool(_) | Op::Add | Op::Dropout { .. } => {
            feeds_rectifier(network, next)
        }
        _ => false,
    })
}

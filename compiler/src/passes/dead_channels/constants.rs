//! Which channels are one number, at every position and whatever the input.

use tfc_formats::network::{Network, Node};
use tfc_formats::op::{Activation, Op, Shape};

use super::super::batch_norm::Affine;
use super::super::edit::{Joins, bias};
use super::nonzeros;

/// The number, if a channel is one.
pub(super) type Constant = Option<f32>;

/// For each value its channels. What follows from a filter of zeros is found through all ops.
pub(super) fn constants(network: &Network, shapes: &[Shape]) -> Vec<Vec<Constant>> {
    let mut values = vec![vec![None; network.input.c as usize]];
    for index in 0..network.nodes.len() {
        let found = of_node(network, index, shapes, &values);
        values.push(found.into_iter().map(|value| value.filter(|v| v.is_finite())).collect());
    }
    values
}

fn of_node(network: &Network, index: usize, shapes: &[Shape], values: &[Vec<Constant>]) -> Vec<Constant> {
    let node: &Node = &network.nodes[index];
    let (x, shape) = (&values[node.inputs[0]], shapes[node.inputs[0]]);
    match node.op {
        Op::Conv2d(_) | Op::Dense(_) => of_layer(network, index, shape, x),
        Op::MaxPool(_) | Op::GlobalAvgPool | Op::Dropout { .. } => x.clone(),
        Op::AvgPool(pool) => {
            // Zeros that are counted make another mean at the border.
            let is_even = pool.pad.is_zero() || !pool.count_include_pad;
            x.iter().map(|value| value.filter(|v| is_even || *v == 0.0)).collect()
        }
        Op::BatchNorm { .. } => match Affine::of(network, index) {
            Some(affine) => (x.iter().enumerate())
                .map(|(channel, value)| affine.constant(channel, *value).map(|v| v as f32))
                .collect(),
            None => vec![None; x.len()],
        },
        Op::Activation(activation) => x.iter().map(|value| value.map(|v| activated(activation, v))).collect(),
        Op::Maxout { pieces } => (x.chunks(pieces.into()))
            .map(|pieces| pieces.iter().copied().reduce(|a, b| Some(a?.max(b?))).flatten())
            .collect(),
        Op::Add => (0..x.len())
            .map(|channel| {
                node.inputs.iter().try_fold(0.0, |sum, &input| Some(sum + values[input][channel]?))
            })
            .collect(),
        Op::Concat => node.inputs.iter().flat_map(|&input| values[input].iter().copied()).collect(),
        Op::Flatten => {
            let plane = shape.h as usize * shape.w as usize;
            x.iter().flat_map(|value| std::iter::repeat_n(*value, plane)).collect()
        }
        Op::Lrn { .. } | Op::Softmax => vec![None; x.len()],
    }
}

/// An output is constant if every channel that it reads is, and is so at the border too.
fn of_layer(network: &Network, index: usize, shape: Shape, x: &[Constant]) -> Vec<Constant> {
    let node = &network.nodes[index];
    let Some(joins) = Joins::of(&node.op, shape) else { return Vec::new() };
    let is_padded = matches!(node.op, Op::Conv2d(conv) if !conv.pad.is_zero());
    let mut sums: Vec<Option<f64>> = bias(network, index, &joins).into_iter().map(Some).collect();
    for (at, weight) in nonzeros(&network.tensors[node.params[0]].data) {
        let (output, input) = joins.at(at);
        let share = x[input].filter(|v| *v == 0.0 || !is_padded).map(|v| f64::from(weight) * f64::from(v));
        sums[output] = sums[output].zip(share).map(|(sum, share)| sum + share);
    }
    sums.into_iter().map(|sum| sum.map(|v| v as f32)).collect()
}

fn activated(activation: Activation, mut x: f32) -> f32 {
    tfc_runtime::activate(activation, std::slice::from_mut(&mut x));
    x
}

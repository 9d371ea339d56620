//! The plainest evaluation of the ops that an import makes up, to check what they compute.

use std::vec::Vec;

use crate::network::Network;
use crate::op::{Conv2d, Op, Shape};

/// The output for an input of consecutive numbers 1, 2, ...
pub(super) fn output_of_counting(network: &Network) -> Vec<f32> {
    let n = network.input.elements().unwrap();
    output(network, (1..=n).map(|i| i as f32).collect())
}

pub(super) fn output(network: &Network, input: Vec<f32>) -> Vec<f32> {
    let shapes = network.shapes().unwrap();
    let mut values = std::vec![input];
    for node in &network.nodes {
        let x = &values[node.inputs[0]];
        let shape = shapes[node.inputs[0]];
        let param = |role: usize| node.params.get(role).map(|&id| &network.tensors[id].data[..]);
        let out = match node.op {
            Op::Conv2d(conv) => convolve(&conv, x, shape, shapes[values.len()], param(0).unwrap()),
            Op::Dense(_) => {
                let rows = param(0).unwrap().chunks(x.len());
                rows.map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>()).collect()
            }
            Op::BatchNorm { eps } => {
                let plane = (shape.h * shape.w) as usize;
                let channel = |i: usize, role: usize| param(role).unwrap()[i / plane];
                let norm = |(i, x): (usize, &f32)| {
                    let [gamma, beta, mean, var] = [0, 1, 2, 3].map(|role| channel(i, role));
                    gamma * (x - mean) / (var + eps).sqrt() + beta
                };
                x.iter().enumerate().map(norm).collect()
            }
            Op::Activation(_) | Op::Flatten => x.clone(),
            Op::Concat => node.inputs.iter().flat_map(|&v| values[v].clone()).collect(),
            op => panic!("{op:?}"),
        };
        let out = match (node.op, param(1)) {
            (Op::Conv2d(_) | Op::Dense(_), Some(bias)) => {
                let plane = out.len() / bias.len();
                out.iter().enumerate().map(|(i, v)| v + bias[i / plane]).collect()
            }
            _ => out,
        };
        values.push(out);
    }
    values.swap_remove(network.output)
}

fn convolve(conv: &Conv2d, x: &[f32], from: Shape, to: Shape, weight: &[f32]) -> Vec<f32> {
    let [kh, kw] = conv.kernel.map(u32::from);
    let per_group = from.c / conv.groups;
    let mut out = Vec::new();
    for (o, row, column) in positions(to) {
        let first = o / (to.c / conv.groups) * per_group;
        let mut sum = 0.0;
        for (c, i, j) in positions(Shape::new(per_group, kh, kw)) {
            let at = |at: u32, stride: u16, tap: u32, dilation: u16, before: u16| {
                (at * u32::from(stride) + tap * u32::from(dilation)).checked_sub(u32::from(before))
            };
            let r = at(row, conv.stride[0], i, conv.dilation[0], conv.pad.top).filter(|&r| r < from.h);
            let s = at(column, conv.stride[1], j, conv.dilation[1], conv.pad.left).filter(|&s| s < from.w);
            if let (Some(r), Some(s)) = (r, s) {
                let w = weight[(((o * per_group + c) * kh + i) * kw + j) as usize];
                sum += w * x[(((first + c) * from.h + r) * from.w + s) as usize];
            }
        }
        out.push(sum);
    }
    out
}

fn positions(shape: Shape) -> impl Iterator<Item = (u32, u32, u32)> {
    (0..shape.c).flat_map(move |c| (0..shape.h).flat_map(move |h| (0..shape.w).map(move |w| (c, h, w))))
}

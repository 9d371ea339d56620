//! The network without some channels.

use tfc_formats::network::Network;
use tfc_formats::op::{Op, Shape};

use super::super::edit::{Joins, bias, narrow, set_param};
use super::{Constant, Mixing, nonzeros};

/// The network without the channels that are not kept, and how many outputs of layers they are;
/// `None` if that is none, or if a bias would not be finite.
pub(super) fn remove(
    network: &Network,
    shapes: &[Shape],
    constants: &[Vec<Constant>],
    kept: &[Vec<bool>],
) -> Option<(Network, usize)> {
    let count = |value: usize| kept[value].iter().filter(|kept| **kept).count() as u32;
    let mut edited = network.clone();
    let mut removed = 0;
    for (index, node) in network.nodes.iter().enumerate() {
        let (source, output) = (node.inputs[0], index + 1);
        if count(source) == shapes[source].c && count(output) == shapes[output].c {
            continue;
        }
        match &mut edited.nodes[index].op {
            Op::Conv2d(conv) => {
                if conv.groups > 1 {
                    // They go as a whole.
                    conv.groups = count(source) / (shapes[source].c / conv.groups);
                }
                conv.out_channels = count(output);
            }
            Op::Dense(dense) => dense.out_features = count(output),
            Op::BatchNorm { .. } => {
                for (role, &id) in node.params.iter().enumerate() {
                    let data = select(&network.tensors[id].data, &kept[output]);
                    set_param(&mut edited, index, role, [data.len()], data);
                }
                continue;
            }
            _ => continue,
        }
        removed += (shapes[output].c - count(output)) as usize;
        remove_from_layer(
            network,
            index,
            shapes,
            &constants[source],
            [&kept[source], &kept[output]],
            &mut edited,
        )?;
    }
    (removed > 0).then_some((edited, removed))
}

fn remove_from_layer(
    network: &Network,
    index: usize,
    shapes: &[Shape],
    constants: &[Constant],
    [inputs, outputs]: [&[bool]; 2],
    edited: &mut Network,
) -> Option<()> {
    let node = &network.nodes[index];
    let joins = Joins::of(&node.op, shapes[node.inputs[0]])?;
    let weight = &network.tensors[node.params[0]];
    let mut shares = bias(network, index, &joins);
    if let Some(mixing) = Mixing::of(network, index, shapes) {
        for (at, w) in nonzeros(&weight.data) {
            let (output, input) = joins.at(at);
            // What is read by no output that matters has no share.
            if let Some(value) = constants[input].filter(|v| !inputs[input] && mixing.absorbs(Some(*v))) {
                shares[output] += f64::from(w) * f64::from(value);
            }
        }
    }
    let shares = select(&narrow(shares.into_iter())?, outputs);
    let stays = |at: &usize| {
        let (output, input) = joins.at(*at);
        outputs[output] && inputs[input]
    };
    let data = (0..weight.data.len()).filter(stays).map(|at| weight.data[at]).collect();
    let rows = shares.len();
    let columns = match joins.groups {
        1 => inputs.iter().filter(|kept| **kept).count(),
        _ => joins.inputs,
    };
    let shape = match node.op {
        Op::Conv2d(_) => vec![rows, columns, weight.shape[2], weight.shape[3]],
        _ if joins.transposed => vec![columns * joins.taps, rows],
        _ => vec![rows, columns * joins.taps],
    };
    set_param(edited, index, 0, shape, data);
    if node.params.len() > 1 || shares.iter().any(|v| *v != 0.0) {
        set_param(edited, index, 1, [rows], shares);
    }
    Some(())
}

fn select(values: &[f32], kept: &[bool]) -> Vec<f32> {
    values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| *value).collect()
}

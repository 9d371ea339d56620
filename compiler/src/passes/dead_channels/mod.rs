//! Channels that are constant, or that nothing depends on, go: through additions,
//! concatenations, batch norms, activations, pooling, flattening and depthwise layers.
//!
//! Channels that some op keeps together are one set ([`Channels`]), for instance all that meet in a
//! chain of residual additions. A set goes if no weight that is not zero joins it with a channel
//! the output depends on, except where the channel that is read is [constant](constants) and the
//! reader's bias can take its share. A filter of zeros makes constants, a column of zeros in all
//! readers a set that nothing depends on.
//!
//! Where rows of weights are pruned in blocks, the channels of a block stay if one of them does:
//! removed alone, it would leave all blocks behind it between two.

mod channels;
mod constants;
mod remove;

use tfc_formats::artifact::BLOCKS;
use tfc_formats::network::{Network, NetworkError, Tensor, TensorId};
use tfc_formats::op::{Dense, Op, Shape};

use super::Changes;
use super::edit::{Joins, is_shared};
use crate::prune::rows_together;
use channels::Channels;
use constants::{Constant, constants};

pub(super) fn run(network: &mut Network, block: u8) -> Result<Changes, NetworkError> {
    let shapes = network.shapes()?;
    let constants = constants(network, &shapes);
    let kept = kept(network, &shapes, &constants, block);
    let edited = remove::remove(network, &shapes, &constants, &kept);
    let channels_removed = edited.map_or(0, |(edited, removed)| {
        *network = edited;
        removed
    });
    Ok(Changes { channels_removed, ..Changes::default() })
}

/// A convolution without groups or a dense layer: any of its outputs may read any of its inputs.
struct Mixing {
    weight: TensorId,
    joins: Joins,
    is_padded: bool,
}

impl Mixing {
    fn of(network: &Network, node: usize, shapes: &[Shape]) -> Option<Self> {
        let weight = network.weight(node)?;
        let node = &network.nodes[node];
        let joins = Joins::of(&node.op, shapes[node.inputs[0]]).filter(|joins| joins.groups == 1)?;
        let is_padded = matches!(node.op, Op::Conv2d(conv) if !conv.pad.is_zero());
        Some(Self { weight, joins, is_padded })
    }

    /// Whether the bias can take the share of this input channel: at the border of a padded
    /// convolution a constant is not one, unless it is zero.
    fn absorbs(&self, constant: Constant) -> bool {
        constant.is_some_and(|value| value == 0.0 || !self.is_padded)
    }
}

/// For each channel of each value whether it stays; at least one of each value does.
fn kept(network: &Network, shapes: &[Shape], constants: &[Vec<Constant>], block: u8) -> Vec<Vec<bool>> {
    let channels = Channels::of(network, shapes);
    let mut kept = live(network, shapes, constants, &channels);
    // The input is what callers pass, and a matrix that several nodes use fits all of them.
    let mut fixed = vec![0];
    for (index, node) in network.nodes.iter().enumerate() {
        if network.weight(index).is_some_and(|weight| is_shared(network, weight)) {
            fixed.extend([node.inputs[0], index + 1]);
        }
    }
    fixed.into_iter().flat_map(|value| channels.sets(value)).for_each(|set| kept[set] = true);
    for value in 0..shapes.len() {
        if !channels.sets(value).any(|set| kept[set]) {
            channels.sets(value).take(1).for_each(|set| kept[set] = true);
        }
    }
    while keep_blocks(network, &channels, block, &mut kept) {}
    (0..shapes.len()).map(|value| channels.sets(value).map(|set| kept[set]).collect()).collect()
}

/// Keeps all outputs of each block of rows of which one is kept; whether that are more than before.
fn keep_blocks(network: &Network, channels: &Channels, block: u8, kept: &mut [bool]) -> bool {
    let mut has_grown = false;
    for (index, node) in network.nodes.iter().enumerate() {
        let rows = match (network.weight(index), node.op) {
            (None, _) | (_, Op::Dense(Dense { transposed: true, .. })) => continue,
            (Some(weight), _) => {
                let found = blocks_of(&network.tensors[weight]).max(block);
                rows_together(network, weight, found)
            }
        };
        let outputs: Vec<usize> = channels.sets(index + 1).collect();
        for block in outputs.chunks(rows.into()) {
            if block.iter().any(|set| kept[*set]) {
                block.iter().for_each(|set| has_grown |= !std::mem::replace(&mut kept[*set], true));
            }
        }
    }
    has_grown
}

/// Rows of the blocks in which a matrix was pruned, whoever did it; 1 if there are none.
fn blocks_of(weight: &Tensor) -> u8 {
    let cols: usize = weight.shape.iter().skip(1).product();
    let nonzeros = nonzeros(&weight.data).count();
    if cols == 0 || 2 * nonzeros > weight.data.len() {
        return 1;
    }
    // Some weights of a block may be zero by chance, not one in ten.
    let is_full = |rows: &usize| {
        let blocks = weight.data.chunks(rows * cols);
        let stored: usize = blocks
            .map(|block| {
                let is_used = |column: &usize| block.iter().skip(*column).step_by(cols).any(|w| *w != 0.0);
                block.len() / cols * (0..cols).filter(is_used).count()
            })
            .sum();
        10 * (stored - nonzeros) < stored
    };
    BLOCKS.into_iter().rev().find(|rows| is_full(&usize::from(*rows))).unwrap_or(1)
}

/// For each set whether the output depends on it, other than by constants that biases can take.
fn live(network: &Network, shapes: &[Shape], constants: &[Vec<Constant>], channels: &Channels) -> Vec<bool> {
    let mut live = vec![false; channels.len()];
    let mut mark = |value| channels.sets(value).for_each(|set| live[set] = true);
    mark(network.output);
    for (index, node) in network.nodes.iter().enumerate() {
        if let Op::Lrn { .. } | Op::Softmax = node.op {
            mark(node.inputs[0]);
            mark(index + 1);
        }
    }
    let layers: Vec<(usize, Mixing)> = (0..network.nodes.len())
        .rev()
        .filter_map(|node| Some((node, Mixing::of(network, node, shapes)?)))
        .collect();
    // Residual additions close circles, so that one pass from the back is not enough.
    loop {
        let mut has_grown = false;
        for (index, layer) in &layers {
            let source = network.nodes[*index].inputs[0];
            for (at, _) in nonzeros(&network.tensors[layer.weight].data) {
                let (output, input) = layer.joins.at(at);
                let set = channels.set(source, input);
                if !live[set]
                    && live[channels.set(index + 1, output)]
                    && !layer.absorbs(constants[source][input])
                {
                    live[set] = true;
                    has_grown = true;
                }
            }
        }
        if !has_grown {
            return live;
        }
    }
}

fn nonzeros(weight: &[f32]) -> impl Iterator<Item = (usize, f32)> {
    weight.iter().copied().enumerate().filter(|(_, w)| *w != 0.0)
}

//! Nodes whose output is their input, element by element.

use tfc_formats::network::{Network, NetworkError, ValueId};
use tfc_formats::op::{Activation, Op, Shape};

use super::edit::bypass;
use super::{Changes, batch_norm};

pub(super) fn run(network: &mut Network) -> Result<Changes, NetworkError> {
    let mut changes = Changes::default();
    let mut index = 0;
    while let Some(node) = network.nodes.get(index) {
        let source = node.inputs[0];
        // A network keeps a node, even if its output is its input.
        let is_last = network.nodes.len() == 1 || (source, network.output) == (0, index + 1);
        if !is_last && is_identity(network, index, network.shapes()?[source]) {
            bypass(network, index, source);
            changes.nodes_removed += 1;
        } else {
            index += 1;
        }
    }
    Ok(changes)
}

fn is_identity(network: &Network, index: usize, x: Shape) -> bool {
    let node = &network.nodes[index];
    match node.op {
        Op::Dropout { .. } => true,
        Op::Add | Op::Concat => node.inputs.len() == 1,
        Op::Activation(activation) => is_fixed(network, node.inputs[0], activation),
        Op::MaxPool(pool) | Op::AvgPool(pool) => (pool.kernel, pool.stride) == ([1, 1], [1, 1]),
        Op::GlobalAvgPool | Op::Flatten => x.is_vector(),
        Op::Maxout { pieces } => pieces == 1,
        Op::BatchNorm { .. } => {
            batch_norm::Affine::of(network, index).is_some_and(|affine| affine.is_identity())
        }
        Op::Conv2d(conv) => {
            conv.out_channels == x.c
                && conv.stride == [1, 1]
                && conv.pad.is_zero()
                && network.selection(index) == Some(0)
        }
        Op::Dense(_) | Op::Lrn { .. } | Op::Softmax => false,
    }
}

/// Whether an activation leaves every number as it is that another one, which computes the value,
/// can give.
fn is_fixed(network: &Network, value: ValueId, activation: Activation) -> bool {
    use Activation::{HardSigmoid, LeakyRelu, Relu, Relu6, Sigmoid};
    let before = value.checked_sub(1).map(|node| network.nodes[node].op);
    let Some(Op::Activation(before)) = before else { return activation == LeakyRelu { alpha: 1.0 } };
    match activation {
        Relu => matches!(before, Relu | Relu6 | Sigmoid | HardSigmoid { .. }),
        Relu6 => matches!(before, Relu6 | Sigmoid | HardSigmoid { .. }),
        LeakyRelu { alpha } => alpha == 1.0 || matches!(before, Relu | Relu6 | Sigmoid | HardSigmoid { .. }),
        _ => false,
    }
}

//! Edits that several passes make, and how the elements of a weight lie between channels.

use tfc_formats::network::{Network, TensorId, ValueId};
use tfc_formats::op::{Op, Shape};

use crate::factorize::add_tensor;

/// Removes node `index`; who read its output reads `instead`, a value before it.
pub(super) fn bypass(network: &mut Network, index: usize, instead: ValueId) {
    let value = index + 1;
    let moved = |v: ValueId| match v {
        v if v == value => instead,
        v if v > value => v - 1,
        v => v,
    };
    network.nodes.remove(index);
    network.nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(|v| *v = moved(*v));
    network.output = moved(network.output);
}

/// Whether one node alone reads a value, once, and it is not the network's result.
pub(super) fn is_read_once(network: &Network, value: ValueId) -> bool {
    let reads = network.nodes.iter().flat_map(|node| &node.inputs).filter(|v| **v == value);
    network.output != value && reads.count() == 1
}

/// Whether a tensor has more than one use.
pub(super) fn is_shared(network: &Network, tensor: TensorId) -> bool {
    network.nodes.iter().flat_map(|node| &node.params).filter(|id| **id == tensor).count() > 1
}

/// Gives a parameter of a node this shape and these values. A tensor that is used elsewhere too
/// stays as it is, and the node gets one of its own.
pub(super) fn set_param(
    network: &mut Network,
    node: usize,
    role: usize,
    shape: impl Into<Vec<usize>>,
    data: Vec<f32>,
) {
    match network.nodes[node].params.get(role).copied() {
        Some(id) if !is_shared(network, id) => {
            let tensor = &mut network.tensors[id];
            (tensor.shape, tensor.data) = (shape.into(), data);
        }
        old => {
            let role_name = ["weight", "bias", "mean", "var"][role];
            let name = format!("{}.{role_name}", network.nodes[node].name);
            let id = add_tensor(network, name, &shape.into(), data);
            match old {
                Some(_) => network.nodes[node].params[role] = id,
                None => network.nodes[node].params.push(id),
            }
        }
    }
}

/// The bias of a convolution or dense node; zeros where it has none.
pub(super) fn bias(network: &Network, node: usize, joins: &Joins) -> Vec<f64> {
    match network.nodes[node].params.get(1) {
        Some(&id) => network.tensors[id].data.iter().map(|&v| v.into()).collect(),
        None => vec![0.0; joins.outputs],
    }
}

/// Rounds to f32, or `None` if a value does not fit.
pub(super) fn narrow(values: impl Iterator<Item = f64>) -> Option<Vec<f32>> {
    values.map(|v| Some(v as f32).filter(|v| v.is_finite())).collect()
}

/// Which channels the elements of a weight join. A dense layer that reads planes has as many taps
/// a channel as a plane has elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joins {
    pub(super) outputs: usize,
    /// Input channels of one group.
    pub(super) inputs: usize,
    pub(super) taps: usize,
    pub(super) groups: usize,
    pub(super) transposed: bool,
}

impl Joins {
    /// Of a convolution or dense layer that reads `x`.
    pub(super) fn of(op: &Op, x: Shape) -> Option<Self> {
        match op {
            Op::Conv2d(conv) => Some(Self {
                outputs: conv.out_channels as usize,
                inputs: (x.c / conv.groups) as usize,
                taps: usize::from(conv.kernel[0]) * usize::from(conv.kernel[1]),
                groups: conv.groups as usize,
                transposed: false,
            }),
            Op::Dense(dense) => Some(Self {
                outputs: dense.out_features as usize,
                inputs: x.c as usize,
                taps: x.h as usize * x.w as usize,
                groups: 1,
                transposed: dense.transposed,
            }),
            _ => None,
        }
    }

    /// Output and input channel of an element of the weight.
    pub(super) fn at(&self, element: usize) -> (usize, usize) {
        if self.transposed {
            return (element % self.outputs, element / self.outputs / self.taps);
        }
        let columns = self.inputs * self.taps;
        let output = element / columns;
        let group = output / (self.outputs / self.groups);
        (output, group * self.inputs + element % columns / self.taps)
    }
}

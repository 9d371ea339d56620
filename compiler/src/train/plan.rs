//! What a network's training needs to know that does not depend on a device.

use tfc_formats::network::{Network, TensorId, ValueId};
use tfc_formats::op::{Op, Shape};

use super::error::{Refused, TrainError};
use super::ops::{self, Layer};
use crate::device::Device;

/// The part of a network that its class scores depend on.
pub(super) struct Plan<D: Device> {
    /// Shape of every value of the network.
    pub(super) shapes: Vec<Shape>,
    /// The value with the class scores before a final softmax.
    pub(super) logits: ValueId,
    /// Nodes to run, in order.
    pub(super) steps: Vec<Step<D>>,
    /// Tensors that they use.
    pub(super) params: Vec<Param>,
    /// Values that are worked on, and how.
    pub(super) values: Vec<Value>,
}

/// One node.
pub(super) struct Step<D: Device> {
    pub(super) layer: Box<dyn Layer<D>>,
    pub(super) inputs: Vec<ValueId>,
    /// Positions in [`Plan::params`], by role.
    pub(super) params: Vec<usize>,
    pub(super) output: ValueId,
}

/// One tensor.
pub(super) struct Param {
    pub(super) tensor: TensorId,
    pub(super) kind: Kind,
}

/// How a tensor changes in training. One that serves several nodes is the last of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Learns without weight decay: a bias, or the scale or shift of a normalization.
    Bias,
    /// Learns with weight decay.
    Weight,
    /// Does not learn: a running statistic, or the weight of a selection.
    Fixed,
}

impl Kind {
    fn of(network: &Network, node: usize, role: usize) -> Self {
        match (network.nodes[node].op, role) {
            (Op::BatchNorm { .. }, 2..) => Kind::Fixed,
            (Op::Conv2d(_) | Op::Dense(_), 0) if network.prunable(node).is_some() => Kind::Weight,
            (Op::Conv2d(_) | Op::Dense(_), 0) => Kind::Fixed,
            _ => Kind::Bias,
        }
    }

    pub(super) fn learns(self) -> bool {
        self != Kind::Fixed
    }
}

/// One value.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    /// Whether the class scores depend on it.
    pub(super) live: bool,
    /// Whether a gradient must reach it: there are parameters that learn before it.
    pub(super) gradient: bool,
    /// Times that live nodes read it.
    pub(super) uses: usize,
}

impl<D: Device> Plan<D> {
    /// Plans a network that passed its checks, or lists every node that has no backward pass.
    pub(super) fn new(network: &Network) -> Result<Self, TrainError> {
        network.check()?;
        let shapes = network.shapes()?;
        let mut logits = network.output;
        while let Some(node) = logits.checked_sub(1).map(|n| &network.nodes[n])
            && node.op == Op::Softmax
        {
            logits = node.inputs[0];
        }
        if !shapes[logits].is_vector() || logits == 0 {
            return Err(TrainError::Output(shapes[logits]));
        }

        let mut values = vec![Value::default(); shapes.len()];
        values[logits].live = true;
        for (n, node) in network.nodes.iter().enumerate().rev() {
            if !values[n + 1].live {
                continue;
            }
            for &input in &node.inputs {
                values[input].live = true;
                values[input].uses += 1;
            }
        }

        let (mut steps, mut params, mut refused) = (Vec::new(), Vec::<Param>::new(), Vec::new());
        for (n, node) in network.nodes.iter().enumerate() {
            if !values[n + 1].live {
                continue;
            }
            let inputs: Vec<Shape> = node.inputs.iter().map(|&v| shapes[v]).collect();
            let Some(layer) = ops::layer::<D>(&node.op, &inputs, shapes[n + 1]) else {
                refused.push(Refused { node: node.name.clone(), op: node.op.name() });
                continue;
            };
            let mut roles = Vec::with_capacity(node.params.len());
            for (role, &tensor) in node.params.iter().enumerate() {
                let at = params.iter().position(|p| p.tensor == tensor).unwrap_or_else(|| {
                    params.push(Param { tensor, kind: Kind::Bias });
                    params.len() - 1
                });
                params[at].kind = params[at].kind.max(Kind::of(network, n, role));
                roles.push(at);
            }
            let learns = roles.iter().any(|&p| params[p].kind.learns());
            values[n + 1].gradient = learns || node.inputs.iter().any(|&v| values[v].gradient);
            steps.push(Step { layer, inputs: node.inputs.clone(), params: roles, output: n + 1 });
        }
        if !refused.is_empty() {
            return Err(TrainError::Unsupported(refused));
        }
        Ok(Self { shapes, logits, steps, params, values })
    }

    /// Number of class scores.
    pub(super) fn classes(&self) -> usize {
        self.shapes[self.logits].c as usize
    }
}

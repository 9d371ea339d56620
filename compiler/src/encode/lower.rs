//! From the graph to the steps of an artifact: activations fused into the step before, dropout
//! removed, flattening made a second view of the same storage, batch norm made scale and shift.

use tfc_formats::artifact::MAX_INPUTS;
use tfc_formats::network::{Network, Node, TensorId, ValueId};
use tfc_formats::op::{Activation, Op, Padding, Shape};

use super::{EncodeError, Slot};

/// Steps and the storages that they read and write.
#[derive(Debug)]
pub(super) struct Lowered<'n> {
    pub(super) steps: Vec<LoweredStep<'n>>,
    pub(super) storages: Vec<Storage>,
    pub(super) input: Slot,
    pub(super) output: Slot,
}

/// What a step may apply to the elements that it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fusion {
    /// Any activation: steps on floats.
    Any,
    /// Activations that are bounds, and only where sums are rounded anyway: steps on i8.
    Bounds,
}

impl Fusion {
    fn allows(self, op: &Op, activation: Activation) -> bool {
        let bounds = matches!(activation, Activation::Relu | Activation::Relu6);
        let sums = matches!(op, Op::Conv2d(_) | Op::Dense(_) | Op::Add | Op::AvgPool(_) | Op::GlobalAvgPool);
        self == Fusion::Any || bounds && sums
    }
}

/// Room for one value in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage {
    /// Extent without the halo.
    pub(super) shape: Shape,
    /// Zeros that the convolutions reading it need.
    pub(super) halo: Padding,
}

/// One step before its matrix is encoded and its values are placed.
#[derive(Debug)]
pub(super) struct LoweredStep<'n> {
    pub(super) name: &'n str,
    pub(super) op: Op,
    pub(super) inputs: Vec<Slot>,
    pub(super) output: Slot,
    pub(super) weight: Option<TensorId>,
    pub(super) params: Vec<Param>,
    pub(super) activation: Option<Activation>,
    /// What is added to each element before the activation; of steps on i8.
    pub(super) residual: Option<Slot>,
}

/// A per-channel parameter of a step.
#[derive(Clone, Debug)]
pub(super) enum Param {
    /// A tensor as it is.
    Tensor(TensorId),
    /// Numbers computed from several tensors, always kept in f32.
    Computed(Vec<f32>),
}

pub(super) fn lower(network: &Network, fusion: Fusion) -> Result<Lowered<'_>, EncodeError> {
    let shapes = network.shapes()?;
    let halos = halos(network);
    let mut lowering = Lowering {
        network,
        fusion,
        lowered: Lowered {
            steps: Vec::new(),
            storages: vec![Storage { shape: network.input, halo: halos[0] }],
            input: Slot::new(0, network.input),
            output: Slot::new(0, network.input),
        },
        slots: vec![Slot::new(0, network.input)],
    };
    for (index, node) in network.nodes.iter().enumerate() {
        lowering.node(index, node, shapes[index + 1], halos[index + 1])?;
    }
    Ok(lowering.finish())
}

/// The zeros each value's readers want around it, through the ops that only rename it.
fn halos(network: &Network) -> Vec<Padding> {
    let mut halos = vec![Padding::default(); network.nodes.len() + 1];
    for (index, node) in network.nodes.iter().enumerate().rev() {
        match node.op {
            Op::Conv2d(conv) => {
                let input = node.inputs[0];
                halos[input] = halos[input].max(conv.pad);
            }
            Op::Activation(_) | Op::Dropout { .. } => {
                // Renamed or fused values share one storage: either name's halo is the storage's.
                let input = node.inputs[0];
                halos[input] = halos[input].max(halos[index + 1]);
            }
            _ => {}
        }
    }
    halos
}

struct Lowering<'n> {
    network: &'n Network,
    fusion: Fusion,
    lowered: Lowered<'n>,
    /// Where each value of the network is.
    slots: Vec<Slot>,
}

impl<'n> Lowering<'n> {
    fn node(&mut self, index: usize, node: &'n Node, shape: Shape, halo: Padding) -> Result<(), EncodeError> {
        if node.inputs.len() > MAX_INPUTS {
            return Err(EncodeError::TooManyInputs {
                node: node.name.clone(),
                found: node.inputs.len(),
                most: MAX_INPUTS,
            });
        }
        let source = self.slots[node.inputs[0]];
        let renamed = match node.op {
            Op::Dropout { .. } => true,
            Op::Activation(activation) => self.fuse(index, source, activation),
            Op::Flatten => halo.is_zero() && self.lowered.storages[source.storage].halo.is_zero(),
            _ => false,
        };
        if renamed {
            self.slots.push(Slot::new(source.storage, shape));
        } else {
            let storage = self.storage(shape, halo);
            self.slots.push(storage);
            self.step(index, node, storage);
        }
        Ok(())
    }

    fn storage(&mut self, shape: Shape, halo: Padding) -> Slot {
        self.lowered.storages.push(Storage { shape, halo });
        Slot::new(self.lowered.storages.len() - 1, shape)
    }

    /// Fuses an activation into the step that computes its input, if nobody else reads that.
    fn fuse(&mut self, node: usize, source: Slot, activation: Activation) -> bool {
        let names: Vec<ValueId> =
            (0..self.slots.len()).filter(|&v| self.slots[v].storage == source.storage).collect();
        let reads = |&reader: &usize| {
            let renames = reader < node && self.slots[reader + 1].storage == source.storage;
            reader != node && !renames
        };
        let others = names.iter().flat_map(|&v| self.network.consumers(v)).any(|reader| reads(&reader));
        if others || names.contains(&self.network.output) {
            return false;
        }
        let step = self.lowered.steps.iter_mut().find(|step| step.output.storage == source.storage);
        match step {
            Some(step) if step.activation.is_none() && self.fusion.allows(&step.op, activation) => {
                step.activation = Some(activation);
                true
            }
            _ => false,
        }
    }

    fn step(&mut self, index: usize, node: &'n Node, output: Slot) {
        let params = match node.op {
            Op::BatchNorm { eps } => self.batch_norm(node, eps),
            _ => node
                .params
                .iter()
                .skip(1)
                .filter(|&&id| self.matters(id))
                .map(|&id| Param::Tensor(id))
                .collect(),
        };
        let mut inputs: Vec<Slot> = node.inputs.iter().map(|&value| self.slots[value]).collect();
        if let Op::Dense(_) = node.op {
            // It reads its input as one run of elements.
            inputs[0] = self.without_halo("input", inputs[0]);
        }
        self.lowered.steps.push(LoweredStep {
            name: &node.name,
            op: node.op,
            inputs,
            output,
            weight: self.network.weight(index),
            params,
            activation: None,
            residual: None,
        });
    }

    /// A bias of zeros is left out.
    fn matters(&self, tensor: TensorId) -> bool {
        self.network.tensors[tensor].nonzeros() > 0
    }

    fn batch_norm(&self, node: &Node, eps: f32) -> Vec<Param> {
        let data = |role: usize| &self.network.tensors[node.params[role]].data;
        let scale: Vec<f32> =
            data(0).iter().zip(data(3)).map(|(gamma, var)| gamma / (var + eps).sqrt()).collect();
        let shift =
            data(1).iter().zip(data(2)).zip(&scale).map(|((beta, mean), s)| beta - mean * s).collect();
        vec![Param::Computed(scale), Param::Computed(shift)]
    }

    /// The value itself where it has no halo, which a convolution that also reads it wants, else a
    /// copy.
    fn without_halo(&mut self, name: &'static str, value: Slot) -> Slot {
        if self.lowered.storages[value.storage].halo.is_zero() {
            return value;
        }
        let copy = self.storage(value.shape, Padding::default());
        self.lowered.steps.push(LoweredStep {
            name,
            op: Op::Concat,
            inputs: vec![value],
            output: copy,
            weight: None,
            params: Vec::new(),
            activation: None,
            residual: None,
        });
        copy
    }

    fn finish(mut self) -> Lowered<'n> {
        let output = self.slots[self.network.output];
        self.lowered.output = self.without_halo("output", output);
        self.lowered
    }
}

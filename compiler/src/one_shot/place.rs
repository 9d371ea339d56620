//! What is around a layer in the graph, as far as its correction is concerned.

use tfc_formats::network::{Network, TensorId, ValueId};
use tfc_formats::op::{Activation, Op};

/// Factors below this are no scale to divide by.
const SMALLEST: f32 = 1e-6;

/// What takes up a difference of the means of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offset {
    /// The bias of the layer.
    Bias(TensorId),
    /// The mean of the batch norm behind it.
    Mean(TensorId),
    /// Nothing.
    None,
}

impl Offset {
    /// Adds to the mean of an output channel.
    pub(super) fn shift(self, network: &mut Network, channel: usize, by: f64) {
        match self {
            Offset::Bias(tensor) => network.tensors[tensor].data[channel] += by as f32,
            Offset::Mean(tensor) => network.tensors[tensor].data[channel] -= by as f32,
            Offset::None => {}
        }
    }
}

/// How often a tensor is a parameter.
pub(super) fn uses(network: &Network, tensor: TensorId) -> usize {
    network.nodes.iter().flat_map(|node| &node.params).filter(|&&t| t == tensor).count()
}

/// The surroundings of a layer.
#[derive(Debug)]
pub(super) struct Place {
    /// What takes up means.
    pub(super) offset: Offset,
    /// The batch norm that alone reads the output.
    pub(super) norm: Option<usize>,
    /// What that multiplies each output channel by, 1 without.
    pub(super) scale: Vec<f32>,
    /// Values that the output is added to, if it goes nowhere else.
    pub(super) others: Vec<ValueId>,
}

impl Place {
    /// Of a node with weights.
    pub(super) fn new(network: &Network, node: usize) -> Self {
        let only_consumer = |value: ValueId| {
            let mut consumers = network.consumers(value).filter(|_| value != network.output);
            consumers.next().filter(|_| consumers.next().is_none())
        };
        let params = &network.nodes[node].params;
        let channels = network.tensors[params[0]].shape[0];
        let mut offset = Offset::None;
        let mut scale = vec![1.0; channels];
        let mut value = node + 1;
        let mut norm = None;
        if let Some(node) = only_consumer(value)
            && let Op::BatchNorm { eps } = network.nodes[node].op
        {
            let [gamma, mean, var] = [0, 2, 3].map(|role| network.nodes[node].params[role]);
            let factors = network.tensors[gamma].data.iter().zip(&network.tensors[var].data);
            scale = factors.map(|(gamma, var)| gamma / (var + eps).sqrt()).collect();
            if uses(network, mean) == 1 {
                offset = Offset::Mean(mean);
            }
            norm = Some(node);
            value = node + 1;
        }
        if let Some(&bias) = params.get(1).filter(|&&bias| uses(network, bias) == 1) {
            offset = Offset::Bias(bias);
        }
        let add = only_consumer(value).map(|n| &network.nodes[n]).filter(|n| n.op == Op::Add);
        let own = |add: &&tfc_formats::network::Node| add.inputs.iter().filter(|&&v| v == value).count() == 1;
        let others = add
            .filter(own)
            .map_or(Vec::new(), |add| add.inputs.iter().copied().filter(|&v| v != value).collect());
        Self { offset, norm, scale, others }
    }

    /// By row of a node: outputs without the bias up to here are cut off by a ReLU, which is all that
    /// reads them.
    pub(super) fn floors(&self, network: &Network, node: usize) -> Option<Vec<f32>> {
        let Offset::Bias(bias) = self.offset else { return None };
        let mut readers = network.consumers(node + 1).filter(|_| node + 1 != network.output);
        let relu = Op::Activation(Activation::Relu);
        let only = readers.next().filter(|_| readers.next().is_none());
        only.filter(|&n| network.nodes[n].op == relu)?;
        Some(network.tensors[bias].data.iter().map(|b| -b).collect())
    }

    /// Adds how much a value misses of what it was `before`, by sample `[c, h, w]`, in units of the
    /// layer's own output, to `shift [c, samples, h, w]`.
    pub(super) fn add_shift(&self, shift: &mut [f32], before: &[Vec<f32>], now: &[Vec<f32>]) {
        let plane = before[0].len() / self.scale.len();
        for (channel, (&scale, shift)) in
            self.scale.iter().zip(shift.chunks_exact_mut(before.len() * plane)).enumerate()
        {
            if scale.abs() < SMALLEST {
                continue;
            }
            for (shift, (before, now)) in shift.chunks_exact_mut(plane).zip(before.iter().zip(now)) {
                let range = channel * plane..(channel + 1) * plane;
                for ((to, before), now) in shift.iter_mut().zip(&before[range.clone()]).zip(&now[range]) {
                    *to += (before - now) / scale;
                }
            }
        }
    }
}

//! A trained network: a graph in topological order and its f32 tensors, nothing compressed.

mod check;

pub use check::NetworkError;
pub(crate) use check::param_shape;

use std::string::String;
use std::vec::Vec;

use crate::op::{Op, Shape};
use crate::preprocess::Preprocess;

/// Index of a value: 0 is the network's input, `i + 1` the output of node `i`.
pub type ValueId = usize;

/// Index into [`Network::tensors`].
pub type TensorId = usize;

/// A graph with its tensors. Make one, then [`check`](Network::check) it; everything that
/// takes a `Network` expects one that passed.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name for reports; usually the file's stem.
    pub name: String,
    /// Shape of one input sample.
    pub input: Shape,
    /// From a raw sample to the input.
    pub preprocess: Preprocess,
    /// Operations; a node reads only values of lower index than its own.
    pub nodes: Vec<Node>,
    /// Parameters. One tensor may serve several nodes.
    pub tensors: Vec<Tensor>,
    /// The value that is the network's result.
    pub output: ValueId,
}

/// One operation of the graph. Its output is value `index + 1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Values it reads.
    pub inputs: Vec<ValueId>,
    /// Parameters by role: convolution and dense `[weight]` or `[weight, bias]`, batch norm
    /// `[gamma, beta, mean, var]`, none for the others.
    pub params: Vec<TensorId>,
}

/// A named parameter in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Unique name.
    pub name: String,
    /// Extents; a convolution's weight is `[out, in / groups, kh, kw]`.
    pub shape: Vec<usize>,
    /// Values; as many as the product of the extents.
    pub data: Vec<f32>,
}

impl Network {
    /// Shape of every value, the input first.
    pub fn shapes(&self) -> Result<Vec<Shape>, NetworkError> {
        let mut shapes = Vec::with_capacity(self.nodes.len() + 1);
        shapes.push(self.input);
        for (index, node) in self.nodes.iter().enumerate() {
            let shape = self.node_shape(index, node, &shapes)?;
            shapes.push(shape);
        }
        Ok(shapes)
    }

    /// The weight tensor of a convolution or dense node.
    pub fn weight(&self, node: usize) -> Option<TensorId> {
        match self.nodes[node].op {
            Op::Conv2d(_) | Op::Dense(_) => self.nodes[node].params.first().copied(),
            _ => None,
        }
    }

    /// The channel offset of a node that only moves channels, as the shortcuts without weights of
    /// He et al. 2015 (option A) do: a 1x1 convolution without bias and groups whose output
    /// channel `offset + c` is input channel `c`, the other output channels being zero.
    pub fn selection(&self, node: usize) -> Option<u32> {
        let node = &self.nodes[node];
        let (Op::Conv2d(conv), &[weight]) = (node.op, &node.params[..]) else { return None };
        let weight = self.tensors.get(weight)?;
        let &[_, channels, 1, 1] = &weight.shape[..] else { return None };
        let nonzeros = weight.data.iter().enumerate().filter(|(_, value)| **value != 0.0);
        conv.selection(channels, nonzeros.map(|(at, value)| (at / channels, at % channels, *value)))
    }

    /// The weight tensor of a node if its values are weights: those of convolutions and dense
    /// layers, which can be trained, decayed, pruned and factorized. The weight of a
    /// [selection](Self::selection) is part of the graph.
    pub fn prunable(&self, node: usize) -> Option<TensorId> {
        self.weight(node).filter(|_| self.selection(node).is_none())
    }

    /// Nodes that read a value.
    pub fn consumers(&self, value: ValueId) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(move |&n| self.nodes[n].inputs.contains(&value))
    }
}

impl Tensor {
    /// The weight `[out, channels, 1, 1]` of a [selection](Network::selection), without a name;
    /// `None` if the output has no room for the channels.
    pub(crate) fn selection(out: usize, channels: usize, offset: usize) -> Option<Self> {
        if out.checked_sub(offset)? < channels {
            return None;
        }
        let mut data = std::vec![0.0; out.checked_mul(channels)?];
        for c in 0..channels {
            data[(offset + c) * channels + c] = 1.0;
        }
        Some(Self { name: String::new(), shape: std::vec![out, channels, 1, 1], data })
    }

    /// Number of values that are not zero.
    pub fn nonzeros(&self) -> usize {
        self.data.iter().filter(|v| **v != 0.0).count()
    }
}

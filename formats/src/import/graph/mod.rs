//! Graph descriptions: how the tensors of a file are connected, as a `graph.toml`.
//!
//! ```toml
//! name = "small"                  # default: the file's stem
//! output = "classes"              # default: the last node
//!
//! [input]
//! shape = [1, 28, 28]             # channels, rows, columns; or the length of a vector: [640]
//! name = "input"                  # what nodes call it; default "input"
//!
//! [preprocess]                    # x = (raw * scale - mean) / std; all fields may be left out
//! scale = 0.003921569             # default 1/255
//! mean = [0.5]                    # none, one for all channels, or one a channel
//! std = [0.5]
//! order = "rgb"                   # or "bgr"
//! layout = "chw"                  # or "hwc"
//! resize = { shorter = 256 }      # images of another size: or { exact = [rows, columns] } or "crop"
//!
//! [[node]]
//! name = "conv1"                  # default: op and position, as in "conv2d_1"
//! op = "conv2d"
//! inputs = ["input"]              # nodes above or the input; default: the node before
//! out_channels = 8                # default: what the tensor "conv1.weight" has
//! kernel = [5, 5]                 # pairs are [rows, columns]; one number stands for both
//!
//! [[node]]
//! op = "max_pool"
//! kernel = 2
//!
//! [[node]]
//! name = "classes"
//! op = "dense"
//! out_features = 10
//! ```
//!
//! | op | fields, with defaults |
//! |---|---|
//! | `conv2d` | `out_channels` and `kernel` (from the weight), `stride` 1, `dilation` 1, `pad` 0, `groups` 1, `weight` "NAME.weight", `bias`, `select` |
//! | `dense` | `out_features` (from the weight), `transposed` false, `weight` "NAME.weight", `bias` |
//! | `max_pool`, `avg_pool` | `kernel` (required), `stride` (the kernel), `pad` 0, `ceil` false, `count_include_pad` (true for `avg_pool`) |
//! | `batch_norm` | `eps` 1e-5, `gamma` "NAME.weight", `beta` "NAME.bias", `mean` "NAME.running_mean", `var` "NAME.running_var" |
//! | `lrn` | `size` (required), `alpha` 1e-4, `beta` 0.75, `bias` 1 |
//! | `leaky_relu` | `alpha` 0.01 |
//! | `hard_sigmoid` | `alpha` 1/6 |
//! | `maxout` | `pieces` (required) |
//! | `dropout` | `rate` 0.5 |
//! | `relu`, `relu6`, `sigmoid`, `tanh`, `hard_swish`, `global_avg_pool`, `add`, `concat`, `flatten`, `softmax` | none |
//!
//! `pad` is one number, `[vertical, horizontal]` or `[top, left, bottom, right]`. `bias` is a
//! tensor's name, `false` for none, or `true` for "NAME.bias"; without it "NAME.bias" is used if
//! the file has such a tensor. A field that the op does not take is an error. Tensors that no
//! node names are not read.
//!
//! `select = N` makes a 1x1 convolution whose weight is not in the file: output channel `N + c`
//! is input channel `c`, the other output channels are zero. With `stride = 2` that is the
//! shortcut without weights of He et al. 2015 (option A).

mod attributes;
mod fields;
mod parse;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

use super::tensors::{DtypeError, Tensors};
use crate::network::{Network, NetworkError, Node, Tensor, TensorId, ValueId, param_shape};
use crate::op::{Op, Shape};
use crate::preprocess::Preprocess;

pub(super) use write::Comments;

/// A network whose parameters are names yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name of the network; empty if it is not stated.
    pub name: String,
    /// Shape of one input sample.
    pub input: Shape,
    /// From a raw sample to the input.
    pub preprocess: Preprocess,
    /// Operations in topological order.
    pub nodes: Vec<GraphNode>,
    /// The value that is the network's result.
    pub output: ValueId,
}

/// One operation, its parameters by name.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNode {
    /// Unique name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Values it reads.
    pub inputs: Vec<ValueId>,
    /// Names of its tensors, by role as in [`Node::params`].
    pub params: Vec<String>,
    /// The offset of a [selection](Network::selection), whose weight is made, not read.
    pub select: Option<u32>,
}

/// What is wrong with a graph description, or with the tensors that it names.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The text is not TOML, or not of the form that is expected.
    #[error("line {line}: {message}")]
    Toml {
        /// Line, from 1.
        line: usize,
        /// The parser's reason.
        message: String,
    },
    /// Neither description nor caller gives the input's shape.
    #[error("the input's shape is not stated; add `shape = [C, H, W]` or `shape = [N]` under `[input]`")]
    NoInput,
    /// The input's shape has neither one nor three extents.
    #[error("the input's shape {0:?} is neither [C, H, W] nor [N]")]
    InputShape(Vec<u32>),
    /// A name holds control characters.
    #[error("{0:?} cannot be a name: it holds control characters")]
    Name(String),
    /// No such operation.
    #[error("node `{node}`: there is no op {op:?}; there are {}", attributes::OPS.join(", "))]
    UnknownOp {
        /// Node's name.
        node: String,
        /// Op's name.
        op: String,
    },
    /// A field of a node is unknown, missing or of the wrong type.
    #[error("node `{node}` ({op}): {message}")]
    Field {
        /// Node's name.
        node: String,
        /// Op's name.
        op: String,
        /// What is wrong.
        message: String,
    },
    /// A node reads something that is no node above it.
    #[error("node `{node}` reads {input:?}, which is neither the input nor a node above it")]
    UnknownInput {
        /// Node's name.
        node: String,
        /// The name it reads.
        input: String,
    },
    /// The output is no node.
    #[error("the output {0:?} is not a node")]
    UnknownOutput(String),
    /// A node's tensor is not in the file.
    #[error("node `{node}`: the file has no tensor `{tensor}`")]
    MissingTensor {
        /// Node's name.
        node: String,
        /// Tensor's name.
        tensor: String,
    },
    /// The sizes of an op cannot be taken from a weight of this shape.
    #[error("node `{node}` ({op}): weight `{tensor}` has shape {found:?}, expected {expected}")]
    WeightShape {
        /// Node's name.
        node: String,
        /// Op's name.
        op: &'static str,
        /// Tensor's name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The form that is expected.
        expected: &'static str,
    },
    /// A selection has fewer output channels than it moves.
    #[error(
        "node `{node}` (conv2d): `select = {offset}` moves {channels} channels, but the output has {out}"
    )]
    Selection {
        /// Node's name.
        node: String,
        /// Output channel of the first input channel.
        offset: u32,
        /// Input channels.
        channels: usize,
        /// Output channels.
        out: usize,
    },
    /// A network to be trained from scratch would be larger than this tool handles.
    #[error("the weights have more than {MAX_UNTRAINED} values")]
    TooLarge,
    /// A tensor has a data type that is not supported.
    #[error(transparent)]
    Dtype(#[from] DtypeError),
    /// The network does not pass [`Network::check`].
    #[error(transparent)]
    Network(#[from] NetworkError),
}

/// Most values of a network made from a description alone: 1 GiB of f32. A file's tensors need
/// no such bound, since its own length is one.
const MAX_UNTRAINED: usize = 1 << 28;

/// The network that a description and a file's tensors make; it passed [`Network::check`]. Its
/// tensors are those that the nodes name, in order of first use.
pub fn from_toml(text: &str, tensors: &Tensors<'_>) -> Result<Network, GraphError> {
    Graph::parse(text, Some(tensors), None)?.bind(Some(tensors))
}

/// The description of a network that passed [`Network::check`]; [`from_toml`] reads it back.
pub fn to_toml(network: &Network) -> String {
    Graph::from(network).to_text(&Comments::default())
}

impl Graph {
    /// No nodes yet; the default preprocessing.
    pub fn new(input: Shape) -> Self {
        Self { name: String::new(), input, preprocess: Preprocess::default(), nodes: Vec::new(), output: 0 }
    }

    /// Appends a node that reads the last value, and makes it the output.
    pub fn push(&mut self, name: &str, op: Op, params: Vec<String>) {
        let last = self.nodes.len();
        self.nodes.push(GraphNode { name: name.into(), op, inputs: std::vec![last], params, select: None });
        self.output = last + 1;
    }

    /// Takes the tensors from a file, or makes them zero if there is none.
    pub fn bind(self, tensors: Option<&Tensors<'_>>) -> Result<Network, GraphError> {
        let mut ids = BTreeMap::new();
        let mut users = Vec::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for (index, node) in self.nodes.into_iter().enumerate() {
            let mut params: Vec<TensorId> = Vec::with_capacity(node.params.len());
            for (role, tensor) in node.params.into_iter().enumerate() {
                params.push(*ids.entry(tensor).or_insert_with_key(|tensor| {
                    users.push(User { tensor: tensor.clone(), node: index, role, select: node.select });
                    users.len() - 1
                }));
            }
            nodes.push(Node { name: node.name, op: node.op, inputs: node.inputs, params });
        }
        let Self { name, input, preprocess, output, .. } = self;
        let mut network = Network { name, input, preprocess, nodes, tensors: Vec::new(), output };
        network.tensors = take(users, tensors, &network)?;
        network.check()?;
        Ok(network)
    }
}

/// First use of a tensor.
struct User {
    tensor: String,
    node: usize,
    role: usize,
    select: Option<u32>,
}

/// The tensors from the file, and those that no file holds. What is made needs a bound on its
/// size; what is read has the file's length.
fn take(users: Vec<User>, file: Option<&Tensors<'_>>, network: &Network) -> Result<Vec<Tensor>, GraphError> {
    let mut shapes = None;
    let mut total = 0usize;
    let mut tensors = Vec::with_capacity(users.len());
    for user in users {
        let tensor = match file.filter(|_| user.select.is_none()) {
            Some(file) => user.read(file, network)?,
            None => {
                let shapes = match &shapes {
                    Some(shapes) => shapes,
                    None => shapes.insert(network.shapes()?),
                };
                user.make(network, shapes, &mut total)?
            }
        };
        tensors.push(tensor);
    }
    Ok(tensors)
}

impl User {
    fn read(self, file: &Tensors<'_>, network: &Network) -> Result<Tensor, GraphError> {
        match file.get(&self.tensor) {
            Some(entry) => Ok(entry.to_tensor()?),
            None => Err(GraphError::MissingTensor {
                node: network.nodes[self.node].name.clone(),
                tensor: self.tensor,
            }),
        }
    }

    /// A selection, or zeros. `total` counts the values that were made so far.
    fn make(self, network: &Network, shapes: &[Shape], total: &mut usize) -> Result<Tensor, GraphError> {
        let node = &network.nodes[self.node];
        let shape = param_shape(&node.op, shapes[node.inputs[0]], self.role);
        let len = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or(GraphError::TooLarge)?;
        *total = total.saturating_add(len);
        if *total > MAX_UNTRAINED {
            return Err(GraphError::TooLarge);
        }
        match (self.select, &shape[..]) {
            (Some(offset), &[out, channels, 1, 1]) => {
                let made = Tensor::selection(out, channels, offset as usize);
                let no_room = || GraphError::Selection { node: node.name.clone(), offset, channels, out };
                Ok(Tensor { name: self.tensor, ..made.ok_or_else(no_room)? })
            }
            _ => Ok(Tensor { name: self.tensor, shape, data: std::vec![0.0; len] }),
        }
    }
}

impl From<&Network> for Graph {
    fn from(network: &Network) -> Self {
        let node = |(index, n): (usize, &Node)| GraphNode {
            name: n.name.clone(),
            op: n.op,
            inputs: n.inputs.clone(),
            params: n.params.iter().map(|&id| network.tensors[id].name.clone()).collect(),
            select: network.selection(index),
        };
        Self {
            name: network.name.clone(),
            input: network.input,
            preprocess: network.preprocess.clone(),
            nodes: network.nodes.iter().enumerate().map(node).collect(),
            output: network.output,
        }
    }
}

//! Shape inference and the checks that every network passes before anything else sees it.

use std::borrow::ToOwned;
use std::collections::BTreeSet;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

use super::{Network, Node, Tensor};
use crate::op::{Op, Shape, ShapeError};

/// What is wrong with a network.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No nodes.
    #[error("the network has no layers")]
    Empty,
    /// An op does not fit its inputs.
    #[error("node `{node}` ({op}): {error}; input shapes are {inputs}")]
    Shape {
        /// Node's name.
        node: String,
        /// Op's name.
        op: &'static str,
        /// Its input shapes.
        inputs: String,
        /// The reason.
        error: ShapeError,
    },
    /// A node reads a value that is not computed before it.
    #[error("node `{node}` reads value {value}, which is not computed before it")]
    Order {
        /// Node's name.
        node: String,
        /// Offending value.
        value: usize,
    },
    /// A node has too many or too few parameters.
    #[error("node `{node}` ({op}) has {found} parameters, expected {expected}")]
    ParamCount {
        /// Node's name.
        node: String,
        /// Op's name.
        op: &'static str,
        /// Count in the network.
        found: usize,
        /// Count that the op takes.
        expected: &'static str,
    },
    /// A parameter's shape does not chain with the layer before.
    #[error("tensor `{tensor}` of node `{node}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Tensor's name.
        tensor: String,
        /// Node's name.
        node: String,
        /// Its shape.
        found: Vec<usize>,
        /// Shape that follows from the graph.
        expected: Vec<usize>,
    },
    /// A tensor's extents disagree with its length.
    #[error("tensor `{tensor}` has shape {shape:?} but {len} values")]
    TensorLen {
        /// Tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Number of its values.
        len: usize,
    },
    /// A tensor holds NaN or infinity.
    #[error("tensor `{tensor}` holds {value} at index {index}; all weights must be finite")]
    NotFinite {
        /// Tensor's name.
        tensor: String,
        /// Position of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Two nodes or two tensors have one name.
    #[error("the name `{0}` is used twice")]
    DuplicateName(String),
    /// Node refers to a tensor that does not exist, or the output to a value.
    #[error("{0} is out of range")]
    Index(String),
    /// The preprocessing is not valid for this many channels.
    #[error(
        "preprocessing is not valid for {channels} input channels: the scale must be finite, mean and std have 0, 1 or {channels} finite entries, std is not 0"
    )]
    Preprocess {
        /// Channels of the input.
        channels: u32,
    },
}

impl Network {
    /// Checks everything: order, indices, names, shapes, finite values, preprocessing.
    pub fn check(&self) -> Result<(), NetworkError> {
        if self.nodes.is_empty() {
            return Err(NetworkError::Empty);
        }
        unique(self.nodes.iter().map(|n| &n.name))?;
        unique(self.tensors.iter().map(|t| &t.name))?;
        self.tensors.iter().try_for_each(Tensor::check)?;
        if self.output > self.nodes.len() {
            return Err(NetworkError::Index(std::format!("output value {}", self.output)));
        }
        if !self.preprocess.is_valid(self.input.c) {
            return Err(NetworkError::Preprocess { channels: self.input.c });
        }
        let shapes = self.shapes()?;
        for node in &self.nodes {
            self.check_params(node, &shapes)?;
        }
        Ok(())
    }

    pub(super) fn node_shape(
        &self,
        index: usize,
        node: &Node,
        shapes: &[Shape],
    ) -> Result<Shape, NetworkError> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for &value in &node.inputs {
            let order = || NetworkError::Order { node: node.name.clone(), value };
            inputs.push(*shapes.get(value).filter(|_| value <= index).ok_or_else(order)?);
        }
        node.op.output_shape(&inputs).map_err(|error| NetworkError::Shape {
            node: node.name.clone(),
            op: node.op.name(),
            inputs: inputs.iter().map(|s| std::format!("{s}")).collect::<Vec<_>>().join(", "),
            error,
        })
    }

    fn check_params(&self, node: &Node, shapes: &[Shape]) -> Result<(), NetworkError> {
        let x = shapes[node.inputs[0]];
        let (counts, expected): (&[usize], &'static str) = match node.op {
            Op::Conv2d(_) | Op::Dense(_) => (&[1, 2], "a weight and perhaps a bias"),
            Op::BatchNorm { .. } => (&[4], "gamma, beta, mean and var"),
            _ => (&[0], "none"),
        };
        let found = node.params.len();
        if !counts.contains(&found) {
            let (node, op) = (node.name.clone(), node.op.name());
            return Err(NetworkError::ParamCount { node, op, found, expected });
        }
        for (role, &id) in node.params.iter().enumerate() {
            let missing = || NetworkError::Index(std::format!("tensor {id} of node `{}`", node.name));
            let tensor = self.tensors.get(id).ok_or_else(missing)?;
            let expected = param_shape(&node.op, x, role);
            if tensor.shape != expected {
                return Err(NetworkError::TensorShape {
                    tensor: tensor.name.clone(),
                    node: node.name.clone(),
                    found: tensor.shape.clone(),
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// Shape of the parameter with this role for this input.
pub(crate) fn param_shape(op: &Op, x: Shape, role: usize) -> Vec<usize> {
    let dims: &[u32] = match (op, role) {
        (Op::Conv2d(c), 0) => {
            &[c.out_channels, x.c / c.groups, u32::from(c.kernel[0]), u32::from(c.kernel[1])]
        }
        (Op::Conv2d(c), _) => &[c.out_channels],
        (Op::Dense(d), 0) => {
            let n = x.elements().unwrap_or(0);
            if d.transposed { &[n, d.out_features] } else { &[d.out_features, n] }
        }
        (Op::Dense(d), _) => &[d.out_features],
        _ => &[x.c],
    };
    dims.iter().map(|&d| d as usize).collect()
}

impl Tensor {
    fn check(&self) -> Result<(), NetworkError> {
        let elements = self.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if elements != Some(self.data.len()) {
            let (tensor, shape) = (self.name.clone(), self.shape.clone());
            return Err(NetworkError::TensorLen { tensor, shape, len: self.data.len() });
        }
        match self.data.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                let value = self.data[index];
                Err(NetworkError::NotFinite { tensor: self.name.clone(), index, value })
            }
            None => Ok(()),
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), NetworkError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(NetworkError::DuplicateName(name.to_owned()));
        }
    }
    Ok(())
}

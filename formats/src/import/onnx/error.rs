//! What can be wrong with an ONNX model.

use std::fmt;
use std::io;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

/// Why an ONNX model as a whole cannot be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The model has no graph.
    #[error("the model has no graph; is it an ONNX file?")]
    NoGraph,
    /// The operator set is too old, too new or not stated.
    #[error("{}", opset_message(*.0))]
    Opset(Option<i64>),
    /// Not exactly one input.
    #[error("the graph has {} inputs ({}); exactly one is supported", .0.len(), .0.join(", "))]
    Inputs(Vec<String>),
    /// Not exactly one output.
    #[error("the graph has {} outputs ({}); exactly one is supported", .0.len(), .0.join(", "))]
    Outputs(Vec<String>),
    /// The input or output is not of a form that is supported, or its size is not known.
    #[error("`{name}`: {reason}")]
    Value {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Two nodes compute one value.
    #[error("the value `{0}` is computed twice")]
    Duplicate(String),
    /// The values of a tensor are not what its header says.
    #[error("tensor `{tensor}`: {reason}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        reason: String,
    },
    /// The file with a tensor's values cannot be read.
    #[error("tensor `{tensor}`: its file `{location}` cannot be read: {source}")]
    ExternalFile {
        /// Its name.
        tensor: String,
        /// The file, relative to the model.
        location: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// Operator sets that can be imported.
pub const OPSETS: std::ops::RangeInclusive<i64> = 9..=21;

fn opset_message(found: Option<i64>) -> String {
    let (first, last) = (OPSETS.start(), OPSETS.end());
    match found {
        Some(version) => std::format!(
            "opset {version} is not supported; export with an opset from {first} to {last} (17 is a good choice)"
        ),
        None => std::format!(
            "the model states no opset of the domain ai.onnx; export with one from {first} to {last}"
        ),
    }
}

/// All nodes of a model that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Operator set of the model.
    pub opset: i64,
    /// Nodes that the output depends on.
    pub total: usize,
    /// Those of them that cannot be imported, in the model's order.
    pub nodes: Vec<UnsupportedNode>,
}

/// A node that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// Its name.
    pub node: String,
    /// Its operator, with the domain if that is not `ai.onnx`.
    pub op: String,
    /// What is not supported.
    pub reason: String,
}

/// Most nodes that a message lists.
const MAX_LISTED: usize = 200;

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ops: Vec<&str> = self.nodes.iter().map(|n| n.op.as_str()).collect();
        ops.sort_unstable();
        ops.dedup();
        ops.truncate(MAX_LISTED);
        let (count, total, opset) = (self.nodes.len(), self.total, self.opset);
        write!(f, "{count} of {total} nodes cannot be imported (opset {opset}): {}", ops.join(", "))?;
        for UnsupportedNode { node, op, reason } in self.nodes.iter().take(MAX_LISTED) {
            write!(f, "\n  `{node}` ({op}, opset {opset}): {reason}")?;
        }
        match count.saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

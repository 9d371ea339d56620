//! ONNX models (<https://onnx.ai>): opsets 9 to 21, as PyTorch, Keras and others export them.
//!
//! The graph is converted node by node, in the order of the file. A value is either known (a
//! weight, or the result of arithmetic on shapes, which is folded) or a value of the network, with
//! the order in which ONNX sees its elements. Reshapes and transpositions change only that order, slices and pads are merged
//! into convolutions, and the operators that remain are those of [`Op`](crate::op::Op).
//!
//! The batch is 1 where it is a symbol. A model of images in N, H, W, C order, which begins with a
//! transposition, becomes one whose input is C, H, W. Initializers keep their names.

mod builder;
mod constant;
mod convert;
mod error;
mod feature;
mod fold;
mod graph;
mod input;
mod node;
mod proto;
mod tensor;
#[cfg(test)]
mod tests;

use std::boxed::Box;
use std::path::Path;
use std::string::ToString;

use prost::Message;

pub use error::{OPSETS, OnnxError, Unsupported, UnsupportedNode};

use super::{ImportError, ImportOptions, one_line};
use crate::network::Network;
use proto::ModelProto;

/// Whether the file may be an ONNX model. The format has no magic number: unless its name says
/// what it is, a model begins, as protobuf, with its IR version (3 came with opset 1).
pub(super) fn detect(path: &Path, bytes: &[u8]) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("onnx")) || matches!(bytes, [0x08, 3..=32, ..])
}

/// Reads a model. Preprocessing is not part of ONNX: it is the default with what `options` state.
pub(super) fn load(path: &Path, bytes: &[u8], options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    // Lengths are checked against what is left of the bytes before anything is allocated.
    let model = ModelProto::decode(bytes)
        .map_err(|e| ImportError::Damaged { path: path.into(), reason: one_line(&e.to_string()) })?;
    let network = graph::network(model, path, bytes.len(), options)?;
    network.check().map_err(|error| ImportError::Network { path: path.into(), error: Box::new(error) })?;
    Ok(network)
}

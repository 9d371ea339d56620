//! Reading and writing of `.safetensors` files (<https://github.com/huggingface/safetensors>).

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use ::safetensors::tensor::View;
use ::safetensors::{Dtype, SafeTensors};

use super::tensors::Tensors;
use super::{Contents, ImportError, is_printable, one_line};
use crate::artifact::FileError;
use crate::network::Tensor;

/// Key of `__metadata__` that holds the graph as the text of a `graph.toml`.
pub const GRAPH_KEY: &str = "tfc.graph";

/// Length of the little-endian u64 before the header.
const PREFIX: usize = 8;

/// Whether the file begins like safetensors: a length, then a JSON object.
pub(super) fn detect(bytes: &[u8]) -> bool {
    bytes.get(PREFIX) == Some(&b'{')
}

/// Parses a file. The header is checked in full by the `safetensors` crate: tensors neither
/// overlap nor leave holes, and the last one ends where the file does.
pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Contents<'a>, ImportError> {
    let damaged = |e: ::safetensors::SafeTensorError| ImportError::Damaged {
        path: path.into(),
        reason: one_line(&e.to_string()),
    };
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let data = bytes.get(PREFIX + header..).unwrap_or_default();
    let mut tensors = Vec::new();
    for (name, info) in metadata.tensors() {
        if !is_printable(&name) {
            return Err(ImportError::Name { path: path.into(), name });
        }
        let (start, end) = info.data_offsets;
        let values = data.get(start..end).unwrap_or_default();
        tensors.push((name, info.shape.clone(), info.dtype, values));
    }
    let graph = metadata.metadata().as_ref().and_then(|m| m.get(GRAPH_KEY)).cloned();
    let tensors = Tensors::from_bytes(tensors.into_iter())
        .map_err(|reason| ImportError::Damaged { path: path.into(), reason })?;
    Ok(Contents { tensors, graph })
}

/// A file of F32 tensors that carries its graph. Equal input gives equal bytes.
pub(super) fn serialize(path: &Path, tensors: &[Tensor], graph: String) -> Result<Vec<u8>, ImportError> {
    if let Some(t) = tensors.iter().find(|t| !is_printable(&t.name) || t.name == "__metadata__") {
        return Err(ImportError::Name { path: path.into(), name: t.name.clone() });
    }
    // One key only: the crate writes a hash map, whose order would differ from run to run.
    let metadata = HashMap::from([(GRAPH_KEY.to_string(), graph)]);
    let named = tensors.iter().map(|t| (t.name.as_str(), Values(t)));
    ::safetensors::serialize(named, Some(metadata))
        .map_err(|e| FileError::Io { path: path.into(), error: std::io::Error::other(e) }.into())
}

struct Values<'a>(&'a Tensor);

impl View for Values<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.0.data.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        self.0.data.len() * size_of::<f32>()
    }
}

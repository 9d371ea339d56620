//! What can be wrong with a file that is imported or written.

use std::boxed::Box;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

use super::graph::GraphError;
use super::onnx::{OnnxError, Unsupported};
use super::tensors::{DtypeError, Tensors};
use crate::artifact::FileError;
use crate::network::NetworkError;
use crate::preprocess::MAX_CHANNELS;

/// Why a network could not be imported or saved. One line that names the file; only two kinds
/// list more below that line: an unknown architecture the families that are known and the
/// tensors, an ONNX model with unsupported nodes all of them.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is missing or cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("{}: is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file is of no known format.
    #[error("{}: is neither a .safetensors file nor an .onnx model", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file is truncated or its header lies.
    #[error("{}: is damaged or truncated: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its header gets wrong.
        reason: String,
    },
    /// A tensor's name holds control characters or is reserved.
    #[error("{}: {name:?} cannot be the name of a tensor", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A tensor that is needed has a data type that is not supported.
    #[error("{}: {error}", path.display())]
    Dtype {
        /// The file with the tensor.
        path: PathBuf,
        /// Tensor and data type.
        error: DtypeError,
    },
    /// The graph description has an error.
    #[error("{}: {error}", path.display())]
    Graph {
        /// The file with the description.
        path: PathBuf,
        /// The error in it.
        error: Box<GraphError>,
    },
    /// The network does not pass [`Network::check`](crate::network::Network::check).
    #[error("{}: {error}", path.display())]
    Network {
        /// The file with the tensors.
        path: PathBuf,
        /// What is wrong.
        error: Box<NetworkError>,
    },
    /// The tensors' names are those of a known family, their shapes are not.
    #[error(
        "{}: taken for a {family}, but {error}; describe another architecture with --graph \
         (`tfc graph` drafts one)",
        path.display()
    )]
    Family {
        /// The file.
        path: PathBuf,
        /// The family's name.
        family: &'static str,
        /// What does not fit.
        error: Box<NetworkError>,
    },
    /// The family's samples have a mean image subtracted, and the caller states no mean instead.
    #[error(
        "{}: a {family} reads samples minus the mean image of its training data, which preprocessing \
         cannot express; give the means of the channels instead, nearly the same, with --mean {}, or \
         --mean 0 for samples that have the image subtracted already",
        path.display(),
        Means(means)
    )]
    MeanImage {
        /// The file.
        path: PathBuf,
        /// The family's name.
        family: &'static str,
        /// Means of the image's channels; empty if the file does not hold it.
        means: Vec<f32>,
    },
    /// Nothing tells how the tensors are connected.
    #[error(
        "{}: the architecture is not known; draft a description with `tfc graph`, complete it and \
         give it with --graph\nknown by their tensors:{}\ntensors of the file:{tensors}",
        path.display(),
        super::known::summary()
    )]
    UnknownArchitecture {
        /// The file.
        path: PathBuf,
        /// What it holds.
        tensors: TensorList,
    },
    /// An ONNX model is not of a form that can be imported.
    #[error("{}: {error}", path.display())]
    Onnx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Box<OnnxError>,
    },
    /// Nodes of an ONNX model cannot be imported.
    #[error("{}: {error}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// All of them.
        error: Unsupported,
    },
    /// The file could not be written; nothing is left behind.
    #[error("cannot write {0}")]
    Write(#[from] FileError),
}

struct Means<'a>(&'a [f32]);

impl fmt::Display for Means<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("M1,M2,...");
        }
        for (index, mean) in self.0.iter().take(MAX_CHANNELS).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{mean:.1}")?;
        }
        Ok(())
    }
}

/// Names and shapes of a file's tensors, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorList(pub Vec<(String, Vec<usize>)>);

/// Most tensors that a message lists.
const MAX_LISTED: usize = 200;

impl From<&Tensors<'_>> for TensorList {
    fn from(tensors: &Tensors<'_>) -> Self {
        Self(tensors.iter().map(|e| (e.name.clone(), e.shape.clone())).collect())
    }
}

impl fmt::Display for TensorList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(" none");
        }
        for (name, shape) in self.0.iter().take(MAX_LISTED) {
            write!(f, "\n  {name} {shape:?}")?;
        }
        match self.0.len().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

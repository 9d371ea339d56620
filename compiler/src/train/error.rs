//! What stops a training run.

use std::path::PathBuf;

use tfc_formats::network::NetworkError;
use tfc_formats::op::Shape;

use crate::device::DeviceError;

/// A caller's own error, from the pruning callback.
pub type PruneError = Box<dyn std::error::Error + Send + Sync>;

/// Why a network was not trained or evaluated. The caller's network is left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The network does not pass its checks.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Nodes without a backward pass, all of them.
    #[error(
        "cannot train or evaluate node {}: no backward pass for these ops (softmax: only as the last); compile it with `--epochs 0`",
        list(.0)
    )]
    Unsupported(Vec<Refused>),
    /// The result is not one vector of class scores.
    #[error("the network's output is {0}; training needs a vector with one score a class")]
    Output(Shape),
    /// Samples do not fit the network's input.
    #[error("samples are {samples}, the network takes {network}")]
    Input {
        /// Shape of one sample.
        samples: Shape,
        /// Shape of the network's input.
        network: Shape,
    },
    /// More classes than the network has scores for, or a teacher with others.
    #[error("{what} has {found} classes, the network has {network}")]
    Classes {
        /// Which input disagrees.
        what: &'static str,
        /// Its classes.
        found: usize,
        /// Scores of the network.
        network: usize,
    },
    /// No samples in a split.
    #[error("the {0} set is empty")]
    Empty(&'static str),
    /// No labels in a split.
    #[error("the {0} samples have no labels; give folders of classes or --labels")]
    Unlabelled(&'static str),
    /// An option that makes no sense.
    #[error("{0}")]
    Option(String),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Loss became infinite or NaN.
    #[error(
        "training diverged in epoch {epoch} at step {step}: the loss is {loss}; lower the learning rate ({rate})"
    )]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step in the epoch at which it was noticed, from 1.
        step: usize,
        /// The mean loss.
        loss: f64,
        /// The base rate.
        rate: f32,
    },
    /// The pruning callback failed.
    #[error("pruning: {0}")]
    Prune(PruneError),
    /// Stopped by request.
    #[error("{}", match .checkpoint {
        Some(path) => format!("stopped; continue with --resume from {}", path.display()),
        None => "stopped; no checkpoint was asked for".to_owned(),
    })]
    Interrupted {
        /// Where to continue from.
        checkpoint: Option<PathBuf>,
    },
    /// A checkpoint cannot be written, read or used here.
    #[error("checkpoint {}: {reason}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

/// A node that cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The node's name.
    pub node: String,
    /// Its op's name.
    pub op: &'static str,
}

fn list(refused: &[Refused]) -> String {
    refused.iter().map(|r| format!("`{}` ({})", r.node, r.op)).collect::<Vec<_>>().join(", ")
}

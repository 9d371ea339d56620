//! What stops a compilation.

use std::path::PathBuf;

use tfc_formats::import::ImportError;
use tfc_formats::network::NetworkError;
use tfc_formats::op::Shape;

use crate::device::DeviceError;
use crate::encode::EncodeError;
use crate::execute::ExecuteError;
use crate::factorize::FactorizeError;
use crate::one_shot::OneShotError;
use crate::train::TrainError;

/// Why nothing was compiled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The data set's samples do not fit the network.
    #[error("data set `{data}` has samples of {samples}, the network takes {network}")]
    Samples {
        /// Name of the data set.
        data: String,
        /// Shape of its samples.
        samples: Shape,
        /// Shape of the network's input.
        network: Shape,
    },
    /// The data set has classes that the network cannot name.
    #[error("data set `{data}` has {classes} classes, the network has {outputs} outputs")]
    Classes {
        /// Name of the data set.
        data: String,
        /// Its classes.
        classes: u32,
        /// Elements of the network's output.
        outputs: u32,
    },
    /// The data set has no labels.
    #[error(
        "data set `{0}` has no labels, which fine-tuning and accuracy need; give folders of classes or --labels, or compile without --data"
    )]
    Unlabelled(String),
    /// The goal or the split is out of range.
    #[error("{0}")]
    Option(String),
    /// A validation error can only be kept with data.
    #[error("a limit on the loss of accuracy needs labelled data (--data)")]
    NeedsData,
    /// Ranges of values can only be found with inputs.
    #[error("int8 needs inputs to find the range of each value (--data or --calibration)")]
    NeedsInputs,
    /// The directory for unfinished work cannot be used.
    #[error("{}: {reason}", path.display())]
    Work {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Saving or loading a stage.
    #[error(transparent)]
    Stage(#[from] ImportError),
    /// Factors.
    #[error(transparent)]
    Factorize(#[from] FactorizeError),
    /// One-shot pruning.
    #[error(transparent)]
    OneShot(#[from] OneShotError),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Encoding.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Running the artifact.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl CompileError {
    /// Whether the work was stopped by request.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            CompileError::Train(TrainError::Interrupted { .. })
                | CompileError::OneShot(OneShotError::Interrupted)
        )
    }
}

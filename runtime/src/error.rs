//! One small enum an operation.

use core::fmt::{Display, Formatter, Result};

use tfc_formats::artifact::ArtifactError;

/// Why bytes are not a model that can run here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelError {
    /// Not a valid `.tfc` file.
    Artifact(ArtifactError),
    /// The network's input or output does not fit the address space of this device.
    TooLarge,
    /// This program was built for models that need less.
    Needs,
}

impl From<ArtifactError> for ModelError {
    fn from(error: ArtifactError) -> Self {
        Self::Artifact(error)
    }
}

impl Display for ModelError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Artifact(error) => error.fmt(f),
            Self::TooLarge => f.write_str("the network does not fit the address space of this device"),
            Self::Needs => {
                f.write_str("the model needs ops or encodings that this program was built without")
            }
        }
    }
}

impl core::error::Error for ModelError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Artifact(error) => Some(error),
            Self::TooLarge | Self::Needs => None,
        }
    }
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// The arena is too small.
    ArenaLen {
        /// Bytes that the model needs: [`Model::arena_len`](crate::Model::arena_len).
        needed: usize,
        /// Bytes given.
        given: usize,
    },
    /// The arena does not begin at a multiple of 16.
    ArenaAlignment,
}

impl Display for SessionError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::ArenaLen { needed, given } => {
                write!(f, "the arena has {given} bytes and the model needs {needed}")
            }
            Self::ArenaAlignment => f.write_str("the arena does not begin at a multiple of 16 bytes"),
        }
    }
}

impl core::error::Error for SessionError {}

/// Why there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// The input has another number of elements than the network's input.
    InputLen {
        /// Elements of [`Model::input_shape`](crate::Model::input_shape).
        expected: usize,
        /// Elements given.
        given: usize,
    },
    /// Bytes were given to, or asked of, a network whose input or output is f32.
    NotI8,
    /// A step cannot be run. The checks of [`Model::new`](crate::Model::new) exclude this.
    Step {
        /// Its number, from 0.
        step: usize,
    },
}

impl Display for RunError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::InputLen { expected, given } => {
                write!(f, "the input has {given} elements and the network takes {expected}")
            }
            Self::NotI8 => f.write_str("the network's input or output is f32, not i8"),
            Self::Step { step } => write!(f, "step {step} contradicts the checks of its file"),
        }
    }
}

impl core::error::Error for RunError {}

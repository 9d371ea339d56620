use std::io;
use std::path::PathBuf;

use super::BOARDS;

/// Why a model was not measured on a board.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// No such place.
    #[error("{0:?} is no board; there are {list}, probe:CHIP and ssh:user@host", list = names())]
    Unknown(String),
    /// A program that is needed is not on this machine.
    #[error("{what} is not installed: {install}")]
    Missing {
        /// What is missing.
        what: String,
        /// Command that installs it.
        install: String,
    },
    /// The sources of the firmware are nowhere.
    #[error("{}: no Cargo.toml; --firmware DIR names the folder examples/cortex-m of the sources of tfc", path.display())]
    Sources {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A program failed.
    #[error("{program}: {reason}")]
    Failed {
        /// The program.
        program: String,
        /// What it said, or how it ended.
        reason: String,
    },
    /// A program went on for too long and was ended.
    #[error("{program}: no end after {seconds} s")]
    Endless {
        /// The program.
        program: String,
        /// Time that it was given.
        seconds: u64,
    },
    /// The model is too large for the board.
    #[error("the model with its input has {needed} bytes; {board} has {given} bytes of flash for them")]
    Flash {
        /// The board.
        board: String,
        /// Bytes of the model and its input.
        needed: u64,
        /// Bytes behind the program.
        given: u64,
    },
    /// What the program printed cannot be understood.
    #[error("{program} printed {found:?}, where {expected} was expected")]
    Lines {
        /// The program.
        program: String,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: String,
    },
}

impl BoardError {
    /// Whether the model does not fit, so that others may.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::Flash { .. } => true,
            Self::Failed { reason, .. } => reason.contains("Ram {"),
            _ => false,
        }
    }
}

fn names() -> String {
    BOARDS.map(|board| board.name).join(", ")
}

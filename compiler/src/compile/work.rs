//! Unfinished work on disk: checkpoints and finished levels.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::CompileError;

/// Names the run that the rest of the folder belongs to.
const RUN: &str = "run.json";

/// A directory for unfinished work, beside the output.
#[derive(Debug)]
pub struct Work {
    path: PathBuf,
    resumed: bool,
}

/// What to do with work that a run before left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// There must be none.
    Refuse,
    /// Start over.
    Replace,
    /// Go on from it.
    Resume,
}

impl Work {
    /// Makes the directory for the run that `run` describes, all options and inputs of it. Work
    /// is only gone on from if it was left by the same run, and only removed if a run left it.
    pub fn open(path: &Path, leftover: Leftover, run: &str) -> Result<Self, CompileError> {
        let refuse = |reason: &str| CompileError::Work { path: path.into(), reason: reason.to_owned() };
        let failed = |error: io::Error| refuse(&error.to_string());
        let marker = path.join(RUN);
        match (path.exists(), leftover) {
            (false, Leftover::Resume) => {
                return Err(refuse("no unfinished work to resume; run without --resume"));
            }
            (false, _) => {}
            (true, _) if !marker.is_file() => {
                return Err(refuse("is in the way: it holds no unfinished work of this program"));
            }
            (true, Leftover::Refuse) => {
                return Err(refuse("unfinished work; --resume goes on from it, --force starts over"));
            }
            (true, Leftover::Replace) => fs::remove_dir_all(path).map_err(failed)?,
            (true, Leftover::Resume) => {
                if fs::read_to_string(&marker).map_err(failed)? != run {
                    return Err(refuse(
                        "was left by a run with other options, network or data; --force starts over",
                    ));
                }
                return Ok(Self { path: path.into(), resumed: true });
            }
        }
        fs::create_dir_all(path).map_err(failed)?;
        if let Err(error) = fs::write(&marker, run) {
            // What could not be written is not to be in the way of the next run.
            let _ = fs::remove_dir_all(path);
            return Err(failed(error));
        }
        Ok(Self { path: path.into(), resumed: false })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there may be something in it to go on from.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Removes the directory and all in it, unless there is something to go on from: the work was
    /// `interrupted`, or an error came up in work that was resumed.
    pub fn close(self, done: bool, interrupted: bool) -> Result<(), CompileError> {
        if interrupted || self.resumed && !done {
            return Ok(());
        }
        fs::remove_dir_all(&self.path)
            .map_err(|error| CompileError::Work { path: self.path, reason: error.to_string() })
    }
}

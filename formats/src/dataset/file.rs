//! Files that are read whole.

use std::borrow::ToOwned;
use std::fs;
use std::path::Path;
use std::vec::Vec;

use super::sample::InputError;

/// Most bytes of a picture, an array of inputs or a table of labels.
pub(super) const MAX_FILE: u64 = 1 << 28;

/// All bytes of a regular file that has `most` at most. Opening a pipe would hang and a device never ends.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>, InputError> {
    let io = |error| InputError::Io { file: path.to_owned(), error };
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(InputError::NotAFile { file: path.to_owned() });
    }
    if metadata.len() > most {
        return Err(InputError::TooLong { file: path.to_owned(), bytes: metadata.len(), most });
    }
    fs::read(path).map_err(io)
}

//! Artifacts on disk.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::AlignedBytes;

/// A file cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Longer than the format can be.
    #[error("{}: {len} bytes; a .tfc file has at most 4 GiB", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// A directory or device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
}

/// Reads a whole file into aligned memory, for [`Artifact::parse`](super::Artifact::parse).
pub fn open(path: impl AsRef<Path>) -> Result<AlignedBytes, FileError> {
    let path = path.as_ref();
    let io = |error| FileError::Io { path: path.to_path_buf(), error };
    // Opening a pipe would wait for its other end.
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_path_buf() });
    }
    let len = metadata.len();
    let too_long = || FileError::TooLong { path: path.to_path_buf(), len };
    let len = u32::try_from(len).map_err(|_| too_long())?;
    let mut bytes = AlignedBytes::zeroed(len as usize);
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(io)?;
    Ok(bytes)
}

/// Writes a file whole or not at all: into a temporary one beside it, which then takes its name.
/// On an error nothing is left behind and a file that was there before is as it was.
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
    let path = path.as_ref();
    let io = |error| FileError::Io { path: path.to_path_buf(), error };
    // The rename would replace a device by a file.
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return Err(FileError::NotAFile { path: path.to_path_buf() });
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private; this one is to get what any new file would.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".tfc-").tempfile_in(folder).map_err(|e| io(without_path(e)))?;
    let inner = file.as_file_mut();
    inner.write_all(bytes).and_then(|()| inner.sync_all()).map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    Ok(())
}

/// Errors of `tempfile` name the temporary file; ours name the one that was asked for.
fn without_path(error: io::Error) -> io::Error {
    io::Error::from(error.kind())
}

//! Files that appear whole or not at all.

use std::fs;
use std::io::{Error, ErrorKind, Result, Write};
use std::path::Path;

/// Writes `bytes` to a temporary file beside `path`, then renames it to `path`. If anything
/// fails, the file that was there before is untouched and nothing new is left behind.
///
/// # Errors
/// Those of the file system; and [`ErrorKind::InvalidInput`] where `path` is a directory or a
/// device, which a rename would replace.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(Error::new(ErrorKind::InvalidInput, "exists and is not a regular file"));
    }
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As a file that is simply created: everybody, less the umask. A temporary file would be 0600.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"first").unwrap();
        write(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_directories_and_missing_parents() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write(dir.path(), b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
        let missing = dir.path().join("no/such/a");
        assert_eq!(write(&missing, b"x").unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn refuses_devices() {
        assert_eq!(write(Path::new("/dev/null"), b"x").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

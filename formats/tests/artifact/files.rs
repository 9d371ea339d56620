//! Artifacts on disk.

use std::fs;

use tfc_formats::artifact::{Artifact, FileError, open, write_file};

use crate::sample::{mixed, walk};

fn names(folder: &std::path::Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.tfc");
    let bytes = mixed().write().unwrap();
    write_file(&path, b"before").unwrap();
    write_file(&path, &bytes).unwrap();
    let read = open(&path).unwrap();
    assert_eq!(*read, *bytes);
    walk(&Artifact::parse(&read).unwrap());
    assert_eq!(names(folder.path()), ["m.tfc"]);
}

#[test]
fn an_empty_file_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(open(file.path()).unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn a_new_file_has_the_usual_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let [ours, usual] = ["ours", "usual"].map(|name| folder.path().join(name));
    write_file(&ours, b"x").unwrap();
    fs::write(&usual, b"x").unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(ours), mode(usual));
}

#[test]
fn errors_name_the_file_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/m.tfc");
    for error in [open(&missing).unwrap_err(), write_file(&missing, b"x").unwrap_err()] {
        assert!(matches!(&error, FileError::Io { path, .. } if *path == missing), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(missing.to_str().unwrap()) && !text.contains('\n'), "{text}");
        assert!(!text.contains(".tfc-"), "{text}");
    }
    for error in [open(folder.path()).unwrap_err(), write_file(folder.path(), b"x").unwrap_err()] {
        assert!(matches!(&error, FileError::NotAFile { path } if path == folder.path()), "{error:?}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn a_file_too_long_for_the_format_is_refused_before_it_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // Takes no room on the disk.
    file.as_file().set_len(1 << 32).unwrap();
    let error = open(file.path()).unwrap_err();
    assert!(matches!(error, FileError::TooLong { len: 0x1_0000_0000, .. }), "{error:?}");
}

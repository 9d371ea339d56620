//! Writing results: stdout, and files that appear whole or not at all.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use super::{Format, Global};

/// Prints data: `text` for people, `data` as JSON for programs.
pub(super) fn emit(global: Global, text: impl FnOnce() -> String, data: &impl Serialize) -> Result<()> {
    match global.format {
        Format::Text => print(&text()),
        Format::Json => print(&(serde_json::to_string_pretty(data)? + "\n")),
    }
}

/// Prints text on stdout.
pub(super) fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    Ok(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Stdout)?)
}

/// Results cannot be printed.
#[derive(Debug, thiserror::Error)]
#[error("stdout: {0}")]
pub(super) struct Stdout(io::Error);

/// Whether stdout was closed by who reads it, as `head` does.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_some_and(|Stdout(e)| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints data and passes on the outcome of a check, whoever reads the data.
pub(super) fn emit_and_check(printed: Result<()>, check: Result<()>) -> Result<()> {
    match printed {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => check,
    }
}

/// A message on stderr.
pub(super) fn note(global: Global, text: &str) {
    if !global.quiet {
        complain(text);
    }
}

/// A line on stderr, if anybody still reads it.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Checks that writing one file does not destroy another that is needed.
pub(super) fn check_distinct(path: &Path, other: &Path) -> Result<()> {
    let real = |path: &Path| Some(fs::canonicalize(folder(path)).ok()?.join(path.file_name()?));
    if real(path).is_some() && real(path) == real(other) {
        bail!("{}: would be overwritten; name another file", other.display());
    }
    Ok(())
}

/// Checks before hours of work that a file can be written at the end: it is not there yet or may
/// be replaced, and its folder takes files.
pub(super) fn check_writable(path: &Path, force: bool) -> Result<()> {
    if path.exists() && !force {
        bail!("{}: exists already; --force replaces it", path.display());
    }
    if path.is_dir() {
        bail!("{}: is a directory; name a file", path.display());
    }
    let folder = folder(path);
    tempfile::Builder::new()
        .prefix(".tfc-")
        .tempfile_in(&folder)
        .map(drop)
        .map_err(|e| anyhow!("{}: cannot write into {}: {}", path.display(), folder.display(), e.kind()))
}

/// Folder for unfinished work beside an output: `model.tfc.work`.
pub(super) fn work_folder(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".work");
    name.into()
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.into(),
        _ => PathBuf::from("."),
    }
}

//! Opening `.tfc` files for the verbs that take one.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Result, anyhow};
use tfc_formats::artifact::{AlignedBytes, Artifact, MAGIC, open};

/// Whether a file is an artifact, sound or not, by its first bytes or its name.
pub(super) fn is_artifact(path: &Path) -> bool {
    let begins = || -> std::io::Result<bool> {
        let mut magic = [0; MAGIC.len()];
        File::open(path)?.read_exact(&mut magic)?;
        Ok(magic == MAGIC)
    };
    // Opening a pipe would wait for its other end.
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    path.extension().is_some_and(|extension| extension == "tfc") || is_file && begins().unwrap_or(false)
}

/// Reads a file that is to be an artifact; its errors name it.
pub(super) fn read(path: &Path) -> Result<AlignedBytes> {
    let bytes = open(path)?;
    parse(path, &bytes)?;
    Ok(bytes)
}

/// Parses the bytes of a file.
pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Artifact<'a>> {
    Artifact::parse(bytes).map_err(|error| anyhow!("{}: {error}", path.display()))
}

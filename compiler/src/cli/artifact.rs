//! Opening `.tfc` files for the verbs that take one.

use std::path::Path;

use anyhow::{Result, anyhow};
use tfc_formats::artifact::{AlignedBytes, Artifact, open};

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

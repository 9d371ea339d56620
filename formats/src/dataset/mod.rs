//! Labelled samples for pruning, fine-tuning and evaluation, and single inputs for running.
//!
//! [`load`] asks each entry of one table of formats in turn; a new format is a file of its own
//! and a line in that table.

mod cifar;
mod digits;
mod error;
mod glyphs;
pub mod idx;
pub mod npy;
pub mod sample;
mod samples;

use std::borrow::ToOwned;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

pub use error::{DatasetError, SamplesError};
pub use samples::Samples;

/// A data set: what may be used for choosing, and what only reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// For messages.
    pub name: String,
    /// Pruning, fine-tuning and validation come from here.
    pub train: Samples,
    /// Only ever evaluated.
    pub test: Samples,
}

/// One kind of data set.
struct Format {
    /// What a user writes to get it.
    usage: &'static str,
    /// Whether this format answers for `spec`.
    recognises: fn(spec: &str) -> bool,
    /// Loads what `recognises` accepted.
    load: fn(spec: &str) -> Result<Dataset, DatasetError>,
}

/// All formats; the first that recognises a specification loads it.
const FORMATS: [Format; 3] = [digits::FORMAT, idx::FORMAT, cifar::FORMAT];

/// Loads a data set.
///
/// `spec` is a folder, whose content tells its kind, or `builtin:digits`, which generates a data set:
/// - IDX files, raw or gzipped, as MNIST and its relatives are distributed; the number of classes
///   is the largest training label + 1;
/// - the binary version of CIFAR-10 or CIFAR-100.
///
/// The error for anything else lists what was found and what is understood.
///
/// # Errors
/// Anything unexpected in the files, by name; samples of train and test that differ in shape; a
/// test label that no training sample has room for.
pub fn load(spec: &str) -> Result<Dataset, DatasetError> {
    if let Some(format) = FORMATS.iter().find(|f| (f.recognises)(spec)) {
        return (format.load)(spec);
    }
    Err(unknown(spec))
}

/// The error for what no format answers for.
fn unknown(spec: &str) -> DatasetError {
    let (path, understood) = (Path::new(spec), FORMATS.map(|f| f.usage).join("; or "));
    let spec = spec.to_owned();
    if path.exists() {
        DatasetError::Unknown { spec, found: found(path), understood }
    } else {
        DatasetError::NotFound { spec, understood }
    }
}

/// What is at a path, for messages: the first few names of a folder.
fn found(path: &Path) -> String {
    /// Names that are told.
    const SOME: usize = 5;
    let Ok(entries) = path.read_dir() else { return "a single file".to_owned() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| std::format!("`{}`", entry.file_name().display())).collect();
    names.sort();
    match names.len() {
        0 => "nothing".to_owned(),
        n if n > SOME => std::format!("{} and {} more", names[..SOME].join(", "), n - SOME),
        _ => names.join(", "),
    }
}

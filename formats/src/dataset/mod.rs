//! Labelled samples for pruning, fine-tuning and evaluation, and single inputs for running.
//!
//! [`load`] asks each entry of one table of formats in turn; a new format is a file of its own
//! and a line in that table.

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
const FORMATS: [Format; 2] = [digits::FORMAT, idx::FORMAT];

/// Loads a data set.
///
/// `spec` is a folder of IDX files, raw or gzipped, as MNIST and its relatives are distributed,
/// or `builtin:digits`, which generates one; the error for anything else lists what is understood.
/// Number of classes: the largest training label + 1 (10 for `builtin:digits`).
///
/// # Errors
/// Anything unexpected in the files, by name; samples of train and test that differ in shape; a
/// test label that no training sample has room for.
pub fn load(spec: &str) -> Result<Dataset, DatasetError> {
    if let Some(format) = FORMATS.iter().find(|f| (f.recognises)(spec)) {
        return (format.load)(spec);
    }
    let (spec, understood) = (spec.to_owned(), FORMATS.map(|f| f.usage).join("; or "));
    Err(if Path::new(&spec).exists() {
        DatasetError::Unknown { spec, understood }
    } else {
        DatasetError::NotFound { spec, understood }
    })
}

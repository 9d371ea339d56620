//! Samples for pruning, fine-tuning and evaluation, and single inputs for running.
//!
//! [`load`] asks each entry of one table of formats in turn; a new format is a file of its own
//! and a line in that table.

mod arrays;
mod cifar;
mod digits;
mod error;
mod file;
mod glyphs;
pub mod idx;
mod images;
mod labels;
pub mod npy;
mod picture;
pub mod sample;
mod samples;

use std::borrow::ToOwned;
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use crate::op::Shape;
use crate::preprocess::Preprocess;

pub use error::{DatasetError, SamplesError};
pub use samples::Samples;

/// A data set: what may be used for choosing, and what only reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// For messages.
    pub name: String,
    /// Names of the classes, in order, where they have any.
    pub class_names: Vec<String>,
    /// Pruning, fine-tuning and validation come from here.
    pub train: Samples,
    /// Only ever evaluated; empty where there is none.
    pub test: Samples,
}

/// What a data set is loaded for. Nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions<'a> {
    /// Input of a network, and how images of another size become that. Without it, all images are
    /// taken as they are and must have one size.
    pub fit: Option<(Shape, &'a Preprocess)>,
    /// Table of the classes of images that lie in one folder, in place of a `labels.tsv` there: lines
    /// of `file<TAB>class`. `file` is a name, with or without extension, or the number that a name
    /// begins with. Classes are numbers from 0, or names, which are numbered in sorted order.
    pub labels: Option<&'a Path>,
    /// Added to every label: 1 for networks that have a class for the background before the others.
    pub label_offset: u32,
    /// Most samples of each split that are taken, evenly spread over what there is: of more images, the
    /// others are not decoded. All, without it.
    pub most: Option<usize>,
}

/// Most classes, counted up to the largest label.
const MAX_CLASSES: u32 = 1 << 16;

impl LoadOptions<'_> {
    /// Refuses a table of labels where there is nothing that it could be about.
    fn refuse_table(&self, spec: &str) -> Result<(), DatasetError> {
        match self.labels {
            Some(table) => {
                Err(DatasetError::NeedlessTable { table: table.to_owned(), spec: spec.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// One kind of data set.
struct Format {
    /// What a user writes to get it.
    usage: &'static str,
    /// Whether this format answers for `spec`.
    recognises: fn(spec: &str) -> bool,
    /// Loads what `recognises` accepted.
    load: fn(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError>,
}

/// All formats; the first that recognises a specification loads it.
const FORMATS: [Format; 5] = [digits::FORMAT, idx::FORMAT, cifar::FORMAT, images::FORMAT, arrays::FORMAT];

/// Loads a data set as it is; see [`load_with`].
pub fn load(spec: &str) -> Result<Dataset, DatasetError> {
    load_with(spec, &LoadOptions::default())
}

/// Loads a data set.
///
/// `spec` is a folder, whose content tells its kind, or `builtin:digits`, which generates a data set:
/// - IDX files, raw or gzipped, as MNIST and its relatives are distributed; the number of classes
///   is the largest training label + 1;
/// - the binary version of CIFAR-10 or CIFAR-100;
/// - folders of PNG and JPEG images: `train/CLASS/*` and `test/CLASS/*` or `val/CLASS/*`, or `CLASS/*`,
///   which is a training set without a test set. Classes are numbered by name;
/// - PNG and JPEG images in one folder, a training set, whose labels are in a table or which have none;
/// - a file of IDX images or an NPY array of bytes `[N, C, H, W]`, a training set without labels.
///
/// The error for anything else lists what was found and what is understood.
///
/// # Errors
/// Anything unexpected in the files, by name; samples of train and test that differ in shape; a
/// test label that no training sample has room for.
pub fn load_with(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    let format = FORMATS.iter().find(|f| (f.recognises)(spec)).ok_or_else(|| unknown(spec))?;
    let mut dataset = (format.load)(spec, options)?;
    for samples in [&mut dataset.train, &mut dataset.test] {
        if let Some(most) = options.most.filter(|&most| most < samples.len()) {
            *samples = samples.evenly(most);
        }
    }
    dataset.shift_labels(options.label_offset)?;
    Ok(dataset)
}

impl Dataset {
    fn shift_labels(&mut self, offset: u32) -> Result<(), DatasetError> {
        for samples in [&mut self.train, &mut self.test].into_iter().filter(|s| s.is_labelled()) {
            let classes = samples.classes.checked_add(offset).filter(|&classes| classes <= MAX_CLASSES);
            samples.classes = classes.ok_or(DatasetError::Offset { offset })?;
            samples.labels.iter_mut().for_each(|label| *label += offset);
        }
        if !self.class_names.is_empty() {
            let before = (0..offset).map(|class| std::format!("{class}"));
            self.class_names = before.chain(std::mem::take(&mut self.class_names)).collect();
        }
        Ok(())
    }
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

//! Flags that say how data is read; shared by all verbs that read some.

use std::path::PathBuf;

use anyhow::{Result, bail};
use tfc_formats::dataset::{self, Dataset, LoadOptions, Samples};
use tfc_formats::op::Shape;
use tfc_formats::preprocess::Preprocess;

/// What can be given as a data set.
pub(super) const UNDERSTOOD: &str = "\
Data set:
  - a folder of IDX files, as MNIST has them, or of CIFAR-10 or CIFAR-100 binaries;
  - a folder of PNG or JPEG images: train/CLASS/* with test/CLASS/* or val/CLASS/*; CLASS/*; or images
    alone, which have the labels that --labels or a labels.tsv in the folder gives them, or none;
  - a file of IDX images or an NPY array of bytes [N, C, H, W], without labels;
  - builtin:digits, a generator.";

/// What labels are, if the data does not say it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Data")]
pub(super) struct LabelArgs {
    /// Classes of images in one folder, in lines of file<TAB>class: a name, with or without extension, or
    /// the number that it begins with; and a number from 0 or a name [default: labels.tsv in the folder].
    #[arg(long, value_name = "FILE", requires = "data")]
    labels: Option<PathBuf>,
    /// Added to every label: 1 for a network whose first class is the background.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, requires = "data")]
    label_offset: u32,
}

impl LabelArgs {
    /// Loads a data set for a network with this input.
    pub(super) fn load(&self, spec: &str, input: Shape, preprocess: &Preprocess) -> Result<Dataset> {
        let options = LoadOptions {
            fit: Some((input, preprocess)),
            labels: self.labels.as_deref(),
            label_offset: self.label_offset,
            most: None,
        };
        Ok(dataset::load_with(spec, &options)?)
    }
}

/// Loads at most so many training samples, evenly spread, of which only the inputs matter.
pub(super) fn inputs(spec: &str, input: Shape, preprocess: &Preprocess, most: usize) -> Result<Samples> {
    let options = LoadOptions { fit: Some((input, preprocess)), most: Some(most), ..LoadOptions::default() };
    let data = dataset::load_with(spec, &options)?;
    if data.train.is_empty() {
        bail!("data set `{}` has no training set", data.name);
    }
    Ok(data.train)
}

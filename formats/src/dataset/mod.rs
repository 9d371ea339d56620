//! Labelled samples for pruning, fine-tuning and evaluation.

use std::string::String;
use std::vec::Vec;

use crate::op::Shape;

/// Labelled samples of one split: raw bytes in C, H, W order, not yet preprocessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Shape of one sample.
    pub shape: Shape,
    /// Number of classes; every label is below it.
    pub classes: u32,
    /// All samples one after the other.
    pub data: Vec<u8>,
    /// Class of each sample.
    pub labels: Vec<u32>,
}

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

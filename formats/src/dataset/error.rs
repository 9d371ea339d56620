//! What can be wrong with a data set.

use std::io;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

use crate::op::Shape;

/// What is wrong with labelled samples.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// Nothing to train on or to evaluate.
    #[error("the data set is empty")]
    Empty,
    /// Length of the data disagrees with the shape and the number of labels.
    #[error("{labels} samples of {shape} need {labels} times its elements, found {bytes} bytes")]
    Length {
        /// Shape of one sample.
        shape: Shape,
        /// Number of labels.
        labels: usize,
        /// Length of the data.
        bytes: usize,
    },
    /// A label is not below the number of classes.
    #[error("label {label} of sample {index} is out of range: there are {classes} classes, counted from 0")]
    Label {
        /// Position of the first such sample.
        index: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: u32,
    },
}

/// Why a data set could not be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// Neither built in nor the path of something.
    #[error("`{spec}` is neither built in nor does it exist; give {understood}")]
    NotFound {
        /// What was asked for.
        spec: String,
        /// What may be asked for.
        understood: String,
    },
    /// The path exists, but no format answers for it.
    #[error("`{spec}` holds no data set that is understood: found {found}; give {understood}")]
    Unknown {
        /// What was asked for.
        spec: String,
        /// What is there.
        found: String,
        /// What may be asked for.
        understood: String,
    },
    /// An option behind `?` is not understood.
    #[error("option `{option}` of a built-in data set is not understood; give {understood}")]
    Option {
        /// The option as written.
        option: String,
        /// What may be written.
        understood: &'static str,
    },
    /// A file is missing from a folder.
    #[error("{folder}: found no file `{name}` or `{name}.gz`")]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// Name of the file that it lacks.
        name: String,
    },
    /// A folder holds several data sets.
    #[error("{folder}: holds both `{first}` and `{second}`; keep one data set a folder")]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// One file.
        first: String,
        /// Another for the same purpose.
        second: String,
    },
    /// The operating system could not read a file.
    #[error("{file}: {error}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("{file}: is not a regular file")]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// The file is not a whole number of records.
    #[error("{file}: has {bytes} bytes; expected records of {record} bytes, at least one")]
    Records {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// Bytes of one record.
        record: u64,
    },
    /// A record has a label that is not below the number of classes.
    #[error("{file}: record {record} has label {label}, but there are {classes} classes, counted from 0")]
    Label {
        /// The file.
        file: PathBuf,
        /// Position of the first such record, from 0.
        record: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: u32,
    },
    /// A gzipped file cannot be decompressed.
    #[error("{file}: gzip data is damaged or truncated: {error}")]
    Gzip {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The first two bytes are not 0.
    #[error("{file}: not an IDX file, which starts with two zero bytes")]
    Magic {
        /// The file.
        file: PathBuf,
    },
    /// Elements are not unsigned bytes.
    #[error("{file}: element type {code:#04x} is not supported, expected unsigned bytes (0x08)")]
    Dtype {
        /// The file.
        file: PathBuf,
        /// Third byte of the file.
        code: u8,
    },
    /// Wrong number of axes.
    #[error("{file}: has {found} axes, expected {expected}")]
    Rank {
        /// The file.
        file: PathBuf,
        /// Fourth byte of the file.
        found: usize,
        /// What its purpose needs.
        expected: &'static str,
    },
    /// An extent is 0.
    #[error("{file}: is empty: its extents are {dims:?}")]
    Empty {
        /// The file.
        file: PathBuf,
        /// Extents in the header.
        dims: Vec<usize>,
    },
    /// Extents whose product cannot be addressed.
    #[error("{file}: extents {dims:?} are larger than any file")]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Extents in the header.
        dims: Vec<usize>,
    },
    /// The file ends early.
    #[error("{file}: is truncated: {found} bytes (after decompression), expected {expected}")]
    Truncated {
        /// The file.
        file: PathBuf,
        /// Bytes that its header promises, header included.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// The file goes on after its last element.
    #[error("{file}: has bytes after its end: expected {expected} (after decompression)")]
    Trailing {
        /// The file.
        file: PathBuf,
        /// Bytes that its header promises, header included.
        expected: usize,
    },
    /// Number of images and number of labels differ.
    #[error("{images}: has {image_count} images, but {labels} has {label_count} labels")]
    Count {
        /// File of images.
        images: PathBuf,
        /// Number of images.
        image_count: usize,
        /// File of labels.
        labels: PathBuf,
        /// Number of labels.
        label_count: usize,
    },
    /// Training and test samples differ in shape.
    #[error("{file}: test samples are {test}, training samples are {train}")]
    Shape {
        /// File of test images.
        file: PathBuf,
        /// Shape of a training sample.
        train: Shape,
        /// Shape of a test sample.
        test: Shape,
    },
    /// The samples contradict themselves.
    #[error("{file}: {error}")]
    Samples {
        /// File of labels.
        file: PathBuf,
        /// The reason.
        error: SamplesError,
    },
}

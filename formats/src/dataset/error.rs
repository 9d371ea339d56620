//! What can be wrong with a data set.

use std::io;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use thiserror::Error;

use super::npy::NpyError;
use super::sample::InputError;
use crate::op::Shape;

/// What is wrong with samples.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// Nothing to train on or to evaluate.
    #[error("the data set is empty")]
    Empty,
    /// Labels where there are no classes.
    #[error("there are {labels} labels, but no classes")]
    NoClasses {
        /// Number of labels.
        labels: usize,
    },
    /// Length of the data disagrees with the shape and the number of labels, if there are any.
    #[error("{samples} samples of {shape} need {samples} times its elements, found {bytes} bytes")]
    Length {
        /// Shape of one sample.
        shape: Shape,
        /// Number of samples.
        samples: usize,
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
    /// A folder of a class is empty.
    #[error("{folder}: holds no PNG or JPEG image; a folder of a class needs at least one")]
    NoImages {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder named like a split holds images where folders of classes are expected.
    #[error(
        "{folder}: holds images itself, but train/, test/ and val/ need a folder for each class; give {folder} alone to take its images without classes"
    )]
    FlatSplit {
        /// The folder.
        folder: PathBuf,
    },
    /// A class of the test set is not among those of the training set.
    #[error("{folder}: is taken for a class, but the training set has none of this name")]
    NotTrained {
        /// Folder of the class.
        folder: PathBuf,
    },
    /// Images that do not fit in memory.
    #[error("{images} images of {shape} do not fit in memory; give fewer")]
    Memory {
        /// Number of images.
        images: usize,
        /// Shape of each.
        shape: Shape,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A line of a table of labels is not understood.
    #[error("{file}: line {line}: {reason}")]
    Table {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A table of labels leaves out an image.
    #[error("{image}: has no label in {table}")]
    Unlisted {
        /// The image.
        image: PathBuf,
        /// The table.
        table: PathBuf,
    },
    /// A table of labels for samples that it cannot name.
    #[error("{table}: `{spec}` is no folder of images without classes, which labels could be for")]
    NeedlessTable {
        /// The table.
        table: PathBuf,
        /// The data set.
        spec: String,
    },
    /// Labels beyond the most classes.
    #[error(
        "labels moved up by {offset} are out of range: at most {} classes are counted",
        super::MAX_CLASSES
    )]
    Offset {
        /// What was to be added.
        offset: u32,
    },
    /// An NPY array is damaged.
    #[error("{file}: {error}")]
    Npy {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: NpyError,
    },
    /// An NPY array holds other numbers than bytes.
    #[error("{file}: holds {} such as {value} at index {index}; samples are raw bytes, integers from 0 to 255", if *.integer { "integers" } else { "floats" })]
    NotBytes {
        /// The file.
        file: PathBuf,
        /// Position of the first such value.
        index: usize,
        /// The value.
        value: f32,
        /// Whether the array has integers.
        integer: bool,
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

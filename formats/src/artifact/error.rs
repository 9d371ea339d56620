//! What can be wrong with a `.tfc` file.

use core::fmt::{Display, Formatter, Result};

use super::VERSION;
use crate::op::{Shape, ShapeError};

/// Why bytes are not a valid artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The first four bytes are not those of a `.tfc` file.
    Magic,
    /// Fewer bytes than the fixed header.
    Short,
    /// Written in a version of the format that this reader does not know.
    Version(u16),
    /// A flag, a reserved byte or padding is not zero.
    Reserved,
    /// More or fewer bytes than the file says it has.
    Length {
        /// Length in the header.
        stated: u32,
        /// Bytes given.
        found: usize,
    },
    /// The manifest's length and the sections' offset contradict each other or the file's length.
    Layout,
    /// The checksum does not match.
    Crc {
        /// In the header.
        stated: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// The bytes do not begin at a multiple of 4 in memory.
    Misaligned,
    /// The manifest's first record cannot be decoded.
    Header,
    /// Bytes are left over behind the last step.
    ManifestEnd,
    /// Preprocessing has values that are not finite, or a wrong number of channels.
    Preprocess,
    /// An input of i8 without constants for raw samples, one of f32 with them, or constants that are
    /// not allowed.
    Quantize,
    /// More scratch than arena.
    Arena,
    /// The network's input is not placed correctly.
    Input(ValueError),
    /// The network's output is not placed correctly.
    Output(ValueError),
    /// The network's output has a halo.
    OutputHalo,
    /// The scratch does not hold the network's output as f32.
    OutputScratch,
    /// The fixed header states other needs than the steps come to.
    Needs {
        /// Bits of the fixed header.
        stated: u32,
        /// Bits of all steps.
        found: u32,
    },
    /// A step is wrong.
    Step {
        /// Its number, from 0.
        step: u32,
        /// The reason.
        error: StepError,
    },
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepError {
    /// Its record cannot be decoded.
    Decode,
    /// An input is not placed correctly.
    Input(ValueError),
    /// The output is not placed correctly.
    Output(ValueError),
    /// The op cannot be applied to these inputs.
    Shape(ShapeError),
    /// The output has another shape than the op computes.
    OutputShape {
        /// What the op computes.
        expected: Shape,
    },
    /// The output lies on an input, or on a part of the residual.
    Overlap,
    /// Inputs and output are neither all f32 nor all i8, or an op that only moves i8 has an input of
    /// another scale or zero point than its output.
    Element,
    /// There is no such op on i8.
    NotInteger,
    /// Bounds and shifts are missing, are given to an op that has none, or are out of range.
    Requantization,
    /// A multiplier is odd or negative.
    Multiplier,
    /// A convolution's input has less halo than the convolution pads, or a dense step's has any.
    Halo,
    /// A matrix where the op takes none, or none where it takes one.
    Matrix,
    /// The matrix has another shape than the op needs.
    MatrixShape {
        /// Rows that the op needs.
        rows: u32,
        /// Columns that the op needs.
        cols: u32,
    },
    /// An array is not aligned or not inside the sections.
    Array,
    /// An array has an element type that is not allowed in its place.
    ArrayDtype,
    /// An array has a wrong number of elements.
    ArrayLen {
        /// What its place needs.
        expected: u32,
        /// What it has.
        found: u32,
    },
    /// Sparse rows in blocks of another size than [`BLOCKS`](super::BLOCKS).
    Block {
        /// Rows of a block.
        found: u8,
    },
    /// Lengths of rows do not add up to the number of entries.
    RowLen,
    /// Columns of a row are not strictly rising or not inside the matrix.
    Column {
        /// The row; of a block, the first.
        row: u32,
    },
    /// This step and those before it name the same sparse matrices so often that checking them
    /// would take longer than a fixed multiple of the file's length.
    Sharing,
    /// A wrong number of parameter arrays.
    Params,
    /// Needs more scratch than the header reserves.
    Scratch,
}

/// What is wrong with a value's place in the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueError {
    /// No elements, or more bytes than fit 32 bits.
    Extent,
    /// The scale of i8 is not finite and above 0.
    Scale,
    /// The offset is not a multiple of 16.
    Alignment,
    /// In the scratch, or past the end of the arena.
    Bounds,
}

impl Display for ArtifactError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Magic => f.write_str("not a .tfc file: it does not begin with the bytes 89 54 46 43"),
            Self::Short => f.write_str("shorter than the fixed header of 32 bytes; the file is cut off"),
            Self::Version(v) if *v > VERSION => {
                write!(f, "format version {v}, this program reads {VERSION}; update the program")
            }
            Self::Version(v) => {
                write!(f, "format version {v}, this program reads {VERSION}; compile the model again")
            }
            Self::Reserved => f.write_str("reserved bits or padding are not zero; the file is damaged"),
            Self::Length { stated, found } => {
                write!(
                    f,
                    "{found} bytes, but the header says {stated}; the file is cut off or has extra bytes"
                )
            }
            Self::Layout => f.write_str("lengths in the fixed header contradict each other"),
            Self::Crc { stated, computed } => {
                write!(f, "CRC-32 is {computed:08x}, but the header says {stated:08x}; the file is damaged")
            }
            Self::Misaligned => f.write_str(
                "the bytes are not aligned in memory; align the buffer to 16 (with Aligned or AlignedBytes)",
            ),
            Self::Header => f.write_str("the manifest's header cannot be decoded"),
            Self::ManifestEnd => f.write_str("the manifest has bytes behind its last step"),
            Self::Preprocess => f.write_str("preprocessing does not fit the input's channels"),
            Self::Quantize => f.write_str("constants for raw samples do not fit the input"),
            Self::Arena => f.write_str("scratch is larger than the arena"),
            Self::Input(error) => write!(f, "the network's input {error}"),
            Self::Output(error) => write!(f, "the network's output {error}"),
            Self::OutputHalo => f.write_str("the network's output has a halo"),
            Self::OutputScratch => f.write_str("the scratch does not hold the network's output as f32"),
            Self::Needs { stated, found } => {
                write!(f, "the header states needs {stated:#x}, the steps come to {found:#x}")
            }
            Self::Step { step, error } => write!(f, "step {step}: {error}"),
        }
    }
}

impl Display for StepError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Decode => f.write_str("the record cannot be decoded"),
            Self::Input(error) => write!(f, "an input {error}"),
            Self::Output(error) => write!(f, "the output {error}"),
            Self::Shape(error) => write!(f, "{error}"),
            Self::OutputShape { expected } => write!(f, "the output's shape should be {expected}"),
            Self::Overlap => f.write_str("the output overlaps an input or a part of the residual"),
            Self::Element => f.write_str("the elements of inputs and output do not fit each other or the op"),
            Self::NotInteger => f.write_str("there is no such op on i8"),
            Self::Requantization => f.write_str("shifts and bounds do not fit the op"),
            Self::Multiplier => f.write_str("a multiplier is odd or negative"),
            Self::Halo => f.write_str("the input's halo does not fit the op"),
            Self::Matrix => f.write_str("a matrix is missing, or there is one where the op takes none"),
            Self::MatrixShape { rows, cols } => write!(f, "the matrix should be {rows}x{cols}"),
            Self::Array => f.write_str("an array is not aligned or outside the sections"),
            Self::ArrayDtype => f.write_str("an array has an element type that is not allowed there"),
            Self::ArrayLen { expected, found } => {
                write!(f, "an array has {found} elements, expected {expected}")
            }
            Self::Block { found } => {
                write!(f, "sparse rows are in blocks of {found}, which may be of 1, 2 or 4 rows")
            }
            Self::RowLen => f.write_str("lengths of rows do not add up to the number of entries"),
            Self::Column { row } => {
                write!(f, "columns of row {row} are not rising or outside the matrix")
            }
            Self::Sharing => f.write_str("sparse matrices are shared by too many steps"),
            Self::Params => f.write_str("the number of parameter arrays does not fit the op"),
            Self::Scratch => f.write_str("needs more scratch than the header reserves"),
        }
    }
}

impl Display for ValueError {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Extent => "has no elements or is larger than 4 GiB",
            Self::Scale => "has a scale that is not finite and above 0",
            Self::Alignment => "is not at a multiple of 16 bytes",
            Self::Bounds => "is not between the scratch and the end of the arena",
        })
    }
}

impl core::error::Error for ArtifactError {}
impl core::error::Error for StepError {}
impl core::error::Error for ValueError {}

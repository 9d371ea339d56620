//! Records of the manifest, in postcard. They hold no weights: weights are [`Array`]s in the
//! aligned sections behind the manifest, read in place.
//!
//! There are no tables and no ids: a step carries the records of the values it reads and
//! writes and of its matrix, so a device decodes one step at a time into a few hundred bytes of
//! stack, and a matrix that two steps share is two records that name one section.

use serde::{Deserialize, Serialize};

use crate::op::{Activation, Op, Padding, Shape};
use crate::preprocess::Preprocess;

/// Most inputs of a step.
pub const MAX_INPUTS: usize = 8;

/// Most parameter arrays of a step beside its matrix.
pub const MAX_PARAMS: usize = 2;

/// Rows that a block of compressed sparse rows may have.
pub const BLOCKS: [u8; 3] = [1, 2, 4];

/// First record of the manifest; `steps` records of [`Step`] follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header<'a> {
    /// Name of the network.
    pub name: &'a str,
    /// Program and version that wrote the file.
    pub producer: &'a str,
    /// From a raw sample to `input`.
    pub preprocess: Preprocess,
    /// Where the preprocessed sample goes.
    pub input: Value,
    /// Where the result is when all steps have run; its halo is zero.
    pub output: Value,
    /// Bytes of arena that a session needs, exactly, scratch included.
    pub arena_len: u32,
    /// Bytes at the start of the arena for the use of one step at a time; values lie behind.
    pub scratch_len: u32,
    /// Number of steps.
    pub steps: u32,
}

/// Type of the elements of an array or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dtype {
    /// IEEE 754 single.
    F32,
    /// IEEE 754 half, little-endian.
    F16,
    /// Unsigned byte.
    U8,
    /// Unsigned 16 bits.
    U16,
    /// Unsigned 32 bits.
    U32,
}

/// A run of little-endian elements in the sections, aligned to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// Element type.
    pub dtype: Dtype,
    /// Bytes from the start of the sections; a multiple of 16.
    pub offset: u32,
    /// Number of elements.
    pub len: u32,
}

/// A place in the arena. Channel `c`, row `y`, column `x` of the interior is element
/// `(c * (top + h + bottom) + top + y) * (left + w + right) + left + x` from `offset`.
/// Whoever writes a value writes its whole extent, the halo with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// Extent without the halo.
    pub shape: Shape,
    /// Zeros around every plane, for the convolutions that read it.
    pub halo: Padding,
    /// Element type.
    pub dtype: Dtype,
    /// Bytes from the start of the arena; a multiple of 16.
    pub offset: u32,
}

/// A stored matrix, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// Rows; for a convolution, output channels.
    pub rows: u32,
    /// Columns; for a convolution, `in / groups * kh * kw`.
    pub cols: u32,
    /// How its elements lie.
    pub storage: Storage,
}

/// How the elements of a matrix lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Storage {
    /// All `rows * cols` values, f32 or f16.
    Dense {
        /// The values.
        values: Array,
    },
    /// Compressed sparse rows, in blocks of consecutive rows that share their columns: the stored
    /// entries of block 0, then those of block 1, ... Where `rows` is no multiple of `block`, the
    /// last block has more rows than the matrix, and their values are zero.
    Csr {
        /// Rows of a block: one of [`BLOCKS`]; 1 for rows with columns of their own.
        block: u8,
        /// Number of entries of each block: u8, u16 or u32, `rows / block` of them, rounded up.
        row_len: Array,
        /// Column of each entry.
        index: ColumnIndex,
        /// Values of each entry, f32 or f16: one for each row of the block, next to each other.
        values: Array,
    },
}

/// Column indices of compressed sparse rows; strictly rising within a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnIndex {
    /// u8: distance from the entry before (from column 0 for the first of a block). A gap over
    /// 255 is bridged by entries of zeros.
    Delta(Array),
    /// u16 or u32: the column itself.
    Absolute(Array),
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step<'a> {
    /// Name of the node it came from.
    pub name: &'a str,
    /// What it computes.
    pub op: Op,
    /// Values it reads.
    pub inputs: heapless::Vec<Value, MAX_INPUTS>,
    /// Value it writes; overlaps none that it reads.
    pub output: Value,
    /// Weight of a convolution or dense step.
    pub matrix: Option<Matrix>,
    /// Per output channel, f32 or f16: convolution and dense none or `[bias]`, batch norm
    /// `[scale, shift]` of `x * scale + shift`.
    pub params: heapless::Vec<Array, MAX_PARAMS>,
    /// Applied to each element as it is stored.
    pub activation: Option<Activation>,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> u32 {
        match self {
            Dtype::U8 => 1,
            Dtype::F16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::U32 => 4,
        }
    }
}

impl Array {
    /// Bytes of all elements, or `None` if they do not fit 32 bits.
    pub const fn bytes(self) -> Option<u32> {
        self.len.checked_mul(self.dtype.size())
    }
}

impl Value {
    /// Shape with the halo, or `None` if an extent does not fit 32 bits.
    pub fn padded(&self) -> Option<Shape> {
        let h = self.shape.h.checked_add(u32::from(self.halo.top) + u32::from(self.halo.bottom))?;
        let w = self.shape.w.checked_add(u32::from(self.halo.left) + u32::from(self.halo.right))?;
        Some(Shape { h, w, ..self.shape })
    }

    /// Bytes in the arena, halo included, or `None` if they do not fit 32 bits.
    pub fn bytes(&self) -> Option<u32> {
        self.padded()?.elements()?.checked_mul(self.dtype.size())
    }
}

impl Matrix {
    /// Number of stored values; zeros may be among them.
    pub const fn stored(&self) -> u32 {
        match self.storage {
            Storage::Dense { values } | Storage::Csr { values, .. } => values.len,
        }
    }
}

//! Records of the manifest, in postcard. They hold no weights: weights are [`Array`]s in the
//! aligned sections behind the manifest, read in place.
//!
//! There are no tables and no ids: a step carries the records of the values it reads and
//! writes and of its matrix, so a device decodes one step at a time into a few hundred bytes of
//! stack, and a matrix that two steps share is two records that name one section.

use serde::{Deserialize, Serialize};

use crate::op::{Activation, Op, Padding, Shape};
use crate::preprocess::{MAX_CHANNELS, Preprocess};

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
    /// From a raw sample to an `input` of i8: one for all channels or one a channel, in the order of
    /// the input's channels; none for an input of f32.
    pub quantize: heapless::Vec<Affine, MAX_CHANNELS>,
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

/// Type of the elements of an array.
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
    /// Signed byte.
    I8,
    /// Signed 32 bits.
    I32,
}

/// Elements of a value and what they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Element {
    /// IEEE 754 single.
    F32,
    /// A signed byte `q` that stands for `scale * (q - zero)`.
    I8 {
        /// Difference of neighbouring numbers; finite and above 0.
        scale: f32,
        /// What stands for 0, in the halo too.
        zero: i8,
    },
}

/// `(x * multiplier + offset) >> shift` in wrapping 32-bit arithmetic. The shift is arithmetic;
/// zero points and rounding are in `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affine {
    /// Ratio of the scales, times 2^`shift`.
    pub multiplier: i32,
    /// Added before the shift.
    pub offset: i32,
    /// Bits behind the binary point, below 32.
    pub shift: u8,
}

/// From the sums of a step to the i8 that it stores; FORMAT.md says how, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requantization {
    /// Left shift of a sum before it is multiplied, below 32.
    pub left: u8,
    /// Added to the high word of the product: zero point and rounding of what is stored.
    pub offset: i32,
    /// Arithmetic right shift of the result, below 32.
    pub right: u8,
    /// Least i8 that is stored.
    pub lo: i8,
    /// Largest i8 that is stored; not below `lo`.
    pub hi: i8,
    /// What is added to each element before the right shift.
    pub residual: Option<Residual>,
}

/// A value that a convolution or dense step adds to what it stores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// Of i8 and the shape of the output. It lies apart from the output or exactly where the output
    /// does, halo included: each element is read before it is written.
    pub value: Value,
    /// Of its elements.
    pub multiplier: i32,
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
/// Whoever writes a value writes its whole extent, the halo with zeros, which for i8 are its zero point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Extent without the halo.
    pub shape: Shape,
    /// Zeros around every plane, for the convolutions that read it.
    pub halo: Padding,
    /// Elements.
    pub element: Element,
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
    /// All `rows * cols` values, f32, f16 or i8.
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
        /// Values of each entry, f32, f16 or i8: one for each row of the block, next to each other.
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
    /// Value it writes; overlaps none of its inputs.
    pub output: Value,
    /// Weight of a convolution or dense step.
    pub matrix: Option<Matrix>,
    /// Per output channel, f32 or f16: convolution and dense none or `[bias]`, batch norm
    /// `[scale, shift]` of `x * scale + shift`. Of steps on i8: constants of their integer arithmetic.
    pub params: heapless::Vec<Array, MAX_PARAMS>,
    /// Applied to each element as it is stored; none in steps on i8, which have bounds.
    pub activation: Option<Activation>,
    /// Of steps on i8 that add up.
    pub requantization: Option<Requantization>,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn size(self) -> u32 {
        match self {
            Dtype::U8 | Dtype::I8 => 1,
            Dtype::F16 | Dtype::U16 => 2,
            Dtype::F32 | Dtype::U32 | Dtype::I32 => 4,
        }
    }
}

impl Element {
    /// Bytes of one element.
    pub const fn size(self) -> u32 {
        match self {
            Element::F32 => 4,
            Element::I8 { .. } => 1,
        }
    }

    /// Whether it is i8.
    pub const fn is_i8(self) -> bool {
        matches!(self, Element::I8 { .. })
    }
}

impl Affine {
    /// Of one element, not yet clamped.
    #[inline]
    pub const fn apply(self, x: i32) -> i32 {
        // A shift below 32 is checked by the reader; the mask keeps this from panicking.
        x.wrapping_mul(self.multiplier).wrapping_add(self.offset).wrapping_shr(self.shift as u32)
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
        self.padded()?.elements()?.checked_mul(self.element.size())
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

//! What a model needs of a runtime: a program that is built for one model leaves out the rest.

use super::{ColumnIndex, Dtype, Step, Storage, Value};
use crate::op::{Activation, Op};

/// A set of what models may need: ops and encodings. The fixed header of a file states it, so that a
/// constant expression can read it; the reader checks that it is what the steps come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs(u32);

impl Needs {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything there is.
    pub const ALL: Self = Self(u32::MAX);
    /// A convolution.
    pub const CONV: Self = Self(1 << 0);
    /// A dense layer.
    pub const DENSE: Self = Self(1 << 1);
    /// The largest element of windows.
    pub const MAX_POOL: Self = Self(1 << 2);
    /// The average of windows.
    pub const AVG_POOL: Self = Self(1 << 3);
    /// The average of channels.
    pub const GLOBAL_AVG_POOL: Self = Self(1 << 4);
    /// A batch norm by itself.
    pub const BATCH_NORM: Self = Self(1 << 5);
    /// Local response normalization.
    pub const LRN: Self = Self(1 << 6);
    /// An activation by itself.
    pub const ACTIVATION: Self = Self(1 << 7);
    /// A maxout.
    pub const MAXOUT: Self = Self(1 << 8);
    /// A sum of values.
    pub const ADD: Self = Self(1 << 9);
    /// Values one behind the other.
    pub const CONCAT: Self = Self(1 << 10);
    /// Another shape.
    pub const FLATTEN: Self = Self(1 << 11);
    /// A softmax.
    pub const SOFTMAX: Self = Self(1 << 12);
    /// A dropout, which does nothing.
    pub const DROPOUT: Self = Self(1 << 13);
    /// A matrix with all its elements.
    pub const ALL_COLUMNS: Self = Self(1 << 14);
    /// A sparse matrix with distances of columns.
    pub const DELTA_COLUMNS: Self = Self(1 << 15);
    /// A sparse matrix with columns as they are.
    pub const ABSOLUTE_COLUMNS: Self = Self(1 << 16);
    /// Weights of f32.
    pub const F32: Self = Self(1 << 17);
    /// Weights of f16.
    pub const F16: Self = Self(1 << 18);
    /// An activation other than of pieces that are linear.
    pub const CURVED: Self = Self(1 << 19);
    /// A dense layer whose matrix is transposed.
    pub const TRANSPOSED: Self = Self(1 << 20);
    /// A dense layer with a halo around its output.
    pub const DENSE_HALO: Self = Self(1 << 21);
    /// A convolution of large steps, of very many columns, or of more than 64 KiB of i8.
    pub const LARGE_CONV: Self = Self(1 << 22);
    /// A sparse matrix of blocks of rows.
    pub const BLOCKS: Self = Self(1 << 23);
    /// A step on floats.
    pub const FLOATS: Self = Self(1 << 24);
    /// A step on i8.
    pub const BYTES: Self = Self(1 << 25);
    /// As a number: the bits of the fixed header.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From a number.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What a file states, or everything if it is too short to.
    pub const fn of_file(file: &[u8]) -> Self {
        if file.len() < 28 {
            return Self::ALL;
        }
        Self(u32::from_le_bytes([file[24], file[25], file[26], file[27]]))
    }

    /// What a step needs.
    pub fn of_step(step: &Step<'_>) -> Self {
        let op = match step.op {
            Op::Conv2d(conv) => {
                let columns = step.matrix.map_or(0, |matrix| u64::from(matrix.cols));
                let [height, width] = conv.kernel.map(u64::from);
                // Offsets in bytes of i8 have 16 bits in the kernels of small processors.
                let far = |value: &Value| value.element.is_i8() && value.bytes().is_none_or(|n| n > 1 << 16);
                let large = conv.stride[1] > 2
                    || columns.saturating_mul(height * width) >= 1 << 32
                    || step.inputs.iter().any(far);
                if large { Self::CONV.and(Self::LARGE_CONV) } else { Self::CONV }
            }
            Op::Dense(dense) => {
                let transposed = if dense.transposed { Self::TRANSPOSED } else { Self::NONE };
                let halo = if step.output.halo.is_zero() { Self::NONE } else { Self::DENSE_HALO };
                Self::DENSE.and(transposed).and(halo)
            }
            Op::MaxPool(_) => Self::MAX_POOL,
            Op::AvgPool(_) => Self::AVG_POOL,
            Op::GlobalAvgPool => Self::GLOBAL_AVG_POOL,
            Op::BatchNorm { .. } => Self::BATCH_NORM,
            Op::Lrn { .. } => Self::LRN,
            Op::Activation(activation) => Self::ACTIVATION.and(Self::of_activation(activation)),
            Op::Maxout { .. } => Self::MAXOUT,
            Op::Add => Self::ADD,
            Op::Concat => Self::CONCAT,
            Op::Flatten => Self::FLATTEN,
            Op::Softmax => Self::SOFTMAX,
            Op::Dropout { .. } => Self::DROPOUT,
        };
        let activation = step.activation.map_or(Self::NONE, Self::of_activation);
        let values = |dtype| match dtype {
            Dtype::F16 => Self::F16,
            Dtype::F32 => Self::F32,
            _ => Self::NONE,
        };
        let matrix = step.matrix.map_or(Self::NONE, |matrix| match matrix.storage {
            Storage::Dense { values: array } => Self::ALL_COLUMNS.and(values(array.dtype)),
            Storage::Csr { block, index, values: array, .. } => {
                let columns = match index {
                    ColumnIndex::Delta(_) => Self::DELTA_COLUMNS,
                    ColumnIndex::Absolute(_) => Self::ABSOLUTE_COLUMNS,
                };
                let blocks = if block == 1 { Self::NONE } else { Self::BLOCKS };
                columns.and(blocks).and(values(array.dtype))
            }
        });
        let params = step.params.iter().fold(Self::NONE, |needs, array| needs.and(values(array.dtype)));
        let element = if step.output.element.is_i8() { Self::BYTES } else { Self::FLOATS };
        op.and(element).and(activation).and(matrix).and(params)
    }

    fn of_activation(activation: Activation) -> Self {
        match activation {
            Activation::Sigmoid | Activation::Tanh => Self::CURVED,
            Activation::Relu
            | Activation::Relu6
            | Activation::LeakyRelu { .. }
            | Activation::HardSigmoid { .. }
            | Activation::HardSwish => Self::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_state_their_needs_at_byte_24() {
        let mut file = [0; 32];
        file[24..28].copy_from_slice(&Needs::CONV.and(Needs::F16).bits().to_le_bytes());
        assert_eq!(Needs::of_file(&file), Needs::CONV.and(Needs::F16));
        assert_eq!(Needs::of_file(&file[..27]), Needs::ALL);
        assert!(Needs::ALL.contains(Needs::of_file(&file)));
        assert!(!Needs::of_file(&file).contains(Needs::DENSE));
    }
}

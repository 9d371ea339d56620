//! Compressed sparse rows as sections: lengths of rows, column indices, values.

use sprs::CsMat;
use tfc_formats::artifact::{Array, ColumnIndex, Matrix, Storage, Writer};

use super::matrix::{Precision, write_values};

/// Width of the column indices of compressed sparse rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexWidth {
    /// u8 distances; gaps over 255 are bridged by entries of value zero.
    Delta,
    /// u16 columns.
    Absolute16,
    /// u32 columns.
    Absolute32,
}

/// Entries of a sparse matrix as one index width stores them.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    width: IndexWidth,
    shape: (usize, usize),
    row_len: Vec<u32>,
    index: Vec<u32>,
    values: Vec<f32>,
}

impl Entries {
    pub(super) fn new(matrix: &CsMat<f32>, width: IndexWidth) -> Self {
        let mut entries =
            Self { width, shape: matrix.shape(), row_len: Vec::new(), index: Vec::new(), values: Vec::new() };
        for row in matrix.outer_iterator() {
            let before = entries.index.len();
            let mut at = 0;
            for (column, &value) in row.iter() {
                let column = column as u32;
                match width {
                    IndexWidth::Delta => {
                        while column - at > u32::from(u8::MAX) {
                            entries.push(u32::from(u8::MAX), 0.0);
                            at += u32::from(u8::MAX);
                        }
                        entries.push(column - at, value);
                        at = column;
                    }
                    IndexWidth::Absolute16 | IndexWidth::Absolute32 => entries.push(column, value),
                }
            }
            entries.row_len.push((entries.index.len() - before) as u32);
        }
        entries
    }

    fn push(&mut self, index: u32, value: f32) {
        self.index.push(index);
        self.values.push(value);
    }

    /// Entries of the longest row.
    pub(super) fn longest_row(&self) -> u32 {
        self.row_len.iter().copied().max().unwrap_or(0)
    }

    /// Bytes of the three sections, without alignment.
    pub(super) fn bytes(&self, precision: Precision) -> usize {
        let index = match self.width {
            IndexWidth::Delta => 1,
            IndexWidth::Absolute16 => 2,
            IndexWidth::Absolute32 => 4,
        };
        let row = match self.longest_row() {
            0..=0xFF => 1,
            0x100..=0xFFFF => 2,
            _ => 4,
        };
        self.row_len.len() * row + self.index.len() * (index + precision.bytes())
    }

    pub(super) fn write(&self, writer: &mut Writer, precision: Precision) -> Matrix {
        let row_len = match self.longest_row() {
            0..=0xFF => write_u8s(writer, &self.row_len),
            0x100..=0xFFFF => write_u16s(writer, &self.row_len),
            _ => writer.u32s(&self.row_len),
        };
        let index = match self.width {
            IndexWidth::Delta => ColumnIndex::Delta(write_u8s(writer, &self.index)),
            IndexWidth::Absolute16 => ColumnIndex::Absolute(write_u16s(writer, &self.index)),
            IndexWidth::Absolute32 => ColumnIndex::Absolute(writer.u32s(&self.index)),
        };
        let values = write_values(writer, &self.values, precision);
        let (rows, cols) = (self.shape.0 as u32, self.shape.1 as u32);
        Matrix { rows, cols, storage: Storage::Csr { row_len, index, values } }
    }
}

fn write_u8s(writer: &mut Writer, values: &[u32]) -> Array {
    writer.u8s(&values.iter().map(|&v| v as u8).collect::<Vec<_>>())
}

fn write_u16s(writer: &mut Writer, values: &[u32]) -> Array {
    writer.u16s(&values.iter().map(|&v| v as u16).collect::<Vec<_>>())
}

//! Compressed sparse rows as sections: lengths of rows, column indices, values. Single rows are
//! blocks of one row.

use tfc_formats::artifact::{Array, ColumnIndex, Matrix, Storage, Writer};

use super::matrix::{Precision, write_values};

/// Width of the column indices of compressed sparse rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IndexWidth {
    /// u8 distances; gaps over 255 are bridged by entries of zeros.
    Delta,
    /// u16 columns.
    Absolute16,
    /// u32 columns.
    Absolute32,
}

impl IndexWidth {
    /// All widths.
    pub(super) const ALL: [Self; 3] = [IndexWidth::Delta, IndexWidth::Absolute16, IndexWidth::Absolute32];

    /// Name in reports.
    pub(super) const fn name(self) -> &'static str {
        match self {
            IndexWidth::Delta => "u8",
            IndexWidth::Absolute16 => "u16",
            IndexWidth::Absolute32 => "u32",
        }
    }

    /// Whether it can name all columns of a matrix, and no narrower one of its kind can.
    pub(super) fn fits(self, cols: usize) -> bool {
        match self {
            IndexWidth::Delta => true,
            IndexWidth::Absolute16 => cols <= 1 << 16,
            IndexWidth::Absolute32 => cols > 1 << 16,
        }
    }
}

/// Name of an encoding in reports, with the rows of its blocks if these are several: `csr-u8 x4`.
pub(crate) fn name(index: &str, block: u8) -> String {
    match block {
        1 => format!("csr-{index}"),
        _ => format!("csr-{index} x{block}"),
    }
}

/// A matrix in blocks of rows that share their columns: every column at which one of them is not
/// zero.
#[derive(Debug)]
pub(super) struct Blocks {
    rows: u32,
    cols: u32,
    block: u8,
    /// Entries of each block.
    lens: Vec<usize>,
    columns: Vec<u32>,
    /// `block` values of each entry.
    values: Vec<f32>,
}

impl Blocks {
    /// Of `rows x cols` values.
    pub(super) fn new(rows: usize, cols: usize, dense: &[f32], block: u8) -> Self {
        let height = usize::from(block);
        let (rows, width) = (rows as u32, cols as u32);
        let mut blocks =
            Self { rows, cols: width, block, lens: Vec::new(), columns: Vec::new(), values: Vec::new() };
        for rows in dense.chunks(height * cols.max(1)) {
            let before = blocks.columns.len();
            for column in 0..cols {
                let values = rows[column..].iter().step_by(cols);
                if values.clone().any(|v| *v != 0.0) {
                    blocks.columns.push(column as u32);
                    blocks.values.extend(values);
                    // The last block may have rows that the matrix does not have.
                    blocks.values.resize(blocks.columns.len() * height, 0.0);
                }
            }
            blocks.lens.push(blocks.columns.len() - before);
        }
        blocks
    }
}

/// Entries of a sparse matrix as one index width stores them.
#[derive(Debug)]
pub(super) struct Entries {
    width: IndexWidth,
    rows: u32,
    cols: u32,
    block: u8,
    row_len: Vec<u32>,
    index: Vec<u32>,
    values: Vec<f32>,
}

impl Entries {
    pub(super) fn new(blocks: &Blocks, width: IndexWidth) -> Self {
        let Blocks { rows, cols, block, .. } = *blocks;
        let (row_len, index, values) = (Vec::new(), Vec::new(), Vec::new());
        let mut entries = Self { width, rows, cols, block, row_len, index, values };
        let mut stored = blocks.columns.iter().zip(blocks.values.chunks_exact(usize::from(block)));
        for &len in &blocks.lens {
            let before = entries.index.len();
            let mut at = 0;
            for (&column, values) in stored.by_ref().take(len) {
                match width {
                    IndexWidth::Delta => {
                        while column - at > u32::from(u8::MAX) {
                            entries.push(u32::from(u8::MAX), &vec![0.0; values.len()]);
                            at += u32::from(u8::MAX);
                        }
                        entries.push(column - at, values);
                        at = column;
                    }
                    IndexWidth::Absolute16 | IndexWidth::Absolute32 => entries.push(column, values),
                }
            }
            entries.row_len.push((entries.index.len() - before) as u32);
        }
        entries
    }

    fn push(&mut self, index: u32, values: &[f32]) {
        self.index.push(index);
        self.values.extend(values);
    }

    /// Entries of the longest block.
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
        self.row_len.len() * row + self.index.len() * index + self.values.len() * precision.bytes()
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
        let Self { rows, cols, block, .. } = *self;
        Matrix { rows, cols, storage: Storage::Csr { block, row_len, index, values } }
    }
}

fn write_u8s(writer: &mut Writer, values: &[u32]) -> Array {
    writer.u8s(&values.iter().map(|&v| v as u8).collect::<Vec<_>>())
}

fn write_u16s(writer: &mut Writer, values: &[u32]) -> Array {
    writer.u16s(&values.iter().map(|&v| v as u16).collect::<Vec<_>>())
}

//! Rows of a stored matrix, decoded the same way for the checker, the kernels and reports.

use half::f16;

use super::{Array, Artifact, ColumnIndex, Dtype, Matrix, Storage};

/// Values of one type, to be read as f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// To be widened.
    F16(&'a [f16]),
}

impl<'a> Values<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::F16(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a position.
    #[inline]
    pub fn get(&self, at: usize) -> Option<f32> {
        match self {
            Values::F32(v) => v.get(at).copied(),
            Values::F16(v) => v.get(at).map(|v| v.to_f32()),
        }
    }

    #[inline]
    fn split_at(self, at: usize) -> Option<(Self, Self)> {
        match self {
            Values::F32(v) => v.split_at_checked(at).map(|(a, b)| (Values::F32(a), Values::F32(b))),
            Values::F16(v) => v.split_at_checked(at).map(|(a, b)| (Values::F16(a), Values::F16(b))),
        }
    }
}

/// Columns of stored entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns<'a> {
    /// 0, 1, 2, ...: the row is dense.
    All,
    /// Distance from the entry before, from column 0 for the first of a row.
    Delta(&'a [u8]),
    /// The column.
    U16(&'a [u16]),
    /// The column.
    U32(&'a [u32]),
}

impl<'a> Columns<'a> {
    #[inline]
    fn split_at(self, at: usize) -> Option<(Self, Self)> {
        match self {
            Columns::All => Some((self, self)),
            Columns::Delta(v) => v.split_at_checked(at).map(|(a, b)| (Columns::Delta(a), Columns::Delta(b))),
            Columns::U16(v) => v.split_at_checked(at).map(|(a, b)| (Columns::U16(a), Columns::U16(b))),
            Columns::U32(v) => v.split_at_checked(at).map(|(a, b)| (Columns::U32(a), Columns::U32(b))),
        }
    }

    /// Column of the entry at a position of a row, given that of the entry before it. It does
    /// not wrap: a sum that overflows stays where it is, and no such row passes the checks.
    fn get(&self, at: usize, before: u32) -> Option<u32> {
        match self {
            Columns::All => u32::try_from(at).ok(),
            Columns::Delta(v) => v.get(at).map(|d| before.saturating_add(u32::from(*d))),
            Columns::U16(v) => v.get(at).map(|c| u32::from(*c)),
            Columns::U32(v) => v.get(at).copied(),
        }
    }
}

/// Number of entries of each row, or block of rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum RowLens<'a> {
    /// The same in all rows.
    Dense(u32),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
}

impl RowLens<'_> {
    #[inline]
    pub(super) fn get(&self, row: u32) -> Option<u32> {
        let row = row as usize;
        match self {
            RowLens::Dense(n) => Some(*n),
            RowLens::U8(v) => v.get(row).map(|n| u32::from(*n)),
            RowLens::U16(v) => v.get(row).map(|n| u32::from(*n)),
            RowLens::U32(v) => v.get(row).copied(),
        }
    }
}

impl<'a> Artifact<'a> {
    /// The rows of a matrix, first to last; `None` if it is not a matrix of this file.
    pub fn rows(&self, matrix: &Matrix) -> Option<Rows<'a>> {
        let (block, lens, columns, values) = match matrix.storage {
            Storage::Dense { values } => (1, RowLens::Dense(matrix.cols), Columns::All, self.values(values)?),
            Storage::Csr { block, row_len, index, values } => {
                (block.into(), self.row_lens(row_len)?, self.columns(index)?, self.values(values)?)
            }
        };
        Some(Rows { row: 0, rows: matrix.rows, block, lens, columns, values })
    }

    /// An array of f32 or f16, or `None` if it is of another type or not in the file.
    pub fn values(&self, array: Array) -> Option<Values<'a>> {
        match array.dtype {
            Dtype::F16 => self.f16s(array).map(Values::F16),
            _ => self.f32s(array).map(Values::F32),
        }
    }

    pub(super) fn columns(&self, index: ColumnIndex) -> Option<Columns<'a>> {
        match index {
            ColumnIndex::Delta(array) => self.u8s(array).map(Columns::Delta),
            ColumnIndex::Absolute(array) if array.dtype == Dtype::U16 => self.u16s(array).map(Columns::U16),
            ColumnIndex::Absolute(array) => self.u32s(array).map(Columns::U32),
        }
    }

    pub(super) fn row_lens(&self, array: Array) -> Option<RowLens<'a>> {
        match array.dtype {
            Dtype::U8 => self.u8s(array).map(RowLens::U8),
            Dtype::U16 => self.u16s(array).map(RowLens::U16),
            _ => self.u32s(array).map(RowLens::U32),
        }
    }
}

/// Iterator over the rows of a matrix.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    row: u32,
    rows: u32,
    /// Rows that share their columns.
    block: usize,
    lens: RowLens<'a>,
    /// From the block of `row` on.
    columns: Columns<'a>,
    values: Values<'a>,
}

impl<'a> Rows<'a> {
    /// Rows of a block, which share their columns; 1 for a dense matrix. The last block may have
    /// more rows than are left of the matrix.
    #[inline]
    pub fn block(&self) -> usize {
        self.block
    }

    /// The next `N` blocks at once: how many entries each has, and the columns and values of all of
    /// them, one block behind the other; an entry has a column and [`block`](Self::block) values.
    /// `None`, and nothing is taken, if rows of fewer blocks are left, or in the middle of a block.
    #[inline]
    pub fn next_blocks<const N: usize>(&mut self) -> Option<([usize; N], Columns<'a>, Values<'a>)> {
        let block = u32::try_from(self.block).ok()?;
        if self.row.checked_rem(block)? != 0 {
            return None;
        }
        let first = self.row / block;
        let end =
            first.checked_add(u32::try_from(N).ok()?).filter(|end| *end <= self.rows.div_ceil(block))?;
        let (mut lens, mut sum) = ([0; N], 0usize);
        for (len, at) in lens.iter_mut().zip(first..) {
            *len = self.lens.get(at)? as usize;
            sum = sum.checked_add(*len)?;
        }
        let (columns, columns_rest) = self.columns.split_at(sum)?;
        let (values, values_rest) = self.values.split_at(sum.checked_mul(self.block)?)?;
        self.row = end.saturating_mul(block).min(self.rows);
        (self.columns, self.values) = (columns_rest, values_rest);
        Some((lens, columns, values))
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    #[inline]
    fn next(&mut self) -> Option<Row<'a>> {
        if self.row == self.rows {
            return None;
        }
        let (at, lane) = ((self.row as usize).checked_div(self.block)?, self.row as usize % self.block);
        let len = self.lens.get(u32::try_from(at).ok()?)? as usize;
        let (columns, columns_rest) = self.columns.split_at(len)?;
        let (values, values_rest) = self.values.split_at(len.checked_mul(self.block)?)?;
        self.row += 1;
        if lane + 1 == self.block {
            (self.columns, self.values) = (columns_rest, values_rest);
        }
        Some(Row { columns, values, block: self.block, at: lane, column: 0 })
    }
}

/// Stored entries of one row: an iterator of (column, value), columns rising.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Columns of the whole row, as they are stored.
    pub columns: Columns<'a>,
    /// Values of all rows of its block, as they are stored: the values of the rows at one column
    /// are next to each other.
    pub values: Values<'a>,
    block: usize,
    /// Position of the next value of this row.
    at: usize,
    column: u32,
}

impl Iterator for Row<'_> {
    type Item = (u32, f32);

    fn next(&mut self) -> Option<(u32, f32)> {
        let value = self.values.get(self.at)?;
        self.column = self.columns.get(self.at.checked_div(self.block)?, self.column)?;
        self.at = self.at.checked_add(self.block)?;
        Some((self.column, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.values.len().saturating_sub(self.at).div_ceil(self.block.max(1));
        (left, Some(left))
    }
}

impl ExactSizeIterator for Row<'_> {}

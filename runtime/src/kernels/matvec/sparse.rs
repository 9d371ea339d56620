//! Sparse matrix-vector product over slices of rows (SELL: Kreutzer et al., "A Unified Sparse
//! Matrix Data Format", 2014), their columns relative to a window of the input that moves on with
//! the slice, so that an instruction can pick from it.
//!
//! Lanes that rest multiply an element of the window with zero: an input that is not finite can make
//! outputs NaN that do not depend on it.

use alloc::vec::Vec;

use crate::kernels::Kernels;
use crate::kernels::arch::{Kernel, Slices, Vector, load, store};
use crate::tensor::LINE;

/// Bytes of dense rows that are read in the time of bytes of steps, measured: 4 to 3, in each level of
/// the cache and for halves as for f32.
const DENSE_BYTES: usize = 4;
const STEP_BYTES: usize = 3;

/// A sparse matrix and the bias of its rows.
#[derive(Clone, Debug)]
pub(super) struct Sparse {
    slices: Slices,
    /// The row in each lane of all slices.
    order: Vec<u32>,
    /// Bias of each lane.
    bias: Vec<f32>,
}

impl Sparse {
    /// From rows of (column, value), columns rising, as `kernels` need them. `None` if rows are
    /// shorter than a window or columns are not in them.
    pub(super) fn new(rows: &[Vec<(u32, f32)>], cols: usize, bias: &[f32], kernels: Kernels) -> Option<Self> {
        kernels.dispatch(Build { rows, cols, bias })
    }

    /// Whether it takes less time than a dense matrix of so many elements of type `W`.
    pub(super) fn is_faster<W>(&self, elements: usize) -> bool {
        let dense = elements.saturating_mul(size_of::<W>());
        self.slices.step_bytes().saturating_mul(DENSE_BYTES) < dense.saturating_mul(STEP_BYTES)
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.slices.bytes() + size_of_val(self.order.as_slice()) + size_of_val(self.bias.as_slice())
    }

    /// `out = W x + b`; `None` if a length contradicts the matrix.
    #[inline(always)]
    pub(super) fn product<V: Vector>(&self, x: &[f32], out: &mut [f32]) -> Option<()> {
        for (slice, rows) in self.order.chunks(V::LANES).enumerate() {
            let [start] = load::<V, 1>(self.bias.get(slice * V::LANES..)?)?;
            let mut sums = [0.0; LINE];
            store([self.slices.sums(slice, x, start)?], &mut sums)?;
            for (row, sum) in rows.iter().zip(sums) {
                *out.get_mut(*row as usize)? = sum;
            }
        }
        Some(())
    }
}

struct Build<'a> {
    rows: &'a [Vec<(u32, f32)>],
    cols: usize,
    bias: &'a [f32],
}

impl Kernel for Build<'_> {
    type Output = Option<Sparse>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<Sparse> {
        // Rows of a slice take as many steps as the longest.
        let mut order: Vec<u32> = (0..u32::try_from(self.rows.len()).ok()?).collect();
        order.sort_by_key(|row| self.rows.get(*row as usize).map(Vec::len));
        let together = self.rows.iter().flatten().all(|(_, value)| Slices::has_room(*value));
        let mut slices = Slices::new::<V>(self.cols, together)?;
        let mut bias = Vec::with_capacity(order.len());
        for rows in order.chunks(V::LANES) {
            let lanes = rows.iter().map(|row| self.rows.get(*row as usize).map(Vec::as_slice));
            push_slice::<V>(&mut slices, lanes.collect::<Option<_>>()?, self.cols)?;
            for row in rows {
                bias.push(*self.bias.get(*row as usize)?);
            }
            bias.resize(bias.len().next_multiple_of(V::LANES), 0.0);
        }
        Some(Sparse { slices, order, bias })
    }
}

/// The window of each step begins with the first column that any row is at. Every row that has its
/// next column in it goes on, the others rest.
fn push_slice<V: Vector>(slices: &mut Slices, mut rows: Vec<&[(u32, f32)]>, cols: usize) -> Option<()> {
    while let Some(first) = rows.iter().filter_map(|row| row.first()).map(|entry| entry.0 as usize).min() {
        // Windows that begin with a vector are in fewer cache lines.
        let base = (first / V::LANES * V::LANES).min(cols.checked_sub(V::TABLE)?);
        let mut entries = Vec::with_capacity(V::LANES);
        for (lane, row) in rows.iter_mut().enumerate() {
            if let Some(((column, value), rest)) = row.split_first()
                && let Some(at) = (*column as usize).checked_sub(base)
                && at < V::TABLE
            {
                entries.push((lane, at as u32, *value));
                *row = rest;
            }
        }
        // No row can be stuck before a window: its column would have been the first.
        slices.push_step(base, entries.iter().copied())?;
        if entries.is_empty() {
            return None;
        }
    }
    slices.push_slice()
}

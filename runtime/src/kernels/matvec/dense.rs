//! Dense products, along rows or columns.

use super::Extent;
use crate::kernels::arch::{Element, Vector, add_scaled, dots};
use crate::ops;

/// Rows or columns at once.
const ROWS: usize = 4;

/// Elements of a column from which on they are read one at a time: memory is fastest in one stream,
/// and the outputs, read and written for each, are in the cache.
const LONG: usize = 2048;

/// Vectors of a row or column that are worth its start and end.
const THIN: usize = 8;

/// Whether vectors go along rows rather than columns: as the matrix is stored, unless those are
/// short.
pub(super) fn is_by_rows(extent: Extent, lanes: usize) -> bool {
    let Extent { inputs, outputs, transposed } = extent;
    if inputs.min(outputs) < THIN * lanes { inputs >= outputs } else { !transposed }
}

/// `out = W x + b`, one output behind the other. `None` if a length contradicts another, or rows
/// are shorter than a vector.
#[inline(always)]
pub(super) fn by_rows<V: Vector, W: Element>(
    rows: &[W],
    bias: &[f32],
    x: &[f32],
    out: &mut [f32],
) -> Option<()> {
    ops::copy(out, bias);
    let (blocks, last) = out.as_chunks_mut::<ROWS>();
    let (block_rows, last_rows) = rows.split_at_checked(blocks.len() * ROWS * x.len())?;
    for (out, rows) in blocks.iter_mut().zip(block_rows.chunks_exact((ROWS * x.len()).max(1))) {
        for (out, dot) in out.iter_mut().zip(dots::<V, W, ROWS>(rows, x)?) {
            *out += dot;
        }
    }
    for (out, row) in last.iter_mut().zip(last_rows.chunks_exact(x.len().max(1))) {
        let [dot] = dots::<V, W, 1>(row, x)?;
        *out += dot;
    }
    Some(())
}

/// As [`by_rows`], one input behind the other. The weights of inputs that are zero, as many are
/// behind a ReLU, are not read.
#[inline(always)]
pub(super) fn by_columns<V: Vector, W: Element>(
    columns: &[W],
    bias: &[f32],
    x: &[f32],
    out: &mut [f32],
) -> Option<()> {
    ops::copy(out, bias);
    let mut inputs = x.iter().zip(columns.chunks_exact(out.len().max(1))).filter(|(x, _)| **x != 0.0);
    if out.len() < LONG {
        let mut scales = [0.0; ROWS];
        let mut rows: [&[W]; ROWS] = [&[]; ROWS];
        loop {
            let mut n = 0;
            for ((scale, row), (x, column)) in scales.iter_mut().zip(&mut rows).zip(&mut inputs) {
                (*scale, *row) = (*x, column);
                n += 1;
            }
            if n < ROWS {
                for (scale, row) in scales.iter().zip(rows).take(n) {
                    add_scaled::<V, W, 1>(out, [*scale], [row])?;
                }
                break;
            }
            add_scaled::<V, W, ROWS>(out, scales, rows)?;
        }
    }
    for (x, column) in inputs {
        add_scaled::<V, W, 1>(out, [*x], [column])?;
    }
    Some(())
}

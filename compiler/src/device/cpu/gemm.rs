//! Matrix products.

use faer::{Accum, MatMut as Target, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

use crate::device::{Mat, MatMut};

/// Multiply-accumulates below which a second thread costs more than it saves.
const SEQUENTIAL: usize = 1 << 19;

/// Results up to this size offer too few tiles to several threads.
const SMALL: usize = 1 << 15;
/// A small result's inner extent is cut into pieces at least this long...
const PIECE: usize = 1 << 10;
/// ... but not into more than this many. Neither depends on the number of threads.
const PIECES: usize = 32;

pub(super) fn gemm(
    [m, n, k]: [usize; 3],
    alpha: f32,
    a: Mat<'_, Vec<f32>>,
    b: Mat<'_, Vec<f32>>,
    beta: f32,
    c: MatMut<'_, Vec<f32>>,
) {
    if m * n == 0 {
        return;
    }
    let row_stride = c.row_stride;
    let c = &mut c.buffer[c.offset..][..(m - 1) * row_stride + n];
    // A product replaces or adds; any other factor is applied first.
    let accumulate = if beta == 0.0 { Accum::Replace } else { Accum::Add };
    if k == 0 || (beta != 0.0 && beta != 1.0) {
        for row in c.chunks_mut(row_stride) {
            row[..n].iter_mut().for_each(|c| *c = if beta == 0.0 { 0.0 } else { *c * beta });
        }
    }
    if k == 0 {
        return;
    }
    let (a, b) = (view(&a, m, k), view(&b, k, n));
    if m * n <= SMALL && k >= 2 * PIECE {
        let partial = pieces(alpha, a, b);
        for (i, c) in c.chunks_mut(row_stride).enumerate() {
            for (j, c) in c[..n].iter_mut().enumerate() {
                let sum: f32 = partial.chunks_exact(m * n).map(|piece| piece[i * n + j]).sum();
                *c = if beta == 0.0 { sum } else { *c + sum };
            }
        }
        return;
    }
    let threads = if m * n * k < SEQUENTIAL { Par::Seq } else { Par::rayon(0) };
    let c = target(c, m, n, row_stride);
    matmul(c, accumulate, a, b, alpha, threads);
}

/// The products of pieces of the inner extent, one `m x n` matrix after the other.
fn pieces(alpha: f32, a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Vec<f32> {
    let (m, n, k) = (a.nrows(), b.ncols(), a.ncols());
    let piece = PIECE.max(k.div_ceil(PIECES));
    let mut partial = vec![0.0; m * n * k.div_ceil(piece)];
    partial.par_chunks_mut(m * n).enumerate().for_each(|(i, c)| {
        let (start, len) = (i * piece, piece.min(k - i * piece));
        let c = target(c, m, n, n);
        matmul(c, Accum::Replace, a.subcols(start, len), b.subrows(start, len), alpha, Par::Seq);
    });
    partial
}

/// The `rows x cols` matrix that a product takes.
fn view<'a>(mat: &Mat<'a, Vec<f32>>, rows: usize, cols: usize) -> MatRef<'a, f32> {
    let (stored_rows, stored_cols) = if mat.transposed { (cols, rows) } else { (rows, cols) };
    let data = &mat.buffer[mat.offset..][..(stored_rows - 1) * mat.row_stride + stored_cols];
    let stored = MatRef::from_row_major_slice_with_stride(data, stored_rows, stored_cols, mat.row_stride);
    if mat.transposed { stored.transpose() } else { stored }
}

/// A row-major `rows x cols` result. Written as a transpose, because faer 0.24's own constructor
/// of strided row-major results swaps the strides.
fn target(c: &mut [f32], rows: usize, cols: usize, row_stride: usize) -> Target<'_, f32> {
    Target::from_column_major_slice_with_stride_mut(c, cols, rows, row_stride).transpose_mut()
}

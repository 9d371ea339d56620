//! Factors of symmetric positive definite matrices, on one thread, so that the same matrix gives
//! the same numbers whatever else the machine does.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::inverse::{inverse, inverse_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::{Mat, Par};

/// The lower factor `L` of `A = L L^T`.
pub(super) struct Cholesky(Mat<f64>);

impl Cholesky {
    /// Factors a matrix, of which the lower half is read; `None` if it is not positive definite.
    pub(super) fn new(mut matrix: Mat<f64>) -> Option<Self> {
        let scratch = cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        cholesky_in_place(matrix.as_mut(), Default::default(), Par::Seq, stack, Default::default()).ok()?;
        // A NaN gives a pivot that is not below zero.
        let n = matrix.nrows();
        (0..n).all(|i| matrix[(i, i)] > 0.0 && matrix[(i, i)].is_finite()).then_some(Self(matrix))
    }

    /// The rows of `L` from the diagonal down: `L[i.., i]`.
    pub(super) fn column(&self, i: usize) -> &[f64] {
        &self.0.col_as_slice(i)[i..]
    }

    /// `A^-1`, both halves.
    pub(super) fn inverse(&self) -> Mat<f64> {
        let n = self.0.nrows();
        let mut out = Mat::zeros(n, n);
        let mut memory = MemBuffer::new(inverse_scratch::<f64>(n, Par::Seq));
        inverse(out.as_mut(), self.0.as_ref(), Par::Seq, MemStack::new(&mut memory));
        for column in 0..n {
            for row in column + 1..n {
                out[(column, row)] = out[(row, column)];
            }
        }
        out
    }

    /// Solves `A x = b` in place.
    pub(super) fn solve(&self, b: &mut Mat<f64>) {
        let scratch = solve_in_place_scratch::<f64>(self.0.nrows(), b.ncols(), Par::Seq);
        let mut memory = MemBuffer::new(scratch);
        solve_in_place(self.0.as_ref(), b.as_mut(), Par::Seq, MemStack::new(&mut memory));
    }
}

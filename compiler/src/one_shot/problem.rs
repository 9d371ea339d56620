//! One group of a layer as a problem of least squares.

use faer::Mat;
use rayon::prelude::*;

use super::cholesky::Cholesky;

/// Rows `w` that minimise `(w - w0)^T C (w - w0)`-like errors: with second moments `C` of the
/// inputs `x` and `b` of target and inputs, over the calibration positions, the error of a row is
/// `E (t - w x)^2 = t^2 - 2 b w + w^T C w`. A ridge of `damping` toward the dense weights `w0`
/// makes it definite: `H = C + damping I` and `r = b + damping w0` are what is kept here.
pub(super) struct Problem {
    /// `H`, `d x d`.
    pub(super) hessian: Mat<f64>,
    /// `r` by column: `d x rows`.
    pub(super) moment: Mat<f64>,
    /// `w0`, by column: `d x rows`.
    pub(super) dense: Mat<f64>,
    /// Factor of the ridge.
    pub(super) damping: f64,
    /// `E t^2` of each row.
    pub(super) power: Vec<f64>,
}

impl Problem {
    /// Inputs of a row.
    pub(super) fn inputs(&self) -> usize {
        self.hessian.nrows()
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.moment.ncols()
    }

    /// Whether it is of finite values.
    pub(super) fn is_finite(&self) -> bool {
        let of = |m: &Mat<f64>| (0..m.ncols()).all(|j| m.col_as_slice(j).iter().all(|v| v.is_finite()));
        of(&self.hessian) && of(&self.moment) && self.power.iter().all(|v| v.is_finite())
    }

    /// What the removal of each dense weight of a row costs if the others stay as they are: `w^2 E x^2`.
    pub(super) fn alone(&self, row: usize) -> Vec<f64> {
        let dense = self.dense.col_as_slice(row);
        dense.iter().enumerate().map(|(q, w)| w * w * self.hessian[(q, q)].max(0.0)).collect()
    }

    /// `H^-1` and the rows that minimise the error without any zero (by column); `None` if `H` is
    /// not definite: by rounding, or since it holds NaN or infinities.
    pub(super) fn solve(&self) -> Option<(Mat<f64>, Mat<f64>)> {
        let factor = Cholesky::new(self.hessian.clone())?;
        let mut weights = self.moment.clone();
        factor.solve(&mut weights);
        Some((factor.inverse(), weights))
    }

    /// The rows that minimise the error with the inputs in `keep[row]` alone: the normal equations
    /// of what is kept.
    pub(super) fn solve_kept(&self, keep: &[Vec<bool>]) -> Option<Vec<Vec<f64>>> {
        keep.par_iter().enumerate().map(|(row, keep)| self.solve_row(row, keep)).collect()
    }

    fn solve_row(&self, row: usize, keep: &[bool]) -> Option<Vec<f64>> {
        let kept: Vec<usize> = (0..keep.len()).filter(|&i| keep[i]).collect();
        let mut weights = vec![0.0; keep.len()];
        if !kept.is_empty() {
            let matrix = Mat::from_fn(kept.len(), kept.len(), |i, j| self.hessian[(kept[i], kept[j])]);
            let mut solution = Mat::from_fn(kept.len(), 1, |i, _| self.moment[(kept[i], row)]);
            Cholesky::new(matrix)?.solve(&mut solution);
            for (i, &at) in kept.iter().enumerate() {
                weights[at] = solution[(i, 0)];
            }
        }
        Some(weights)
    }

    /// `w^T C w`, the power of a row's output with these weights, and `b w`, what it has in common
    /// with the target.
    pub(super) fn output(&self, row: usize, weights: &[f64]) -> (f64, f64) {
        let kept: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] != 0.0).collect();
        let (mut power, mut common) = (0.0, 0.0);
        for &j in &kept {
            let column = self.hessian.col_as_slice(j);
            let product: f64 = kept.iter().map(|&i| column[i] * weights[i]).sum();
            let moment = self.moment[(j, row)] - self.damping * self.dense[(j, row)];
            power += weights[j] * (product - self.damping * weights[j]);
            common += weights[j] * moment;
        }
        (power.max(0.0), common)
    }
}

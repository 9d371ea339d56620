//! Truncated singular value decomposition.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, MatRef, Par};

use super::{FactorizeError, Matrix};

/// The thin decomposition `W = U diag(s) V^T` of one matrix. Cut after `k` singular values it is
/// the best approximation of that rank (Eckart & Young 1936).
#[derive(Clone, Debug)]
pub struct Svd {
    u: Mat<f32>,
    v: Mat<f32>,
    singular: Vec<f32>,
}

impl Svd {
    /// Decomposes a row-major matrix. Runs on one thread, so that the same matrix gives the same
    /// factors whatever else the machine does.
    pub fn new(rows: usize, cols: usize, data: &[f32]) -> Result<Self, FactorizeError> {
        let w = MatRef::from_row_major_slice(data, rows, cols);
        let rank = rows.min(cols);
        let (mut u, mut v) = (Mat::zeros(rows, rank), Mat::zeros(cols, rank));
        let mut s = Diag::zeros(rank);
        let (thin, par) = (ComputeSvdVectors::Thin, Par::Seq);
        let mut memory = MemBuffer::new(svd_scratch::<f32>(rows, cols, thin, thin, par, Default::default()));
        let stack = MemStack::new(&mut memory);
        svd(w, s.as_mut(), Some(u.as_mut()), Some(v.as_mut()), par, stack, Default::default())
            .map_err(|_| FactorizeError::Svd { rows, cols })?;
        let singular = s.column_vector().iter().copied().collect();
        Ok(Self { u, v, singular })
    }

    /// Singular values, largest first.
    pub fn singular(&self) -> &[f32] {
        &self.singular
    }

    /// `U sqrt(s)` and `V sqrt(s)` cut to a rank, so that `W ~= left right^T`: `rows x rank` and
    /// `cols x rank`. The rank is capped by the smaller extent.
    pub fn factors(&self, rank: usize) -> (Matrix, Matrix) {
        let rank = rank.min(self.singular.len());
        let half = |of: &Mat<f32>| {
            let value = |i, j| of[(i, j)] * f32::sqrt(self.singular[j]);
            let data = (0..of.nrows()).flat_map(|i| (0..rank).map(move |j| value(i, j))).collect();
            Matrix { rows: of.nrows(), cols: rank, data }
        };
        (half(&self.u), half(&self.v))
    }

    /// `||W - left right^T||_F^2` at a rank.
    pub fn residual(&self, rank: usize) -> f64 {
        self.singular.iter().skip(rank).map(|&s| f64::from(s).powi(2)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 6 x 4 matrix of rank 3 and what is left of it at each rank.
    fn sample() -> Vec<f32> {
        (0..24).map(|i| ((i / 4) as f32 + 1.0) * ((i % 4) as f32 - 1.5) + ((i * i) % 5) as f32).collect()
    }

    fn distance(data: &[f32], (left, right): &(Matrix, Matrix)) -> f64 {
        let mut sum = 0.0;
        for i in 0..left.rows {
            for j in 0..right.rows {
                let dot: f64 = (0..left.cols)
                    .map(|k| {
                        f64::from(left.data[i * left.cols + k]) * f64::from(right.data[j * right.cols + k])
                    })
                    .sum();
                sum += (f64::from(data[i * right.rows + j]) - dot).powi(2);
            }
        }
        sum
    }

    #[test]
    fn the_residual_is_what_the_factors_leave() {
        let data = sample();
        let svd = Svd::new(6, 4, &data).unwrap();
        assert!(svd.singular().is_sorted_by(|a, b| a >= b));
        let total: f64 = data.iter().map(|&v| f64::from(v).powi(2)).sum();
        assert!((svd.residual(0) / total - 1.0).abs() < 1e-5);
        for rank in 0..=4 {
            let factors = svd.factors(rank);
            assert_eq!((factors.0.rows, factors.0.cols, factors.1.rows, factors.1.cols), (6, rank, 4, rank));
            assert!((distance(&data, &factors) - svd.residual(rank)).abs() < 1e-5 * total, "rank {rank}");
        }
    }

    #[test]
    fn wide_matrices_and_capped_ranks() {
        let data: Vec<f32> = sample();
        let factors = Svd::new(4, 6, &data).unwrap().factors(99);
        assert_eq!((factors.0.cols, factors.1.cols), (4, 4));
        assert!(distance(&data, &factors) < 1e-6);
    }
}

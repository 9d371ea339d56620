//! Batch normalization, row by row. A row is read in blocks that fit the innermost cache.

use rayon::prelude::*;

use super::parallel::min_pieces;
use crate::device::Norm;

/// Elements whose sum is formed in f32; sums of blocks are added in f64.
const BLOCK: usize = 512;
/// Partial sums side by side, so that the compiler can use vectors.
const LANES: usize = 16;

pub(super) fn moments([rows, cols]: [usize; 2], x: &[f32], mean: &mut [f32], var: &mut [f32]) {
    assert!(cols > 0, "moments of no values");
    mean[..rows]
        .par_iter_mut()
        .zip(&mut var[..rows])
        .zip(x[..rows * cols].par_chunks(cols))
        .with_min_len(min_pieces(cols))
        .for_each(|((mean, var), row)| (*mean, *var) = row_moments(row));
}

/// Mean and biased variance, merged from those of blocks after Chan, Golub & LeVeque 1983.
fn row_moments(row: &[f32]) -> (f32, f32) {
    let first = &row[..row.len().min(BLOCK)];
    let rest = sum(first, first, |x, _| x - row[0]);
    // Differences to a value near the mean lose nothing, whatever the mean itself.
    let mut near = row[0] + rest / first.len() as f32;
    let (mut count, mut mean, mut squares) = (0.0f64, 0.0f64, 0.0f64);
    for block in row.chunks(BLOCK) {
        let n = block.len() as f64;
        let squared = f64::from(sum(block, block, |x, _| (x - near) * (x - near)));
        let rest = f64::from(sum(block, block, |x, _| x - near)) / n;
        let delta = f64::from(near) + rest - mean;
        let total = count + n;
        squares += (squared - n * rest * rest).max(0.0) + delta * delta * count * n / total;
        mean += delta * n / total;
        count = total;
        near = mean as f32;
    }
    (mean as f32, (squares / count) as f32)
}

/// Sum of a function of the elements of two blocks. One sum a pass: two at once are not vectorized.
fn sum(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += f(x, y);
        }
    }
    let rest = x_rest.iter().zip(y_rest).map(|(&x, &y)| f(x, y));
    lanes.iter().sum::<f32>() + rest.sum::<f32>()
}

impl Norm<'_, Vec<f32>> {
    /// Mean and the reciprocal of the standard deviation of a row.
    fn row(&self, r: usize) -> (f32, f32) {
        (self.mean[r], (self.var[r] + self.eps).sqrt().recip())
    }
}

pub(super) fn forward([rows, cols]: [usize; 2], norm: Norm<'_, Vec<f32>>, x: &[f32], y: &mut [f32]) {
    assert!(cols > 0, "a normalization of no values");
    y[..rows * cols]
        .par_chunks_mut(cols)
        .zip(x[..rows * cols].par_chunks(cols))
        .enumerate()
        .with_min_len(min_pieces(cols))
        .for_each(|(r, (y, x))| {
            let (mean, inverse) = norm.row(r);
            let (scale, shift) = (norm.gamma[r] * inverse, norm.beta[r]);
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - mean) * scale + shift;
            }
        });
}

pub(super) fn sums(
    [rows, cols]: [usize; 2],
    norm: Norm<'_, Vec<f32>>,
    x: &[f32],
    dy: &[f32],
    [gamma, beta]: [&mut Vec<f32>; 2],
) {
    assert!(cols > 0, "a normalization of no values");
    gamma[..rows]
        .par_iter_mut()
        .zip(&mut beta[..rows])
        .zip(x[..rows * cols].par_chunks(cols).zip(dy[..rows * cols].par_chunks(cols)))
        .enumerate()
        .with_min_len(min_pieces(cols))
        .for_each(|(r, ((gamma, beta), (x, dy)))| {
            let (mean, inverse) = norm.row(r);
            let (mut products, mut total) = (0.0f64, 0.0f64);
            for (x, dy) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)) {
                products += f64::from(sum(x, dy, |x, dy| dy * (x - mean)));
                total += f64::from(sum(x, dy, |_, dy| dy));
            }
            *gamma = (products * f64::from(inverse)) as f32;
            *beta = total as f32;
        });
}

pub(super) fn backward(
    [rows, cols]: [usize; 2],
    norm: Norm<'_, Vec<f32>>,
    x: &[f32],
    dy: &[f32],
    sums: Option<[&Vec<f32>; 2]>,
    dx: &mut [f32],
) {
    assert!(cols > 0, "a normalization of no values");
    dx[..rows * cols]
        .par_chunks_mut(cols)
        .zip(x[..rows * cols].par_chunks(cols).zip(dy[..rows * cols].par_chunks(cols)))
        .enumerate()
        .with_min_len(min_pieces(cols))
        .for_each(|(r, (dx, (x, dy)))| {
            let (mean, inverse) = norm.row(r);
            let scale = norm.gamma[r] * inverse;
            let Some([gamma, beta]) = sums else {
                dx.iter_mut().zip(dy).for_each(|(dx, dy)| *dx = scale * dy);
                return;
            };
            // dx = scale (dy - mean of dy - normalized x * mean of (dy * normalized x)).
            let slope = gamma[r] * inverse / cols as f32;
            let shift = beta[r] / cols as f32;
            for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
                *dx = scale * (dy - shift - (x - mean) * slope);
            }
        });
}

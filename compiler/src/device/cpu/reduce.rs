//! Sums.

use rayon::prelude::*;

use super::parallel::{assert_same_len, min_pieces};

/// Elements of a partial sum, whatever the number of threads.
const PIECE: usize = 1 << 15;
/// Partial sums side by side, so that the compiler can use vectors.
const LANES: usize = 8;

pub(super) fn row_sums([rows, cols]: [usize; 2], x: &[f32], beta: f32, sums: &mut [f32]) {
    if cols == 0 {
        sums[..rows].iter_mut().for_each(|sum| *sum *= beta);
        return;
    }
    sums[..rows]
        .par_iter_mut()
        .zip(x[..rows * cols].par_chunks(cols))
        .with_min_len(min_pieces(cols))
        .for_each(|(sum, row)| {
            let partial: Vec<f64> = row.par_chunks(PIECE).map(piece_sum).collect();
            let kept = if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(*sum) };
            *sum = (kept + partial.iter().sum::<f64>()) as f32;
        });
}

/// `sum (x - y)^2`.
pub(super) fn squared_distance(x: &[f32], y: &[f32]) -> f64 {
    assert_same_len(x, y);
    let partial: Vec<f64> = x.par_chunks(PIECE).zip(y.par_chunks(PIECE)).map(piece_distance).collect();
    partial.iter().sum()
}

fn piece_sum(x: &[f32]) -> f64 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0f64; LANES];
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}

fn piece_distance((x, y): (&[f32], &[f32])) -> f64 {
    let square = |x: f32, y: f32| (f64::from(x) - f64::from(y)).powi(2);
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0f64; LANES];
    for (x, y) in xs.iter().zip(ys) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += square(x, y);
        }
    }
    lanes.iter().sum::<f64>() + x_rest.iter().zip(y_rest).map(|(&x, &y)| square(x, y)).sum::<f64>()
}

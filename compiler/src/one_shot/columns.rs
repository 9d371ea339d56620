//! Removal of weights column by column, for layers with so many inputs that the
//! [exact](super::exact) order takes too long (SparseGPT, Frantar & Alistarh 2023): all rows go
//! through the inputs in the same order, so that one Cholesky factor of `H^-1` serves all of them.

use faer::Mat;
use rayon::prelude::*;

use super::cholesky::Cholesky;

/// Inputs whose zeros are chosen together, after all before them were removed.
const BLOCK: usize = 128;

/// Removes `count` weights of all rows, those that are `gone` among them. `weights` are the best
/// without zeros (`d x rows`); rows count by `scale`. Returns the rows, or `None` where `inverse`
/// is not definite.
pub(super) fn remove(
    inverse: Mat<f64>,
    weights: &Mat<f64>,
    gone: &[Vec<bool>],
    scale: &[f64],
    count: usize,
) -> Option<Vec<Vec<f64>>> {
    let (d, rows) = (weights.nrows(), weights.ncols());
    // How many of each block go is what the scores before any removal say.
    let all = scores(gone, scale, 0..d, &|row, q| weights[(q, row)], &|q| inverse[(q, q)]);
    let mut counts = vec![0; d.div_ceil(BLOCK)];
    for (_, _, q) in lowest(all, count) {
        counts[q / BLOCK] += 1;
    }
    let factor = Cholesky::new(inverse)?;
    let mut weights: Vec<Vec<f64>> = (0..rows).map(|row| weights.col_as_slice(row).to_vec()).collect();
    for (block, count) in counts.into_iter().enumerate() {
        let columns = block * BLOCK..d.min((block + 1) * BLOCK);
        // The pivot is the diagonal of the inverse with all columns before eliminated.
        let pivot = |q: usize| factor.column(q)[0];
        let scores = scores(gone, scale, columns.clone(), &|row, q| weights[row][q], &|q| pivot(q).powi(2));
        let mut removed = vec![Vec::new(); rows];
        lowest(scores, count).into_iter().for_each(|(_, row, q)| removed[row].push(q));
        weights.par_iter_mut().zip(&mut removed).for_each(|(weights, removed)| {
            removed.sort_unstable();
            for &q in &*removed {
                let step = weights[q] / pivot(q);
                weights[q..].iter_mut().zip(factor.column(q)).for_each(|(w, l)| *w -= step * l);
                weights[q] = 0.0;
            }
        });
    }
    Some(weights)
}

type Score = (f64, usize, usize);

/// The scores `w^2 / [H^-1]_qq` of some columns, with row and column; below all others what is gone.
fn scores(
    gone: &[Vec<bool>],
    scale: &[f64],
    columns: std::ops::Range<usize>,
    weight: &dyn Fn(usize, usize) -> f64,
    diagonal: &dyn Fn(usize) -> f64,
) -> Vec<Score> {
    let score = |row: usize, q: usize| match gone[row][q] {
        true => -1.0,
        false => scale[row] * weight(row, q).powi(2) / diagonal(q),
    };
    (0..gone.len())
        .flat_map(|row| columns.clone().map(move |q| (row, q)))
        .map(|(row, q)| (score(row, q), row, q))
        .collect()
}

/// The lowest scores; ties by row and column.
fn lowest(mut scores: Vec<Score>, count: usize) -> Vec<Score> {
    if count < scores.len() {
        scores.select_nth_unstable_by(count, |a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        scores.truncate(count);
    }
    scores
}

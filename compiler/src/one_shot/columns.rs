//! Removal of weights column by column, for layers with so many inputs that the
//! [exact](super::exact) order takes too long (SparseGPT, Frantar & Alistarh 2023): all rows go
//! through the inputs in the same order, so that one Cholesky factor of `H^-1` serves all of them.

use faer::Mat;
use rayon::prelude::*;

use super::cholesky::Cholesky;

/// Inputs whose zeros are chosen together, after all before them were removed.
const BLOCK: usize = 128;

/// Removes `count` weights of all rows, those that are `gone` among them; of `block` consecutive rows
/// together. `weights` are the best without zeros (`d x rows`); rows count by `scale`. Returns the
/// rows, or `None` where `inverse` is not definite.
pub(super) fn remove(
    inverse: Mat<f64>,
    weights: &Mat<f64>,
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
    count: usize,
) -> Option<Vec<Vec<f64>>> {
    let (d, rows) = (weights.nrows(), weights.ncols());
    // How many of each block go is what the scores before any removal say.
    let mut further = count.saturating_sub(gone.iter().flatten().filter(|gone| **gone).count());
    let score = Scoring { gone, scale, block };
    let all = score.all(0..d, &|row, q| weights[(q, row)], &|q| inverse[(q, q)]);
    let mut counts = vec![0; d.div_ceil(BLOCK)];
    for score in lowest(all, further) {
        counts[score.q / BLOCK] += score.weights;
    }
    let factor = Cholesky::new(inverse)?;
    let mut weights: Vec<Vec<f64>> = (0..rows).map(|row| weights.col_as_slice(row).to_vec()).collect();
    for (at, count) in counts.into_iter().enumerate() {
        let columns = at * BLOCK..d.min((at + 1) * BLOCK);
        // The pivot is the diagonal of the inverse with all columns before eliminated.
        let pivot = |q: usize| factor.column(q)[0];
        let scores = score.all(columns.clone(), &|row, q| weights[row][q], &|q| pivot(q).powi(2));
        let zeros = |gone: &Vec<bool>| columns.clone().filter(|&q| gone[q]).collect::<Vec<_>>();
        let mut removed: Vec<Vec<usize>> = gone.iter().map(zeros).collect();
        for Score { row, q, weights, .. } in lowest(scores, count.min(further)) {
            further = further.saturating_sub(weights);
            let rows = row..rows.min(row + block);
            rows.filter(|&row| !gone[row][q]).for_each(|row| removed[row].push(q));
        }
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

/// What the removal of the weights of a block of rows at one input costs.
struct Score {
    cost: f64,
    /// First row of the block.
    row: usize,
    q: usize,
    /// Weights that are not gone.
    weights: usize,
}

struct Scoring<'a> {
    gone: &'a [Vec<bool>],
    scale: &'a [f64],
    block: usize,
}

impl Scoring<'_> {
    /// The scores `w^2 / [H^-1]_qq` of some columns, summed over each block of rows; without those of
    /// which all is gone.
    fn all(
        &self,
        columns: std::ops::Range<usize>,
        weight: &dyn Fn(usize, usize) -> f64,
        diagonal: &dyn Fn(usize) -> f64,
    ) -> Vec<Score> {
        let rows = self.gone.len();
        let score = |row: usize, q: usize| {
            let left = || (row..rows.min(row + self.block)).filter(|&row| !self.gone[row][q]);
            let power: f64 = left().map(|row| self.scale[row] * weight(row, q).powi(2)).sum();
            Score { cost: power / diagonal(q), row, q, weights: left().count() }
        };
        (0..rows)
            .step_by(self.block)
            .flat_map(|row| columns.clone().map(move |q| (row, q)))
            .map(|(row, q)| score(row, q))
            .filter(|score| score.weights > 0)
            .collect()
    }
}

/// The lowest scores that have `count` weights; ties by row and column.
fn lowest(mut scores: Vec<Score>, count: usize) -> Vec<Score> {
    scores.sort_unstable_by(|a, b| a.cost.total_cmp(&b.cost).then((a.row, a.q).cmp(&(b.row, b.q))));
    let mut before = 0;
    let enough = scores.iter().position(|score| {
        let enough = before >= count;
        before += score.weights;
        enough
    });
    scores.truncate(enough.unwrap_or(scores.len()));
    scores
}

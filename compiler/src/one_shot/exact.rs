//! Exact greedy removal of weights, row by row (optimal brain surgeon, Hassibi & Stork 1993, in
//! the layer-wise form of Frantar & Alistarh 2022).
//!
//! Each step removes the weight with the least `w_q^2 / [H^-1]_qq`, updates the others by
//! `-w_q / [H^-1]_qq H^-1 e_q`, and eliminates row and column `q` of `H^-1`. All rows of a layer
//! start from the same `H^-1`, and those eliminations are a Cholesky factorization of it whose
//! pivots the weights choose. So it is computed as one, left-looking: a row keeps the columns of
//! its own factor, and no matrix is updated.

use faer::Mat;

/// In what order the weights of a row go, or of several rows together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trace {
    /// Inputs, the first to go first.
    pub(super) order: Vec<u32>,
    /// What each removal adds to the error of the rows; never less than the one before, since a
    /// later weight cannot go without the earlier ones.
    pub(super) cost: Vec<f64>,
}

/// Removes all inputs of `rows` one by one; first, at no cost, those that are `gone` already. The errors
/// of rows count by `scale`. Rows that lose the same inputs have the same factor, so what several cost
/// together is the sum of what each costs.
pub(super) fn trace(inverse: &Mat<f64>, mut rows: Vec<Vec<f64>>, scale: &[f64], gone: &[bool]) -> Trace {
    let d = gone.len();
    let mut diagonal: Vec<f64> = (0..d).map(|i| inverse[(i, i)]).collect();
    let mut left = vec![true; d];
    let mut factor: Vec<f64> = Vec::with_capacity(d * d);
    let mut column = vec![0.0; d];
    let mut trace = Trace { order: Vec::with_capacity(d), cost: Vec::with_capacity(d) };
    let mut most: f64 = 0.0;
    for _ in 0..d {
        let power = |q: usize| rows.iter().zip(scale).map(|(w, scale)| scale * (w[q] * w[q])).sum::<f64>();
        let score = |q: usize| if gone[q] { -1.0 } else { power(q) / diagonal[q] };
        let Some(q) = (0..d).filter(|&q| left[q]).min_by(|&a, &b| score(a).total_cmp(&score(b))) else {
            break;
        };
        most = most.max(score(q));
        column.copy_from_slice(inverse.col_as_slice(q));
        subtract_products(&mut column, &factor, q);
        let pivot = 1.0 / diagonal[q].sqrt();
        for ((l, v), left) in column.iter_mut().zip(&mut diagonal).zip(&left) {
            // What was eliminated is zero up to rounding.
            *l = if *left { *l * pivot } else { 0.0 };
            // Rounding must not let a pivot of weights that depend on each other vanish.
            *v = (*v - *l * *l).max(f64::MIN_POSITIVE);
        }
        for weights in &mut rows {
            let step = weights[q] * pivot;
            weights.iter_mut().zip(&column).for_each(|(w, l)| *w -= step * *l);
        }
        factor.extend_from_slice(&column);
        left[q] = false;
        trace.order.push(q as u32);
        trace.cost.push(most);
    }
    trace
}

/// `column -= sum of factor_k factor_k[q]` over the columns of the factor so far, four at a time.
fn subtract_products(column: &mut [f64], factor: &[f64], q: usize) {
    let d = column.len();
    let mut four = factor.chunks_exact(4 * d);
    for columns in &mut four {
        let (a, rest) = columns.split_at(d);
        let (b, rest) = rest.split_at(d);
        let (c, e) = rest.split_at(d);
        let (fa, fb, fc, fe) = (a[q], b[q], c[q], e[q]);
        for ((((to, a), b), c), e) in column.iter_mut().zip(a).zip(b).zip(c).zip(e) {
            *to -= fa * a + fb * b + fc * c + fe * e;
        }
    }
    for a in four.remainder().chunks_exact(d) {
        let factor = a[q];
        column.iter_mut().zip(a).for_each(|(to, a)| *to -= factor * a);
    }
}

//! One layer: which of its weights go, and what becomes of the others.

use faer::Mat;
use rayon::prelude::*;
use serde::Serialize;

use super::columns;
use super::exact::{Trace, trace};
use super::problem::Problem;

/// Multiply-accumulates up to which the exact order is affordable (some ten seconds on two cores).
const MOST_EXACT: usize = 100_000_000_000;

/// Multiply-accumulates up to which what a group keeps is solved for again (some two minutes on two cores).
const MOST_SOLVED: usize = 1_000_000_000_000;

/// How the weights of a layer were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// One by one, the cheapest of all first (optimal brain surgeon).
    Exact,
    /// Input by input (SparseGPT).
    Columns,
    /// By their scores, without correction: the layer shares its weights with another, is applied
    /// transposed, has too many inputs, or inputs that say nothing.
    Scores,
}

/// Weights of a layer after `count` of them were removed, by row; `None` where the moments are not
/// definite.
/// `gone` weights go first; the errors of rows count by `scale`.
pub(super) fn remove(
    problems: &[Problem],
    gone: &[Vec<bool>],
    scale: &[f64],
    count: usize,
) -> Option<(Order, Vec<Vec<f64>>)> {
    let solved: Vec<(Mat<f64>, Mat<f64>)> = problems.iter().map(Problem::solve).collect::<Option<_>>()?;
    if is_exact(problems) {
        let keep = exact(problems, &solved, gone, scale, count);
        let mut weights = Vec::with_capacity(gone.len());
        for (problem, first) in with_first_row(problems) {
            weights.extend(problem.solve_kept(&keep[first..][..problem.rows()])?);
        }
        return Some((Order::Exact, weights));
    }
    Some((Order::Columns, by_columns(problems, solved, gone, scale, count)?))
}

/// Removes weights [input by input](super::columns) in each group, and solves for what is kept again
/// where that is affordable. Of what goes beyond the weights that are `gone`, each group takes a
/// share by the weights that it has left.
pub(super) fn by_columns(
    problems: &[Problem],
    solved: Vec<(Mat<f64>, Mat<f64>)>,
    gone: &[Vec<bool>],
    scale: &[f64],
    count: usize,
) -> Option<Vec<Vec<f64>>> {
    let zeros = |rows: &[Vec<bool>]| rows.iter().flatten().filter(|gone| **gone).count();
    let weights = |rows: &[Vec<bool>]| rows.iter().map(Vec::len).sum::<usize>();
    let left = |rows: &[Vec<bool>]| weights(rows) - zeros(rows);
    let further = count.saturating_sub(zeros(gone));
    // Of the rows before this one; the shares of the groups sum up to all.
    let share = |row: usize| further * left(&gone[..row]) / left(gone).max(1);
    let mut all = Vec::with_capacity(gone.len());
    for ((problem, first), (inverse, best)) in with_first_row(problems).zip(solved) {
        let last = first + problem.rows();
        let gone = &gone[first..last];
        let count = zeros(gone) + share(last) - share(first);
        let rows = columns::remove(inverse, &best, gone, &scale[first..last], count)?;
        let keep: Vec<Vec<bool>> = rows.iter().map(|row| row.iter().map(|w| *w != 0.0).collect()).collect();
        let kept = keep.iter().map(|keep| keep.iter().filter(|keep| **keep).count());
        let affordable = kept.map(|kept| kept.pow(3) / 6).sum::<usize>() <= MOST_SOLVED;
        all.extend(if affordable { problem.solve_kept(&keep)? } else { rows });
    }
    Some(all)
}

/// What it costs to remove each weight, by row and input: what the error of its row grows by, or
/// for large layers an estimate of it that leaves out the removals before. Where the moments are
/// finite and yet not definite, what it grows by if the other weights stay; `None` where they are
/// not finite.
pub(super) fn costs(problems: &[Problem], gone: &[Vec<bool>]) -> Option<Vec<Vec<f64>>> {
    let solved: Option<Vec<(Mat<f64>, Mat<f64>)>> = problems.iter().map(Problem::solve).collect();
    let Some(solved) = solved else {
        let alone = problems.iter().flat_map(|p| (0..p.rows()).map(|row| p.alone(row)));
        return problems.iter().all(Problem::is_finite).then(|| alone.collect());
    };
    if is_exact(problems) {
        let costs = traces(problems, &solved, gone).into_iter().map(|trace| {
            let mut costs = vec![0.0; trace.order.len()];
            trace.order.iter().zip(trace.cost).for_each(|(&q, cost)| costs[q as usize] = cost);
            costs
        });
        return Some(costs.collect());
    }
    let rows = solved.iter().flat_map(|(inverse, best)| {
        let costs = |row: usize| {
            best.col_as_slice(row).iter().enumerate().map(|(q, w)| w * w / inverse[(q, q)]).collect()
        };
        (0..best.ncols()).map(costs).collect::<Vec<_>>()
    });
    Some(rows.collect())
}

/// Whether the exact order is affordable.
fn is_exact(problems: &[Problem]) -> bool {
    problems.iter().map(|p| p.rows() * p.inputs().pow(3) / 2).sum::<usize>() <= MOST_EXACT
}

/// The order of removal of each row.
fn traces(problems: &[Problem], solved: &[(Mat<f64>, Mat<f64>)], gone: &[Vec<bool>]) -> Vec<Trace> {
    let each = with_first_row(problems).zip(solved);
    let traces = each.flat_map(|((problem, first), (inverse, best))| {
        let row = |row: usize| trace(inverse, best.col_as_slice(row).to_vec(), &gone[first + row]);
        (0..problem.rows()).into_par_iter().map(row).collect::<Vec<_>>()
    });
    traces.collect()
}

/// Problems and where their rows start.
fn with_first_row(problems: &[Problem]) -> impl Iterator<Item = (&Problem, usize)> {
    problems.iter().scan(0, |next, problem| {
        let first = *next;
        *next += problem.rows();
        Some((problem, first))
    })
}

/// Which weights stay: of all rows' removals the cheapest, each after those before it in its row.
fn exact(
    problems: &[Problem],
    solved: &[(Mat<f64>, Mat<f64>)],
    gone: &[Vec<bool>],
    scale: &[f64],
    count: usize,
) -> Vec<Vec<bool>> {
    let mut removals = Vec::new();
    for (row, trace) in traces(problems, solved, gone).into_iter().enumerate() {
        let forced = gone[row].iter().filter(|gone| **gone).count();
        let cost = |step: usize, cost: f64| if step < forced { -1.0 } else { scale[row] * cost };
        let steps = trace.cost.iter().enumerate().map(|(step, &at)| (cost(step, at), row, step));
        removals.extend(steps.zip(trace.order));
    }
    if count < removals.len() {
        removals.select_nth_unstable_by(count, |(a, _), (b, _)| {
            a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))
        });
    }
    let mut keep: Vec<Vec<bool>> = gone.iter().map(|gone| vec![true; gone.len()]).collect();
    for ((_, row, _), q) in &removals[..count.min(removals.len())] {
        keep[*row][*q as usize] = false;
    }
    keep
}

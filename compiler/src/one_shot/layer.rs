//! One layer: which of its weights go, and what becomes of the others.

use std::ops::Range;

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
/// `gone` weights go first; the errors of rows count by `scale`; those of `block` consecutive rows go
/// together.
pub(super) fn remove(
    problems: &[Problem],
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
    count: usize,
) -> Option<(Order, Vec<Vec<f64>>)> {
    let solved: Vec<(Mat<f64>, Mat<f64>)> = problems.iter().map(Problem::solve).collect::<Option<_>>()?;
    if is_exact(problems) {
        let keep = exact(problems, &solved, gone, scale, block, count);
        let mut weights = Vec::with_capacity(gone.len());
        for (problem, first) in with_first_row(problems) {
            weights.extend(problem.solve_kept(&keep[first..][..problem.rows()])?);
        }
        return Some((Order::Exact, weights));
    }
    Some((Order::Columns, by_columns(problems, solved, gone, scale, block, count)?))
}

/// Removes weights [input by input](super::columns) in each group, and solves for what is kept again
/// where that is affordable. Of what goes beyond the weights that are `gone`, each group takes a
/// share by the weights that it has left.
pub(super) fn by_columns(
    problems: &[Problem],
    solved: Vec<(Mat<f64>, Mat<f64>)>,
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
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
        let rows = columns::remove(inverse, &best, gone, &scale[first..last], block, count)?;
        let keep: Vec<Vec<bool>> = rows.iter().map(|row| row.iter().map(|w| *w != 0.0).collect()).collect();
        let kept = keep.iter().map(|keep| keep.iter().filter(|keep| **keep).count());
        let affordable = kept.map(|kept| kept.pow(3) / 6).sum::<usize>() <= MOST_SOLVED;
        all.extend(if affordable { problem.solve_kept(&keep)? } else { rows });
    }
    Some(all)
}

/// What it costs to remove each weight, by row and input: what the error of its row, counted by
/// `scale`, grows by, or for large layers an estimate of it that leaves out the removals before.
/// Weights of `block` rows that go together have equal parts. Where the moments are finite and yet
/// not definite, what it grows by if the other weights stay; `None` where they are not finite.
pub(super) fn costs(
    problems: &[Problem],
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
) -> Option<Vec<Vec<f64>>> {
    let scaled = |(costs, scale): (Vec<f64>, &f64)| costs.into_iter().map(|cost| scale * cost).collect();
    let solved: Option<Vec<(Mat<f64>, Mat<f64>)>> = problems.iter().map(Problem::solve).collect();
    let Some(solved) = solved else {
        let alone = problems.iter().flat_map(|p| (0..p.rows()).map(|row| p.alone(row)));
        return problems.iter().all(Problem::is_finite).then(|| alone.zip(scale).map(scaled).collect());
    };
    if is_exact(problems) {
        let costs = traces(problems, &solved, gone, scale, block).into_iter().flat_map(|(rows, trace)| {
            let mut costs = vec![0.0; trace.order.len()];
            let part = |cost: f64| cost / rows.len() as f64;
            trace.order.iter().zip(trace.cost).for_each(|(&q, cost)| costs[q as usize] = part(cost));
            vec![costs; rows.len()]
        });
        return Some(costs.collect());
    }
    let rows = solved.iter().flat_map(|(inverse, best)| {
        let costs = |row: usize| {
            best.col_as_slice(row).iter().enumerate().map(|(q, w)| w * w / inverse[(q, q)]).collect()
        };
        (0..best.ncols()).map(costs).collect::<Vec<_>>()
    });
    Some(rows.zip(scale).map(scaled).collect())
}

/// Whether the exact order is affordable.
fn is_exact(problems: &[Problem]) -> bool {
    problems.iter().map(|p| p.rows() * p.inputs().pow(3) / 2).sum::<usize>() <= MOST_EXACT
}

/// The order of removal of each block of rows.
fn traces(
    problems: &[Problem],
    solved: &[(Mat<f64>, Mat<f64>)],
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
) -> Vec<(Range<usize>, Trace)> {
    let each = with_first_row(problems).zip(solved);
    let traces = each.flat_map(|((problem, first), (inverse, best))| {
        let of_block = |at: usize| {
            let rows = at * block..problem.rows().min((at + 1) * block);
            let weights = rows.clone().map(|row| best.col_as_slice(row).to_vec()).collect();
            let rows = first + rows.start..first + rows.end;
            let all_gone = |q: usize| gone[rows.clone()].iter().all(|gone| gone[q]);
            let all_gone: Vec<bool> = (0..problem.inputs()).map(all_gone).collect();
            let trace = trace(inverse, weights, &scale[rows.clone()], &all_gone);
            (rows, trace)
        };
        (0..problem.rows().div_ceil(block)).into_par_iter().map(of_block).collect::<Vec<_>>()
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

/// Which weights stay: of the removals of all blocks of rows the cheapest, each after those before it
/// in its block.
fn exact(
    problems: &[Problem],
    solved: &[(Mat<f64>, Mat<f64>)],
    gone: &[Vec<bool>],
    scale: &[f64],
    block: usize,
    count: usize,
) -> Vec<Vec<bool>> {
    let mut removals = Vec::new();
    for (rows, trace) in traces(problems, solved, gone, scale, block) {
        let steps = trace.cost.into_iter().enumerate();
        removals.extend(steps.zip(trace.order).map(|((step, cost), q)| (cost, rows.clone(), step, q)));
    }
    removals.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1.start, a.2).cmp(&(b.1.start, b.2))));
    let mut keep: Vec<Vec<bool>> = gone.iter().map(|gone| gone.iter().map(|gone| !gone).collect()).collect();
    let mut zeros = gone.iter().flatten().filter(|gone| **gone).count();
    for (_, rows, _, q) in removals {
        if zeros >= count {
            break;
        }
        for keep in &mut keep[rows] {
            zeros += usize::from(std::mem::replace(&mut keep[q as usize], false));
        }
    }
    keep
}

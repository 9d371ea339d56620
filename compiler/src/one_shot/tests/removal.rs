//! The order of removal and the weights that remain, against normal equations solved otherwise.

use faer::Mat;
use nalgebra::{DMatrix, DVector};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::super::columns;
use super::super::exact::trace;
use super::super::layer;
use super::super::problem::Problem;

/// Inputs that depend on each other, and a target of them.
struct Case {
    x: DMatrix<f64>,
    t: DVector<f64>,
    dense: DVector<f64>,
    damping: f64,
}

impl Case {
    fn new(d: usize, seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        let mut value = || random.random_range(-1.0..1.0f64);
        let mix = DMatrix::from_fn(d, d, |i, j| value() + f64::from(u8::from(i == j)));
        let x = mix * DMatrix::from_fn(d, 3 * d, |_, _| value());
        let t = DVector::from_fn(3 * d, |_, _| value());
        Self { x, t, dense: DVector::from_fn(d, |_, _| value()), damping: 0.05 }
    }

    fn problem(&self) -> Problem {
        let n = self.x.ncols() as f64;
        let d = self.x.nrows();
        let hessian = &self.x * self.x.transpose() / n + DMatrix::identity(d, d) * self.damping;
        let moment = &self.x * &self.t / n + &self.dense * self.damping;
        Problem {
            hessian: Mat::from_fn(d, d, |i, j| hessian[(i, j)]),
            moment: Mat::from_fn(d, 1, |i, _| moment[i]),
            dense: Mat::from_fn(d, 1, |i, _| self.dense[i]),
            damping: self.damping,
            power: vec![self.t.norm_squared() / n],
        }
    }

    /// The same inputs for several rows with targets of their own.
    fn problems(&self, rows: usize) -> Problem {
        let one = self.problem();
        let factor = |row: usize, i: usize| 1.0 + 0.3 * ((row + 1) as f64 * (i + 2) as f64).sin();
        let of = |m: &Mat<f64>| Mat::from_fn(m.nrows(), rows, |i, row| m[(i, 0)] * factor(row, i));
        let (moment, dense) = (of(&one.moment), of(&one.dense));
        Problem { moment, dense, power: vec![one.power[0]; rows], ..one }
    }

    /// What is minimised.
    fn objective(&self, w: &DVector<f64>) -> f64 {
        let n = self.x.ncols() as f64;
        (&self.t - self.x.transpose() * w).norm_squared() / n
            + self.damping * (w - &self.dense).norm_squared()
    }

    /// The best weights on a set of inputs, by the singular value decomposition of the stacked
    /// system of samples and ridge.
    fn best(&self, kept: &[usize]) -> DVector<f64> {
        let (d, n) = self.x.shape();
        let root = self.damping.sqrt();
        let a = DMatrix::from_fn(n + d, kept.len(), |i, j| match i.checked_sub(n) {
            None => self.x[(kept[j], i)] / (n as f64).sqrt(),
            Some(i) => {
                if i == kept[j] {
                    root
                } else {
                    0.0
                }
            }
        });
        let b = DVector::from_fn(n + d, |i, _| match i.checked_sub(n) {
            None => self.t[i] / (n as f64).sqrt(),
            Some(i) => self.dense[i] * root,
        });
        let mut w = DVector::zeros(d);
        if !kept.is_empty() {
            let solution = a.svd(true, true).solve(&b, 1e-14).unwrap();
            kept.iter().zip(solution.iter()).for_each(|(&at, &value)| w[at] = value);
        }
        w
    }
}

fn without(d: usize, gone: &[u32]) -> Vec<usize> {
    (0..d).filter(|&i| !gone.contains(&(i as u32))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Each removal is the one that costs least once all others are solved for again, and what it
    /// costs is what the objective grows by.
    #[test]
    fn greedy_removes_what_costs_least(d in 1usize..9, seed: u64) {
        let case = Case::new(d, seed);
        let (inverse, best) = case.problem().solve().unwrap();
        let trace = trace(&inverse, vec![best.col_as_slice(0).to_vec()], &[1.0], &vec![false; d]);
        let mut most: f64 = 0.0;
        for step in 0..d {
            let base = case.objective(&case.best(&without(d, &trace.order[..step])));
            let cost = |q: u32| {
                let gone = [&trace.order[..step], &[q]].concat();
                case.objective(&case.best(&without(d, &gone))) - base
            };
            let chosen = cost(trace.order[step]);
            for &other in &trace.order[step + 1..] {
                prop_assert!(chosen <= cost(other) + 1e-9, "step {step}: {other} costs less");
            }
            most = most.max(chosen);
            prop_assert!((trace.cost[step] - most).abs() < 1e-8 * (1.0 + most));
        }
    }

    /// Of rows that lose their inputs together, each removal is the one that costs all of them least.
    #[test]
    fn rows_lose_together_what_costs_least(d in 1usize..8, rows in 1usize..5, seed: u64) {
        let problem = Case::new(d, seed).problems(rows);
        let scale: Vec<f64> = (0..rows).map(|row| 0.5 + row as f64).collect();
        // The least that the objective can be is a constant less this.
        let explained = |gone: &[u32]| -> f64 {
            let keep = vec![(0..d).map(|i| !gone.contains(&(i as u32))).collect::<Vec<_>>(); rows];
            let solved = problem.solve_kept(&keep).unwrap();
            let of = |row: usize| (0..d).map(|i| problem.moment[(i, row)] * solved[row][i]).sum::<f64>();
            (0..rows).map(|row| scale[row] * of(row)).sum()
        };
        let (inverse, best) = problem.solve().unwrap();
        let weights = (0..rows).map(|row| best.col_as_slice(row).to_vec()).collect();
        let trace = trace(&inverse, weights, &scale, &vec![false; d]);
        let mut most: f64 = 0.0;
        for step in 0..d {
            let before = explained(&trace.order[..step]);
            let cost = |q: u32| before - explained(&[&trace.order[..step], &[q]].concat());
            let chosen = cost(trace.order[step]);
            for &other in &trace.order[step + 1..] {
                prop_assert!(chosen <= cost(other) + 1e-8, "step {step}: {other} costs less");
            }
            most = most.max(chosen);
            prop_assert!((trace.cost[step] - most).abs() < 1e-7 * (1.0 + most));
        }
    }

    #[test]
    fn what_is_kept_is_solved_by_least_squares(d in 1usize..12, kept: u16, seed: u64) {
        let case = Case::new(d, seed);
        let keep: Vec<bool> = (0..d).map(|i| kept >> i & 1 == 1).collect();
        let expected = case.best(&(0..d).filter(|&i| keep[i]).collect::<Vec<_>>());
        let problem = case.problem();
        let found = &problem.solve_kept(&[keep]).unwrap()[0];
        for (found, expected) in found.iter().zip(expected.iter()) {
            prop_assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        }
        // The error that is reported is that of the samples.
        let (power, common) = problem.output(0, found);
        let error = (&case.t - case.x.transpose() * &expected).norm_squared() / case.x.ncols() as f64;
        prop_assert!((problem.power[0] - 2.0 * common + power - error).abs() < 1e-8 * (1.0 + error));
    }

    /// In the order of the columns, the best weights for the zeros of all columns so far.
    #[test]
    fn columns_give_the_least_squares_of_their_zeros(d in 1usize..12, count in 0usize..12, seed: u64) {
        let case = Case::new(d, seed);
        let (inverse, best) = case.problem().solve().unwrap();
        let rows = columns::remove(inverse, &best, &[vec![false; d]], &[1.0], 1, count).unwrap();
        let kept: Vec<usize> = (0..d).filter(|&i| rows[0][i] != 0.0).collect();
        prop_assert_eq!(d - kept.len(), count.min(d));
        // A weight is not changed by removals behind it: the last ones are the best, given the others.
        let last = rows[0].iter().rposition(|w| *w == 0.0).map_or(0, |at| at + 1);
        let gradient = |q: usize| {
            let problem = case.problem();
            (0..d).map(|i| problem.hessian[(q, i)] * rows[0][i]).sum::<f64>() - problem.moment[(q, 0)]
        };
        for q in last..d {
            prop_assert!(gradient(q).abs() < 1e-9, "{q}: {}", gradient(q));
        }
    }

    #[test]
    fn what_is_gone_stays_gone(d in 2usize..9, at in 0usize..9, seed: u64) {
        let case = Case::new(d, seed);
        let gone: Vec<bool> = (0..d).map(|i| i == at % d).collect();
        let (inverse, best) = case.problem().solve().unwrap();
        let order = trace(&inverse, vec![best.col_as_slice(0).to_vec()], &[1.0], &gone).order;
        prop_assert_eq!(order[0] as usize, at % d);
        let rows = columns::remove(inverse, &best, &[gone], &[1.0], 1, 1).unwrap();
        prop_assert_eq!(rows[0][at % d], 0.0);
    }
}

/// Zeros of a group do not come back because another group has fewer.
#[test]
fn groups_keep_the_zeros_that_they_have() {
    let (d, rows) = (10, 3);
    let problems: Vec<Problem> = (0..2).map(|group| Case::new(d, group).problems(rows)).collect();
    let solved = || problems.iter().map(|problem| problem.solve().unwrap()).collect::<Vec<_>>();
    // 9 of 10 weights of the first group are gone, and 1 of 10 of the second.
    let zeros = |group: usize| (0..d).map(|i| (i == 3) != (group == 0)).collect::<Vec<_>>();
    let gone: Vec<_> = (0..2 * rows).map(|row| zeros(row / rows)).collect();
    for count in [0, 30, 31, 44, 59, 60] {
        let found = layer::by_columns(&problems, solved(), &gone, &[1.0; 6], 1, count).unwrap();
        for (found, gone) in found.iter().flatten().zip(gone.iter().flatten()) {
            assert!(!gone || *found == 0.0, "{count}: a zero came back");
        }
        assert_eq!(found.iter().flatten().filter(|w| **w == 0.0).count(), count.max(30));
    }
}

/// Inputs go for all rows of a block, whichever way they are chosen, and zeros of before stay.
#[test]
fn rows_of_a_block_lose_the_same_inputs() {
    let (d, rows, block) = (10, 6, 4);
    let problems: Vec<Problem> = (0..2).map(|group| Case::new(d, group).problems(rows)).collect();
    let mut gone = vec![vec![false; d]; 2 * rows];
    gone[1][3] = true;
    gone[4][7] = true;
    gone[5][7] = true;
    for count in [0, 3, 20, 61, 118, 120] {
        let solved = problems.iter().map(|problem| problem.solve().unwrap()).collect();
        let scale = [1.0; 12];
        let (_, exact) = layer::remove(&problems, &gone, &scale, block, count).unwrap();
        let columns = layer::by_columns(&problems, solved, &gone, &scale, block, count).unwrap();
        for found in [exact, columns] {
            let zeros = found.iter().flatten().filter(|w| **w == 0.0).count();
            // Each group and each part of its columns is rounded up to a whole block.
            assert!(zeros >= count && zeros <= count.max(3) + 2 * (block - 1), "{count}: {zeros}");
            for first in [0, 4, 6, 10] {
                let rows = first..if first == 0 || first == 6 { first + 4 } else { first + 2 };
                for q in 0..d {
                    let left = || rows.clone().filter(|&row| !gone[row][q]);
                    let zeros = left().filter(|&row| found[row][q] == 0.0).count();
                    assert!(zeros == 0 || zeros == left().count(), "{count}: {rows:?} {q}");
                    assert!(rows.clone().all(|row| !gone[row][q] || found[row][q] == 0.0));
                }
            }
        }
    }
}

/// What is left is the best for the zeros that were chosen, and better than before it was solved.
#[test]
fn what_columns_leave_is_solved_for_again() {
    let mut better = 0;
    for seed in 0..20 {
        let case = Case::new(12, seed);
        let problems = [case.problem()];
        let gone = [vec![false; 12]];
        let solved = problems[0].solve().unwrap();
        let unsolved = columns::remove(solved.0.clone(), &solved.1, &gone, &[1.0], 1, 7).unwrap();
        let found = layer::by_columns(&problems, vec![solved], &gone, &[1.0], 1, 7).unwrap();
        let zeros = |row: &[f64]| row.iter().map(|w| *w == 0.0).collect::<Vec<_>>();
        assert_eq!(zeros(&found[0]), zeros(&unsolved[0]));
        let error = |row: &[f64]| case.objective(&DVector::from_column_slice(row));
        assert!(error(&found[0]) <= error(&unsolved[0]) + 1e-12);
        better += usize::from(error(&found[0]) < 0.999 * error(&unsolved[0]));
    }
    assert!(better > 10, "{better}");
}

/// Moments of finite inputs that rounding left indefinite.
#[test]
fn what_is_finite_has_costs() {
    let mut problem = Case::new(3, 1).problem();
    problem.hessian[(1, 1)] = -1.0;
    assert!(problem.solve().is_none() && problem.is_finite());
    let gone = [vec![false; 3]];
    assert_eq!(layer::costs(&[problem], &gone, &[1.0], 1).unwrap()[0][1], 0.0);
    let mut problem = Case::new(3, 1).problem();
    problem.hessian[(1, 1)] = f64::NAN;
    assert!(layer::costs(&[problem], &gone, &[1.0], 1).is_none());
}

/// Two inputs that are nearly the same: the larger weight is of no use without the smaller one's
/// share, and one alone can do for both.
#[test]
fn correlated_inputs_need_one_weight() {
    let mut case = Case::new(3, 5);
    case.damping = 1e-6;
    for i in 0..case.x.ncols() {
        case.x[(1, i)] = case.x[(0, i)] + 1e-3 * case.x[(1, i)];
        case.x[(2, i)] *= 0.1;
    }
    case.dense = DVector::from_vec(vec![2.0, 1.9, 1.0]);
    case.t = case.x.transpose() * &case.dense;
    let problem = case.problem();
    let (inverse, best) = problem.solve().unwrap();
    let order = trace(&inverse, vec![best.col_as_slice(0).to_vec()], &[1.0], &[false; 3]).order;
    assert!(order[0] < 2, "removes one of the twins, not what stands alone");
    let error = |gone: u32, corrected: bool| {
        let kept = without(3, &[gone]);
        let mut w = case.dense.clone();
        w[gone as usize] = 0.0;
        (&case.t - case.x.transpose() * if corrected { case.best(&kept) } else { w }).norm_squared()
    };
    // Magnitude removes the third.
    assert!(error(order[0], true) < 1e-3 * error(2, false));
}

#[test]
fn infinite_moments_are_refused() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut problem = Case::new(3, 1).problem();
        problem.hessian[(1, 1)] = bad;
        assert!(problem.solve().is_none(), "{bad}");
    }
}

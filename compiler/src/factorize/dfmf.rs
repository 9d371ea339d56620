//! Simultaneous matrix tri-factorization (DFMF): M. Žitnik, B. Zupan, "Data fusion by matrix
//! factorization", IEEE TPAMI 37(1), 2015.

use std::fmt;
use std::str::FromStr;

use faer::{Accum, MatMut, MatRef, Par};
use nalgebra::DMatrix;
use tfc_formats::network::{Network, TensorId};

use super::state::{Matrices, Problem, State, duplicate};
use super::{FactorizeError, Group, GroupKind, Init, Matrix, gradient, multiplicative};
use crate::device::{Device, DeviceError};

/// Halvings of an update that does not lower the objective, before the factors count as final.
const HALVINGS: usize = 5;

/// Number of latent dimensions of a type, at least 1 and at most its size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rank {
    /// Half the network's outputs, rounded up: the reference.
    #[default]
    HalfClasses,
    /// The same for all types.
    Fixed(usize),
    /// This share of the type's size, rounded up.
    Fraction(f64),
}

impl Rank {
    /// Latent dimensions of a type with `size` objects in a network with `classes` outputs.
    pub fn of(self, size: usize, classes: usize) -> usize {
        let rank = match self {
            Rank::HalfClasses => classes.div_ceil(2),
            Rank::Fixed(rank) => rank,
            Rank::Fraction(share) => (share * size as f64).ceil() as usize,
        };
        rank.clamp(1, size.max(1))
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rank::HalfClasses => f.pad("half-classes"),
            Rank::Fixed(rank) => write!(f, "{rank}"),
            Rank::Fraction(share) => write!(f, "{share:?}"),
        }
    }
}

impl FromStr for Rank {
    type Err = String;

    /// `half-classes`, a whole number, or a share with a decimal point such as `0.25`.
    fn from_str(text: &str) -> Result<Self, String> {
        let fixed = || text.parse().ok().filter(|rank| *rank > 0).map(Rank::Fixed);
        let share = || text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).map(Rank::Fraction);
        let known = (text == "half-classes").then_some(Rank::HalfClasses);
        known.or_else(fixed).or_else(share).ok_or_else(|| {
            format!("`{text}` is no rank: half-classes, a number such as 32, or a share such as 0.25")
        })
    }
}

/// How the factors are improved between two solutions for the cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Solver {
    /// The multiplicative rule of the reference, all types at once.
    Multiplicative,
    /// Accelerated projected gradient on one type after the other; fewer iterations.
    #[default]
    Gradient,
}

impl Solver {
    /// All solvers.
    pub const ALL: [Self; 2] = [Solver::Multiplicative, Solver::Gradient];
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Solver::Multiplicative => "multiplicative",
            Solver::Gradient => "gradient",
        })
    }
}

impl FromStr for Solver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|solver| solver.to_string() == text);
        known.ok_or_else(|| format!("unknown solver `{text}`; known are multiplicative, gradient"))
    }
}

/// Settings of a factorization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Latent dimensions.
    pub rank: Rank,
    /// Most iterations.
    pub iterations: usize,
    /// Stops where an iteration lowers the objective by less than this share of it.
    pub tolerance: f64,
    /// Of everything random.
    pub seed: u64,
    /// First factors.
    pub init: Init,
    /// Update rule.
    pub solver: Solver,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rank: Rank::default(),
            iterations: 50,
            tolerance: 1e-4,
            seed: 0,
            init: Init::default(),
            solver: Solver::default(),
        }
    }
}

/// How far a factorization has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Iteration {
    /// The group being factorized.
    pub group: GroupKind,
    /// Iterations done; 0 after the first solution for the cores.
    pub done: usize,
    /// Most iterations.
    pub of: usize,
    /// The objective after it.
    pub objective: f64,
}

/// `W ~= G_row S G_col^T` for each relation of a group, with one non-negative `G` a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Types and relations.
    pub group: Group,
    /// Factor of each type, `size x rank`.
    pub g: Vec<Matrix>,
    /// Core of each relation, `rank of its row type x rank of its column type`.
    pub s: Vec<Matrix>,
    /// `sum ||R - G_i S G_j^T||_F^2`: for the first factors, then after each iteration. It falls
    /// from each to the next.
    pub objective: Vec<f64>,
}

impl Factors {
    /// The reconstruction of a relation, by its index in the group, row-major.
    pub fn reconstruct(&self, relation: usize) -> Vec<f32> {
        let Group { relations, .. } = &self.group;
        let (gi, gj) = (&self.g[relations[relation].row], &self.g[relations[relation].col]);
        let mixed = product(view(gi), view(&self.s[relation]));
        product(view(&mixed), view(gj).transpose()).data
    }

    /// The reconstruction of a tensor in its own layout, or `None` for a tensor that is not in
    /// this group.
    pub fn reconstruction(&self, network: &Network, tensor: TensorId) -> Option<Vec<f32>> {
        let mut relations =
            self.group.relations.iter().enumerate().filter(|(_, r)| r.tensor == tensor).peekable();
        relations.peek()?;
        let mut data = vec![0.0; network.tensors[tensor].data.len()];
        for (l, relation) in relations {
            for (at, value) in self.group.positions(relation).zip(self.reconstruct(l)) {
                data[at] = value;
            }
        }
        Some(data)
    }

    /// The same reconstructions from orthonormal factors, which have negative values too: with
    /// `G = Q R` of each type, `Q` takes its place and `S` becomes `R_row S R_col^T`. The columns of
    /// a non-negative `G` are much alike and differ in scale, so that `S` is made of large values
    /// that cancel, and a chain of such layers can diverge when it is trained.
    pub fn orthonormal(mut self) -> Self {
        let matrix = |m: &Matrix| {
            DMatrix::from_row_iterator(m.rows, m.cols, m.data.iter().map(|&value| f64::from(value)))
        };
        let rounded = |m: &DMatrix<f64>| Matrix {
            rows: m.nrows(),
            cols: m.ncols(),
            data: m.transpose().iter().map(|&value| value as f32).collect(),
        };
        let qr: Vec<_> = self.g.iter().map(|g| matrix(g).qr().unpack()).collect();
        for (relation, s) in self.group.relations.iter().zip(&mut self.s) {
            *s = rounded(&(&qr[relation.row].1 * matrix(s) * qr[relation.col].1.transpose()));
        }
        self.g = qr.iter().map(|(q, _)| rounded(q)).collect();
        self
    }
}

/// Factorizes all relations of a group at the same time. `progress` hears of every iteration.
pub fn factorize<D: Device>(
    device: &D,
    network: &Network,
    group: Group,
    options: &Options,
    progress: &mut dyn FnMut(Iteration),
) -> Result<Factors, FactorizeError> {
    let shapes = network.shapes()?;
    let classes = shapes[network.output].elements().unwrap_or(0) as usize;
    let sizes: Vec<usize> = group.types.iter().map(|t| t.size).collect();
    let problem = Problem {
        ranks: sizes.iter().map(|&size| options.rank.of(size, classes)).collect(),
        relations: group
            .relations
            .iter()
            .map(|r| Matrices { row: r.row, col: r.col, values: group.values(network, r) })
            .collect(),
        sizes,
    };
    let report = &mut |done, objective| {
        progress(Iteration { group: group.kind, done, of: options.iterations, objective });
    };
    let Solution { g, s, objective } = solve(device, &problem, options, report)?;
    match objective.first() {
        Some(first) if first.is_finite() => Ok(Factors { group, g, s, objective }),
        _ => Err(FactorizeError::NotFinite(group.kind)),
    }
}

/// Factors of a problem.
pub(super) struct Solution {
    pub(super) g: Vec<Matrix>,
    pub(super) s: Vec<Matrix>,
    pub(super) objective: Vec<f64>,
}

/// The loop that every solver shares. An update counts only if it lowers the objective: the
/// multiplicative rule and the projected gradient both point downhill, so a shorter step lowers
/// it where a whole one, because types are updated at once or a relation joins a type to itself,
/// does not.
pub(super) fn solve<D: Device>(
    device: &D,
    problem: &Problem,
    options: &Options,
    progress: &mut dyn FnMut(usize, f64),
) -> Result<Solution, DeviceError> {
    let first = options.init.factors(problem, options.seed);
    let mut state = State::new(device, problem, &first);
    state.solve_cores()?;
    let mut last = state.objective()?;
    let mut objective = vec![last];
    progress(0, last);
    for done in 1..=options.iterations {
        let before: Vec<_> = state.g.iter().map(|g| duplicate(device, g)).collect();
        match options.solver {
            Solver::Multiplicative => multiplicative::update(&mut state),
            Solver::Gradient => gradient::update(&mut state)?,
        }
        state.solve_cores()?;
        let mut reached = state.objective()?;
        for _ in 0..HALVINGS {
            if reached < last {
                break;
            }
            for (g, before) in state.g.iter_mut().zip(&before) {
                device.axpby(0.5, before, 0.5, g);
            }
            state.solve_cores()?;
            reached = state.objective()?;
        }
        if reached.is_nan() || reached >= last {
            state.g = before;
            state.solve_cores()?;
            break;
        }
        let gain = last - reached;
        last = reached;
        objective.push(last);
        progress(done, last);
        if gain <= options.tolerance * last {
            break;
        }
    }
    let download = |buffer, rows, cols| -> Result<Matrix, DeviceError> {
        Ok(Matrix { rows, cols, data: device.download(buffer)? })
    };
    let g = state.g.iter().enumerate().map(|(i, g)| download(g, state.sizes[i], state.ranks[i]));
    let s = state.s.iter().zip(&state.relations);
    Ok(Solution {
        g: g.collect::<Result<_, _>>()?,
        s: s.map(|(s, r)| download(s, state.ranks[r.row], state.ranks[r.col])).collect::<Result<_, _>>()?,
        objective,
    })
}

fn view(matrix: &Matrix) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice(&matrix.data, matrix.rows, matrix.cols)
}

fn product(a: MatRef<'_, f32>, b: MatRef<'_, f32>) -> Matrix {
    let (rows, cols) = (a.nrows(), b.ncols());
    let mut data = vec![0.0; rows * cols];
    let to = MatMut::from_row_major_slice_mut(&mut data, rows, cols);
    faer::linalg::matmul::matmul(to, Accum::Replace, a, b, 1.0, Par::Seq);
    Matrix { rows, cols, data }
}

#[cfg(test)]
mod tests;

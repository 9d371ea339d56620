//! How two networks differ: layer by layer, in their results and in their predictions, both run by
//! the runtime on the same raw inputs.

mod points;

use std::collections::HashSet;

use serde::Serialize;
use tfc_formats::artifact::AlignedBytes;
use tfc_formats::op::Shape;
use tfc_runtime::{Model, Session};

use crate::execute::{ExecuteError, Inputs, arg_max, spread};
use points::{Point, pairs, points};

/// Classes from which on the first five answers are compared as well.
const FIVE_OF: usize = 10;

/// Why two networks cannot be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// They do not take or do not give the same.
    #[error("the {what}s differ in shape: {a} and {b}; only networks of one {what} shape can be compared")]
    Shapes {
        /// `input` or `output`.
        what: &'static str,
        /// Shape of the first network's.
        a: Shape,
        /// Shape of the second network's.
        b: Shape,
    },
    /// There is nothing to compare them on.
    #[error("there are no samples")]
    NoSamples,
    /// One of them cannot be run.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

/// How the values of one layer differ over all samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// Largest absolute difference; infinite, in JSON `null`, where one value is not a number.
    pub max_abs: f64,
    /// Mean absolute difference.
    pub mean_abs: f64,
    /// Largest less smallest value of both networks.
    pub range: f64,
    /// `max_abs / range`: from 0, where all values are the same, to 1.
    pub relative: f64,
}

/// One layer that both networks have.
#[derive(Clone, Debug, Serialize)]
pub struct LayerDiff {
    /// Its name in the first network.
    pub name: String,
    /// Its name in the second one.
    pub name_b: String,
    /// What it computes in the first network, with what is fused.
    pub op: String,
    /// What it computes in the second one.
    pub op_b: String,
    /// Shape of its value in the first network.
    pub shape: String,
    /// Shape of its value in the second one.
    pub shape_b: String,
    /// `None` where the shapes differ.
    pub errors: Option<Errors>,
}

/// Share of the samples, 0 to 1, for which classifiers agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Both have the same largest output.
    pub top1: f64,
    /// The first network's largest output is among the five largest of the second one; only
    /// where there are ten classes or more.
    pub top5: Option<f64>,
}

/// How two networks differ.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Number of samples.
    pub samples: usize,
    /// Whether the networks preprocess differently.
    pub preprocessing_differs: bool,
    /// Layers that both have, in the order of the first network.
    pub layers: Vec<LayerDiff>,
    /// Layers of the first network that the second one does not have.
    pub only_a: Vec<String>,
    /// Layers of the second network that the first one does not have.
    pub only_b: Vec<String>,
    /// The networks' results.
    pub output: Errors,
    /// Of classifiers: networks whose result is a vector of two elements or more.
    pub agreement: Option<Agreement>,
}

impl Diff {
    /// The first layer, in the order of the first network, that differs by more than this share
    /// of its range.
    pub fn first_beyond(&self, tolerance: f64) -> Option<&LayerDiff> {
        self.layers.iter().find(|layer| layer.errors.is_some_and(|errors| errors.relative > tolerance))
    }

    /// The largest difference of a layer or of the results, as a share of its range.
    pub fn largest(&self) -> f64 {
        let layers = self.layers.iter().filter_map(|layer| layer.errors);
        layers.fold(self.output.relative, |most, errors| most.max(errors.relative))
    }
}

/// Compares two artifacts. Each preprocesses the raw inputs as it says itself.
///
/// # Errors
/// Inputs or outputs of another shape, no samples, and whatever keeps an artifact from running.
pub fn diff(a: &[u8], b: &[u8], inputs: &Inputs<'_>) -> Result<Diff, DiffError> {
    let files = [a, b].map(AlignedBytes::from);
    let [a, b] = &files;
    let (a, b) = (Model::new(a).map_err(ExecuteError::from)?, Model::new(b).map_err(ExecuteError::from)?);
    check(&a, &b, inputs)?;
    let (points_a, points_b) = (points(a.artifact()), points(b.artifact()));
    let pairs = pairs(&points_a, &points_b);
    let same_shape = |&(a, b): &(usize, usize)| points_a[a].shape == points_b[b].shape;
    let steps: Vec<(usize, usize)> = pairs
        .iter()
        .filter(|pair| same_shape(pair))
        .map(|&(a, b)| (points_a[a].step, points_b[b].step))
        .collect();

    let compared = compare(&a, &b, &steps, inputs)?;
    let of = |at: usize| Sum::errors(compared.iter().map(|sample| sample.sums[at]));
    let classes = a.output_shape().c as usize;
    let share = |agrees: fn(&Compared) -> bool| {
        compared.iter().filter(|sample| agrees(sample)).count() as f64 / compared.len() as f64
    };
    let agreement = (a.output_shape().is_vector() && classes > 1).then(|| Agreement {
        top1: share(|sample| sample.rank == 0),
        top5: (classes >= FIVE_OF).then(|| share(|sample| sample.rank < 5)),
    });
    let mut errors = (0..steps.len()).map(of);
    let layers = pairs.iter().map(|pair| {
        let errors = if same_shape(pair) { errors.next() } else { None };
        layer(&points_a[pair.0], &points_b[pair.1], errors)
    });
    let only = |points: &[Point<'_>], paired: HashSet<usize>| {
        let alone = points.iter().enumerate().filter(|(at, _)| !paired.contains(at));
        alone.map(|(_, point)| point.name.to_owned()).collect()
    };
    Ok(Diff {
        samples: compared.len(),
        preprocessing_differs: a.header().preprocess != b.header().preprocess,
        layers: layers.collect(),
        only_a: only(&points_a, pairs.iter().map(|pair| pair.0).collect()),
        only_b: only(&points_b, pairs.iter().map(|pair| pair.1).collect()),
        output: of(steps.len()),
        agreement,
    })
}

fn check(a: &Model<'_>, b: &Model<'_>, inputs: &Inputs<'_>) -> Result<(), DiffError> {
    let (of_a, of_b) = (a.input_shape(), b.input_shape());
    let flat = (of_a.is_vector() || of_b.is_vector()) && of_a.elements() == of_b.elements();
    if of_a != of_b && !flat {
        return Err(DiffError::Shapes { what: "input", a: of_a, b: of_b });
    }
    if a.output_shape() != b.output_shape() {
        return Err(DiffError::Shapes { what: "output", a: a.output_shape(), b: b.output_shape() });
    }
    if inputs.is_empty() {
        return Err(DiffError::NoSamples);
    }
    Ok(inputs.check(of_a)?)
}

fn layer(a: &Point<'_>, b: &Point<'_>, errors: Option<Errors>) -> LayerDiff {
    LayerDiff {
        name: a.name.to_owned(),
        name_b: b.name.to_owned(),
        op: a.op.clone(),
        op_b: b.op.clone(),
        shape: a.shape.to_string(),
        shape_b: b.shape.to_string(),
        errors,
    }
}

/// What came of one sample.
struct Compared {
    /// By layer, the network's result at the end.
    sums: Vec<Sum>,
    /// How many outputs of the second network come before the one that is the first network's answer.
    rank: usize,
}

/// Differences of two values.
#[derive(Clone, Copy)]
struct Sum {
    count: usize,
    largest: f64,
    sum: f64,
    low: f32,
    high: f32,
}

impl Sum {
    fn none() -> Self {
        Self { count: 0, largest: 0.0, sum: 0.0, low: f32::INFINITY, high: f32::NEG_INFINITY }
    }

    fn add(&mut self, a: &[f32], b: &[f32]) {
        self.count += a.len();
        for (&a, &b) in a.iter().zip(b) {
            let same = a == b || a.is_nan() && b.is_nan();
            let error = if same { 0.0 } else { (f64::from(a) - f64::from(b)).abs() };
            let error = if error.is_nan() { f64::INFINITY } else { error };
            self.largest = self.largest.max(error);
            self.sum += error;
            self.low = self.low.min(a).min(b);
            self.high = self.high.max(a).max(b);
        }
    }

    /// Over all samples, added up in their order: the same numbers on any number of cores.
    fn errors(samples: impl Iterator<Item = Self>) -> Errors {
        let all = samples.fold(Self::none(), |all, one| Self {
            count: all.count + one.count,
            largest: all.largest.max(one.largest),
            sum: all.sum + one.sum,
            low: all.low.min(one.low),
            high: all.high.max(one.high),
        });
        let range = (f64::from(all.high) - f64::from(all.low)).max(0.0);
        let relative = match all.largest {
            0.0 => 0.0,
            largest if largest.is_finite() => largest / range,
            infinite => infinite,
        };
        Errors { max_abs: all.largest, mean_abs: all.sum / all.count.max(1) as f64, range, relative }
    }
}

/// Runs both artifacts on every input and compares the outputs of these pairs of steps.
fn compare(
    a: &Model<'_>,
    b: &Model<'_>,
    steps: &[(usize, usize)],
    inputs: &Inputs<'_>,
) -> Result<Vec<Compared>, ExecuteError> {
    let place = |of: fn(&(usize, usize)) -> usize, count: u32| {
        let mut places = vec![None; count as usize];
        steps.iter().enumerate().for_each(|(at, pair)| places[of(pair)] = Some(at));
        places
    };
    let places_a = place(|pair| pair.0, a.header().steps);
    let places_b = place(|pair| pair.1, b.header().steps);
    let elements = a.input_shape().elements().unwrap_or(0) as usize;
    spread(inputs.len(), |samples| {
        let mut arenas = [a, b].map(|model| AlignedBytes::zeroed(model.arena_len()));
        let [arena_a, arena_b] = &mut arenas;
        let (mut session_a, mut session_b) = (Session::new(a, arena_a)?, Session::new(b, arena_b)?);
        let mut input = vec![0.0; elements];
        let mut values: Vec<Vec<f32>> = vec![Vec::new(); steps.len()];
        let mut one = |at: usize| -> Result<Compared, ExecuteError> {
            inputs.fill(at, a.input_shape(), &a.header().preprocess, &mut input);
            let output_a = session_a.run_observed(&input, &mut |step, _, value| {
                if let Some(at) = places_a[step] {
                    values[at].clear();
                    values[at].extend(value.numbers());
                }
            })?;
            let mut sums = vec![Sum::none(); steps.len() + 1];
            inputs.fill(at, b.input_shape(), &b.header().preprocess, &mut input);
            let output_b = session_b.run_observed(&input, &mut |step, _, value| {
                if let Some(at) = places_b[step] {
                    let of_b: Vec<f32> = value.numbers().collect();
                    sums[at].add(&values[at], &of_b);
                }
            })?;
            sums[steps.len()].add(output_a, output_b);
            Ok(Compared { sums, rank: rank(output_b, arg_max(output_a)) })
        };
        samples.map(&mut one).collect()
    })
}

/// How many values come before this one in the order of size, the first one first among equals;
/// all do where it is not a number.
fn rank(values: &[f32], of: usize) -> usize {
    if values[of].is_nan() {
        return values.len();
    }
    let before = |(at, value): (usize, &f32)| *value > values[of] || *value == values[of] && at < of;
    values.iter().enumerate().filter(|&entry| before(entry)).count()
}

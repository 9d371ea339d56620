//! Running artifacts in the runtime, many samples at a time: every accuracy that `tfc` prints
//! comes from here.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;
use serde::Serialize;
use tfc_formats::artifact::{AlignedBytes, Artifact, ArtifactError};
use tfc_formats::dataset::Samples;
use tfc_formats::op::{Op, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::{Model, ModelError, PrepareError, RunError, Session, SessionError};

/// Why an artifact cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The file is not a valid artifact.
    #[error("the artifact is not valid: {0}")]
    Artifact(#[from] ArtifactError),
    /// The runtime cannot run it.
    #[error("the artifact cannot be run: {0}")]
    Model(#[from] ModelError),
    /// It cannot be laid out for this machine.
    #[error("the artifact cannot be run: {0}")]
    Prepare(#[from] PrepareError),
    /// No session could be made.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A run failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The samples do not fit the network.
    #[error("the network takes {expected} inputs a sample ({shape}), the data set has {found}")]
    Samples {
        /// Elements of the network's input.
        expected: usize,
        /// Its shape.
        shape: String,
        /// Elements of a sample.
        found: usize,
    },
    /// Errors cannot be counted.
    #[error("the samples have no labels, which accuracy needs; give folders of classes or --labels")]
    Unlabelled,
    /// The data set has classes that the network cannot name.
    #[error("the data set has {classes} classes, the network has {outputs} outputs")]
    Classes {
        /// Classes of the data set.
        classes: u32,
        /// Elements of the network's output.
        outputs: usize,
    },
}

/// Inputs on which networks are compared.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Samples of a data set.
    Samples(&'a Samples),
    /// No data: this many seeded random inputs.
    Random {
        /// Number of inputs.
        count: usize,
        /// Seed of the generator.
        seed: u64,
    },
}

impl Inputs<'_> {
    /// Number of inputs.
    pub fn len(&self) -> usize {
        match self {
            Inputs::Samples(samples) => samples.len(),
            Inputs::Random { count, .. } => *count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that a network with this input takes them.
    pub fn check(&self, input: Shape) -> Result<(), ExecuteError> {
        let Inputs::Samples(samples) = self else { return Ok(()) };
        let expected = input.elements().unwrap_or(0) as usize;
        let found = samples.shape.elements().unwrap_or(0) as usize;
        if expected != found {
            return Err(ExecuteError::Samples { expected, shape: input.to_string(), found });
        }
        Ok(())
    }

    /// Writes input number `at`, preprocessed, for a network that takes `shape`.
    pub fn fill(&self, at: usize, shape: Shape, preprocess: &Preprocess, out: &mut [f32]) {
        match *self {
            Inputs::Samples(samples) => samples.input(at, preprocess, out),
            Inputs::Random { seed, .. } => random(seed.wrapping_add(at as u64), shape, preprocess, out),
        }
    }
}

/// Random bytes of random contrast, preprocessed: nearly flat inputs as well as pure noise.
fn random(seed: u64, shape: Shape, preprocess: &Preprocess, out: &mut [f32]) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let (low, high) = (random.random::<u8>(), random.random::<u8>());
    let (low, high) = (low.min(high), low.max(high));
    let data = out.iter().map(|_| random.random_range(low..=high)).collect();
    Samples { shape, classes: 1, data, labels: vec![0] }.input(0, preprocess, out);
}

/// What `run` returns for `0..count`, in order, when that is spread over the cores in ranges.
pub(crate) fn spread<T, F>(count: usize, run: F) -> Result<Vec<T>, ExecuteError>
where
    T: Send,
    F: Fn(Range<usize>) -> Result<Vec<T>, ExecuteError> + Sync,
{
    let chunk = count.div_ceil(4 * rayon::current_num_threads()).max(1);
    let chunks: Vec<Result<Vec<T>, ExecuteError>> = (0..count.div_ceil(chunk))
        .into_par_iter()
        .map(|index| run(index * chunk..count.min((index + 1) * chunk)))
        .collect();
    let mut all = Vec::with_capacity(count);
    for chunk in chunks {
        all.extend(chunk?);
    }
    Ok(all)
}

/// Outputs of an artifact for `count` inputs, in order. `input` fills in the preprocessed input
/// of a sample by its index; samples are spread over the cores.
pub fn outputs<F>(bytes: &[u8], count: usize, input: F) -> Result<Vec<Vec<f32>>, ExecuteError>
where
    F: Fn(usize, &mut [f32]) + Sync,
{
    let aligned = AlignedBytes::from(bytes);
    let model = Model::new(&aligned)?;
    let elements = model.input_shape().elements().unwrap_or(0) as usize;
    spread(count, |samples| {
        let mut arena = AlignedBytes::zeroed(model.arena_len());
        let mut session = Session::new(&model, &mut arena)?;
        let mut sample = vec![0.0; elements];
        samples
            .map(|at| {
                input(at, &mut sample);
                Ok(session.run(&sample)?.to_vec())
            })
            .collect()
    })
}

/// Outputs of an artifact for inputs, preprocessed as the artifact says.
pub fn outputs_for(bytes: &[u8], inputs: &Inputs<'_>) -> Result<Vec<Vec<f32>>, ExecuteError> {
    let aligned = AlignedBytes::from(bytes);
    let model = Model::new(&aligned)?;
    let shape = model.input_shape();
    inputs.check(shape)?;
    let preprocess = model.header().preprocess.clone();
    outputs(bytes, inputs.len(), |at, out| inputs.fill(at, shape, &preprocess, out))
}

/// Outputs of an artifact for labelled samples, preprocessed as the artifact says.
pub fn outputs_of(bytes: &[u8], samples: &Samples) -> Result<Vec<Vec<f32>>, ExecuteError> {
    outputs_for(bytes, &Inputs::Samples(samples))
}

/// Index of the first largest element; NaN never wins.
pub fn arg_max(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] || values[best].is_nan() {
            best = index;
        }
    }
    best
}

/// How a classifier did on labelled samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Number of samples.
    pub samples: usize,
    /// Samples whose largest output is not their class.
    pub errors: usize,
    /// `confusion[class][prediction]` counts.
    pub confusion: Vec<Vec<usize>>,
}

impl Score {
    /// Errors in percent.
    pub fn error_percent(&self) -> f64 {
        100.0 * self.errors as f64 / self.samples.max(1) as f64
    }
}

/// Runs an artifact over labelled samples.
pub fn score(bytes: &[u8], samples: &Samples) -> Result<Score, ExecuteError> {
    if !samples.is_labelled() {
        return Err(ExecuteError::Unlabelled);
    }
    let outputs = outputs_of(bytes, samples)?;
    match outputs.first() {
        Some(output) if output.len() < samples.classes as usize => {
            Err(ExecuteError::Classes { classes: samples.classes, outputs: output.len() })
        }
        _ => Ok(score_outputs(&outputs, samples)),
    }
}

/// Scores outputs for labelled samples that are there already.
pub fn score_outputs(outputs: &[Vec<f32>], samples: &Samples) -> Score {
    let predictions = outputs.first().map_or(0, Vec::len);
    let mut confusion = vec![vec![0; predictions]; samples.classes as usize];
    let mut errors = 0;
    for (output, &label) in outputs.iter().zip(&samples.labels) {
        let prediction = arg_max(output);
        confusion[label as usize][prediction] += 1;
        errors += usize::from(prediction != label as usize);
    }
    Score { samples: outputs.len(), errors, confusion }
}

/// Mean cross-entropy of an artifact's outputs that are there already, in nats: of their softmax,
/// unless they are one.
pub fn cross_entropy(bytes: &[u8], outputs: &[Vec<f32>], samples: &Samples) -> Result<f64, ExecuteError> {
    let aligned = AlignedBytes::from(bytes);
    let steps = Artifact::parse(&aligned)?;
    let last = steps.steps().filter(|step| !matches!(step.op, Op::Flatten | Op::Dropout { .. })).last();
    let probabilities = last.is_some_and(|step| step.op == Op::Softmax);
    let loss = |(output, &label): (&Vec<f32>, &u32)| {
        if probabilities {
            return -f64::from(output[label as usize].max(f32::MIN_POSITIVE)).ln();
        }
        let largest = output.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = output.iter().map(|v| f64::from(v - largest).exp()).sum();
        sum.ln() - f64::from(output[label as usize] - largest)
    };
    Ok(outputs.iter().zip(&samples.labels).map(loss).sum::<f64>() / outputs.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use tfc_formats::import::{ImportOptions, untrained};
    use tfc_formats::network::{Network, Node};

    use super::*;
    use crate::encode::{Precision, encode};
    use crate::train::init;

    #[test]
    fn a_softmax_at_the_end_does_not_change_the_loss() {
        let mut network = untrained("lenet_300_100", &ImportOptions::default()).unwrap();
        init(&mut network, 1);
        let samples =
            Samples { shape: network.input, classes: 10, data: Vec::new(), labels: vec![3, 1, 4, 1, 5] };
        let loss = |network: &Network| {
            let bytes = encode(network, &vec![Precision::F32; network.tensors.len()]).unwrap().bytes;
            let outputs = outputs_for(&bytes, &Inputs::Random { count: 5, seed: 1 }).unwrap();
            cross_entropy(&bytes, &outputs, &samples).unwrap()
        };
        let logits = loss(&network);
        let inputs = vec![network.output];
        network.nodes.push(Node { name: "p".into(), op: Op::Softmax, inputs, params: Vec::new() });
        network.output = network.nodes.len();
        assert!((loss(&network) - logits).abs() < 1e-5, "{logits}");
        assert!(logits > 0.1, "{logits}");
    }
}

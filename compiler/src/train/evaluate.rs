//! Loss, errors and class scores over a set of samples.

use serde::{Deserialize, Serialize};
use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::batch::Batches;
use super::executor::{Answers, Executor};
use super::ops::Mode;
use super::{TrainError, stats::Sums};
use crate::device::Device;

/// How a network does on a set of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of samples.
    pub samples: usize,
    /// Samples whose first largest score is not their label.
    pub errors: usize,
    /// Mean cross-entropy, in nats.
    pub loss: f64,
}

impl Evaluation {
    /// Share of errors, 0 to 1.
    pub fn error(&self) -> f64 {
        self.errors as f64 / self.samples.max(1) as f64
    }

    /// Whether it has fewer errors than the other, or as many and a lower loss.
    pub fn is_better_than(&self, other: &Self) -> bool {
        self.errors < other.errors || self.errors == other.errors && self.loss < other.loss
    }
}

/// Evaluates a network in batches of at most `batch` samples.
///
/// # Errors
/// Where a node has no forward pass here, or the samples do not fit the network.
pub fn evaluate<D: Device>(
    device: &D,
    network: &Network,
    samples: &Samples,
    batch: usize,
) -> Result<Evaluation, TrainError> {
    let batch = batch.clamp(1, samples.len().max(1));
    let mut executor = Executor::new(device, network, batch, None)?;
    let mut batches = Batches::labelled(samples, network, executor.classes(), "evaluation")?;
    run(&mut executor, &mut batches, samples.len(), batch)
}

/// Class scores before the softmax, sample by sample: `[samples, classes]`.
///
/// # Errors
/// As [`evaluate`].
pub fn logits<D: Device>(
    device: &D,
    network: &Network,
    samples: &Samples,
    batch: usize,
) -> Result<Vec<f32>, TrainError> {
    let batch = batch.clamp(1, samples.len().max(1));
    let mut executor = Executor::new(device, network, batch, None)?;
    let classes = executor.classes();
    let mut batches = Batches::new(samples, network, classes, "evaluation")?;
    let mut scores = Vec::with_capacity(samples.len() * classes);
    for positions in in_order(samples.len(), batch) {
        batches.fill(&positions);
        executor.forward(&batches.input, positions.len(), Mode::INFERENCE);
        let columns = executor.logits()?;
        for j in 0..positions.len() {
            scores.extend((0..classes).map(|k| columns[k * positions.len() + j]));
        }
    }
    Ok(scores)
}

/// Evaluates the network as it is on the device.
pub(super) fn run<D: Device>(
    executor: &mut Executor<'_, D>,
    batches: &mut Batches<'_>,
    samples: usize,
    batch: usize,
) -> Result<Evaluation, TrainError> {
    let mut sums = Sums::default();
    executor.set_stats([0.0; 2]);
    for (step, positions) in in_order(samples, batch).enumerate() {
        batches.fill(&positions);
        executor.forward(&batches.input, positions.len(), Mode::INFERENCE);
        executor.loss(&Answers { labels: &batches.labels, teacher: None });
        sums.after_step(executor, step + 1, positions.len())?;
    }
    sums.collect(executor)?;
    Ok(sums.evaluation())
}

/// Positions of all samples in batches.
pub(super) fn in_order(samples: usize, batch: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..samples).step_by(batch).map(move |start| (start..samples.min(start + batch)).collect())
}

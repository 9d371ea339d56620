//! Statistics of batch normalizations from data.

use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::TrainError;
use super::batch::Batches;
use super::evaluate::in_order;
use super::executor::Executor;
use super::ops::Mode;
use crate::device::Device;

/// Replaces the running statistics of all batch normalizations by means over these samples; labels
/// do not matter. For a network whose weights changed without training.
///
/// The samples pass once, in order and in batches of at most `batch`. Each layer normalizes by the
/// statistics of its batch, as in training, and gets the means of these (the unbiased variance)
/// weighted by the samples of each batch: with one batch of all samples, the statistics that
/// inference then meets.
///
/// # Errors
/// As [`evaluate`](super::evaluate()), or that the samples make the statistics infinite or NaN. The
/// network is then as it was.
pub fn reestimate_batch_norm<D: Device>(
    device: &D,
    network: &mut Network,
    samples: &Samples,
    batch: usize,
) -> Result<(), TrainError> {
    let batch = batch.clamp(1, samples.len().max(1));
    let mut executor = Executor::new(device, network, batch, None)?;
    let mut batches = Batches::new(samples, network, executor.classes(), "calibration")?;
    let mut seen = 0;
    for positions in in_order(samples.len(), batch) {
        batches.fill(&positions);
        seen += positions.len();
        let momentum = Some((positions.len() as f64 / seen as f64) as f32);
        executor.forward(&batches.input, positions.len(), Mode { dropout: None, momentum });
    }
    let mut tensors = network.tensors.clone();
    executor.store(&mut tensors)?;
    let before = std::mem::replace(&mut network.tensors, tensors);
    network.check().map_err(|error| {
        network.tensors = before;
        error.into()
    })
}

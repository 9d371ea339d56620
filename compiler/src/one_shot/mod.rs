//! Pruning in one shot with the inputs of a few samples and no labels: layer by layer, the weights
//! that remain make up for those that go.
//!
//! For each layer, in the order of the graph, the inputs `x'` that it gets in the network pruned
//! so far are compared with the outputs `t` that it had in the dense network. Its new weights
//! minimise `E |t - W x'|^2`, so that errors of the layers before are corrected and do not add up:
//!
//! 1. `H = E x' x'^T` and `E t x'^T` are gathered on the device from patches of the calibration
//!    samples, about their means (the bias, or the mean of the batch norm behind, takes these up),
//!    with a ridge toward the dense weights.
//! 2. The best weights without zeros are `E t x'^T H^-1`.
//! 3. From them the optimal brain surgeon removes weights (see `exact`, or `columns` where
//!    that takes too long), over all rows of the layer the cheapest first. How many are removed
//!    from each layer is what the masks say, from [`scores`] or others.
//! 4. What is kept is solved for again: normal equations of the kept inputs. After `columns` only
//!    where that does not take too long.
//!    Before a ReLU it is solved a few times more, without regard to what the ReLU cuts off.
//! 5. Before a batch norm, each output is scaled to the variance of its target, which is what
//!    estimating the statistics of the norm again amounts to. Those of other batch norms, behind an
//!    addition or a layer that was only masked, are estimated again (`norms`) when their turn comes,
//!    so that the layers behind are corrected for what they will get.
//!
//! Where the output is only added to other values, as at the end of a residual block, it also
//! makes up for the errors of those.

mod cholesky;
mod columns;
mod exact;
mod layer;
mod moments;
mod norms;
mod patches;
mod place;
mod problem;
mod rectify;
mod run;
mod sensitivity;
mod values;

#[cfg(test)]
mod tests;

pub use layer::Order;

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, NetworkError};

use crate::device::{Device, DeviceError};
use crate::encode::EncodeError;
use crate::execute::ExecuteError;
use crate::prune::{Masks, Scores};
use run::Run;
use sensitivity::Sensitivity;

/// Most samples that are worked on together.
const BATCH: usize = if cfg!(test) { 8 } else { 32 };

/// Why nothing was corrected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OneShotError {
    /// No samples to calibrate with.
    #[error("the calibration set is empty")]
    Empty,
    /// Values are NaN or infinite.
    #[error("layer `{0}` has inputs that are not finite; check scale, mean and std of the preprocessing")]
    NotFinite(String),
    /// Stopped by request.
    #[error("stopped; one-shot pruning starts over when it is run again")]
    Interrupted,
    /// Network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Encoding of a part.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Running it.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Device.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// A layer that is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Corrected {
    /// Its name.
    pub layer: String,
    /// How its weights were chosen.
    pub order: Order,
    /// Weights that are zero, and all.
    pub zeros: usize,
    /// Number of weights.
    pub weights: usize,
    /// Mean squared error of its output against the dense network's, about the mean, relative to
    /// the power of the latter; `None` where it was not corrected.
    pub output_error: Option<f64>,
}

/// A layer that is done, among all.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Name of the layer.
    pub layer: String,
    /// What became of it; `None` where it was only scored.
    pub corrected: Option<Corrected>,
    /// Layers done, this one too.
    pub done: usize,
    /// Layers in all.
    pub of: usize,
}

/// Prunes a network until each layer has as many zeros as `masks` leave it, and corrects the
/// weights that remain. Zeros that are there stay. Labels are not looked at. The weights of `block`
/// consecutive rows go together at each input.
///
/// # Errors
/// Samples that do not fit the network, values that are not finite, a device that fails, `stop`
/// set between two layers.
pub fn correct<D: Device>(
    device: &D,
    dense: &Network,
    samples: &Samples,
    masks: &Masks,
    block: u8,
    progress: &mut dyn FnMut(&Progress),
    stop: &AtomicBool,
) -> Result<(Network, Vec<Corrected>), OneShotError> {
    let (mut run, nodes) = Run::new(device, dense, samples, block)?;
    let mut report = Vec::with_capacity(nodes.len());
    let mut next = 0;
    for &(node, tensor) in &nodes {
        (next..node).try_for_each(|node| run.norm(node))?;
        next = node + 1;
        if stop.load(Ordering::SeqCst) {
            return Err(OneShotError::Interrupted);
        }
        let corrected = run.layer(node, tensor, masks)?;
        let layer = corrected.layer.clone();
        report.push(corrected.clone());
        progress(&Progress { layer, corrected: Some(corrected), done: report.len(), of: nodes.len() });
    }
    (next..dense.nodes.len()).try_for_each(|node| run.norm(node))?;
    run.network.check()?;
    Ok((run.network, report))
}

/// How much each weight matters to the output of the network: what the squared error of its layer's
/// output grows by when it is removed after all that matter less in its row, and the others make
/// up for it, times what such an error was found to do to the output of the network. The weights of
/// `block` consecutive rows at one input go together, and each has its part of what that costs.
///
/// # Errors
/// As [`correct`].
pub fn scores<D: Device>(
    device: &D,
    dense: &Network,
    samples: &Samples,
    block: u8,
    progress: &mut dyn FnMut(&Progress),
    stop: &AtomicBool,
) -> Result<Scores, OneShotError> {
    let (mut run, nodes) = Run::new(device, dense, samples, block)?;
    let sensitivity = Sensitivity::new(dense, samples)?;
    let mut scores = vec![None; dense.tensors.len()];
    for (done, &(node, tensor)) in nodes.iter().enumerate() {
        if stop.load(Ordering::SeqCst) {
            return Err(OneShotError::Interrupted);
        }
        scores[tensor] = Some(run.scores(node, tensor, &sensitivity)?);
        let layer = dense.nodes[node].name.clone();
        progress(&Progress { layer, corrected: None, done: done + 1, of: nodes.len() });
    }
    Ok(Scores::new(scores).in_blocks(block))
}

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
//! 3. From them the optimal brain surgeon removes weights (see [`exact`], or [`columns`] where
//!    that takes too long), over all rows of the layer the cheapest first. How many are removed
//!    from each layer is what the masks say that a score and its scope gave.
//! 4. What is kept is solved for again: normal equations of the kept inputs.
//! 5. Before a batch norm, each output is scaled to the variance of its target, which is what
//!    estimating the statistics of the norm again amounts to.
//!
//! Where the output is only added to other values, as at the end of a residual block, it also
//! makes up for the errors of those.

mod cholesky;
mod columns;
mod exact;
mod layer;
mod moments;
mod patches;
mod place;
mod problem;
mod values;

#[cfg(test)]
mod tests;

pub use layer::Order;

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, NetworkError, TensorId};

use crate::device::{Device, DeviceError};
use crate::encode::EncodeError;
use crate::execute::ExecuteError;
use crate::prune::Masks;
use moments::Moments;
use patches::Geometry;
use place::{Offset, Place};
use values::Values;

/// Samples that are worked on together.
const BATCH: usize = if cfg!(test) { 8 } else { 32 };

/// Most inputs of an output that are corrected: `H` has the square of it (512 MB).
const MOST_INPUTS: usize = 8192;

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
    /// The layer.
    pub corrected: Corrected,
    /// Layers done, this one too.
    pub done: usize,
    /// Layers in all.
    pub of: usize,
}

/// Prunes a network until each layer has as many zeros as `masks` leave it, and corrects the
/// weights that remain. Zeros that are there stay. Labels are not looked at.
///
/// # Errors
/// Samples that do not fit the network, values that are not finite, a device that fails, `stop`
/// set between two layers.
pub fn correct<D: Device>(
    device: &D,
    dense: &Network,
    samples: &Samples,
    masks: &Masks,
    progress: &mut dyn FnMut(&Progress),
    stop: &AtomicBool,
) -> Result<(Network, Vec<Corrected>), OneShotError> {
    if samples.is_empty() {
        return Err(OneShotError::Empty);
    }
    let nodes: Vec<(usize, TensorId)> = (0..dense.nodes.len())
        .filter(|&node| dense.selection(node).is_none())
        .filter_map(|node| Some((node, dense.weight(node)?)))
        .collect();
    let mut run = Run {
        device,
        dense,
        samples,
        network: dense.clone(),
        before: Values::new(samples),
        now: Values::new(samples),
        changed: false,
    };
    let mut report = Vec::with_capacity(nodes.len());
    for &(node, tensor) in &nodes {
        if stop.load(Ordering::SeqCst) {
            return Err(OneShotError::Interrupted);
        }
        let corrected = run.layer(node, tensor, masks)?;
        progress(&Progress { corrected: corrected.clone(), done: report.len() + 1, of: nodes.len() });
        report.push(corrected);
    }
    run.network.check()?;
    Ok((run.network, report))
}

/// What gives an output the power of its target again, at most twice or half as much. Least squares
/// leave out what the kept inputs cannot explain, and so shrink outputs; a batch norm whose
/// statistics are estimated again makes up for that.
fn gain(target: f64, output: f64) -> f64 {
    if target > 0.0 && output > 0.0 { (target / output).sqrt().clamp(0.5, 2.0) } else { 1.0 }
}

struct Run<'a, D> {
    device: &'a D,
    dense: &'a Network,
    samples: &'a Samples,
    network: Network,
    /// Values of the dense network.
    before: Values<'a>,
    /// Values of the network as it is now.
    now: Values<'a>,
    /// Whether any weight differs.
    changed: bool,
}

impl<D: Device> Run<'_, D> {
    fn layer(&mut self, node: usize, tensor: TensorId, masks: &Masks) -> Result<Corrected, OneShotError> {
        let name = &self.dense.nodes[node].name;
        let dense = &self.dense.tensors[tensor].data;
        let keep = masks.get(tensor);
        let count = keep.map_or(0, |keep| keep.iter().filter(|keep| !**keep).count());
        let mut corrected = Corrected {
            layer: name.clone(),
            order: Order::Scores,
            zeros: count,
            weights: dense.len(),
            output_error: None,
        };
        let shapes = self.dense.shapes()?;
        let node_inputs = &self.dense.nodes[node].inputs;
        let geometry = Geometry::new(&self.dense.nodes[node].op, shapes[node_inputs[0]], shapes[node + 1]);
        let shared = self.dense.nodes.iter().filter(|n| n.params.contains(&tensor)).count() > 1;
        let Some(geometry) = geometry.filter(|geometry| !shared && geometry.inputs <= MOST_INPUTS) else {
            for (value, _) in self.network.tensors[tensor]
                .data
                .iter_mut()
                .zip(keep.into_iter().flatten())
                .filter(|(_, keep)| !**keep)
            {
                *value = 0.0;
            }
            self.changed |= count > 0;
            return Ok(corrected);
        };
        let zeros = dense.len() - self.dense.tensors[tensor].nonzeros();
        if !self.changed && count <= zeros {
            corrected.zeros = zeros;
            corrected.order = Order::Exact;
            corrected.output_error = Some(0.0);
            return Ok(corrected);
        }

        let not_finite = || OneShotError::NotFinite(name.clone());
        let place = Place::new(self.dense, node);
        let seen = self.gather(node, geometry, dense, &place)?.finish(place.offset != Offset::None)?;
        let gone: Vec<Vec<bool>> =
            dense.chunks_exact(geometry.inputs).map(|row| row.iter().map(|w| *w == 0.0).collect()).collect();
        let importance: Vec<f64> = place.scale.iter().map(|scale| f64::from(scale * scale)).collect();
        let (order, mut rows) =
            layer::remove(&seen.problems, &gone, &importance, count.max(zeros)).ok_or_else(not_finite)?;

        let (mut error, mut power) = (0.0, 0.0);
        for (row, weights) in rows.iter_mut().enumerate() {
            let (group, row_of_group) = (row / geometry.rows, row % geometry.rows);
            let problem = &seen.problems[group];
            let target = problem.power[row_of_group].max(0.0);
            let (output, common) = problem.output(row_of_group, weights);
            let gain = if place.normalized { gain(target, output) } else { 1.0 };
            weights.iter_mut().for_each(|w| *w *= gain);
            error += importance[row] * (target - 2.0 * gain * common + gain * gain * output).max(0.0);
            power += importance[row] * target;
            let x = &seen.inputs[group * geometry.inputs..][..geometry.inputs];
            let mean: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
            place.offset.shift(&mut self.network, row, seen.targets[row] - mean);
        }
        let data = &mut self.network.tensors[tensor].data;
        data.iter_mut().zip(rows.iter().flatten()).for_each(|(to, w)| *to = *w as f32);
        if data.iter().any(|w| !w.is_finite()) {
            return Err(not_finite());
        }
        self.changed = true;
        corrected.zeros = data.iter().filter(|w| **w == 0.0).count();
        corrected.order = order;
        corrected.output_error = Some(if power > 0.0 { error / power } else { 0.0 });
        Ok(corrected)
    }

    /// Moments of the layer over all samples.
    fn gather<'d>(
        &mut self,
        node: usize,
        geometry: Geometry,
        dense: &'d [f32],
        place: &Place,
    ) -> Result<Moments<'d, D>, OneShotError>
    where
        Self: 'd,
    {
        self.before.advance(self.dense, node)?;
        self.now.advance(&self.network, node)?;
        let input = self.dense.nodes[node].inputs[0];
        let parts = |value| -> Result<_, OneShotError> {
            Ok((self.before.part(self.dense, value)?, self.now.part(&self.network, value)?))
        };
        let inputs = parts(input)?;
        let others = place.others.iter().map(|&value| parts(value)).collect::<Result<Vec<_>, _>>()?;
        let mut moments = Moments::new(self.device, geometry, dense);
        for first in (0..self.samples.len()).step_by(BATCH) {
            let range = first..self.samples.len().min(first + BATCH);
            let both = |(before, now): &(_, _)| -> Result<_, OneShotError> {
                Ok((self.before.of(before, range.clone())?, self.now.of(now, range.clone())?))
            };
            let (before, now) = both(&inputs)?;
            let mut shift = None;
            for other in &others {
                let (before, now) = both(other)?;
                let shift = shift.get_or_insert_with(|| vec![0.0; before.len() * before[0].len()]);
                place.add_shift(shift, &before, &now);
            }
            moments.add(&now, &before, shift.as_deref())?;
        }
        Ok(moments)
    }
}

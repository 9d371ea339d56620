//! Statistics of batch norms that no correction of a layer keeps: behind additions,
//! concatenations and pools, and behind layers that were only masked.

use tfc_formats::op::Op;

use super::place::uses;
use super::run::Run;
use super::values::{Part, Values};
use super::{BATCH, OneShotError};
use crate::device::Device;

/// Least share of a variance that is kept: what hardly varies any more is not blown up.
const LEAST: f64 = 0.01;

/// Share of a squared mean below which a variance is rounding.
const ROUNDING: f64 = 1e-9;

/// Sums and sums of squares of each channel, before and now.
#[derive(Clone, Copy, Default)]
struct Sums {
    before: [f64; 2],
    now: [f64; 2],
}

impl<D: Device> Run<'_, D> {
    /// Estimates the statistics of a batch norm again, if its inputs changed and nothing else keeps
    /// them: so that each output has the mean and the variance over the samples that it had in the
    /// dense network. Where inputs did not change, the statistics do not either.
    pub(super) fn norm(&mut self, node: usize) -> Result<(), OneShotError> {
        let Op::BatchNorm { eps } = self.dense.nodes[node].op else { return Ok(()) };
        let [mean, var] = [2, 3].map(|role| self.dense.nodes[node].params[role]);
        let own = |tensor| uses(self.dense, tensor) == 1;
        if !self.changed || self.kept_norms[node] || !own(mean) || !own(var) {
            return Ok(());
        }
        self.before.advance(self.dense, node)?;
        self.now.advance(&self.network, node)?;
        let input = self.dense.nodes[node].inputs[0];
        let before = self.before.part(self.dense, input)?;
        let now = self.now.part(&self.network, input)?;
        let channels = self.dense.tensors[mean].data.len();
        let mut sums = vec![Sums::default(); channels];
        let mut count = 0;
        for first in (0..self.samples.len()).step_by(BATCH) {
            let range = first..self.samples.len().min(first + BATCH);
            let of = |values: &Values<'_>, part: &Part| values.of(part, range.clone());
            let (before, now) = (of(&self.before, &before)?, of(&self.now, &now)?);
            for (before, now) in before.iter().zip(&now) {
                let plane = before.len() / channels;
                let both = before.chunks_exact(plane).zip(now.chunks_exact(plane));
                for (sums, (before, now)) in sums.iter_mut().zip(both) {
                    add(&mut sums.before, before);
                    add(&mut sums.now, now);
                }
                count += plane;
            }
        }
        for (channel, Sums { before, now }) in sums.into_iter().enumerate() {
            let moments = |[sum, squares]: [f64; 2]| {
                let mean = sum / count as f64;
                (mean, squares / count as f64 - mean * mean)
            };
            let ((mean_before, var_before), (mean_now, var_now)) = (moments(before), moments(now));
            if !var_before.is_finite() || !var_now.is_finite() {
                return Err(self.not_finite(node));
            }
            let [running_mean, running_var] =
                [mean, var].map(|tensor| f64::from(self.dense.tensors[tensor].data[channel]));
            let eps = f64::from(eps);
            let varies = var_before > ROUNDING * mean_before * mean_before;
            let ratio = if varies { (var_now / var_before).max(LEAST) } else { 1.0 };
            let var_after = ((running_var + eps) * ratio - eps).max(0.0);
            let scale = ((var_after + eps) / (running_var + eps)).sqrt();
            // Samples need not have the mean of those of the training.
            let mean_after = mean_now - (mean_before - running_mean) * scale;
            self.network.tensors[mean].data[channel] = mean_after as f32;
            self.network.tensors[var].data[channel] = var_after as f32;
        }
        Ok(())
    }
}

fn add(sums: &mut [f64; 2], values: &[f32]) {
    for &value in values {
        sums[0] += f64::from(value);
        sums[1] += f64::from(value).powi(2);
    }
}

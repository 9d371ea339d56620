//! What an error of one layer's output does to the output of the network.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, TensorId};

use super::OneShotError;
use crate::encode::{Precision, encode};
use crate::execute;

/// Most samples that it is measured on.
const SAMPLES: usize = 64;

/// Squared error of the layer's output, relative to its power, that it is measured at: about what
/// pruning leaves.
const ERROR: f64 = 0.01;

/// Measures a network's outputs against those that it had.
pub(super) struct Sensitivity<'a> {
    dense: &'a Network,
    samples: Samples,
    outputs: Vec<Vec<f32>>,
}

impl<'a> Sensitivity<'a> {
    /// Runs the network on some of the samples.
    pub(super) fn new(dense: &'a Network, samples: &Samples) -> Result<Self, OneShotError> {
        let count = samples.len().min(SAMPLES);
        let positions: Vec<usize> = (0..count).map(|i| i * samples.len() / count).collect();
        let samples = samples.subset(&positions);
        let outputs = outputs(dense, &samples)?;
        Ok(Self { dense, samples, outputs })
    }

    /// The network's squared output error per squared relative error of one layer, with noise on
    /// its weights in place of what pruning does. `error` gives the relative error that an offset of
    /// the weights makes, and takes up its mean in the network where something can.
    pub(super) fn of(
        &self,
        tensor: TensorId,
        error: impl Fn(&[f64]) -> f64,
        settle: impl Fn(&[f64], &mut Network),
    ) -> Result<f64, OneShotError> {
        let mut random = Pcg64Mcg::seed_from_u64(tensor as u64);
        let weights = &self.dense.tensors[tensor].data;
        let mut noise: Vec<f64> =
            weights.iter().map(|w| if *w == 0.0 { 0.0 } else { random.random_range(-1.0..1.0) }).collect();
        let unit = error(&noise);
        if unit.is_nan() || unit <= 0.0 {
            return Ok(0.0);
        }
        noise.iter_mut().for_each(|n| *n *= (ERROR / unit).sqrt());
        let mut network = self.dense.clone();
        network.tensors[tensor].data.iter_mut().zip(&noise).for_each(|(w, n)| *w += *n as f32);
        settle(&noise, &mut network);
        let found = outputs(&network, &self.samples)?;
        let squares = found.iter().flatten().zip(self.outputs.iter().flatten());
        Ok(squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / ERROR)
    }
}

fn outputs(network: &Network, samples: &Samples) -> Result<Vec<Vec<f32>>, OneShotError> {
    let bytes = encode(network, &vec![Precision::F32; network.tensors.len()])?.bytes;
    Ok(execute::outputs_of(&bytes, samples)?)
}

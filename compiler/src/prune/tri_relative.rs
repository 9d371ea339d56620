//! `tri-relative`: keeps what is large for its place in the structure that layers share.
//!
//! The relations are magnitudes instead of weights, each layer scaled to the same norm. With the
//! non-negative `G` their reconstruction `a` is smooth: what one expects between two channels of
//! such profiles. Divided by it alone a score would forget what is large at all (compare the
//! relative importance of Zhang, Bai, Lin, Zhao, Hou & Cannistraci, ICLR 2024, which divides by
//! the sums of a row and a column of a single layer); divided by its root it goes half of the
//! way, so that channels of small weights are thinned out, not removed.

use tfc_formats::network::Network;

use super::score::weights;

/// Share of its mean that is added to `a`, lest a place where nothing is expected decides.
const FLOOR: f32 = 0.05;

/// A network with the magnitudes of its weights, each tensor divided by its Frobenius norm.
pub(super) fn magnitudes(network: &Network) -> Network {
    let mut network = network.clone();
    for (tensor, _) in weights(&network) {
        let data = &mut network.tensors[tensor].data;
        let norm = data.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        data.iter_mut().for_each(|w| *w = (f64::from(w.abs()) * scale) as f32);
    }
    network
}

/// `m / sqrt(a + FLOOR mean(a))` of the magnitudes `m` of one tensor and their reconstruction.
pub(super) fn scores(magnitudes: &[f32], reconstruction: &[f32]) -> Vec<f32> {
    let expected = |a: f32| a.max(0.0);
    let mean = reconstruction.iter().map(|&a| expected(a)).sum::<f32>() / magnitudes.len().max(1) as f32;
    let score = |(&m, &a): (&f32, &f32)| m / (expected(a) + FLOOR * mean).max(f32::MIN_POSITIVE).sqrt();
    magnitudes.iter().zip(reconstruction).map(score).collect()
}

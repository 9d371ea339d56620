//! What a layer costs at a share of nonzeros: bytes in the file, multiply-accumulates, time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfc_formats::network::{Network, TensorId};

use super::super::CompileError;
use crate::bench::{latencies, ramp};
use crate::encode::{Encoded, Precision, encode};
use crate::passes;

/// Time to measure one artifact in, seconds.
const SECONDS: f64 = 0.3;

/// A network as it is encoded, in the precision that is hoped for.
pub(super) fn encoded(network: &Network, half: bool) -> Result<Encoded, CompileError> {
    let precision = if half { Precision::F16 } else { Precision::F32 };
    Ok(encode(network, &vec![precision; network.tensors.len()])?)
}

/// The file of a network, after passes over its graph.
pub(super) fn artifact(network: &Network, half: bool) -> Result<Vec<u8>, CompileError> {
    Ok(encoded(&passes::run(network)?.0, half)?.bytes)
}

/// Median time of an artifact for one sample on one thread of this machine, microseconds.
pub(super) fn latency(bytes: &[u8], network: &Network) -> Result<f64, CompileError> {
    let input = ramp(network.input.elements().unwrap_or(0) as usize);
    Ok(latencies(&[bytes], &input, SECONDS, 1)?[0].p50_us)
}

/// Times of layers at several shares of nonzeros, measured on this machine. Kept with unfinished
/// work, so that a run that goes on decides by the same times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Times {
    /// Of all that no pruning changes, microseconds.
    pub(super) fixed: f64,
    /// By tensor: share of nonzeros and microseconds, from many nonzeros to few.
    layers: BTreeMap<TensorId, Vec<(f64, f64)>>,
}

impl Times {
    /// Times the steps of artifacts of one network at several sparsities, turn by turn, as
    /// `tfc bench` does.
    pub(super) fn measure(
        variants: &[Network],
        half: bool,
        tensors: &[TensorId],
    ) -> Result<Self, CompileError> {
        let files: Vec<Vec<u8>> =
            variants.iter().map(|n| artifact(n, half)).collect::<Result<_, CompileError>>()?;
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let input = ramp(variants.first().and_then(|n| n.input.elements()).unwrap_or(0) as usize);
        let measured = latencies(&files, &input, SECONDS * files.len() as f64, 1)?;

        let mut times = Self { fixed: f64::INFINITY, layers: BTreeMap::new() };
        for (network, latency) in variants.iter().zip(&measured) {
            // Watching the steps takes time itself: they share what an unwatched run takes.
            let mut fixed = latency.p50_us;
            for &tensor in tensors {
                let named = |name: &str| {
                    let node = network.nodes.iter().position(|node| node.name == name);
                    node.is_some_and(|node| network.weight(node) == Some(tensor))
                };
                let steps = latency.steps.iter().filter(|step| named(&step.name));
                let us: f64 = steps.map(|step| step.share * latency.p50_us).sum();
                fixed -= us;
                times.layers.entry(tensor).or_default().push((kept(network, tensor), us));
            }
            times.fixed = times.fixed.min(fixed);
        }
        Ok(times)
    }

    /// Time of a layer, linear between the shares that were measured.
    pub(super) fn of(&self, tensor: TensorId, kept: f64) -> f64 {
        let Some(points) = self.layers.get(&tensor).filter(|points| !points.is_empty()) else { return 0.0 };
        let after = points.iter().position(|(share, _)| *share <= kept);
        match after {
            Some(0) => points[0].1,
            None => points[points.len() - 1].1,
            Some(after) => {
                let ((high, slow), (low, fast)) = (points[after - 1], points[after]);
                fast + (slow - fast) * (kept - low) / (high - low).max(f64::MIN_POSITIVE)
            }
        }
    }
}

/// Share of a tensor's elements that are not zero.
pub(super) fn kept(network: &Network, tensor: TensorId) -> f64 {
    let tensor = &network.tensors[tensor];
    tensor.nonzeros() as f64 / tensor.data.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_linear_between_measurements() {
        let layers = BTreeMap::from([(3, vec![(1.0, 40.0), (0.5, 40.0), (0.1, 8.0)])]);
        let times = Times { fixed: 1.0, layers };
        for (kept, us) in [(1.0, 40.0), (0.7, 40.0), (0.5, 40.0), (0.3, 24.0), (0.1, 8.0), (0.01, 8.0)] {
            assert!((times.of(3, kept) - us).abs() < 1e-9, "{kept}");
        }
        assert_eq!(times.of(4, 0.5), 0.0);
    }
}

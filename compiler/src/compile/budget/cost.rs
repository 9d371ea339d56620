//! What a layer costs at a share of nonzeros: bytes in the file, multiply-accumulates, time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tfc_formats::artifact::{AlignedBytes, Artifact};
use tfc_formats::network::{Network, TensorId};

use super::super::CompileError;
use super::super::options::Options;
use crate::bench::{Latency, latencies, ramp};
use crate::encode::{Encoded, Precision, encode_for};
use crate::execute::ExecuteError;
use crate::passes;
use crate::plan::{Unit, predict};

/// Time to measure one artifact in, seconds.
const SECONDS: f64 = 0.3;

/// A network as it is encoded, in the precision that is hoped for.
pub(super) fn encoded(network: &Network, options: &Options) -> Result<Encoded, CompileError> {
    let precision = if options.half { Precision::F16 } else { Precision::F32 };
    Ok(encode_for(network, &vec![precision; network.tensors.len()], options.target.as_ref())?)
}

/// The file of a network, after passes over its graph.
pub(super) fn artifact(network: &Network, options: &Options) -> Result<Vec<u8>, CompileError> {
    Ok(encoded(&passes::run(network, options.block)?.0, options)?.bytes)
}

/// Time of an artifact for one sample on one thread, microseconds: what a target predicts that
/// counts in time, or else the median on this machine.
pub(super) fn latency(bytes: &[u8], network: &Network, options: &Options) -> Result<f64, CompileError> {
    Ok(timed(&[bytes], network, SECONDS, options)?[0].us)
}

/// Time of an artifact and of its steps, microseconds.
struct Timed {
    us: f64,
    steps: Vec<(String, f64)>,
}

fn timed(
    files: &[&[u8]],
    network: &Network,
    seconds: f64,
    options: &Options,
) -> Result<Vec<Timed>, CompileError> {
    let Some(target) = options.target.as_ref().filter(|target| target.unit == Unit::Ns) else {
        let input = ramp(network.input.elements().unwrap_or(0) as usize);
        // Watching the steps takes time itself: they share what an unwatched run takes.
        let timed = |Latency { p50_us: us, steps, .. }: Latency| {
            let steps = steps.into_iter().map(|step| (step.name, step.share * us));
            Timed { us, steps: steps.collect() }
        };
        return Ok(latencies(files, &input, seconds, 1)?.into_iter().map(timed).collect());
    };
    let predicted = |file: &&[u8]| {
        let bytes = AlignedBytes::from(*file);
        let artifact = Artifact::parse(&bytes).map_err(ExecuteError::from)?;
        let predicted = predict(target, &artifact);
        let steps = predicted.steps.into_iter().map(|step| (step.name, step.cost / 1000.0));
        Ok(Timed { us: predicted.total / 1000.0, steps: steps.collect() })
    };
    files.iter().map(predicted).collect()
}

/// Times of layers at several shares of nonzeros, measured on this machine or predicted for
/// the target. Kept with unfinished
/// work, so that a run that goes on decides by the same times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
        options: &Options,
        tensors: &[TensorId],
    ) -> Result<Self, CompileError> {
        let files: Vec<Vec<u8>> =
            variants.iter().map(|n| artifact(n, options)).collect::<Result<_, CompileError>>()?;
        let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
        let Some(first) = variants.first() else { return Ok(Self::default()) };
        let measured = timed(&files, first, SECONDS * files.len() as f64, options)?;

        let mut times = Self { fixed: f64::INFINITY, layers: BTreeMap::new() };
        for (network, timed) in variants.iter().zip(&measured) {
            let mut fixed = timed.us;
            for &tensor in tensors {
                let named = |name: &str| {
                    let node = network.nodes.iter().position(|node| node.name == name);
                    node.is_some_and(|node| network.weight(node) == Some(tensor))
                };
                let steps = timed.steps.iter().filter(|(name, _)| named(name));
                let us: f64 = steps.map(|(_, us)| us).sum();
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

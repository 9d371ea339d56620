//! The end of a compilation: from a pruned network to its artifact.

use std::collections::BTreeMap;

use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::options::{Goal, LowRank, Options};
use super::precision::{self, Chosen};
use super::stage::Split;
use super::{CompileError, low_rank, weights_removed};
use crate::encode::{Encoded, Precision, encode_for, encode_int8};
use crate::execute::{self, Inputs};
use crate::passes;
use crate::quantize;

/// Random inputs on which precisions are compared where there is no data.
const PROBES: usize = 256;

/// Points of error that are none: what adding up percentages rounds.
pub(super) const ROUNDING: f64 = 1e-9;

/// What an artifact must not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Validation error, in percent.
    pub(super) error: Option<f64>,
    /// Bytes of the file.
    pub(super) bytes: Option<u64>,
    /// Median time for one sample, microseconds.
    pub(super) us: Option<f64>,
}

impl Limits {
    /// The largest part by which a limit is exceeded, 0 if none is. Error that is not known exceeds
    /// none; a tenth of a point is the least error that others are compared with.
    pub(super) fn excess(&self, error: Option<f64>, bytes: u64, us: f64) -> f64 {
        let part = |value: f64, limit: f64| (value - limit) / limit;
        let error = error.zip(self.error).filter(|(e, limit)| *e > limit + ROUNDING);
        let error = error.map(|(e, limit)| (e - limit) / limit.max(0.1));
        let bytes = self.bytes.map(|limit| part(bytes as f64, limit as f64));
        let us = self.us.map(|limit| part(us, limit));
        [error, bytes, us].into_iter().flatten().fold(0.0, f64::max)
    }
}

/// An artifact and how it came to be.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The network as it is stored, before its values are rounded.
    pub(super) network: Network,
    /// The file.
    pub(super) encoded: Encoded,
    /// What passes over the graph did.
    pub(super) passes: passes::Changes,
    /// How many weights each layer lost by that.
    pub(super) removed: BTreeMap<String, u64>,
    /// For layers, why they are factorized or not.
    pub(super) reasons: Vec<(String, String)>,
    /// What else a person should know.
    pub(super) notes: Vec<String>,
}

/// Runs the passes over the graph, factorizes dense layers where that is smaller and as good,
/// chooses precisions, and encodes. Precision gives way to a limit on bytes, and bytes to a limit on error.
pub(super) fn finish(
    trained: &Network,
    options: &Options,
    data: Option<&Split>,
    calibration: Option<&Samples>,
    limits: &Limits,
) -> Result<Finished, CompileError> {
    let (mut network, passes) = passes::run(trained, options.block)?;
    let removed = weights_removed(trained, &network);
    // A share of zeros that was asked for is kept: factors have none.
    let mut reasons = Vec::new();
    if let (LowRank::Auto, false, Some(data)) =
        (options.low_rank, matches!(options.goal, Goal::Sparsity(_)), data)
    {
        reasons = low_rank::shrink(&mut network, &data.validation, options)?;
    }
    if let Some(method) = options.quantize {
        let samples = match (data, calibration) {
            (_, Some(calibration)) => calibration,
            (Some(data), None) => &data.train,
            (None, None) => return Err(CompileError::NeedsInputs),
        };
        let samples = samples.evenly(options.calibration_samples);
        let ranges = quantize::calibrate(&network, &Inputs::Samples(&samples), method)?;
        let encoded = encode_int8(&network, &ranges)?;
        let notes = vec![format!("int8, ranges by {method} of {} inputs", samples.len())];
        return Ok(Finished { network, encoded, passes, removed, reasons, notes });
    }
    let inputs = match (data, calibration) {
        (Some(data), _) => Inputs::Samples(&data.validation),
        (None, Some(calibration)) => Inputs::Samples(calibration),
        (None, None) => Inputs::Random { count: PROBES, seed: options.seed },
    };
    let chosen = precision::choose(&network, &inputs, options)?;
    let excess = |encoded: &Encoded| {
        let error = match (limits.error, data) {
            (Some(_), Some(data)) => Some(execute::score(&encoded.bytes, &data.validation)?.error_percent()),
            _ => None,
        };
        Ok::<_, CompileError>(limits.excess(error, encoded.bytes.len() as u64, 0.0))
    };
    let Chosen { mut encoded, kept_f32 } = chosen;
    let mut notes = Vec::new();
    if !kept_f32.is_empty() {
        notes.push(format!("kept f32, since f16 changes outputs: {}", kept_f32.join(", ")));
    }
    let mut least = excess(&encoded)?;
    for (precision, note) in [
        (
            Precision::F16,
            "stored as f16 although that changes outputs, since f32 would not fit the limit on bytes",
        ),
        (Precision::F32, "kept f32, since f16 would break the limit on validation error"),
    ] {
        if least > 0.0 && options.half {
            let precisions = vec![precision; network.tensors.len()];
            let other = encode_for(&network, &precisions, options.target.as_ref())?;
            let found = excess(&other)?;
            if found < least {
                (encoded, least, notes) = (other, found, vec![note.to_owned()]);
            }
        }
    }
    Ok(Finished { network, encoded, passes, removed, reasons, notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_excess_counts() {
        let limits = Limits { error: Some(2.0), bytes: Some(1000), us: None };
        assert_eq!(limits.excess(Some(2.0), 1000, 1e9), 0.0);
        assert_eq!(limits.excess(Some(2.5), 1100, 0.0), 0.25);
        assert_eq!(limits.excess(None, 1500, 0.0), 0.5);
        // A drop of 0.7 points to the last sample: 0.1 + 0.7 is less than 0.8.
        let sum = Limits { error: Some(0.1 + 0.7), ..Limits::default() };
        assert_eq!(sum.excess(Some(0.8), 0, 0.0), 0.0);
        let exact = Limits { error: Some(0.0), us: Some(10.0), ..Limits::default() };
        assert_eq!(exact.excess(Some(0.05), u64::MAX, 1.0), 0.5, "no division by 0");
    }
}

//! f16 where outputs agree.

use tfc_formats::network::Network;

use super::CompileError;
use super::options::Options;
use crate::encode::{Encoded, Precision, encode_for};
use crate::execute::{Inputs, arg_max, outputs_for};

/// Largest difference of outputs that counts as agreement, relative to the largest output.
const AGREE: f32 = 0.01;

/// Share of the samples of a data set, with labels or without, whose predictions may change, all of
/// them near ties; one at least.
const MAY_FLIP: f64 = 0.001;

/// Predictions that may change.
fn may_flip(inputs: &Inputs<'_>) -> usize {
    match inputs {
        Inputs::Samples(samples) => (MAY_FLIP * samples.len() as f64).ceil() as usize,
        Inputs::Random { .. } => 0,
    }
}

/// What [`choose`] settled on.
#[derive(Debug)]
pub(super) struct Chosen {
    /// The smaller artifact.
    pub(super) encoded: Encoded,
    /// Tensors that stayed f32 because f16 changed the outputs.
    pub(super) kept_f32: Vec<String>,
}

/// Encodes with f16 weights where the outputs for the inputs agree with f32 weights: same
/// predictions (of samples of data all but one in a thousand, or one) and values within 1% of the
/// largest. All tensors are tried at once, then one by one. With f32 weights where f16 is not wanted.
pub(super) fn choose(
    network: &Network,
    inputs: &Inputs<'_>,
    options: &Options,
) -> Result<Chosen, CompileError> {
    let target = options.target.as_ref();
    let tensors = network.tensors.len();
    let exact = encode_for(network, &vec![Precision::F32; tensors], target)?;
    if !options.half {
        return Ok(Chosen { encoded: exact, kept_f32: Vec::new() });
    }
    let reference = outputs_for(&exact.bytes, inputs)?;
    let attempt = |precisions: &[Precision]| -> Result<Option<Encoded>, CompileError> {
        let encoded = encode_for(network, precisions, target)?;
        let outputs = outputs_for(&encoded.bytes, inputs)?;
        Ok(agree(&reference, &outputs, may_flip(inputs)).then_some(encoded))
    };
    if let Some(encoded) = attempt(&vec![Precision::F16; tensors])? {
        return Ok(Chosen { encoded, kept_f32: Vec::new() });
    }
    let mut precisions = vec![Precision::F32; tensors];
    let mut chosen = Chosen { encoded: exact, kept_f32: Vec::new() };
    for (id, tensor) in network.tensors.iter().enumerate() {
        precisions[id] = Precision::F16;
        if let Some(encoded) = attempt(&precisions)? {
            chosen.encoded = encoded;
        } else {
            precisions[id] = Precision::F32;
            chosen.kept_f32.push(tensor.name.clone());
        }
    }
    Ok(chosen)
}

fn agree(reference: &[Vec<f32>], outputs: &[Vec<f32>], may_flip: usize) -> bool {
    let largest = reference.iter().flatten().fold(0.0f32, |m, v| m.max(v.abs()));
    let close = reference
        .iter()
        .flatten()
        .zip(outputs.iter().flatten())
        .all(|(a, b)| (a - b).abs() <= AGREE * largest);
    let flips = reference.iter().zip(outputs).filter(|(a, b)| arg_max(a) != arg_max(b)).count();
    close && flips <= may_flip
}

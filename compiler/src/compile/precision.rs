//! f16 where outputs agree.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::CompileError;
use crate::encode::{Encoded, Precision, encode};
use crate::execute::{self, arg_max};

/// Largest difference of outputs that counts as agreement, relative to the largest output.
const AGREE: f32 = 0.01;

/// Share of labelled samples whose predictions may change, all of them near ties.
const MAY_FLIP: f64 = 0.001;

/// Inputs on which two encodings of a network are compared.
#[derive(Debug)]
pub(super) enum Probe<'a> {
    /// Validation samples.
    Samples(&'a Samples),
    /// No data: this many seeded random inputs.
    Random {
        /// Number of inputs.
        count: usize,
        /// Seed of the generator.
        seed: u64,
    },
}

impl Probe<'_> {
    fn outputs(&self, network: &Network, bytes: &[u8]) -> Result<Vec<Vec<f32>>, CompileError> {
        Ok(match *self {
            Probe::Samples(samples) => execute::outputs_of(bytes, samples)?,
            Probe::Random { count, seed } => execute::outputs(bytes, count, |at, out| {
                random_input(network, seed.wrapping_add(at as u64), out);
            })?,
        })
    }

    fn may_flip(&self) -> usize {
        match self {
            Probe::Samples(samples) => (MAY_FLIP * samples.len() as f64) as usize,
            Probe::Random { .. } => 0,
        }
    }
}

/// Random bytes of random contrast, preprocessed: nearly flat inputs as well as pure noise.
fn random_input(network: &Network, seed: u64, out: &mut [f32]) {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let plane = network.input.h as usize * network.input.w as usize;
    let (low, high) = (random.random::<u8>(), random.random::<u8>());
    let (low, high) = (low.min(high), low.max(high));
    for (at, value) in out.iter_mut().enumerate() {
        let (scale, shift) = network.preprocess.affine(at / plane.max(1));
        *value = f32::from(random.random_range(low..=high)) * scale + shift;
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

/// Encodes with f16 weights where the outputs on the probe agree with f32 weights: same
/// predictions (of labelled samples all but one in a thousand) and values within 1% of the
/// largest. All tensors are tried at once, then one by one. With f32 weights if not `half`.
pub(super) fn choose(network: &Network, probe: &Probe<'_>, half: bool) -> Result<Chosen, CompileError> {
    let tensors = network.tensors.len();
    let exact = encode(network, &vec![Precision::F32; tensors])?;
    if !half {
        return Ok(Chosen { encoded: exact, kept_f32: Vec::new() });
    }
    let reference = probe.outputs(network, &exact.bytes)?;
    let attempt = |precisions: &[Precision]| -> Result<Option<Encoded>, CompileError> {
        let encoded = encode(network, precisions)?;
        let outputs = probe.outputs(network, &encoded.bytes)?;
        Ok(agree(&reference, &outputs, probe.may_flip()).then_some(encoded))
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

//! As many zeros as validation error permits.

use std::path::Path;

use tfc_formats::dataset::Samples;
use tfc_formats::import;
use tfc_formats::network::Network;

use super::CompileError;
use super::stage::{Stage, zero_share};
use crate::device::Device;
use crate::encode::{Precision, encode};
use crate::execute;
use crate::train::EpochStats;

/// Shares of zeros that are tried one after the other.
const LEVELS: [f64; 14] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995];

/// Fine-tuning of one level takes this part of the epochs that a person asked for.
const EPOCHS_PER_LEVEL: usize = 4;

/// Prunes level by level for as long as validation error stays below `dense + drop` points. A
/// level that does so before fine-tuning is not fine-tuned; the last one that is kept is, and stays
/// so if that makes it better. Finished levels are kept in `work`, so that a stopped search goes on
/// where it was.
pub(super) fn search<D: Device>(
    stage: &Stage<'_, '_, D>,
    network: &mut Network,
    (dense, drop): (f64, f64),
    work: Option<&Path>,
) -> Result<(Vec<EpochStats>, Vec<String>), CompileError> {
    let validation = &stage.data.ok_or(CompileError::NeedsData)?.validation;
    let epochs = stage.options.training.epochs.div_ceil(EPOCHS_PER_LEVEL);
    let mut history = Vec::new();
    let mut notes = Vec::new();
    let start = zero_share(network);
    let mut kept = None;
    for level in LEVELS.into_iter().filter(|level| *level > start) {
        let saved = work.map(|work| work.join(format!("level-{level}.safetensors")));
        let pruned = match resumed(stage.resume, network, saved.as_deref())? {
            Some(pruned) => pruned,
            None => {
                let mut pruned = network.clone();
                stage.prune(&pruned, level)?.apply(&mut pruned);
                if error(&pruned, validation)? > dense + drop {
                    pruned.clone_from(network);
                    history.extend(stage.run(&mut pruned, Some(level), epochs)?);
                }
                if let Some(path) = &saved {
                    import::save(&pruned, path)?;
                }
                pruned
            }
        };
        let found = error(&pruned, validation)?;
        let fits = found <= dense + drop;
        let verdict = if fits { "kept" } else { "too much" };
        notes.push(format!("{:.1}% zeros: validation error {found:.2}%, {verdict}", 100.0 * level));
        if !fits {
            break;
        }
        *network = pruned;
        kept = Some(found);
    }
    if let Some(untuned) = kept.filter(|_| epochs > 0) {
        let mut tuned = network.clone();
        history.extend(stage.run(&mut tuned, None, stage.options.training.epochs)?);
        let found = error(&tuned, validation)?;
        if found <= untuned {
            *network = tuned;
            notes.push(format!("fine-tuned once more: validation error {untuned:.2}% to {found:.2}%"));
        }
    }
    Ok((history, notes))
}

/// The network with the weights of a finished level, if there are any to go on from.
fn resumed(resume: bool, network: &Network, saved: Option<&Path>) -> Result<Option<Network>, CompileError> {
    let Some(path) = saved.filter(|path| resume && path.exists()) else { return Ok(None) };
    let mut network = network.clone();
    for saved in import::read_tensors(path)? {
        if let Some(tensor) =
            network.tensors.iter_mut().find(|t| t.name == saved.name && t.shape == saved.shape)
        {
            tensor.data = saved.data;
        }
    }
    Ok(Some(network))
}

fn error(network: &Network, validation: &Samples) -> Result<f64, CompileError> {
    let encoded = encode(network, &vec![Precision::F32; network.tensors.len()])?;
    Ok(execute::score(&encoded.bytes, validation)?.error_percent())
}

//! How much each layer matters: the network's loss when this layer alone is pruned.
//!
//! Loss, not accuracy: networks have often memorised the images they are validated on, and a few
//! hundred of those do not resolve tenths of a point of accuracy, while their mean loss rises
//! smoothly from the first weight on. What the budget limits is still accuracy, measured on all of
//! them for every artifact.

use std::sync::atomic::Ordering;

use tfc_formats::network::{Network, TensorId};

use super::super::CompileError;
use super::super::stage::{Event, Stage};
use super::cost::{Times, encoded, kept};
use crate::device::Device;
use crate::prune::{Masks, Scores, masks_of_layers, prunable, uses};
use crate::report::{Curve, Level};
use crate::train::{TrainError, evaluate};

/// Validation samples that a curve is measured on, at most.
const SAMPLES: usize = 512;

/// Shares of what a layer has left that are tried.
const SHARES: [f64; 9] = [0.7, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];

/// Least share of a layer's weights that a plan leaves.
const FLOOR: f64 = 0.002;

/// Number of weights that a share of them is; never none, which would cut the network.
pub(super) fn count(network: &Network, tensor: TensorId, kept: f64) -> usize {
    let len = network.tensors[tensor].data.len();
    ((kept * len as f64).round() as usize).clamp(1, len.max(1))
}

/// The tensors that can be pruned, with the fewest weights that a plan leaves of each.
pub(super) fn floor(network: &Network) -> Vec<(TensorId, usize)> {
    let least = |tensor| count(network, tensor, FLOOR).min(network.tensors[tensor].nonzeros());
    prunable(network).into_iter().map(|tensor| (tensor, least(tensor))).collect()
}

/// The network with so many weights of each tensor, those that score highest.
pub(super) fn pruned(network: &Network, scores: &Scores, keep: &[(TensorId, usize)]) -> Network {
    let mut pruned = network.clone();
    masks_of_layers(network, scores, keep, &Masks::of_nonzeros(network)).apply(&mut pruned);
    pruned
}

/// Versions of a network with ever fewer weights in all layers, the first as it is, the last at
/// the floor.
pub(super) fn ladder(network: &Network, scores: &Scores) -> Vec<Network> {
    let floor = floor(network);
    let rung = |share: f64| -> Vec<(TensorId, usize)> {
        let keep = |&(tensor, least): &(TensorId, usize)| {
            (tensor, count(network, tensor, share * kept(network, tensor)).max(least))
        };
        floor.iter().map(keep).collect()
    };
    let mut ladder = vec![network.clone()];
    ladder.extend(SHARES.map(|share| pruned(network, scores, &rung(share))));
    ladder.push(pruned(network, scores, &floor));
    ladder
}

/// Measures the curves of all layers that can be pruned, in the order of their tensors.
pub(super) fn curves<D: Device>(
    stage: &Stage<'_, '_, D>,
    network: &Network,
    times: Option<&Times>,
) -> Result<Vec<Curve>, CompileError> {
    let scores = stage.scores(network)?;
    let tensors = prunable(network);
    let ladder = ladder(network, &scores);
    let files = ladder.iter().map(|rung| encoded(rung, stage.options));
    let files: Vec<_> = files.collect::<Result<_, _>>()?;
    let seed = stage.options.seed;
    let samples = stage.data.map(|data| data.validation.split(SAMPLES, seed).1);
    let loss = |network: &Network| match &samples {
        Some(samples) => {
            evaluate(stage.device, network, samples, stage.options.training.batch).map(|e| e.loss)
        }
        None => Ok(0.0),
    };
    let base = loss(network)?;

    let mut probe = network.clone();
    let (mut done, of) = (0, tensors.len() * ladder.len());
    let uses = uses(network);
    let mut curves = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let mut levels: Vec<Level> = Vec::with_capacity(ladder.len());
        for (rung, file) in ladder.iter().zip(&files) {
            if stage.stop.load(Ordering::Relaxed) {
                let checkpoint = stage.checkpoint.clone();
                return Err(TrainError::Interrupted { checkpoint }.into());
            }
            let share = kept(rung, tensor);
            if levels.last().is_none_or(|last| share < last.kept) {
                let loss = if levels.is_empty() {
                    0.0
                } else if samples.is_some() {
                    probe.tensors[tensor].data.clone_from(&rung.tensors[tensor].data);
                    loss(&probe)? - base
                } else {
                    lost_energy(&network.tensors[tensor].data, &rung.tensors[tensor].data)
                };
                let chosen = file.candidates.get(&tensor).and_then(|candidates| candidates.first());
                levels.push(Level {
                    kept: share,
                    loss,
                    bytes: chosen.map_or(0.0, |candidate| candidate.bytes as f64),
                    sparse: chosen.is_some_and(|candidate| candidate.encoding != "dense"),
                    macs: uses[tensor] * rung.tensors[tensor].nonzeros() as f64,
                    us: times.map(|times| times.of(tensor, share)),
                });
            }
            done += 1;
            stage.tell(Event::Measuring { done, of });
        }
        probe.tensors[tensor].data.clone_from(&network.tensors[tensor].data);
        never_saturate(&mut levels);
        let node = network.nodes.iter().enumerate().find(|(node, _)| network.weight(*node) == Some(tensor));
        curves.push(Curve {
            layer: node.map_or_else(|| network.tensors[tensor].name.clone(), |(_, node)| node.name.clone()),
            weights: network.tensors[tensor].data.len(),
            levels,
        });
    }
    Ok(curves)
}

/// Share of the sum of squares that is gone.
fn lost_energy(before: &[f32], after: &[f32]) -> f64 {
    let energy = |values: &[f32]| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    1.0 - energy(after) / energy(before).max(f64::MIN_POSITIVE)
}

/// Lets the loss rise at least as steeply (by the logarithm of the share that is kept) as it did
/// before. A network whose answers are arbitrary already cannot get worse by more pruning, but what
/// fine-tuning has to repair does; a saturated curve would say that the rest of the layer is free.
fn never_saturate(levels: &mut [Level]) {
    let mut steepest = 0.0f64;
    for at in 1..levels.len() {
        let distance = (levels[at - 1].kept / levels[at].kept).ln();
        let slope = (levels[at].loss - levels[at - 1].loss) / distance;
        steepest = if slope.is_finite() { steepest.max(slope) } else { steepest };
        levels[at].loss = levels[at - 1].loss + steepest * distance;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_on_at_its_steepest() {
        let level = |kept, loss| Level { kept, loss, bytes: 0.0, sparse: true, macs: 0.0, us: None };
        let e = std::f64::consts::E;
        let mut levels =
            [level(1.0, 0.0), level(1.0 / e, -0.1), level(1.0 / (e * e), 2.0), level(1.0 / (e * e * e), 2.1)];
        never_saturate(&mut levels);
        for (level, expected) in levels.iter().zip([0.0, 0.0, 2.0, 4.0]) {
            assert!((level.loss - expected).abs() < 1e-9, "{levels:?}");
        }
    }

    #[test]
    fn energy_is_a_share() {
        assert!((lost_energy(&[3.0, 4.0], &[0.0, 4.0]) - 9.0 / 25.0).abs() < 1e-12);
        assert_eq!(lost_energy(&[2.0], &[2.0]), 0.0);
    }
}

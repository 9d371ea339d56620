//! One artifact on the way to a budget: plan, prune in rounds, fine-tune, measure.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tfc_formats::artifact::write_file;
use tfc_formats::import;
use tfc_formats::network::{Network, TensorId};

use super::super::CompileError;
use super::super::finish::{Finished, Limits, ROUNDING, finish};
use super::super::options::Options;
use super::super::stage::{Event, Stage, no_rounds, zero_share};
use super::allocate::{Choice, allocate, front};
use super::cost::{Times, artifact, encoded, kept, latency};
use super::sensitivity::{count, curves};
use crate::device::Device;
use crate::execute;
use crate::passes;
use crate::prune::{Masks, Scores, masks_of_layers, prunable, sparsity_at, uses};
use crate::report::{Curve, LayerZeros, Level, Point, Predicted};
use crate::train::{EpochStats, TrainError};

/// A file has at least this part of the bytes that it may have.
const FILLED: f64 = 0.995;

/// Attempts to fill it.
const FILLINGS: usize = 8;

/// Where an attempt is to end up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// Bytes of the file and microseconds, where they are limited.
    Cost { bytes: Option<f64>, us: Option<f64> },
    /// This share of the sum of bytes and multiply-accumulates, both as parts of what the network
    /// had at first.
    Share(f64),
}

/// What an attempt is to leave of each tensor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    keep: Vec<Keep>,
    /// Whether the aim can be met; if not, the plan is as cheap as any.
    pub(super) fits: bool,
    pub(super) curves: Vec<Curve>,
    pub(super) predicted: Vec<Predicted>,
}

/// What a plan leaves of a tensor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Keep {
    tensor: TensorId,
    weights: usize,
    /// Whether it takes any.
    taken: bool,
}

/// What is kept on disk of a finished attempt, beside its weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    point: Point,
    history: Vec<EpochStats>,
}

/// A finished attempt.
pub(super) struct Attempt {
    /// The network as it was fine-tuned.
    pub(super) network: Network,
    pub(super) finished: Finished,
    pub(super) point: Point,
    pub(super) history: Vec<EpochStats>,
    pub(super) plan: Option<Plan>,
}

/// What all attempts of a search share.
pub(super) struct Attempts<'a, 's, 'e, D> {
    pub(super) stage: &'a Stage<'s, 'e, D>,
    pub(super) limits: Limits,
    pub(super) times: Option<Times>,
    /// Bytes and multiply-accumulates of the network as it came.
    pub(super) first: (f64, f64),
    pub(super) work: Option<&'a Path>,
}

/// What one attempt does.
pub(super) struct Task<'a> {
    /// Its position in the front.
    pub(super) number: usize,
    /// In words.
    pub(super) what: &'a str,
    /// Without one, nothing is pruned.
    pub(super) aim: Option<Aim>,
    pub(super) epochs: usize,
    /// Validation error in percent up to which pruning needs no fine-tuning.
    pub(super) fine: Option<f64>,
}

impl<D: Device> Attempts<'_, '_, '_, D> {
    /// Does the task, or takes it from the work that a run before left.
    pub(super) fn run(&self, network: &Network, task: &Task<'_>) -> Result<Attempt, CompileError> {
        let Task { number, what, aim, epochs, .. } = *task;
        let plan = match aim {
            Some(aim) => Some(self.saved(number, "plan", || self.plan(network, aim))?),
            None => None,
        };
        let mut network = network.clone();
        let changes = aim.is_some() || epochs > 0;
        let weights = self.file(number, "safetensors").filter(|_| changes);
        let record: Option<Record> = self.load(number, "point")?;
        let mut note = None;
        let history = match (&record, &plan) {
            (Some(record), _) => {
                if let Some(path) = &weights {
                    restore(&mut network, path)?;
                }
                record.history.clone()
            }
            (None, Some(plan)) => {
                self.unless_diverged(self.prune(&mut network, plan, aim, task), &mut note)?
            }
            (None, None) if changes => {
                let tuned = self.stage.tune(&mut network, epochs, 0, &mut no_rounds);
                self.unless_diverged(tuned, &mut note)?
            }
            (None, None) => Vec::new(),
        };
        let finished =
            finish(&network, self.stage.options, self.stage.data, self.stage.calibration, &self.limits)?;
        let point = match &record {
            Some(record) => record.point.clone(),
            None => {
                let point = self.measure(&network, &finished, what, history.len())?;
                let excess = if note.is_some() { f64::INFINITY } else { point.excess };
                Point { note, excess, ..point }
            }
        };
        if record.is_none() {
            if let Some(path) = &weights {
                import::save(&network, path)?;
            }
            self.save(number, "point", &Record { point: point.clone(), history: history.clone() })?;
        }
        Ok(Attempt { network, finished, point, history, plan })
    }

    /// The epochs of a training; none, and a note, if it diverged, which leaves the network as it was
    /// before. Another step may converge.
    fn unless_diverged(
        &self,
        tuned: Result<Vec<EpochStats>, CompileError>,
        note: &mut Option<String>,
    ) -> Result<Vec<EpochStats>, CompileError> {
        match tuned {
            Err(CompileError::Train(error @ TrainError::Diverged { .. })) => {
                *note = Some(error.to_string());
                if let Some(path) = self.stage.checkpoint.as_ref().filter(|path| path.exists()) {
                    let failed =
                        |e: std::io::Error| CompileError::Work { path: path.clone(), reason: e.to_string() };
                    fs::remove_file(path).map_err(failed)?;
                }
                Ok(Vec::new())
            }
            tuned => tuned,
        }
    }

    fn prune(
        &self,
        network: &mut Network,
        plan: &Plan,
        aim: Option<Aim>,
        task: &Task<'_>,
    ) -> Result<Vec<EpochStats>, CompileError> {
        let bytes = match aim {
            Some(Aim::Cost { bytes, .. }) => bytes,
            _ => None,
        };
        let mut at_once = network.clone();
        self.fill(network, &self.stage.scores(network)?, &plan.keep, bytes)?.apply(&mut at_once);
        self.stage.tell(Event::Attempt { number: task.number, zeros: zero_share(&at_once) });
        if let (Some(data), Some(fine)) = (self.stage.data, task.fine) {
            let file = artifact(&at_once, &Options { half: false, ..self.stage.options.clone() })?;
            if execute::score(&file, &data.validation)?.error_percent() <= fine + ROUNDING {
                *network = at_once;
                return Ok(Vec::new());
            }
        }
        let before: Vec<f64> = plan.keep.iter().map(|keep| kept(network, keep.tensor)).collect();
        let rounds = self.stage.options.rounds.min(task.epochs.div_ceil(2)).max(1);
        let mut masks = |round: usize, rounds: usize, network: &Network| {
            let in_round = |(keep, before): (&Keep, &f64)| {
                if round == rounds || !keep.taken {
                    return *keep;
                }
                let target = keep.weights as f64 / network.tensors[keep.tensor].data.len() as f64;
                let sparsity = sparsity_at(round, rounds, 1.0 - before, 1.0 - target);
                Keep { weights: count(network, keep.tensor, 1.0 - sparsity), ..*keep }
            };
            let keep: Vec<Keep> = plan.keep.iter().zip(&before).map(in_round).collect();
            let bytes = bytes.filter(|_| round == rounds);
            self.fill(network, &self.stage.scores(network)?, &keep, bytes)
        };
        self.stage.tune(network, task.epochs, rounds, &mut masks)
    }

    /// Masks of a plan; with a limit on bytes, what it takes from is made in the same proportion a
    /// little thinner or thicker, so that the file fits and is filled: how far apart nonzeros lie
    /// decides about bytes too.
    fn fill(
        &self,
        network: &Network,
        scores: &Scores,
        keep: &[Keep],
        bytes: Option<f64>,
    ) -> Result<Masks, CompileError> {
        let already = Masks::of_nonzeros(network);
        let masks = |factor: f64| {
            let scale = |keep: &Keep| {
                let factor = if keep.taken { factor } else { 1.0 };
                (keep.tensor, ((keep.weights as f64 * factor).round() as usize).max(1))
            };
            let scaled: Vec<(TensorId, usize)> = keep.iter().map(scale).collect();
            masks_of_layers(network, scores, &scaled, &already)
        };
        let Some(limit) = bytes else { return Ok(masks(1.0)) };
        let (mut factor, mut best): (f64, Option<(f64, Masks)>) = (1.0, None);
        for _ in 0..FILLINGS {
            let masks = masks(factor);
            let mut thinner = network.clone();
            masks.apply(&mut thinner);
            let file = encoded(&thinner, self.stage.options)?;
            let found = artifact(&thinner, self.stage.options)?.len() as f64;
            let better = best.as_ref().is_none_or(|(bytes, _)| {
                if *bytes > limit { found < *bytes } else { found <= limit && found > *bytes }
            });
            if better {
                best = Some((found, masks));
            }
            if found <= limit && found >= FILLED * limit {
                break;
            }
            let matrix = |keep: &Keep| file.candidates.get(&keep.tensor).map_or(0.0, |c| c[0].bytes as f64);
            let scaled: f64 = keep.iter().filter(|keep| keep.taken).map(matrix).sum();
            // A little less than the limit, so that it is met from below.
            let middle = 0.5 * (1.0 + FILLED) * limit;
            factor *= ((middle - (found - scaled)) / scaled.max(1.0)).clamp(0.25, 4.0);
        }
        Ok(best.map_or(already, |(_, masks)| masks))
    }

    fn plan(&self, network: &Network, aim: Aim) -> Result<Plan, CompileError> {
        let curves = curves(self.stage, network, self.times.as_ref())?;
        let rest = rest(network, self.stage.options)?;
        let part =
            |cost: f64, limit: Option<f64>| limit.map_or(0.0, |limit| cost / limit.max(f64::MIN_POSITIVE));
        let (bytes, macs) = self.first;
        let cost = |of_bytes: f64, of_macs: f64, us: f64| match aim {
            Aim::Cost { bytes, us: limit } => [part(of_bytes, bytes), part(us, limit)],
            Aim::Share(share) => [part(of_bytes / bytes + of_macs / macs, Some(share)), 0.0],
        };
        let choices: Vec<Vec<Choice>> = curves
            .iter()
            .map(|curve| {
                let choice = |level: &Level| Choice {
                    kept: level.kept,
                    loss: level.loss,
                    cost: cost(level.bytes, level.macs, level.us.unwrap_or(0.0)),
                    divisible: level.sparse,
                };
                curve.levels.iter().map(choice).collect()
            })
            .collect();
        let fixed = cost(rest, 0.0, self.times.as_ref().map_or(0.0, |times| times.fixed));
        let allocation = allocate(&choices, fixed);
        let tensors = prunable(network).into_iter().zip(&allocation.kept);
        let keep = tensors.map(|(tensor, &kept)| {
            let weights = count(network, tensor, kept);
            Keep { tensor, weights, taken: weights < network.tensors[tensor].nonzeros() }
        });
        let predicted = front(&choices, fixed, [0.5, 0.5]).into_iter().map(|point| Predicted {
            kept: point.kept,
            cost: point.cost[0].max(point.cost[1]),
            loss: point.loss,
        });
        Ok(Plan { keep: keep.collect(), fits: allocation.fits(), predicted: predicted.collect(), curves })
    }

    /// What a network is as an artifact.
    pub(super) fn measure(
        &self,
        network: &Network,
        finished: &Finished,
        what: &str,
        epochs: usize,
    ) -> Result<Point, CompileError> {
        let file = &finished.encoded.bytes;
        let (mut validation_error, mut validation_loss) = (None, None);
        if let Some(data) = self.stage.data {
            let outputs = execute::outputs_of(file, &data.validation)?;
            validation_error = Some(execute::score_outputs(&outputs, &data.validation).error_percent());
            validation_loss = Some(execute::cross_entropy(file, &outputs, &data.validation)?);
        }
        let (bytes, latency_us) = (file.len() as u64, latency(file, network, self.stage.options)?);
        let prunable = prunable(network);
        let mut layers = Vec::new();
        for (index, node) in network.nodes.iter().enumerate() {
            let weight = network.weight(index).filter(|tensor| prunable.contains(tensor));
            if let Some(tensor) = weight {
                let zero_percent = 100.0 * (1.0 - kept(network, tensor));
                layers.push(LayerZeros { layer: node.name.clone(), zero_percent });
            }
        }
        Ok(Point {
            what: what.to_owned(),
            epochs,
            zero_percent: 100.0 * zero_share(network),
            layers,
            bytes,
            latency_us,
            validation_error,
            validation_loss,
            excess: self.limits.excess(validation_error, bytes, latency_us),
            note: None,
        })
    }

    /// What the work that a run before left has of this attempt, or what `make` makes, which is
    /// then left for a run after.
    pub(super) fn saved<T: Serialize + DeserializeOwned>(
        &self,
        number: usize,
        part: &str,
        make: impl FnOnce() -> Result<T, CompileError>,
    ) -> Result<T, CompileError> {
        if let Some(found) = self.load(number, part)? {
            return Ok(found);
        }
        let made = make()?;
        self.save(number, part, &made)?;
        Ok(made)
    }

    fn file(&self, number: usize, part: &str) -> Option<PathBuf> {
        Some(self.work?.join(format!("{number}.{part}")))
    }

    fn load<T: DeserializeOwned>(&self, number: usize, part: &str) -> Result<Option<T>, CompileError> {
        let Some(path) = self.file(number, part).filter(|path| self.stage.resume && path.exists()) else {
            return Ok(None);
        };
        let failed = |reason: String| CompileError::Work { path: path.clone(), reason };
        let bytes = fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let found = postcard::from_bytes(&bytes);
        found.map(Some).map_err(|_| failed("is damaged; --force starts over".to_owned()))
    }

    fn save<T: Serialize>(&self, number: usize, part: &str, value: &T) -> Result<(), CompileError> {
        let Some(path) = self.file(number, part) else { return Ok(()) };
        let failed = |reason: String| CompileError::Work { path: path.clone(), reason };
        let bytes = postcard::to_stdvec(value).map_err(|error| failed(error.to_string()))?;
        write_file(&path, &bytes).map_err(|error| failed(error.to_string()))
    }
}

/// Bytes of the file that are not of matrices which pruning makes smaller. Both are of the network
/// after passes: those may remove channels, and then the matrices before them are larger than the
/// file.
fn rest(network: &Network, options: &Options) -> Result<f64, CompileError> {
    let (passed, _) = passes::run(network, options.block)?;
    let file = encoded(&passed, options)?;
    let matrix = |tensor| file.candidates.get(&tensor).and_then(|c| c.first()).map_or(0, |c| c.bytes);
    let matrices: usize = prunable(&passed).into_iter().map(matrix).sum();
    Ok(file.bytes.len().saturating_sub(matrices) as f64)
}

/// Bytes of the file and multiply-accumulates of a network as it is.
pub(super) fn costs(network: &Network, options: &Options) -> Result<(f64, f64), CompileError> {
    let uses = uses(network);
    let macs: f64 = network.tensors.iter().zip(uses).map(|(t, uses)| uses * t.nonzeros() as f64).sum();
    Ok((artifact(network, options)?.len() as f64, macs.max(1.0)))
}

/// Takes the weights of a finished attempt from its file.
fn restore(network: &mut Network, path: &Path) -> Result<(), CompileError> {
    for saved in import::read_tensors(path)? {
        let same = network.tensors.iter_mut().find(|t| t.name == saved.name && t.shape == saved.shape);
        if let Some(tensor) = same {
            tensor.data = saved.data;
        }
    }
    Ok(())
}

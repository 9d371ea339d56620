//! Epochs over the training set, with the best one by validation kept.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Tensor};

use super::batch::Batches;
use super::checkpoint::{Best, Checkpoint, Fingerprint};
use super::executor::{Answers, Executor};
use super::ops::Mode;
use super::stats::Sums;
use super::teacher::Teacher;
use super::{BatchNorm, Evaluation, PruneError, TrainError, TrainOptions, evaluate, random};
use crate::device::Device;
use crate::prune::Masks;

/// What to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Samples to train on.
    pub train: &'a Samples,
    /// Samples that decide which epoch is kept.
    pub validation: &'a Samples,
    /// Network to distil from; goes with [`TrainOptions::distill`]. Without augmentation its scores
    /// of the whole training set are computed once and kept in memory; with it, it runs on each batch.
    pub teacher: Option<&'a Network>,
}

/// Called at the start of each epoch, by its number from 0, with the weights as they are: new
/// masks prune further.
pub type Prune<'a> = dyn FnMut(usize, &Network) -> Result<Option<Masks>, PruneError> + 'a;

/// How a run is watched, stopped and resumed.
pub struct Control<'a> {
    /// Called after every step and after every validation.
    pub progress: &'a mut dyn FnMut(&Progress),
    /// Set it to stop after the step in progress.
    pub stop: &'a AtomicBool,
    /// Where to save the run when it is stopped and after every epoch; removed at the end.
    pub checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint.
    pub resume: bool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Step of the epoch that was just done, from 1.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Running means of this epoch; the device is asked for them every few steps.
    pub train: Evaluation,
    /// Of this epoch, once it is over; of the one before until then.
    pub validation: Option<Evaluation>,
}

/// One epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochStats {
    /// Means while training, with dropout; the loss includes the teacher's share.
    pub train: Evaluation,
    /// After the epoch.
    pub validation: Evaluation,
    /// Whether the masks changed at its start.
    pub pruned: bool,
    /// Wall time.
    pub seconds: f64,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// All epochs.
    pub epochs: Vec<EpochStats>,
    /// The epoch, from 0, whose weights were kept; `None` after no epochs.
    pub best: Option<usize>,
}

/// Trains a network with pruned weights held at 0 after every step. Its weights become those of
/// the epoch with the fewest validation errors (then the lowest loss) among those after the last
/// change of masks.
///
/// # Errors
/// See [`TrainError`]; the network is then as it was.
pub fn train<D: Device>(
    device: &D,
    network: &mut Network,
    masks: Masks,
    data: Data<'_>,
    options: &TrainOptions,
    prune: &mut Prune<'_>,
    control: &mut Control<'_>,
) -> Result<History, TrainError> {
    options.check()?;
    let mut fit = Fit::new(device, network, masks, data, options)?;
    if control.resume {
        fit.resume(control)?;
    }
    while fit.state.epoch < options.epochs {
        fit.epoch(prune, control)?;
    }
    let Checkpoint { best, epochs, .. } = fit.state;
    if let Some(path) = &control.checkpoint
        && let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        let reason = format!("cannot be removed after the run: {error}");
        return Err(TrainError::Checkpoint { path: path.clone(), reason });
    }
    network.tensors = fit.network.tensors;
    let kept = best.as_ref().map(|b| b.epoch);
    if let Some(best) = best {
        set_weights(&mut network.tensors, best.weights);
    }
    Ok(History { epochs, best: kept })
}

/// A run in progress.
struct Fit<'a, 'd, D: Device> {
    executor: Executor<'d, D>,
    /// The weights as of the last reading.
    network: Network,
    options: &'a TrainOptions,
    train: Batches<'a>,
    validation: Batches<'a>,
    sizes: Sizes,
    teacher: Option<Teacher<'a, 'd, D>>,
    /// Weights and optimizer state in here are stale except while it is read or written.
    state: Checkpoint,
}

#[derive(Clone, Copy)]
struct Sizes {
    train: usize,
    validation: usize,
    /// Samples a step.
    batch: usize,
    /// Most samples that the executor takes.
    room: usize,
    /// Steps an epoch.
    steps: usize,
}

impl<'a, 'd, D: Device> Fit<'a, 'd, D> {
    fn new(
        device: &'d D,
        network: &Network,
        masks: Masks,
        data: Data<'a>,
        options: &'a TrainOptions,
    ) -> Result<Self, TrainError> {
        let (train, validation) = (data.train.len(), data.validation.len());
        let batch = options.batch.min(train.max(1));
        let room = options.batch.min(train.max(validation).max(1));
        let sizes = Sizes { train, validation, batch, room, steps: train.div_ceil(batch) };

        let states = options.optimizer.rule(options.rate, options.decay, 1).states();
        let mut executor = Executor::new(device, network, room, Some(states))?;
        let classes = executor.classes();
        let inputs = Fingerprint::new(network, &masks, &data, options);
        let mut network = network.clone();
        masks.apply(&mut network);
        executor.load(&network.tensors);
        executor.set_masks(&masks);
        let state = Checkpoint {
            inputs,
            epoch: 0,
            step: 0,
            pruned: false,
            seconds: 0.0,
            sums: Sums::default(),
            stats: [0.0; 2],
            weights: Vec::new(),
            masks,
            states: Vec::new(),
            best: None,
            epochs: Vec::new(),
        };
        let train = Batches::labelled(data.train, &network, classes, "training")?;
        train.check_augment(options.augment)?;
        Ok(Self {
            train,
            validation: Batches::labelled(data.validation, &network, classes, "validation")?,
            teacher: Teacher::new(device, data, options, classes, room)?,
            executor,
            network,
            options,
            sizes,
            state,
        })
    }

    fn epoch(&mut self, prune: &mut Prune<'_>, control: &mut Control<'_>) -> Result<(), TrainError> {
        let before = self.state.seconds;
        let started = Instant::now();
        if self.state.step == 0 {
            self.prune(prune)?;
        }
        let order = random::order(self.sizes.train, self.options.seed, self.state.epoch);
        while self.state.step < self.sizes.steps {
            let start = self.state.step * self.sizes.batch;
            let end = self.sizes.train.min(start + self.sizes.batch);
            self.step(&order[start..end])?;
            self.report(control);
            if control.stop.load(Ordering::Relaxed) {
                self.state.seconds = before + started.elapsed().as_secs_f64();
                return self.interrupt(control);
            }
        }
        self.state.sums.collect(&mut self.executor)?;
        let train = self.state.sums.evaluation();
        self.must_converge(train)?;
        let Sizes { validation, room, .. } = self.sizes;
        let validation = evaluate::run(&mut self.executor, &mut self.validation, validation, room)?;
        self.must_converge(validation)?;

        self.executor.store(&mut self.network.tensors)?;
        let epochs = &self.state.epochs;
        if self.state.best.as_ref().is_none_or(|b| validation.is_better_than(&epochs[b.epoch].validation)) {
            let weights = self.network.tensors.iter().map(|t| t.data.clone()).collect();
            self.state.best = Some(Best { epoch: self.state.epoch, weights });
        }
        let seconds = before + started.elapsed().as_secs_f64();
        self.state.epochs.push(EpochStats { train, validation, pruned: self.state.pruned, seconds });
        self.report(control);
        self.state.epoch += 1;
        self.state.step = 0;
        self.state.seconds = 0.0;
        self.state.sums = Sums::default();
        if self.state.epoch < self.options.epochs {
            if control.stop.load(Ordering::Relaxed) {
                return self.interrupt(control);
            }
            self.save(control)?;
        }
        Ok(())
    }

    /// Asks for new masks.
    fn prune(&mut self, prune: &mut Prune<'_>) -> Result<(), TrainError> {
        self.executor.store(&mut self.network.tensors)?;
        let masks = prune(self.state.epoch, &self.network).map_err(TrainError::Prune)?;
        self.state.pruned = masks.is_some();
        if let Some(masks) = masks {
            masks.apply(&mut self.network);
            self.executor.load(&self.network.tensors);
            self.executor.set_masks(&masks);
            self.state.masks = masks;
            self.state.best = None;
        }
        Ok(())
    }

    fn step(&mut self, positions: &[usize]) -> Result<(), TrainError> {
        let (options, batch) = (self.options, positions.len());
        let done = self.state.epoch * self.sizes.steps + self.state.step;
        let progress = done as f64 / (options.epochs * self.sizes.steps) as f64;
        let rate = (f64::from(options.rate) * options.schedule.factor(progress)) as f32;
        let momentum = match options.batch_norm {
            BatchNorm::Updated => Some(BatchNorm::MOMENTUM),
            BatchNorm::Frozen => None,
        };
        let mode = Mode { dropout: Some(random::mix(&[options.seed, 2, done as u64])), momentum };

        let (augment, epoch) = (options.augment, self.state.epoch);
        let change = |sample| augment.is_active().then(|| augment.draw(options.seed, epoch, sample));
        self.train.fill_moved(positions, change);
        let scores = self.teacher.as_mut().map(|teacher| teacher.scores(positions, change)).transpose()?;
        let teacher = scores.as_deref().zip(options.distill);
        self.executor.forward(&self.train.input, batch, mode);
        self.executor.loss(&Answers { labels: &self.train.labels, teacher });
        self.executor.backward(batch, mode);
        self.executor.update(|decays| {
            options.optimizer.rule(rate, if decays { options.decay } else { 0.0 }, done as u32 + 1)
        });

        self.state.step += 1;
        self.state.sums.after_step(&mut self.executor, self.state.step, batch)?;
        self.must_converge(self.state.sums.evaluation())
    }

    fn must_converge(&self, evaluation: Evaluation) -> Result<(), TrainError> {
        if evaluation.loss.is_finite() {
            return Ok(());
        }
        Err(TrainError::Diverged {
            epoch: self.state.epoch + 1,
            step: self.state.step,
            loss: evaluation.loss,
            rate: self.options.rate,
        })
    }

    fn report(&self, control: &mut Control<'_>) {
        (control.progress)(&Progress {
            epoch: self.state.epoch + 1,
            epochs: self.options.epochs,
            step: self.state.step,
            steps: self.sizes.steps,
            train: self.state.sums.evaluation(),
            validation: self.state.epochs.last().map(|e| e.validation),
        });
    }

    fn interrupt(&mut self, control: &Control<'_>) -> Result<(), TrainError> {
        self.save(control)?;
        Err(TrainError::Interrupted { checkpoint: control.checkpoint.clone() })
    }

    fn save(&mut self, control: &Control<'_>) -> Result<(), TrainError> {
        let Some(path) = &control.checkpoint else { return Ok(()) };
        self.executor.store(&mut self.network.tensors)?;
        self.state.weights = self.network.tensors.iter().map(|t| t.data.clone()).collect();
        self.state.states = self.executor.states()?;
        self.state.stats = self.executor.stats()?;
        self.state.write(path)
    }

    fn resume(&mut self, control: &Control<'_>) -> Result<(), TrainError> {
        let Some(path) = &control.checkpoint else {
            return Err(TrainError::Option("nothing to resume: no checkpoint is named".to_owned()));
        };
        let mut state = Checkpoint::read(path, &self.state.inputs)?;
        let weights = std::mem::take(&mut state.weights);
        let fits = state.epoch < self.options.epochs
            && state.step <= self.sizes.steps
            && state.epochs.len() == state.epoch
            && weights_fit(&self.network.tensors, &weights)
            && masks_fit(&self.network.tensors, &state.masks)
            && state
                .best
                .as_ref()
                .is_none_or(|b| b.epoch < state.epoch && weights_fit(&self.network.tensors, &b.weights))
            && self.executor.set_states(&state.states);
        if !fits {
            let reason = "its content does not fit this run; start again without --resume".to_owned();
            return Err(TrainError::Checkpoint { path: path.clone(), reason });
        }
        set_weights(&mut self.network.tensors, weights);
        self.executor.load(&self.network.tensors);
        self.executor.set_masks(&state.masks);
        self.executor.set_stats(state.stats);
        self.state = state;
        Ok(())
    }
}

fn weights_fit(tensors: &[Tensor], weights: &[Vec<f32>]) -> bool {
    tensors.len() == weights.len() && tensors.iter().zip(weights).all(|(t, w)| t.data.len() == w.len())
}

fn masks_fit(tensors: &[Tensor], masks: &Masks) -> bool {
    tensors.iter().enumerate().all(|(id, t)| masks.get(id).is_none_or(|m| m.len() == t.data.len()))
}

fn set_weights(tensors: &mut [Tensor], weights: Vec<Vec<f32>>) {
    for (tensor, data) in tensors.iter_mut().zip(weights) {
        tensor.data = data;
    }
}

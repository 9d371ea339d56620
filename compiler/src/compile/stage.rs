//! One stage: prune to a share of zeros, in one shot or in rounds, while fine-tuning.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;

use super::CompileError;
use super::options::Options;
use crate::device::Device;
use crate::factorize::Iteration;
use crate::one_shot;
use crate::prune::{self, Masks, Scope, Scores, sparsity_at};
use crate::report::OneShotReport;
use crate::train::{self, Control, Data, EpochStats, Progress, TrainOptions};

/// What a compilation is doing.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A tri-factorization went through an iteration.
    Factorizing(Iteration),
    /// A step of fine-tuning is done, or an epoch was validated.
    Training(Progress),
    /// One of the measurements of how much each layer matters is done.
    Measuring {
        /// Measurements that are done.
        done: usize,
        /// All of them.
        of: usize,
    },
    /// An artifact on the way to a budget begins.
    Attempt {
        /// Its number.
        number: usize,
        /// Share of zeros that it will have.
        zeros: f64,
    },
    /// One-shot pruning is done with a layer.
    Correcting(&'a one_shot::Progress),
}

/// Hears of events, from scores as well as from training.
pub(super) type Listener<'a> = RefCell<&'a mut dyn FnMut(&Event<'_>)>;

/// Data of a compilation; the test set is not among it.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) train: Samples,
    pub(super) validation: Samples,
}

/// What a stage needs beside the network.
pub(super) struct Stage<'a, 'e, D> {
    pub(super) events: &'a Listener<'e>,
    pub(super) device: &'a D,
    pub(super) options: &'a Options,
    pub(super) data: Option<&'a Split>,
    pub(super) calibration: Option<&'a Samples>,
    pub(super) teacher: &'a Network,
    pub(super) stop: &'a AtomicBool,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) resume: bool,
}

impl<D: Device> Stage<'_, '_, D> {
    pub(super) fn tell(&self, event: Event<'_>) {
        (self.events.borrow_mut())(&event);
    }

    /// What each weight scores.
    pub(super) fn scores(&self, network: &Network) -> Result<Scores, CompileError> {
        let mut progress = |iteration| self.tell(Event::Factorizing(iteration));
        let options = &self.options.factors();
        let scores = prune::scores(self.device, network, self.options.method, options, &mut progress)?;
        Ok(scores.in_blocks(self.options.block))
    }

    /// Weights of the network that score lowest go, until this share of them is zero. Zeros
    /// that are there stay.
    pub(super) fn prune(&self, network: &Network, sparsity: f64) -> Result<Masks, CompileError> {
        let scores = self.scores(network)?;
        Ok(prune::masks(network, &scores, sparsity, self.options.scope, &Masks::of_nonzeros(network)))
    }

    /// Whether there is anything to fine-tune with.
    pub(super) fn tunes(&self) -> bool {
        self.data.is_some() && self.options.training.epochs > 0
    }

    /// Prunes to `sparsity` in one shot and corrects the weights that remain, where there are
    /// samples to calibrate with.
    pub(super) fn one_shot(
        &self,
        network: &mut Network,
        sparsity: f64,
    ) -> Result<Option<OneShotReport>, CompileError> {
        let Some(samples) = self.calibration else { return Ok(None) };
        let mut progress = |progress: &one_shot::Progress| self.tell(Event::Correcting(progress));
        let block = self.options.block;
        let scores = one_shot::scores(self.device, network, samples, block, &mut progress, self.stop)?;
        let masks = prune::masks(network, &scores, sparsity, Scope::Global, &Masks::of_nonzeros(network));
        let (corrected, layers) =
            one_shot::correct(self.device, network, samples, &masks, block, &mut progress, self.stop)?;
        *network = corrected;
        Ok(Some(OneShotReport { samples: samples.len(), layers }))
    }

    /// Prunes to `sparsity` in rounds and fine-tunes for `epochs`; in one shot without
    /// fine-tuning where there is no data or no epoch. `None` fine-tunes what is there.
    pub(super) fn run(
        &self,
        network: &mut Network,
        sparsity: Option<f64>,
        epochs: usize,
    ) -> Result<Vec<EpochStats>, CompileError> {
        let initial = zero_share(network);
        let Some(target) = sparsity else { return self.tune(network, epochs, 0, &mut no_rounds) };
        let rounds = self.options.rounds.clamp(1, epochs.max(1));
        let mut masks = |round: usize, rounds: usize, network: &Network| {
            self.prune(network, sparsity_at(round, rounds, initial, target))
        };
        self.tune(network, epochs, rounds, &mut masks)
    }

    /// Fine-tunes for `epochs` and prunes at the start of each of the first `rounds` of them, or
    /// prunes once where there is no data or no epoch. `masks` gets the round, from 1, the number
    /// of rounds and the network.
    pub(super) fn tune(
        &self,
        network: &mut Network,
        epochs: usize,
        rounds: usize,
        masks: &mut RoundMasks<'_>,
    ) -> Result<Vec<EpochStats>, CompileError> {
        let Some(data) = self.data.filter(|_| epochs > 0) else {
            if rounds > 0 {
                masks(1, 1, network)?.apply(network);
            }
            return Ok(Vec::new());
        };
        let mut prune = |epoch: usize, network: &Network| {
            let masks = (epoch < rounds).then(|| masks(epoch + 1, rounds, network)).transpose()?;
            Ok(masks)
        };
        let training = TrainOptions { epochs, ..self.options.training.clone() };
        let mut control = Control {
            progress: &mut |progress| self.tell(Event::Training(*progress)),
            stop: self.stop,
            checkpoint: self.checkpoint.clone(),
            // Work may have stopped before this stage had anything to save.
            resume: self.resume && self.checkpoint.as_ref().is_some_and(|path| path.exists()),
        };
        let masks = Masks::of_nonzeros(network);
        let teacher = training.distill.map(|_| self.teacher);
        let data = Data { train: &data.train, validation: &data.validation, teacher };
        let history = train::train(self.device, network, masks, data, &training, &mut prune, &mut control)?;
        Ok(history.epochs)
    }
}

/// New masks at the start of a round: its number from 1, the number of rounds, the network.
pub(super) type RoundMasks<'a> = dyn FnMut(usize, usize, &Network) -> Result<Masks, CompileError> + 'a;

/// For fine-tuning without pruning, in no rounds.
pub(super) fn no_rounds(_: usize, _: usize, network: &Network) -> Result<Masks, CompileError> {
    Ok(Masks::of_nonzeros(network))
}

/// Share of the weights of convolutions and dense layers that are zero.
pub(super) fn zero_share(network: &Network) -> f64 {
    let (mut zeros, mut weights) = (0, 0);
    let tensors: std::collections::BTreeSet<_> =
        (0..network.nodes.len()).filter_map(|node| network.prunable(node)).collect();
    for tensor in tensors {
        let tensor = &network.tensors[tensor];
        zeros += tensor.data.len() - tensor.nonzeros();
        weights += tensor.data.len();
    }
    zeros as f64 / weights.max(1) as f64
}

//! Flags of training, shared by `compile` and `train`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use clap::ValueEnum;
use crc::Crc;
use serde::Serialize;
use tfc_formats::dataset::Dataset;
use tfc_formats::network::Network;

use super::input::count;
use crate::compile::Leftover;
use crate::device::select::Choice;
use crate::train::{Augment, BatchNorm, Distill, Optimizer, Schedule, TrainOptions};

/// How to train.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Training")]
pub(super) struct TrainingArgs {
    /// Passes over the training set.
    #[arg(long, default_value_t = 20, value_parser = epochs)]
    pub(super) epochs: usize,
    /// Samples a step.
    #[arg(long, default_value_t = 64, value_parser = count)]
    batch: usize,
    /// Update rule.
    #[arg(long, value_enum, default_value_t = OptimizerName::Sgd)]
    optimizer: OptimizerName,
    /// Learning rate at its highest; 0.02 for sgd (0.005 for chains of tri-factors, which diverge
    /// sooner), 0.001 for adam and rmsprop.
    #[arg(long)]
    rate: Option<f32>,
    /// Momentum of sgd.
    #[arg(long, default_value_t = 0.9)]
    momentum: f32,
    /// Weight decay.
    #[arg(long, default_value_t = 1e-4)]
    decay: f32,
    /// How the rate changes over the run.
    #[arg(long, value_enum, default_value_t = ScheduleName::Cosine)]
    schedule: ScheduleName,
    /// Statistics of batch normalizations: of each batch, which update the running ones, or those.
    #[arg(long, value_enum, default_value_t = BatchNormName::Updated)]
    batch_norm: BatchNormName,
    /// Mirror half of the training images, left to right, anew in each epoch.
    #[arg(long)]
    flip: bool,
    /// Move training images by up to so many pixels up, down, left and right, anew in each epoch;
    /// raw 0 comes in at the edges.
    #[arg(long, default_value_t = 0, value_name = "PIXELS", hide_default_value = true)]
    shift_crop: u32,
    /// Where to train: auto (a GPU if there is one), gpu or cpu.
    #[arg(long, default_value_t)]
    pub(super) device: Choice,
    /// Of everything random; the same seed on the same device gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Share of the training set that is held out to choose by.
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    pub(super) held_out: f64,
    /// Go on from where an interrupted run stopped.
    #[arg(long)]
    pub(super) resume: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
    Sgd,
    Adam,
    Rmsprop,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BatchNormName {
    /// Each batch is normalized by its own; the running ones follow.
    Updated,
    /// The running ones normalize and stay as they are.
    Frozen,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScheduleName {
    /// The same all along.
    Constant,
    /// Half a cosine down to 0.
    Cosine,
    /// Up for 30% of the run, then a cosine down to 0.
    OneCycle,
    /// A tenth of it after each third of the run.
    Step,
}

impl TrainingArgs {
    /// What to do with work that an interrupted run left.
    pub(super) fn leftover(&self, force: bool) -> Leftover {
        match (self.resume, force) {
            (true, _) => Leftover::Resume,
            (false, true) => Leftover::Replace,
            (false, false) => Leftover::Refuse,
        }
    }

    /// The flags as the trainer takes them, for a network of chains of tri-factors or without any.
    pub(super) fn options(&self, distill: Option<Distill>, chains: bool) -> TrainOptions {
        let (optimizer, rate) = match self.optimizer {
            OptimizerName::Sgd => {
                (Optimizer::Sgd { momentum: self.momentum }, if chains { 0.005 } else { 0.02 })
            }
            OptimizerName::Adam => (Optimizer::Adam, 0.001),
            OptimizerName::Rmsprop => (Optimizer::RmsProp, 0.001),
        };
        TrainOptions {
            epochs: self.epochs,
            batch: self.batch,
            optimizer,
            rate: self.rate.unwrap_or(rate),
            decay: self.decay,
            schedule: match self.schedule {
                ScheduleName::Constant => Schedule::Constant,
                ScheduleName::Cosine => Schedule::Cosine,
                ScheduleName::OneCycle => Schedule::OneCycle,
                ScheduleName::Step => Schedule::Step { drops: 2, factor: 0.1 },
            },
            batch_norm: match self.batch_norm {
                BatchNormName::Updated => BatchNorm::Updated,
                BatchNormName::Frozen => BatchNorm::Frozen,
            },
            augment: Augment { flip: self.flip, shift: self.shift_crop },
            seed: self.seed,
            distill,
        }
    }
}

fn epochs(text: &str) -> Result<usize, String> {
    if text == "0" { Ok(0) } else { count(text).map_err(|_| "expected a whole number".to_owned()) }
}

/// Everything that a run depends on, so that it is only resumed as what it was.
pub(super) fn describe_run(
    options: &impl Serialize,
    networks: &[&Network],
    data: Option<&Dataset>,
) -> Result<String> {
    let crc = Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    for Network { input, preprocess, nodes, output, .. } in networks {
        digest.update(format!("{input:?} {preprocess:?} {nodes:?} {output}").as_bytes());
    }
    for tensor in networks.iter().flat_map(|network| &network.tensors) {
        digest.update(tensor.name.as_bytes());
        tensor.data.iter().for_each(|value| digest.update(&value.to_le_bytes()));
    }
    let networks = digest.finalize();
    let data = data.map(|Dataset { name, train, .. }| {
        let labels = crc.checksum(bytemuck::cast_slice(&train.labels));
        (name.clone(), train.len(), crc.checksum(&train.data), labels)
    });
    Ok(serde_json::to_string_pretty(&serde_json::json!({
        "producer": crate::encode::PRODUCER,
        "options": options,
        "networks": networks,
        "data": data,
    }))?)
}

/// A flag that the first Ctrl-C sets; the second ends the program at once.
pub(super) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use tfc_formats::import::{ImportOptions, untrained};
    use tfc_formats::op::{Activation, Op};

    use super::*;

    #[test]
    fn runs_of_other_networks_are_described_otherwise() {
        let network = untrained("lenet5", &ImportOptions::default()).unwrap();
        let describe = |change: &dyn Fn(&mut Network)| {
            let mut network = network.clone();
            change(&mut network);
            describe_run(&"options", &[&network], None).unwrap()
        };
        let same = describe(&|_| {});
        assert_eq!(same, describe(&|_| {}));
        let changes: [&dyn Fn(&mut Network); 4] = [
            &|network| network.preprocess.scale *= 0.5,
            &|network| network.input.h += 4,
            &|network| {
                let activation = network.nodes.iter_mut().find(|node| matches!(node.op, Op::Activation(_)));
                activation.unwrap().op = Op::Activation(Activation::Tanh);
            },
            &|network| network.tensors[0].data[0] += 1.0,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert_ne!(same, describe(change), "{at}");
        }
    }
}

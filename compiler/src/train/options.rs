//! How to train.

use serde::Serialize;

use super::{Augment, TrainError};
use crate::device::Update;

/// Options of a training run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainOptions {
    /// Passes over the training set.
    pub epochs: usize,
    /// Samples a step.
    pub batch: usize,
    /// Update rule.
    pub optimizer: Optimizer,
    /// Learning rate, before the schedule.
    pub rate: f32,
    /// Weight decay, on weights but neither on biases nor on the scales and shifts of normalizations.
    pub decay: f32,
    /// How the rate changes.
    pub schedule: Schedule,
    /// What normalizes a batch.
    pub batch_norm: BatchNorm,
    /// What is done at random to training images.
    pub augment: Augment,
    /// Seed of shuffling, augmentation and dropout.
    pub seed: u64,
    /// How much to learn from the teacher, where there is one.
    pub distill: Option<Distill>,
}

/// Statistics of batch normalizations (Ioffe & Szegedy 2015) while training; validation and inference
/// always take the running ones. Scales and shifts learn with either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum BatchNorm {
    /// Each batch is normalized by its own statistics, and the running ones follow with a momentum
    /// of 0.1 (the variance unbiased), as in PyTorch.
    #[default]
    Updated,
    /// The running statistics normalize and stay as they are: for small batches, or few of them.
    Frozen,
}

impl BatchNorm {
    /// Share of a batch in the running statistics.
    pub(super) const MOMENTUM: f32 = 0.1;
}

/// Distillation after Hinton et al. 2015; see [`Targets::Distill`](crate::device::Targets::Distill).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distill {
    /// Softens the teacher's scores; above 0.
    pub temperature: f32,
    /// Share of the teacher in the loss, 0 to 1.
    pub weight: f32,
}

/// Update rule; see [`Update`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd {
        /// Momentum, 0 to 1.
        momentum: f32,
    },
    /// Adam with betas of 0.9 and 0.999 and decoupled decay.
    Adam,
    /// RMSprop with a decay of 0.9.
    RmsProp,
}

/// Learning rate as a function of progress, 0 at the first step and towards 1 at the last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Schedule {
    /// The same all along.
    Constant,
    /// Half a cosine from the rate to 0 (Loshchilov & Hutter 2017).
    Cosine,
    /// Up from a 25th of the rate over the first 30%, then a cosine to almost 0 (Smith & Topin 2019).
    OneCycle,
    /// Multiplied by `factor` at `drops` evenly spaced points.
    Step {
        /// Number of drops.
        drops: u32,
        /// What each multiplies the rate by.
        factor: f32,
    },
}

impl Optimizer {
    /// The device's rule for one step, counted from 1.
    pub(super) fn rule(self, rate: f32, decay: f32, step: u32) -> Update {
        match self {
            Optimizer::Sgd { momentum } => Update::Sgd { rate, momentum, decay },
            Optimizer::Adam => Update::Adam { rate, beta1: 0.9, beta2: 0.999, eps: 1e-8, decay, step },
            Optimizer::RmsProp => Update::RmsProp { rate, rho: 0.9, eps: 1e-7, decay },
        }
    }
}

impl Schedule {
    /// Share of the base rate at a progress of 0 to 1.
    pub fn factor(self, progress: f64) -> f64 {
        let cosine = |p: f64| 0.5 * (1.0 + (std::f64::consts::PI * p).cos());
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => cosine(progress),
            Schedule::OneCycle => {
                const WARM_UP: f64 = 0.3;
                if progress < WARM_UP {
                    0.04 + 0.96 * progress / WARM_UP
                } else {
                    cosine((progress - WARM_UP) / (1.0 - WARM_UP))
                }
            }
            Schedule::Step { drops, factor } => {
                f64::from(factor).powf((progress * f64::from(drops.saturating_add(1))).floor())
            }
        }
    }
}

impl TrainOptions {
    /// Refuses what makes no sense.
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let unit = |x: f32| (0.0..=1.0).contains(&x);
        let fault = if self.batch == 0 {
            format!("batch is {}; it must be at least 1", self.batch)
        } else if !(self.rate > 0.0 && self.rate.is_finite()) {
            format!("learning rate is {}; it must be above 0", self.rate)
        } else if !(self.decay >= 0.0 && self.decay.is_finite()) {
            format!("weight decay is {}; it must be 0 or more", self.decay)
        } else if let Optimizer::Sgd { momentum } = self.optimizer
            && !(unit(momentum) && momentum < 1.0)
        {
            format!("momentum is {momentum}; it must be at least 0 and below 1")
        } else if let Some(d) = self.distill
            && !(d.temperature > 0.0 && d.temperature.is_finite() && unit(d.weight))
        {
            format!(
                "distillation has temperature {} and weight {}; they must be above 0, and 0 to 1",
                d.temperature, d.weight
            )
        } else if let Schedule::Step { factor, .. } = self.schedule
            && !(unit(factor) && factor > 0.0)
        {
            format!("the schedule's factor is {factor}; it must be above 0 and at most 1")
        } else {
            return Ok(());
        };
        Err(TrainError::Option(fault))
    }
}

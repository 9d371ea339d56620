//! What a person asks of `compile`.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use crate::factorize::{self, Rank, Solver};
use crate::prune::{Method, Scope};
use crate::train::TrainOptions;

/// How far to prune.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// Keep the weights as they are; only encode.
    Keep,
    /// This share of all weights of convolutions and dense layers is zero, 0 to 1.
    Sparsity(f64),
    /// As small as validation error permits, or as accurate as limits on size and time permit.
    Budget(Budget),
}

/// What a person can afford. Limits that are `None` do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Budget {
    /// Points by which validation error may grow.
    pub max_drop: Option<f64>,
    /// Bytes of the file.
    pub max_bytes: Option<u64>,
    /// Median time of one sample on one thread of this machine, microseconds.
    pub max_latency_us: Option<f64>,
}

impl Budget {
    /// Whether size or time is limited.
    pub fn limits_cost(&self) -> bool {
        self.max_bytes.is_some() || self.max_latency_us.is_some()
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            self.max_drop.map(|points| format!("{points} points of validation error")),
            self.max_bytes.map(|bytes| format!("{bytes} bytes")),
            self.max_latency_us.map(|us| format!("{us} us")),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// Which layers become chains of thinner ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowRank {
    /// Never.
    Off,
    /// After pruning, where truncated singular value decomposition is smaller than any encoding of
    /// the layer at the same validation accuracy.
    Auto,
    /// Before fine-tuning: every dense layer that becomes smaller, two factors.
    Svd,
    /// Before fine-tuning: all dense layers as tri-factors, `G` shared by neighbours, and the
    /// convolutions that become smaller and faster.
    Tri,
}

/// Options of [`compile`](super::compile).
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// How far to prune.
    pub goal: Goal,
    /// Score that says what goes first.
    #[serde(serialize_with = "as_text")]
    pub method: Method,
    /// Weights that compete for the same threshold.
    #[serde(serialize_with = "as_text")]
    pub scope: Scope,
    /// Output channels that are pruned together at each column of a weight: 1, 2 or 4.
    pub block: u8,
    /// Steps on the way to the goal, one at the start of each epoch; 1 is one shot.
    pub rounds: usize,
    /// Which layers are factorized.
    pub low_rank: LowRank,
    /// Latent dimensions of factorizations.
    #[serde(serialize_with = "as_text")]
    pub rank: Rank,
    /// Most iterations of a tri-factorization.
    pub iterations: usize,
    /// Update rule of the tri-factorization.
    #[serde(serialize_with = "as_text")]
    pub solver: Solver,
    /// Whether weights may be stored as f16 where outputs agree; f32 otherwise.
    pub half: bool,
    /// Prune in one shot and correct the weights that remain, layer by layer, instead of fine-tuning.
    pub one_shot: bool,
    /// Most samples that one-shot pruning is calibrated with.
    pub calibration_samples: usize,
    /// Share of the training set that is held out as validation set, above 0 and below 1.
    pub held_out: f64,
    /// Fine-tuning; 0 epochs for none.
    pub training: TrainOptions,
    /// Of everything random: split, scores, training.
    pub seed: u64,
}

impl Options {
    /// Whether the artifact may compute something else than the network that came in.
    pub fn changes_weights(&self) -> bool {
        self.goal != Goal::Keep || matches!(self.low_rank, LowRank::Svd | LowRank::Tri)
    }

    /// Whether a score or a scope was asked for, other than the usual ones.
    pub(super) fn scores_by_choice(&self) -> bool {
        self.method != Method::Magnitude || self.scope != Scope::default()
    }

    /// Settings of the tri-factorization that scores and factors come from.
    pub fn factors(&self) -> factorize::Options {
        let Self { rank, iterations, solver, seed, .. } = *self;
        factorize::Options { rank, iterations, solver, seed, ..Default::default() }
    }
}

/// Names as on the command line.
fn as_text<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

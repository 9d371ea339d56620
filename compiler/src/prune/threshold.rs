//! From scores to masks.

use std::fmt;
use std::str::FromStr;

use tfc_formats::network::{Network, TensorId};

use super::score::weights;
use super::{Masks, Scores, magnitude};
use crate::factorize::GroupKind;

/// Among which weights the lowest scores are looked for. A sparsity is met in each such set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each layer is pruned alike.
    Layer,
    /// Scores are compared among all convolutions, and among all dense layers.
    Group,
    /// Scores are compared among all weights.
    Global,
    /// Scores are compared within a layer; how much of each layer is pruned is what LAMP
    /// (Lee, Park, Mo, Ahn & Shin 2021) prunes of it. That spares small layers whatever the scale
    /// of a method's scores, and every method is compared at the same sparsities.
    Lamp,
    /// As [`Lamp`](Scope::Lamp), but how much of each layer is pruned also depends on time: LAMP
    /// scores are divided by how often one inference multiplies by a weight, to the power of 3/4.
    /// That moves zeros from dense layers, where they save bytes alone, to convolutions, where each
    /// saves a whole plane of multiply-accumulates.
    #[default]
    Time,
}

impl Scope {
    /// All scopes, in the order of help.
    pub const ALL: [Self; 5] = [Scope::Layer, Scope::Group, Scope::Global, Scope::Lamp, Scope::Time];

    /// Name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Layer => "layer",
            Scope::Group => "group",
            Scope::Global => "global",
            Scope::Lamp => "lamp",
            Scope::Time => "time",
        }
    }

    /// One line for help.
    pub const fn about(self) -> &'static str {
        match self {
            Scope::Layer => "the same sparsity in every layer",
            Scope::Group => "the lowest scores of all convolutions, and of all dense layers",
            Scope::Global => "the lowest scores of the network",
            Scope::Lamp => "the lowest scores of each layer, as many as LAMP gives it",
            Scope::Time => "as lamp, with more zeros where a weight is multiplied more often",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown scope `{text}`; known are {known}")
        })
    }
}

/// A weight in the order of pruning: what is masked already, then zeros, then the lowest scores;
/// ties by tensor and index.
#[derive(Clone, Copy)]
struct Candidate {
    kept_and_nonzero: (bool, bool),
    score: f64,
    tensor: TensorId,
    index: usize,
}

/// Masks under which at least `sparsity` (0 to 1) of the weights of convolutions and dense
/// layers are zero, and no more than that rounded up to whole weights (in each set of the scope),
/// unless `already` masks more. Nothing that `already` masks comes back. Biases are not pruned.
pub fn masks(network: &Network, scores: &Scores, sparsity: f64, scope: Scope, already: &Masks) -> Masks {
    let by_score = |tensor: TensorId| by_score(network, scores, tensor, already);
    let weights = weights(network);
    let tensors = |kind: Option<GroupKind>| {
        weights.iter().filter(move |(_, k)| kind.is_none_or(|kind| kind == *k)).map(|&(tensor, _)| tensor)
    };

    // Sets of weights, and how many of each are pruned.
    let sets: Vec<(Vec<Candidate>, usize)> = match scope {
        Scope::Layer => tensors(None).map(|t| with_count(by_score(t), sparsity)).collect(),
        Scope::Group => [GroupKind::Conv, GroupKind::Dense]
            .map(|kind| with_count(tensors(Some(kind)).flat_map(by_score).collect(), sparsity))
            .into(),
        Scope::Global => vec![with_count(tensors(None).flat_map(by_score).collect(), sparsity)],
        Scope::Lamp | Scope::Time => {
            let uses = match scope {
                Scope::Time => uses(network),
                _ => vec![1.0; network.tensors.len()],
            };
            let by_lamp = |tensor: TensorId| {
                let lamp = lamp(&network.tensors[tensor].data);
                candidates(network, tensor, already, |index| lamp[index] / uses[tensor].powf(0.75))
            };
            let (mut all, count) = with_count(tensors(None).flat_map(by_lamp).collect(), sparsity);
            let mut counts = vec![0; network.tensors.len()];
            for candidate in lowest(&mut all, count) {
                counts[candidate.tensor] += 1;
            }
            tensors(None).map(|t| (by_score(t), counts[t])).collect()
        }
    };
    without_lowest(network, already, sets)
}

/// Masks under which so many weights of each of these tensors stay, those that score highest.
/// Nothing that `already` masks comes back.
pub fn masks_of_layers(
    network: &Network,
    scores: &Scores,
    keep: &[(TensorId, usize)],
    already: &Masks,
) -> Masks {
    let set = |&(tensor, keep): &(TensorId, usize)| {
        let set = by_score(network, scores, tensor, already);
        let pruned = set.len().saturating_sub(keep);
        (set, pruned)
    };
    without_lowest(network, already, keep.iter().map(set).collect())
}

fn candidates(
    network: &Network,
    tensor: TensorId,
    already: &Masks,
    score: impl Fn(usize) -> f64,
) -> Vec<Candidate> {
    let data = &network.tensors[tensor].data;
    let kept = |index: usize| already.get(tensor).is_none_or(|keep| keep[index]);
    let candidate = |(index, &w): (usize, &f32)| {
        let kept_and_nonzero = (kept(index), w != 0.0);
        Candidate { kept_and_nonzero, score: score(index), tensor, index }
    };
    data.iter().enumerate().map(candidate).collect()
}

fn by_score(network: &Network, scores: &Scores, tensor: TensorId, already: &Masks) -> Vec<Candidate> {
    let scores = scores.get(tensor).unwrap_or_default();
    candidates(network, tensor, already, |index| scores.get(index).map_or(0.0, |&s| f64::from(s)))
}

/// Prunes the lowest of each set, as many as stand beside it.
fn without_lowest(network: &Network, already: &Masks, sets: Vec<(Vec<Candidate>, usize)>) -> Masks {
    let mut masks = already.clone();
    let mut keep: Vec<Option<Vec<bool>>> = vec![None; network.tensors.len()];
    for (mut set, count) in sets {
        for &Candidate { tensor, index, .. } in lowest(&mut set, count) {
            let len = network.tensors[tensor].data.len();
            let start = || already.get(tensor).map_or_else(|| vec![true; len], <[bool]>::to_vec);
            keep[tensor].get_or_insert_with(start)[index] = false;
        }
    }
    for (tensor, keep) in keep.into_iter().enumerate() {
        if let Some(keep) = keep {
            masks.set(tensor, keep);
        }
    }
    masks
}

/// The smallest count that is at least this share of the set.
fn with_count(set: Vec<Candidate>, sparsity: f64) -> (Vec<Candidate>, usize) {
    let len = set.len();
    let below = ((sparsity * len as f64) as usize).min(len);
    // Exact where the product is not: 0.07 * 100 is a little above 7.
    let short = (below as f64 / len as f64) < sparsity;
    let count = if short { (below + 1).min(len) } else { below };
    (set, count)
}

/// The first `count` candidates in the order of pruning, themselves in no order.
fn lowest(set: &mut [Candidate], count: usize) -> &[Candidate] {
    if count < set.len() {
        set.select_nth_unstable_by(count, |a, b| {
            (a.kept_and_nonzero.cmp(&b.kept_and_nonzero))
                .then(a.score.total_cmp(&b.score))
                .then((a.tensor, a.index).cmp(&(b.tensor, b.index)))
        });
    }
    &set[..count]
}

/// By tensor: how often one inference multiplies by each weight; 0 for what is not pruned.
pub fn uses(network: &Network) -> Vec<f64> {
    let shapes = network.shapes().unwrap_or_default();
    let mut uses = vec![0.0; network.tensors.len()];
    for node in 0..network.nodes.len() {
        if let (Some(tensor), Some(output)) = (network.prunable(node), shapes.get(node + 1)) {
            // A dense layer's output is a vector: one position.
            uses[tensor] += f64::from(output.h) * f64::from(output.w);
        }
    }
    uses
}

/// LAMP scores: `w^2` over the sum of squares of the layer's weights that are not smaller.
fn lamp(weights: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by(|&a, &b| magnitude::score(weights[b]).total_cmp(&magnitude::score(weights[a])));
    let mut scores = vec![0.0; weights.len()];
    let mut sum = 0.0;
    for index in order {
        let square = f64::from(weights[index]).powi(2);
        sum += square;
        scores[index] = if sum > 0.0 { square / sum } else { 0.0 };
    }
    scores
}

#[cfg(test)]
mod tests;

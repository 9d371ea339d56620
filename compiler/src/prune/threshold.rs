//! From scores to masks.

use std::fmt;
use std::str::FromStr;

use tfc_formats::network::{Network, TensorId};
use tfc_formats::op::Op;

use super::score::weights;
use super::{Masks, Scores};
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

/// What is pruned together, in the order of pruning: what is masked already, then zeros, then the
/// lowest scores; ties by tensor and index.
#[derive(Clone, Copy)]
struct Candidate {
    kept_and_nonzero: (bool, bool),
    score: f64,
    tensor: TensorId,
    group: Group,
    /// Weights that are neither masked nor zero; of a group that has none, all.
    weights: u8,
}

/// Masks under which at least `sparsity` (0 to 1) of the weights of convolutions and dense
/// layers are zero, and no more than that rounded up to whole weights (in each set of the scope),
/// unless `already` masks more. Nothing that `already` masks comes back. Biases are not pruned.
///
/// With scores in [blocks](Scores::in_blocks), weights are rounded up to whole groups of a block.
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
                let data = &network.tensors[tensor].data;
                let groups = groups(network, tensor, scores.block());
                let cols = columns(network, tensor);
                let power = |group: Group| group.weights(cols).map(|at| f64::from(data[at]).powi(2)).sum();
                let mut lamp = lamp(&groups.map(power).collect::<Vec<_>>()).into_iter();
                let score = |_: Group| lamp.next().unwrap_or(0.0) / uses[tensor].powf(0.75);
                candidates(network, tensor, scores.block(), already, score)
            };
            let (mut all, count) = with_count(tensors(None).flat_map(by_lamp).collect(), sparsity);
            let mut counts = vec![0; network.tensors.len()];
            for candidate in lowest(&mut all, count) {
                counts[candidate.tensor] += usize::from(candidate.weights);
            }
            tensors(None).map(|t| (by_score(t), counts[t])).collect()
        }
    };
    without_lowest(network, already, sets)
}

/// Masks under which so many weights of each of these tensors stay, those that score highest; in
/// blocks, these and the rest of what goes together with them.
/// Nothing that `already` masks comes back.
pub fn masks_of_layers(
    network: &Network,
    scores: &Scores,
    keep: &[(TensorId, usize)],
    already: &Masks,
) -> Masks {
    let set = |&(tensor, keep): &(TensorId, usize)| {
        let set = by_score(network, scores, tensor, already);
        let count = all(&set).saturating_sub(keep);
        let (set, count) = beside_zeros(set, count);
        // What goes together goes only if as many stay: a layer of which none stay would cut the network.
        (set, count.saturating_sub(usize::from(scores.block()) - 1))
    };
    without_lowest(network, already, keep.iter().map(set).collect())
}

/// Weights of a tensor that live and die together: those of a block of rows at one column.
#[derive(Clone, Copy)]
struct Group {
    /// Index of the first in its tensor.
    first: usize,
    rows: u8,
}

impl Group {
    /// Indices in a tensor of so many columns.
    fn weights(self, cols: usize) -> impl Iterator<Item = usize> {
        (0..usize::from(self.rows)).map(move |row| self.first + row * cols)
    }
}

/// Columns of a weight tensor.
fn columns(network: &Network, tensor: TensorId) -> usize {
    let tensor = &network.tensors[tensor];
    (tensor.data.len() / tensor.shape[0].max(1)).max(1)
}

/// The groups of a tensor, block by block. The last block may have fewer rows.
fn groups(network: &Network, tensor: TensorId, block: u8) -> impl Iterator<Item = Group> + use<> {
    let (len, cols) = (network.tensors[tensor].data.len(), columns(network, tensor));
    let block = rows_together(network, tensor, block);
    (0..len).step_by(usize::from(block) * cols).flat_map(move |start| {
        let rows = usize::from(block).min((len - start) / cols) as u8;
        (start..start + cols).map(move |first| Group { first, rows })
    })
}

/// Rows of a tensor whose weights at a column live and die together, if blocks of so many are asked
/// for. In a convolution of which groups are no multiple of that, a block would hold taps of other
/// inputs in each row, so its weights live on their own.
pub(crate) fn rows_together(network: &Network, tensor: TensorId, block: u8) -> u8 {
    let cuts = |op: &Op| match op {
        Op::Conv2d(conv) if conv.groups > 1 => {
            conv.out_channels.checked_div(conv.groups).is_some_and(|rows| rows % u32::from(block) != 0)
        }
        _ => false,
    };
    let mut nodes = network.nodes.iter().filter(|node| node.params.first() == Some(&tensor));
    if nodes.any(|node| cuts(&node.op)) { 1 } else { block }
}

fn candidates(
    network: &Network,
    tensor: TensorId,
    block: u8,
    already: &Masks,
    mut score: impl FnMut(Group) -> f64,
) -> Vec<Candidate> {
    let (data, cols) = (&network.tensors[tensor].data, columns(network, tensor));
    let kept = |index: usize| already.get(tensor).is_none_or(|keep| keep[index]);
    let candidate = |group: Group| {
        let live = group.weights(cols).filter(|&at| kept(at) && data[at] != 0.0).count() as u8;
        let weights = if live > 0 { live } else { group.rows };
        let kept_and_nonzero = (group.weights(cols).any(kept), live > 0);
        Candidate { kept_and_nonzero, score: score(group), tensor, group, weights }
    };
    groups(network, tensor, block).map(candidate).collect()
}

fn by_score(network: &Network, scores: &Scores, tensor: TensorId, already: &Masks) -> Vec<Candidate> {
    let of = scores.get(tensor).unwrap_or_default();
    let cols = columns(network, tensor);
    let score = |group: Group| group.weights(cols).filter_map(|at| of.get(at)).map(|&s| f64::from(s)).sum();
    candidates(network, tensor, scores.block(), already, score)
}

/// Prunes the lowest of each set, as many weights as stand beside it.
fn without_lowest(network: &Network, already: &Masks, sets: Vec<(Vec<Candidate>, usize)>) -> Masks {
    let mut masks = already.clone();
    let mut keep: Vec<Option<Vec<bool>>> = vec![None; network.tensors.len()];
    for (mut set, count) in sets {
        for &Candidate { tensor, group, .. } in lowest(&mut set, count) {
            let len = network.tensors[tensor].data.len();
            let start = || already.get(tensor).map_or_else(|| vec![true; len], <[bool]>::to_vec);
            let keep = keep[tensor].get_or_insert_with(start);
            group.weights(columns(network, tensor)).for_each(|at| keep[at] = false);
        }
    }
    for (tensor, keep) in keep.into_iter().enumerate() {
        if let Some(keep) = keep {
            masks.set(tensor, keep);
        }
    }
    masks
}

/// Weights of a set.
fn all(set: &[Candidate]) -> usize {
    set.iter().map(|candidate| usize::from(candidate.group.rows)).sum()
}

/// The smallest count that is at least this share of the set.
fn with_count(set: Vec<Candidate>, sparsity: f64) -> (Vec<Candidate>, usize) {
    let len = all(&set);
    let below = ((sparsity * len as f64) as usize).min(len);
    // Exact where the product is not: 0.07 * 100 is a little above 7.
    let short = (below as f64 / len as f64) < sparsity;
    let count = if short { (below + 1).min(len) } else { below };
    beside_zeros(set, count)
}

/// Less the zeros that stand in groups with weights that are not.
fn beside_zeros(set: Vec<Candidate>, count: usize) -> (Vec<Candidate>, usize) {
    let live: usize = set.iter().map(|candidate| usize::from(candidate.weights)).sum();
    let zeros = all(&set) - live;
    (set, count.saturating_sub(zeros))
}

/// The first candidates in the order of pruning that have `count` weights, themselves in no order.
fn lowest(set: &mut [Candidate], count: usize) -> &[Candidate] {
    if count == 0 {
        return &[];
    }
    // Those before `start` are the first in the order and have fewer weights; with the one at `end`,
    // they have enough.
    let (mut start, mut end, mut before) = (0, set.len(), 0);
    while start < end {
        let middle = start + (end - start) / 2;
        set[start..end].select_nth_unstable_by(middle - start, |a, b| {
            (a.kept_and_nonzero.cmp(&b.kept_and_nonzero))
                .then(a.score.total_cmp(&b.score))
                .then((a.tensor, a.group.first).cmp(&(b.tensor, b.group.first)))
        });
        let through = before + set[start..=middle].iter().map(|c| usize::from(c.weights)).sum::<usize>();
        if through < count {
            (start, before) = (middle + 1, through);
        } else {
            end = middle;
        }
    }
    &set[..set.len().min(start + 1)]
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

/// LAMP scores: `w^2` over the sum of squares of the layer's weights that are not smaller. `powers`
/// are the squares; of weights that live and die together, their sums.
fn lamp(powers: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..powers.len()).collect();
    order.sort_by(|&a, &b| powers[b].total_cmp(&powers[a]));
    let mut scores = vec![0.0; powers.len()];
    let mut sum = 0.0;
    for index in order {
        sum += powers[index];
        scores[index] = if sum > 0.0 { powers[index] / sum } else { 0.0 };
    }
    scores
}

#[cfg(test)]
mod tests;

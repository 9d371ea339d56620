//! Layers as chains of thinner ones.

use std::fmt;

use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;
use tfc_formats::op::{Dense, Op, Shape};

use super::CompileError;
use super::options::Options;
use crate::device::Device;
use crate::encode::{Encoded, Precision, encode_for};
use crate::execute;
use crate::factorize::{
    self, Factors, GroupKind, Iteration, Link, Matrix, Rank, Svd, add_tensor, factorize, groups,
    replace_convolutions, replace_layer, sweep,
};
use crate::plan::{Layer, Stored, Target, Weights};

/// Indices of the dense nodes with a weight of their own that is applied as it is stored.
fn dense_nodes(network: &Network) -> Vec<usize> {
    let uses = |tensor| network.nodes.iter().filter(|n| n.params.contains(&tensor)).count();
    let plain = |&index: &usize| match network.nodes[index].op {
        Op::Dense(dense) => !dense.transposed && uses(network.nodes[index].params[0]) == 1,
        _ => false,
    };
    (0..network.nodes.len()).filter(plain).collect()
}

fn weight(network: &Network, node: usize) -> Matrix {
    let tensor = &network.tensors[network.nodes[node].params[0]];
    Matrix { rows: tensor.shape[0], cols: tensor.shape[1], data: tensor.data.clone() }
}

/// Replaces a dense node by the two factors of its truncated singular value decomposition.
fn replace_by_svd(network: &mut Network, node: usize, svd: &Svd, rank: usize) {
    let (left, right) = svd.factors(rank);
    let name = network.nodes[node].name.clone();
    let u = add_tensor(network, format!("{name}.u"), [left.rows, left.cols], left.data);
    // Transposed, so that the thin product reads it row by row.
    let rows = (0..right.cols).flat_map(|k| right.data.iter().skip(k).step_by(right.cols)).copied();
    let v = add_tensor(network, format!("{name}.v"), [right.cols, right.rows], rows.collect());
    let links = [Link::dense(network, ".v", v, false), Link::dense(network, "", u, false)];
    replace_layer(network, node, &links);
    sweep(network);
}

/// Replaces every dense layer that becomes smaller by two factors of this rank. Returns what
/// was done, in words.
pub(super) fn all_by_svd(network: &mut Network, rank: Rank) -> Result<Vec<String>, CompileError> {
    let classes = network.shapes()?[network.output].c as usize;
    let names: Vec<String> = dense_nodes(network).iter().map(|&n| network.nodes[n].name.clone()).collect();
    let mut notes = Vec::new();
    for name in names {
        let Some(node) = network.nodes.iter().position(|n| n.name == name) else { continue };
        let matrix = weight(network, node);
        let rank = rank.of(matrix.rows.min(matrix.cols), classes);
        if rank * (matrix.rows + matrix.cols) >= matrix.data.len() {
            notes.push(format!("{name}: rank {rank} would not be smaller, kept whole"));
            continue;
        }
        replace_by_svd(network, node, &Svd::new(matrix.rows, matrix.cols, &matrix.data)?, rank);
        notes.push(format!("{name}: replaced by factors of rank {rank} (SVD)"));
    }
    Ok(notes)
}

/// Replaces all dense layers, and the convolutions that become smaller and faster, by the factors
/// of one simultaneous tri-factorization of each group: `G_out (S (G_in^T x))`.
pub(super) fn all_by_tri<D: Device>(
    device: &D,
    network: &mut Network,
    options: &factorize::Options,
    progress: &mut dyn FnMut(Iteration),
) -> Result<Vec<String>, CompileError> {
    let mut notes = Vec::new();
    for group in groups(network)? {
        let dense = dense_nodes(network).len();
        let all = network.nodes.iter().filter(|node| matches!(node.op, Op::Dense(_))).count();
        if group.kind == GroupKind::Dense && dense < all {
            notes.push("dense layers share weights already; left as they are".to_owned());
            continue;
        }
        let factors = factorize(device, network, group, options, progress)?.orthonormal();
        let (first, last) = (factors.objective.first(), factors.objective.last());
        let ranks: Vec<String> = factors.g.iter().map(|g| format!("{}x{}", g.rows, g.cols)).collect();
        let replaced = match factors.group.kind {
            GroupKind::Dense => {
                dense_by_tri(network, &factors);
                "dense layers".to_owned()
            }
            GroupKind::Conv => {
                let replaced = replace_convolutions(network, &factors)?;
                if replaced.is_empty() {
                    notes.push("no convolution would be smaller and faster as tri-factors".to_owned());
                    continue;
                }
                replaced.join(", ")
            }
        };
        notes.push(format!(
            "{replaced} replaced by tri-factors, G of {}; squared error {:.4} to {:.4} in {} iterations",
            ranks.join(", "),
            first.unwrap_or(&0.0),
            last.unwrap_or(&0.0),
            factors.objective.len().saturating_sub(1)
        ));
    }
    sweep(network);
    Ok(notes)
}

/// Replaces the dense layers of a group by its factors, each `G` stored once for the two layers
/// that meet at it.
fn dense_by_tri(network: &mut Network, factors: &Factors) {
    let group = &factors.group;
    let g: Vec<_> = (factors.g.iter().zip(&group.types))
        .map(|(g, of)| add_tensor(network, format!("{}.g", of.name), [g.rows, g.cols], g.data.clone()))
        .collect();
    for (relation, s) in group.relations.iter().zip(&factors.s) {
        let at = network.nodes.iter().position(|n| n.params.first() == Some(&relation.tensor));
        let Some(node) = at else { continue };
        let name = network.nodes[node].name.clone();
        let core = add_tensor(network, format!("{name}.s"), [s.rows, s.cols], s.data.clone());
        let links = [
            Link::dense(network, ".in", g[relation.col], true),
            Link::dense(network, ".core", core, false),
            Link::dense(network, "", g[relation.row], false),
        ];
        replace_layer(network, node, &links);
    }
}

/// How a network does on the validation set.
#[derive(Clone, Copy)]
struct Quality {
    errors: usize,
    loss: f64,
}

impl Quality {
    /// Few errors on few samples are luck, so the loss must not grow either, by more than 1%.
    fn is_as_good_as(&self, other: &Self) -> bool {
        self.errors <= other.errors && self.loss <= 1.01 * other.loss
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} validation errors at a loss of {:.4}", self.errors, self.loss)
    }
}

/// Predicted cost of the products with two factors of a matrix.
fn thin_cost(target: &Target, matrix: &Matrix, rank: usize, precision: Precision) -> f64 {
    let product = |inputs: usize, outputs: usize| {
        let values = vec![1.0; inputs * outputs];
        let stored = Stored { blocks: None, half: precision == Precision::F16 };
        let weights = Some(Weights { values: &values, cols: inputs, stored });
        let op = Op::Dense(Dense { out_features: outputs as u32, transposed: false });
        let [x, out] = [inputs, outputs].map(|n| Shape::vector(n as u32));
        target.cost(&Layer { op, x, out, weights })
    };
    product(matrix.cols, rank) + product(rank, matrix.rows)
}

/// Tries to replace each dense layer by two thin factors where that takes fewer bytes than its
/// encoding, no more time, and neither validation errors nor loss grow; keeps the
/// thinnest that passes. Returns for each layer why it is as it is.
pub(super) fn shrink(
    network: &mut Network,
    validation: &Samples,
    options: &Options,
) -> Result<Vec<(String, String)>, CompileError> {
    let target = options.target.as_ref();
    let precision = if options.half { Precision::F16 } else { Precision::F32 };
    let encoded = |network: &Network| encode_for(network, &vec![precision; network.tensors.len()], target);
    let quality = |encoded: &Encoded| {
        let outputs = execute::outputs_of(&encoded.bytes, validation)?;
        let errors = execute::score_outputs(&outputs, validation).errors;
        let loss = execute::cross_entropy(&encoded.bytes, &outputs, validation)?;
        Ok::<_, CompileError>(Quality { errors, loss })
    };
    let mut best = encoded(network)?;
    let allowed = quality(&best)?;
    let mut reasons = Vec::new();
    let names: Vec<String> = dense_nodes(network).iter().map(|&n| network.nodes[n].name.clone()).collect();
    for name in names {
        let Some(node) = network.nodes.iter().position(|n| n.name == name) else { continue };
        let matrix = weight(network, node);
        let chosen = &best.candidates[&network.nodes[node].params[0]][0];
        // Fewer bytes than the encoding, and no more time on the target; without one, no more
        // multiply-accumulates than it has nonzeros.
        let values = matrix.rows + matrix.cols;
        let smaller = chosen.bytes.saturating_sub(1) / (precision.bytes() * values);
        let smaller = smaller.min(matrix.rows.min(matrix.cols));
        let most = match target.zip(chosen.cost) {
            Some((target, limit)) => {
                let cost = |rank| thin_cost(target, &matrix, rank, precision);
                (1..=smaller).collect::<Vec<_>>().partition_point(|rank| cost(*rank) <= limit)
            }
            None => smaller.min(matrix.data.iter().filter(|w| **w != 0.0).count() / values),
        };
        if most == 0 {
            reasons.push((name, "no rank is smaller and as fast".to_owned()));
            continue;
        }
        let svd = Svd::new(matrix.rows, matrix.cols, &matrix.data)?;
        let attempt = |rank: usize| -> Result<(Quality, Network, Encoded), CompileError> {
            let mut smaller = network.clone();
            replace_by_svd(&mut smaller, node, &svd, rank);
            let encoded = encoded(&smaller)?;
            Ok((quality(&encoded)?, smaller, encoded))
        };
        let first = attempt(most)?;
        if !first.0.is_as_good_as(&allowed) {
            reasons
                .push((name, format!("rank {most} would be smaller, but {} instead of {allowed}", first.0)));
            continue;
        }
        // The thinnest rank without more errors, by bisection.
        let (mut low, mut high, mut kept) = (0, most, first);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let tried = attempt(middle)?;
            if tried.0.is_as_good_as(&allowed) {
                (high, kept) = (middle, tried);
            } else {
                low = middle;
            }
        }
        reasons.push((name, format!("rank {high} is smaller: {}, before {allowed}", kept.0)));
        (*network, best) = (kept.1, kept.2);
    }
    Ok(reasons)
}

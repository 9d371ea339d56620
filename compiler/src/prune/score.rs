//! How much each weight matters.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use tfc_formats::network::{Network, TensorId};

use super::{magnitude, mfbp, mfbp_inflate, random, tri, tri_relative};
use crate::device::Device;
use crate::factorize::{FactorizeError, Factors, GroupKind, Iteration, Options, factorize, groups};

/// What scores a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Prunes what the tri-factorization shrinks most.
    Mfbp,
    /// Prunes what the tri-factorization inflates most.
    MfbpInflate,
    /// Keeps what is large both as a weight and in the tri-factorization.
    Tri,
    /// Keeps what is large for its place in the tri-factorization of the magnitudes.
    TriRelative,
    /// Prunes the smallest weights.
    Magnitude,
    /// Prunes at random.
    Random,
}

impl Method {
    /// All methods, in the order of help and tables.
    pub const ALL: [Self; 6] = [
        Method::Mfbp,
        Method::MfbpInflate,
        Method::Tri,
        Method::TriRelative,
        Method::Magnitude,
        Method::Random,
    ];

    /// Name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Mfbp => "mfbp",
            Method::MfbpInflate => "mfbp-inflate",
            Method::Tri => "tri",
            Method::TriRelative => "tri-relative",
            Method::Magnitude => "magnitude",
            Method::Random => "random",
        }
    }

    /// One line for help.
    pub const fn about(self) -> &'static str {
        match self {
            Method::Mfbp => "prune what the tri-factorization shrinks most",
            Method::MfbpInflate => "prune what the tri-factorization inflates most",
            Method::Tri => "keep what is large both as a weight and in the tri-factorization",
            Method::TriRelative => "keep what is large for its place in the factorization of the magnitudes",
            Method::Magnitude => "prune the smallest weights",
            Method::Random => "prune at random",
        }
    }

    /// Whether it compares the weights with their tri-factorization.
    pub const fn needs_factors(self) -> bool {
        matches!(self, Method::Mfbp | Method::MfbpInflate | Method::Tri | Method::TriRelative)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("unknown method `{text}`; known are {known}")
        })
    }
}

/// A score for every weight of convolutions and dense layers, by tensor; the lowest are pruned
/// first.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    by_tensor: Vec<Option<Vec<f32>>>,
    block: u8,
}

impl Scores {
    /// From the scores of each tensor, `None` where it is no weight of a convolution or dense layer.
    pub(crate) const fn new(by_tensor: Vec<Option<Vec<f32>>>) -> Self {
        Self { by_tensor, block: 1 }
    }

    /// The same scores, so many consecutive rows of a weight tensor (output channels) together: the
    /// weights of a block of rows at one column live and die together, by the sum of their scores.
    #[must_use]
    pub fn in_blocks(self, rows: u8) -> Self {
        Self { block: rows, ..self }
    }

    /// Rows whose weights at a column live and die together.
    pub(super) const fn block(&self) -> u8 {
        self.block
    }

    /// Scores of a tensor, or `None` where it is no such weight.
    pub fn get(&self, tensor: TensorId) -> Option<&[f32]> {
        self.by_tensor.get(tensor)?.as_deref()
    }
}

/// The weight tensors of convolutions and dense layers with their group, each once, in the order
/// of the tensors.
pub(super) fn weights(network: &Network) -> Vec<(TensorId, GroupKind)> {
    let mut weights: Vec<_> = (0..network.nodes.len())
        .filter_map(|node| Some((network.prunable(node)?, GroupKind::of(&network.nodes[node].op)?)))
        .collect();
    weights.sort_unstable();
    weights.dedup();
    weights
}

/// The tensors that can be pruned, in their order.
pub fn prunable(network: &Network) -> Vec<TensorId> {
    weights(network).into_iter().map(|(tensor, _)| tensor).collect()
}

/// Scores all weights. Methods that need it factorize every group first, with `options`; the
/// random method takes its seed from there.
pub fn scores<D: Device>(
    device: &D,
    network: &Network,
    method: Method,
    options: &Options,
    progress: &mut dyn FnMut(Iteration),
) -> Result<Scores, FactorizeError> {
    let factorized = match method {
        Method::TriRelative => Cow::Owned(tri_relative::magnitudes(network)),
        _ => Cow::Borrowed(network),
    };
    let factorized = factorized.as_ref();
    let factors: Vec<Factors> = if method.needs_factors() {
        let factorized =
            groups(network)?.into_iter().map(|group| factorize(device, factorized, group, options, progress));
        factorized.collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let reconstruction =
        |tensor: TensorId| factors.iter().find_map(|f| f.reconstruction(network, tensor)).unwrap_or_default();
    let against = |tensor: TensorId, score: fn(f32, f32) -> f32| {
        let data = &network.tensors[tensor].data;
        reconstruction(tensor).into_iter().zip(data).map(|(a, &w)| score(w, a)).collect()
    };
    let mut scores = vec![None; network.tensors.len()];
    for (tensor, _) in weights(network) {
        let data = &network.tensors[tensor].data;
        scores[tensor] = Some(match method {
            Method::Mfbp => against(tensor, mfbp::score),
            Method::MfbpInflate => against(tensor, mfbp_inflate::score),
            Method::Tri => against(tensor, tri::score),
            Method::TriRelative => {
                tri_relative::scores(&factorized.tensors[tensor].data, &reconstruction(tensor))
            }
            Method::Magnitude => data.iter().map(|&w| magnitude::score(w)).collect(),
            Method::Random => random::scores(data.len(), options.seed, tensor),
        });
    }
    Ok(Scores::new(scores))
}

#[cfg(test)]
mod tests;

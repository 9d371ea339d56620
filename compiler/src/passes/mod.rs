//! Passes over the graph of a finished network: the same outputs from fewer nodes and channels.
//!
//! Each pass is a file; all are repeated until nothing changes. They are
//! applied to what is encoded, not to what is trained: training needs the statistics of batch norms
//! and the weights behind masks where they are.
//!
//! There is no pass for padding: a network has no op of its own for it. Import adds the zeros of
//! ONNX `Pad` to the padding of the convolution that reads them, each side by itself, and every
//! pass leaves that padding as it is. Activations are fused by [`encode`](crate::encode::encode).

mod batch_norm;
mod dead_channels;
mod edit;
mod identity;
#[cfg(test)]
mod tests;
mod unread;

use std::fmt;
use std::ops::AddAssign;

use serde::Serialize;
use tfc_formats::network::{Network, NetworkError};

/// What passes did to a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Batch norms that became part of the weights of a neighbour.
    pub batch_norms_folded: usize,
    /// Nodes that computed nothing, or whose result nobody read.
    pub nodes_removed: usize,
    /// Output channels of convolutions and dense layers that were constant or that nobody read.
    pub channels_removed: usize,
}

/// A pass changes a checked network, which stays one.
type Pass = fn(&mut Network) -> Result<Changes, NetworkError>;

/// Passes that keep every weight that is not zero.
const FOLDING: [Pass; 3] = [batch_norm::run, identity::run, unread::run];

/// Applies all passes to a checked network until nothing changes. The result computes the same
/// function, up to rounding; nodes that are left keep their names. Output channels that are pruned in
/// blocks of `block` are removed in such blocks, so that those that stay are stored together.
pub fn run(network: &Network, block: u8) -> Result<(Network, Changes), NetworkError> {
    fixed_point(network, &|network| dead_channels::run(network, block))
}

/// As [`run`], but keeps all channels: the dense network that a pruned one is compared with.
pub fn fold(network: &Network) -> Result<(Network, Changes), NetworkError> {
    fixed_point(network, &|_| Ok(Changes::default()))
}

/// Terminates since every change removes a node or a channel.
fn fixed_point(
    network: &Network,
    last: &dyn Fn(&mut Network) -> Result<Changes, NetworkError>,
) -> Result<(Network, Changes), NetworkError> {
    let mut network = network.clone();
    let mut changes = Changes::default();
    loop {
        let before = changes;
        for pass in FOLDING {
            changes += pass(&mut network)?;
        }
        changes += last(&mut network)?;
        if changes == before {
            network.check()?;
            return Ok((network, changes));
        }
    }
}

impl AddAssign for Changes {
    fn add_assign(&mut self, other: Self) {
        self.batch_norms_folded += other.batch_norms_folded;
        self.nodes_removed += other.nodes_removed;
        self.channels_removed += other.channels_removed;
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.batch_norms_folded, "batch norm", "folded"),
            (self.nodes_removed, "node", "removed"),
            (self.channels_removed, "channel", "removed"),
        ];
        let done = counts.iter().filter(|(count, ..)| *count > 0);
        let done: Vec<String> = done
            .map(|(count, what, how)| format!("{count} {what}{} {how}", if *count == 1 { "" } else { "s" }))
            .collect();
        if done.is_empty() { f.write_str("nothing to change") } else { f.write_str(&done.join(", ")) }
    }
}

//! Nodes that the output does not depend on go, and tensors that no node uses.

use tfc_formats::network::{Network, NetworkError};

use super::Changes;
use super::edit::bypass;
use crate::factorize::sweep;

pub(super) fn run(network: &mut Network) -> Result<Changes, NetworkError> {
    let mut changes = Changes::default();
    // A network keeps a node, even if its output is its input.
    if network.output > 0 {
        let mut is_read = vec![false; network.nodes.len() + 1];
        is_read[network.output] = true;
        for index in (0..network.nodes.len()).rev() {
            if is_read[index + 1] {
                network.nodes[index].inputs.iter().for_each(|&value| is_read[value] = true);
            } else {
                bypass(network, index, 0);
                changes.nodes_removed += 1;
            }
        }
    }
    sweep(network);
    Ok(changes)
}

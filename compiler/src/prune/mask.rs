//! Masks of the weights that stay.

use serde::{Deserialize, Serialize};
use tfc_formats::network::{Network, TensorId};

/// For each tensor of a network, by its index, which weights stay; `None` where none is pruned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masks(Vec<Option<Vec<bool>>>);

impl Masks {
    /// Nothing is pruned.
    pub fn keep_all(network: &Network) -> Self {
        Self(vec![None; network.tensors.len()])
    }

    /// Keeps what is not zero in the weights of convolutions and dense layers, so that training
    /// does not revive the zeros that a network arrives with.
    pub fn of_nonzeros(network: &Network) -> Self {
        let mut masks = Self::keep_all(network);
        for node in 0..network.nodes.len() {
            let Some(id) = network.prunable(node) else { continue };
            let data = &network.tensors[id].data;
            if data.contains(&0.0) {
                masks.set(id, data.iter().map(|v| *v != 0.0).collect());
            }
        }
        masks
    }

    /// The mask of a tensor.
    pub fn get(&self, tensor: TensorId) -> Option<&[bool]> {
        self.0.get(tensor)?.as_deref()
    }

    /// Sets the mask of a tensor.
    pub fn set(&mut self, tensor: TensorId, keep: Vec<bool>) {
        self.0[tensor] = Some(keep);
    }

    /// Zeroes the pruned weights.
    pub fn apply(&self, network: &mut Network) {
        for (tensor, mask) in network.tensors.iter_mut().zip(&self.0) {
            for (value, _) in tensor.data.iter_mut().zip(mask.iter().flatten()).filter(|(_, keep)| !**keep) {
                *value = 0.0;
            }
        }
    }
}

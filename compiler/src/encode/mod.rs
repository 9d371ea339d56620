//! A [`Network`] becomes a `.tfc` file: lower the graph to steps, choose an encoding for every
//! matrix by its bytes, place the values in the arena, write.

mod arena;
mod csr;
mod densify;
mod lower;
mod matrix;

pub(crate) use csr::name as csr_name;
pub use densify::densify;
pub use matrix::{Candidate, Precision};

use std::collections::BTreeMap;

use tfc_formats::artifact::{Dtype, Header, Step, Value, WriteError, Writer, scratch_len};
use tfc_formats::network::{Network, NetworkError, TensorId};
use tfc_formats::op::Shape;

/// Name and version in the files that this build writes.
pub const PRODUCER: &str = concat!("tfc ", env!("CARGO_PKG_VERSION"));

/// Precision of each tensor by its index.
pub type Precisions = [Precision];

/// A finished artifact and what was weighed for each of its matrices.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The `.tfc` file.
    pub bytes: Vec<u8>,
    /// For each weight tensor, every encoding that was considered, the chosen one first, then by bytes.
    pub candidates: BTreeMap<TensorId, Vec<Candidate>>,
}

/// Why a network cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A node has more inputs than a step can hold.
    #[error("node `{node}` has {found} inputs, a step holds at most {most}; split it")]
    TooManyInputs {
        /// Node's name.
        node: String,
        /// Number of its inputs.
        found: usize,
        /// Limit of the format.
        most: usize,
    },
    /// The values do not fit a 32-bit arena.
    #[error("the activations of network `{0}` need more than 4 GiB")]
    ArenaTooLarge(String),
    /// The network does not pass its checks.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The writer refused.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Encodes a checked network. `precisions` has one entry a tensor.
///
/// The same network and precisions give the same bytes.
pub fn encode(network: &Network, precisions: &Precisions) -> Result<Encoded, EncodeError> {
    let too_large = || EncodeError::ArenaTooLarge(network.name.clone());
    let graph = lower::lower(network)?;
    let mut writer = Writer::new();
    let mut matrices = matrix::MatrixWriter::new(network, precisions);

    // Matrices first: how long their rows are decides the scratch, which decides the offsets.
    let mut steps = Vec::with_capacity(graph.steps.len());
    let mut scratch = 0;
    for lowered in &graph.steps {
        let matrix = lowered.weight.map(|id| matrices.write(&mut writer, id));
        let params = matrices.params(&mut writer, &lowered.params);
        let (longest_row, block) = matrix.map_or((0, 1), |m| (m.longest_row, m.block));
        scratch = scratch.max(scratch_len(&lowered.op, longest_row, block).ok_or_else(too_large)?);
        steps.push((lowered, matrix.map(|m| m.record), params));
    }

    let placed = arena::place(&graph, scratch).ok_or_else(too_large)?;
    for (lowered, matrix, params) in steps {
        writer.step(&Step {
            name: lowered.name,
            op: lowered.op,
            inputs: lowered.inputs.iter().map(|&v| placed.value(&graph, v)).collect(),
            output: placed.value(&graph, lowered.output),
            matrix,
            params,
            activation: lowered.activation,
        });
    }
    let header = Header {
        name: &network.name,
        producer: PRODUCER,
        preprocess: network.preprocess.clone(),
        input: placed.value(&graph, graph.input),
        output: placed.value(&graph, graph.output),
        arena_len: placed.arena_len,
        scratch_len: scratch,
        steps: 0,
    };
    Ok(Encoded { bytes: writer.finish(header)?, candidates: matrices.into_candidates() })
}

/// One value as steps see it: a shape over a storage, which several values may share.
#[derive(Clone, Copy, Debug)]
struct Slot {
    storage: usize,
    shape: Shape,
}

impl arena::Placed {
    fn value(&self, graph: &lower::Lowered<'_>, slot: Slot) -> Value {
        Value {
            shape: slot.shape,
            halo: graph.storages[slot.storage].halo,
            dtype: Dtype::F32,
            offset: self.offsets[slot.storage],
        }
    }
}

//! Encodings of a matrix and the choice among them: the fewest bytes in the file win, but a sparse
//! one has to save a quarter of the dense bytes. For a target, predicted time decides first.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};
use tfc_formats::artifact::{Array, BLOCKS, MAX_PARAMS, Matrix, Storage, Writer};
use tfc_formats::network::{Network, Node, TensorId};

use super::Precisions;
use super::csr::{self, Blocks, Entries, IndexWidth};
use super::lower::Param;
use crate::plan::{Layer, Stored, StoredBlocks, Target, Weights};

/// How the values of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single: exact.
    F32,
    /// IEEE 754 half: 11 bits of mantissa, magnitudes from 6e-8 to 65504.
    F16,
    /// Whole numbers of a byte, from -127 to 127.
    I8,
}

impl Precision {
    /// Bytes of a value.
    pub const fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
            Precision::I8 => 1,
        }
    }

    /// The value as it will be read back. What f16 rounds to zero is no longer an entry.
    fn round(self, value: f32) -> f32 {
        match self {
            Precision::F32 | Precision::I8 => value,
            Precision::F16 => f16::from_f32(value).to_f32(),
        }
    }
}

/// A sparse encoding must save at least one part in this many of the dense bytes.
const WORTH: usize = 4;

/// An encoding that was considered for a matrix.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// `dense`, `csr-u8` (deltas), `csr-u16` or `csr-u32`; `csr-u8 x4` where 4 rows share their columns.
    pub encoding: String,
    /// Bytes of its sections, without alignment.
    pub bytes: usize,
    /// Predicted cost of the steps that read the matrix, in the target's unit, if there is a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Times that differ by less than this part are alike.
const ALIKE: f64 = 0.05;

/// A matrix in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) record: Matrix,
    /// Entries of its longest row or block of rows.
    pub(super) longest_row: u32,
    /// Rows of a block.
    pub(super) block: u8,
}

/// Writes matrices and per-channel parameters, each tensor once.
#[derive(Debug)]
pub(super) struct MatrixWriter<'n> {
    network: &'n Network,
    precisions: &'n Precisions,
    target: Option<&'n Target>,
    written: BTreeMap<TensorId, Written>,
    candidates: BTreeMap<TensorId, Vec<Candidate>>,
}

impl<'n> MatrixWriter<'n> {
    pub(super) fn new(network: &'n Network, precisions: &'n Precisions, target: Option<&'n Target>) -> Self {
        Self { network, precisions, target, written: BTreeMap::new(), candidates: BTreeMap::new() }
    }

    pub(super) fn into_candidates(self) -> BTreeMap<TensorId, Vec<Candidate>> {
        self.candidates
    }

    /// Writes a weight tensor in the encoding that is chosen for it, unless it is written already.
    pub(super) fn write(&mut self, writer: &mut Writer, id: TensorId) -> Written {
        if let Some(written) = self.written.get(&id) {
            return *written;
        }
        let tensor = &self.network.tensors[id];
        let (rows, precision) = (tensor.shape[0], self.precisions[id]);
        let cols = tensor.data.len() / rows;
        let values: Vec<f32> = tensor.data.iter().map(|&v| precision.round(v)).collect();
        let steps = self.steps(id);
        let cost = |blocks| {
            self.target.map(|target| {
                let stored = Stored { blocks, half: precision == Precision::F16 };
                let weights = Some(Weights { values: &values, cols, stored });
                steps.iter().map(|step| target.cost(&Layer { weights, ..*step })).sum()
            })
        };
        let (written, candidates) = write_matrix(writer, rows, cols, &values, precision, cost);
        self.candidates.insert(id, candidates);
        self.written.insert(id, written);
        written
    }

    /// What the nodes compute of which a tensor is the weight.
    fn steps(&self, id: TensorId) -> Vec<Layer<'static>> {
        let shapes = self.target.and_then(|_| self.network.shapes().ok()).unwrap_or_default();
        let nodes = self.network.nodes.iter().zip(shapes.get(1..).unwrap_or_default()).enumerate();
        let reads = nodes.filter(|(index, _)| self.network.weight(*index) == Some(id));
        let layer = |(_, (node, &out)): (_, (&Node, _))| Layer {
            op: node.op,
            x: shapes[node.inputs[0]],
            out,
            weights: None,
        };
        reads.map(layer).collect()
    }

    /// Writes the per-channel parameters of a step.
    pub(super) fn params(&self, writer: &mut Writer, params: &[Param]) -> heapless::Vec<Array, MAX_PARAMS> {
        let write = |param: &Param| match param {
            Param::Tensor(id) => {
                let tensor = &self.network.tensors[*id];
                write_values(writer, &tensor.data, self.precisions[*id])
            }
            Param::Computed(values) => writer.f32s(values),
        };
        params.iter().map(write).collect()
    }
}

/// Writes a matrix in the encoding that is chosen for it; all that were weighed, that one first: by
/// `cost`, where encodings have one (`None` is dense), else by bytes.
pub(super) fn write_matrix(
    writer: &mut Writer,
    rows: usize,
    cols: usize,
    values: &[f32],
    precision: Precision,
    cost: impl Fn(Option<StoredBlocks>) -> Option<f64>,
) -> (Written, Vec<Candidate>) {
    let bytes = values.len() * precision.bytes();
    let dense = Candidate { encoding: "dense".into(), bytes, cost: cost(None) };
    let mut choices: Vec<Choice> = vec![(dense, None)];
    for block in BLOCKS {
        let blocks = Blocks::new(rows, cols, values, block);
        for width in IndexWidth::ALL.into_iter().filter(|width| width.fits(cols)) {
            let entries = Entries::new(&blocks, width);
            let (encoding, bytes) = (csr::name(width.name(), block), entries.bytes(precision));
            let stored = StoredBlocks { rows: block, entries: entries.stored() };
            choices.push((Candidate { encoding, bytes, cost: cost(Some(stored)) }, Some((block, width))));
        }
    }
    // Of encodings alike in bytes, dense runs fastest, and larger blocks run faster.
    choices.sort_by_key(|(candidate, sparse)| {
        let block = sparse.map_or(u8::MAX, |(block, _)| block);
        (candidate.bytes, std::cmp::Reverse(block))
    });
    if choices[0].0.cost.is_some() {
        fastest_first(&mut choices);
    } else {
        worth_it_first(&mut choices);
    }
    let written = match choices[0].1 {
        Some((block, width)) => {
            let entries = Entries::new(&Blocks::new(rows, cols, values, block), width);
            let record = entries.write(writer, precision);
            Written { record, longest_row: entries.longest_row(), block }
        }
        None => {
            let values = write_values(writer, values, precision);
            let storage = Storage::Dense { values };
            let record = Matrix { rows: rows as u32, cols: cols as u32, storage };
            Written { record, longest_row: cols as u32, block: 1 }
        }
    };
    (written, choices.into_iter().map(|(candidate, _)| candidate).collect())
}

/// An encoding, and how it is sparse.
type Choice = (Candidate, Option<(u8, IndexWidth)>);

/// Puts dense in front of encodings sorted by bytes, unless the first is worth it: dense runs faster
/// where zeros are few.
fn worth_it_first(choices: &mut [Choice]) {
    let dense = choices.iter().position(|(_, sparse)| sparse.is_none()).unwrap_or(0);
    if choices[dense].0.bytes * (WORTH - 1) < choices[0].0.bytes * WORTH {
        choices[..=dense].rotate_right(1);
    }
}

/// Puts encodings sorted by bytes in order of cost, but in front the smallest of those whose cost is
/// alike to the least and no more than that of dense.
fn fastest_first(choices: &mut [Choice]) {
    let cost = |choice: &Choice| choice.0.cost.unwrap_or(f64::INFINITY);
    let least = choices.iter().map(cost).fold(f64::INFINITY, f64::min);
    let dense = choices.iter().find(|(_, sparse)| sparse.is_none()).map_or(f64::INFINITY, cost);
    let limit = (least * (1.0 + ALIKE)).min(dense);
    let chosen = choices.iter().position(|choice| cost(choice) <= limit).unwrap_or(0);
    choices[..=chosen].rotate_right(1);
    choices[1..].sort_by(|a, b| cost(a).total_cmp(&cost(b)));
}

pub(super) fn write_values(writer: &mut Writer, values: &[f32], precision: Precision) -> Array {
    match precision {
        Precision::F32 => writer.f32s(values),
        Precision::F16 => writer.f16s(&values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()),
        Precision::I8 => writer.i8s(&values.iter().map(|&v| v as i8).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests;

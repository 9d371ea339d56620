//! Encodings of a matrix and the choice among them: the fewest bytes in the file win, but a sparse
//! one has to save a quarter of the dense bytes.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};
use tfc_formats::artifact::{Array, BLOCKS, MAX_PARAMS, Matrix, Storage, Writer};
use tfc_formats::network::{Network, TensorId};

use super::Precisions;
use super::csr::{self, Blocks, Entries, IndexWidth};
use super::lower::Param;

/// How the values of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single: exact.
    F32,
    /// IEEE 754 half: 11 bits of mantissa, magnitudes from 6e-8 to 65504.
    F16,
}

impl Precision {
    /// Bytes of a value.
    pub const fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }

    /// The value as it will be read back. What f16 rounds to zero is no longer an entry.
    fn round(self, value: f32) -> f32 {
        match self {
            Precision::F32 => value,
            Precision::F16 => f16::from_f32(value).to_f32(),
        }
    }
}

/// A sparse encoding must save at least one part in this many of the dense bytes.
const WORTH: usize = 4;

/// An encoding that was considered for a matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// `dense`, `csr-u8` (deltas), `csr-u16` or `csr-u32`; `csr-u8 x4` where 4 rows share their columns.
    pub encoding: String,
    /// Bytes of its sections, without alignment.
    pub bytes: usize,
}

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
    written: BTreeMap<TensorId, Written>,
    candidates: BTreeMap<TensorId, Vec<Candidate>>,
}

impl<'n> MatrixWriter<'n> {
    pub(super) fn new(network: &'n Network, precisions: &'n Precisions) -> Self {
        Self { network, precisions, written: BTreeMap::new(), candidates: BTreeMap::new() }
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
        let dense = Candidate { encoding: "dense".into(), bytes: values.len() * precision.bytes() };
        let mut choices: Vec<(Candidate, Option<(u8, IndexWidth)>)> = vec![(dense, None)];
        for block in BLOCKS {
            let blocks = Blocks::new(rows, cols, &values, block);
            for width in IndexWidth::ALL.into_iter().filter(|width| width.fits(cols)) {
                let bytes = Entries::new(&blocks, width).bytes(precision);
                let encoding = csr::name(width.name(), block);
                choices.push((Candidate { encoding, bytes }, Some((block, width))));
            }
        }
        // Of encodings alike in bytes, dense runs fastest, and larger blocks run faster.
        choices.sort_by_key(|(candidate, sparse)| {
            let block = sparse.map_or(u8::MAX, |(block, _)| block);
            (candidate.bytes, std::cmp::Reverse(block))
        });
        // Dense runs faster where zeros are few, so a sparse encoding has to be worth it.
        let dense = choices.iter().position(|(_, sparse)| sparse.is_none()).unwrap_or(0);
        if choices[dense].0.bytes * (WORTH - 1) < choices[0].0.bytes * WORTH {
            choices[..=dense].rotate_right(1);
        }
        let written = match choices[0].1 {
            Some((block, width)) => {
                let entries = Entries::new(&Blocks::new(rows, cols, &values, block), width);
                let record = entries.write(writer, precision);
                Written { record, longest_row: entries.longest_row(), block }
            }
            None => {
                let values = write_values(writer, &values, precision);
                let storage = Storage::Dense { values };
                let record = Matrix { rows: rows as u32, cols: cols as u32, storage };
                Written { record, longest_row: cols as u32, block: 1 }
            }
        };
        self.candidates.insert(id, choices.into_iter().map(|(candidate, _)| candidate).collect());
        self.written.insert(id, written);
        written
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

pub(super) fn write_values(writer: &mut Writer, values: &[f32], precision: Precision) -> Array {
    match precision {
        Precision::F32 => writer.f32s(values),
        Precision::F16 => writer.f16s(&values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests;

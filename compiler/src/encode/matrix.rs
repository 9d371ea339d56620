//! Encodings of a matrix and the choice among them: the fewest bytes in the file win, but a sparse
//! one has to save a quarter of the dense bytes.

use std::collections::BTreeMap;

use half::f16;
use serde::{Deserialize, Serialize};
use sprs::CsMat;
use tfc_formats::artifact::{Array, MAX_PARAMS, Matrix, Storage, Writer};
use tfc_formats::network::{Network, TensorId};

use super::Precisions;
use super::csr::{Entries, IndexWidth};
use super::lower::Param;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// `dense`, `csr-u8` (deltas), `csr-u16` or `csr-u32`.
    pub encoding: &'static str,
    /// Bytes of its sections, without alignment.
    pub bytes: usize,
}

/// A matrix in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) record: Matrix,
    /// Entries of its longest row.
    pub(super) longest_row: u32,
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
        let (written, candidates) = write_matrix(writer, rows, cols, &values, precision);
        self.candidates.insert(id, candidates);
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

/// Writes a matrix in the encoding that is chosen for it; all that were weighed, that one first, then
/// by bytes.
pub(super) fn write_matrix(
    writer: &mut Writer,
    rows: usize,
    cols: usize,
    values: &[f32],
    precision: Precision,
) -> (Written, Vec<Candidate>) {
    let sparse = compress(rows, cols, values);
    let mut choices: Vec<(Candidate, Option<Entries>)> =
        vec![(Candidate { encoding: "dense", bytes: values.len() * precision.bytes() }, None)];
    for (encoding, width, most) in [
        ("csr-u8", IndexWidth::Delta, usize::MAX),
        ("csr-u16", IndexWidth::Absolute16, 1 << 16),
        ("csr-u32", IndexWidth::Absolute32, usize::MAX),
    ] {
        if cols <= most {
            let entries = Entries::new(&sparse, width);
            choices.push((Candidate { encoding, bytes: entries.bytes(precision) }, Some(entries)));
        }
    }
    choices.sort_by_key(|(candidate, entries)| (candidate.bytes, entries.is_some()));
    // Dense runs faster where zeros are few, so a sparse encoding has to be worth it.
    let dense = choices.iter().position(|(_, entries)| entries.is_none()).unwrap_or(0);
    if choices[dense].0.bytes * (WORTH - 1) < choices[0].0.bytes * WORTH {
        choices[..=dense].rotate_right(1);
    }
    let written = match &choices[0].1 {
        Some(entries) => {
            Written { record: entries.write(writer, precision), longest_row: entries.longest_row() }
        }
        None => {
            let values = write_values(writer, values, precision);
            let storage = Storage::Dense { values };
            let record = Matrix { rows: rows as u32, cols: cols as u32, storage };
            Written { record, longest_row: cols as u32 }
        }
    };
    (written, choices.into_iter().map(|(candidate, _)| candidate).collect())
}

/// Rows of the values that are not zero.
fn compress(rows: usize, cols: usize, values: &[f32]) -> CsMat<f32> {
    let (mut pointers, mut columns, mut entries) = (vec![0], Vec::new(), Vec::new());
    for row in values.chunks_exact(cols.max(1)) {
        for (column, &value) in row.iter().enumerate().filter(|(_, v)| **v != 0.0) {
            columns.push(column);
            entries.push(value);
        }
        pointers.push(columns.len());
    }
    CsMat::new((rows, cols), pointers, columns, entries)
}

pub(super) fn write_values(writer: &mut Writer, values: &[f32], precision: Precision) -> Array {
    match precision {
        Precision::F32 => writer.f32s(values),
        Precision::F16 => writer.f16s(&values.iter().map(|&v| f16::from_f32(v)).collect::<Vec<_>>()),
        Precision::I8 => writer.i8s(&values.iter().map(|&v| v as i8).collect::<Vec<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use tfc_formats::network::{Node, Tensor};
    use tfc_formats::op::{Dense, Op, Shape};
    use tfc_formats::preprocess::Preprocess;

    use super::super::{Encoded, encode};
    use super::*;

    /// The artifact of one dense layer of 8 x 100 with this many weights that are not zero.
    fn layer(nonzeros: usize, precision: Precision) -> Encoded {
        let data = (0..800).map(|at| if at < nonzeros { 1.0 } else { 0.0 }).collect();
        let network = Network {
            name: "one".into(),
            input: Shape::vector(100),
            preprocess: Preprocess::identity(),
            nodes: vec![Node {
                name: "fc".into(),
                op: Op::Dense(Dense { out_features: 8, transposed: false }),
                inputs: vec![0],
                params: vec![0],
            }],
            tensors: vec![Tensor { name: "w".into(), shape: vec![8, 100], data }],
            output: 1,
        };
        network.check().unwrap();
        encode(&network, &[precision]).unwrap()
    }

    #[test]
    fn a_sparse_encoding_has_to_save_a_quarter() {
        let chosen = |nonzeros, precision| layer(nonzeros, precision).candidates[&0][0].clone();
        // f16: 3 bytes an entry and 8 of row lengths, against 1600.
        assert_eq!(chosen(397, Precision::F16), Candidate { encoding: "csr-u8", bytes: 3 * 397 + 8 });
        assert_eq!(chosen(398, Precision::F16), Candidate { encoding: "dense", bytes: 1600 });
        // f32: 5 bytes an entry, against 3200.
        assert_eq!(chosen(478, Precision::F32), Candidate { encoding: "csr-u8", bytes: 5 * 478 + 8 });
        assert_eq!(chosen(479, Precision::F32), Candidate { encoding: "dense", bytes: 3200 });
    }

    #[test]
    fn what_f16_rounds_to_zero_is_no_entry() {
        let tiny = |precision: Precision| precision.round(1e-9) == 0.0;
        assert!(tiny(Precision::F16) && !tiny(Precision::F32));
        let sparse = compress(2, 3, &[0.0, 1.0, 0.0, 2.0, 0.0, 3.0]);
        assert_eq!((sparse.nnz(), sparse.indices()), (3, &[1, 0, 2][..]));
    }
}

//! The steps of an artifact with their encodings, nonzeros, bytes and multiply-accumulates.

use std::collections::BTreeSet;

use serde::Serialize;
use tfc_formats::artifact::{Array, Artifact, ColumnIndex, Dtype, Matrix, Step, Storage};
use tfc_formats::op::Op;

use crate::encode::csr_name;

/// One step of an artifact.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the step.
    pub name: String,
    /// What it computes, with the activation that is fused into it.
    pub op: String,
    /// Shape of its output.
    pub output: String,
    /// How its matrix is stored; empty without one.
    pub encoding: String,
    /// Elements of its matrix, zeros included.
    pub weights: u64,
    /// Elements that are not zero.
    pub nonzeros: u64,
    /// Whether it only moves channels: its matrix is part of the graph, its zeros were not pruned.
    pub selection: bool,
    /// Whether a step before it has the same matrix.
    pub shared: bool,
    /// Bytes of its sections that no step before it has.
    pub bytes: u64,
    /// Multiply-accumulates of one sample that involve a weight which is not zero.
    pub macs: u64,
    /// Multiply-accumulates if no weight were zero.
    pub dense_macs: u64,
}

/// All steps in order.
pub fn layers(artifact: &Artifact<'_>) -> Vec<Layer> {
    let mut seen = BTreeSet::new();
    artifact.steps().map(|step| layer(artifact, &step, &mut seen)).collect()
}

fn layer(artifact: &Artifact<'_>, step: &Step<'_>, seen: &mut BTreeSet<u32>) -> Layer {
    let mut bytes = 0;
    let matrix_arrays = step.matrix.iter().flat_map(arrays).count();
    let arrays = step.matrix.iter().flat_map(arrays).chain(step.params.iter().copied());
    let mut shared = step.matrix.is_some();
    for (position, array) in arrays.enumerate().filter(|(_, array)| array.len > 0) {
        if seen.insert(array.offset) {
            bytes += u64::from(array.len) * width(array.dtype);
            shared &= position >= matrix_arrays;
        }
    }
    let input = step.inputs[0].shape;
    let dense_macs = step.op.dense_macs(input, step.output.shape);
    let weights = step.matrix.map_or(0, |m| u64::from(m.rows) * u64::from(m.cols));
    let nonzeros = step.matrix.map_or(0, |m| nonzeros(artifact, &m));
    let op = match step.activation {
        Some(activation) => format!("{}+{}", step.op.name(), activation.name()),
        None => step.op.name().to_owned(),
    };
    Layer {
        name: step.name.to_owned(),
        op,
        output: step.output.shape.to_string(),
        encoding: step.matrix.map_or_else(String::new, |m| encoding(&m.storage)),
        weights,
        nonzeros,
        selection: selects(artifact, step),
        shared,
        bytes,
        macs: dense_macs.checked_div(weights).unwrap_or(0) * nonzeros,
        dense_macs,
    }
}

fn selects(artifact: &Artifact<'_>, step: &Step<'_>) -> bool {
    let (Op::Conv2d(conv), Some(matrix), true) = (step.op, step.matrix, step.params.is_empty()) else {
        return false;
    };
    let rows = artifact.rows(&matrix).into_iter().flatten().enumerate();
    let entries = rows.flat_map(|(r, row)| row.map(move |(column, value)| (r, column as usize, value)));
    conv.selection(matrix.cols as usize, entries.filter(|(_, _, value)| *value != 0.0)).is_some()
}

fn nonzeros(artifact: &Artifact<'_>, matrix: &Matrix) -> u64 {
    let rows = artifact.rows(matrix).into_iter().flatten();
    rows.map(|row| row.filter(|(_, value)| *value != 0.0).count() as u64).sum()
}

fn arrays(matrix: &Matrix) -> Vec<Array> {
    match matrix.storage {
        Storage::Dense { values } => vec![values],
        Storage::Csr {
            row_len,
            index: ColumnIndex::Delta(index) | ColumnIndex::Absolute(index),
            values,
            ..
        } => {
            vec![row_len, index, values]
        }
    }
}

/// Bytes of one element.
fn width(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::U8 => 1,
        Dtype::F16 | Dtype::U16 => 2,
        Dtype::F32 | Dtype::U32 => 4,
    }
}

fn encoding(storage: &Storage) -> String {
    let value = |array: &Array| if array.dtype == Dtype::F16 { "f16" } else { "f32" };
    match storage {
        Storage::Dense { values } => format!("dense {}", value(values)),
        Storage::Csr { block, index, values, .. } => {
            let index = match index {
                ColumnIndex::Delta(_) => "u8",
                ColumnIndex::Absolute(array) if array.dtype == Dtype::U16 => "u16",
                ColumnIndex::Absolute(_) => "u32",
            };
            format!("{} {}", csr_name(index, *block), value(values))
        }
    }
}

#[cfg(test)]
mod tests {
    use tfc_formats::artifact::AlignedBytes;
    use tfc_formats::import::{ImportOptions, untrained};

    use super::*;
    use crate::encode::{Precision, encode};
    use crate::report::{LayerChange, zero_percent};

    #[test]
    fn selections_are_no_weights() {
        // All weights are zero but those of the two shortcuts.
        let network = untrained("resnet20", &ImportOptions::default()).unwrap();
        let encoded = encode(&network, &vec![Precision::F32; network.tensors.len()]).unwrap();
        let bytes = AlignedBytes::from(encoded.bytes.as_slice());
        let artifact = Artifact::parse(&bytes).unwrap();
        let layers = layers(&artifact);
        let selections: Vec<_> = layers.iter().filter(|l| l.selection).collect();
        assert_eq!(selections.iter().map(|l| l.nonzeros).collect::<Vec<_>>(), [16, 32]);
        let change = |layer| LayerChange {
            layer,
            weights_removed: 0,
            bytes_before: 0,
            macs_before: 0,
            why: String::new(),
        };
        assert_eq!(zero_percent(&layers.into_iter().map(change).collect::<Vec<_>>()), 100.0);
    }
}

use proptest::prelude::*;
use tfc_formats::artifact::{AlignedBytes, Artifact, ColumnIndex};
use tfc_formats::network::{Node, Tensor};
use tfc_formats::op::{Dense, Op, Shape};
use tfc_formats::preprocess::Preprocess;

use super::super::{Encoded, encode};
use super::*;

/// The artifact of one dense layer with these weights.
fn layer(cols: usize, data: Vec<f32>, precision: Precision) -> Encoded {
    let rows = data.len() / cols;
    let network = Network {
        name: "one".into(),
        input: Shape::vector(cols as u32),
        preprocess: Preprocess::identity(),
        nodes: vec![Node {
            name: "fc".into(),
            op: Op::Dense(Dense { out_features: rows as u32, transposed: false }),
            inputs: vec![0],
            params: vec![0],
        }],
        tensors: vec![Tensor { name: "w".into(), shape: vec![rows, cols], data }],
        output: 1,
    };
    network.check().unwrap();
    encode(&network, &[precision]).unwrap()
}

fn chosen(cols: usize, data: Vec<f32>, precision: Precision) -> Candidate {
    layer(cols, data, precision).candidates[&0][0].clone()
}

fn candidate(encoding: &str, bytes: usize) -> Candidate {
    Candidate { encoding: encoding.into(), bytes }
}

#[test]
fn a_sparse_encoding_has_to_save_a_quarter() {
    // 8 x 100, first the left half of even rows and the right half of odd ones: blocks do not pay.
    let chosen = |nonzeros, precision| {
        let rank = |row: usize, column: usize| {
            let first = (column < 50) == row.is_multiple_of(2);
            if first { row * 50 + column % 50 } else { 400 + row * 50 + column % 50 }
        };
        let value = |at: usize| if rank(at / 100, at % 100) < nonzeros { 1.0 } else { 0.0 };
        chosen(100, (0..800).map(value).collect(), precision)
    };
    // f16: 3 bytes an entry and 8 of row lengths, against 1600.
    assert_eq!(chosen(397, Precision::F16), candidate("csr-u8", 3 * 397 + 8));
    assert_eq!(chosen(398, Precision::F16), candidate("dense", 1600));
    // f32: 5 bytes an entry, against 3200.
    assert_eq!(chosen(478, Precision::F32), candidate("csr-u8", 5 * 478 + 8));
    assert_eq!(chosen(479, Precision::F32), candidate("dense", 3200));
}

#[test]
fn rows_are_stored_in_blocks_where_that_is_smaller() {
    // Rows of 100 columns of which the first 20 are not zero in these rows.
    let chosen = |rows: usize, nonzero: fn(usize) -> bool| {
        let value = |at: usize| if at % 100 < 20 && nonzero(at / 100) { 1.0 } else { 0.0 };
        chosen(100, (0..rows * 100).map(value).collect(), Precision::F16)
    };
    // An entry is 1 byte of index and 2 of each row; every block has 1 byte of length.
    assert_eq!(chosen(8, |_| true), candidate("csr-u8 x4", 2 * 20 * 9 + 2));
    assert_eq!(chosen(6, |_| true), candidate("csr-u8 x2", 3 * 20 * 5 + 3));
    assert_eq!(chosen(7, |_| true), candidate("csr-u8 x4", 2 * 20 * 9 + 2));
    // Three of four rows are worth the zeros of the fourth, two are not.
    assert_eq!(chosen(8, |row| row % 4 != 2), candidate("csr-u8 x4", 2 * 20 * 9 + 2));
    assert_eq!(chosen(8, |row| row % 4 < 2), candidate("csr-u8 x2", 2 * 20 * 5 + 4));
    assert_eq!(chosen(8, |row| row % 2 == 0), candidate("csr-u8", 4 * 20 * 3 + 8));
}

#[test]
fn what_f16_rounds_to_zero_is_no_entry() {
    let data = |tiny: f32| (0..100).map(|at| if at < 10 { tiny } else { 0.0 }).collect();
    assert_eq!(chosen(100, data(1e-9), Precision::F16), candidate("csr-u8 x4", 1));
    assert_eq!(chosen(100, data(1e-9), Precision::F32), candidate("csr-u8", 10 * 5 + 1));
}

/// A matrix of which blocks of rows share most columns.
fn sparse() -> impl Strategy<Value = (usize, Vec<f32>)> {
    let size = (1usize..10, 1usize..700, prop::sample::select(vec![1usize, 2, 4]));
    let shares = (0.0f64..0.2, prop_oneof![Just(1.0f64), 0.5f64..1.0]);
    (size, shares, any::<u64>()).prop_map(|((rows, cols, block), (kept, filled), seed)| {
        let share = |at: usize| {
            let hash = (at as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((hash ^ hash >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11) as f64 / (1u64 << 53) as f64
        };
        let value = |at: usize| {
            let (row, column) = (at / cols, at % cols);
            let stored = share(row / block * cols + column) < kept && share(at + (1 << 40)) < filled;
            if stored { (at % 2000) as f32 + 1.0 } else { 0.0 }
        };
        (cols, (0..rows * cols).map(value).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_stored_is_the_matrix((cols, data) in sparse(), half: bool) {
        let precision = if half { Precision::F16 } else { Precision::F32 };
        let encoded = layer(cols, data.clone(), precision);
        let bytes = AlignedBytes::from(encoded.bytes.as_slice());
        let artifact = Artifact::parse(&bytes).unwrap();
        let matrix = artifact.steps().next().unwrap().matrix.unwrap();
        let mut found = vec![0.0; data.len()];
        for (row, to) in artifact.rows(&matrix).unwrap().zip(found.chunks_mut(cols)) {
            row.for_each(|(column, value)| to[column as usize] = value);
        }
        prop_assert_eq!(found, data);

        let candidates = &encoded.candidates[&0];
        let sizes = match matrix.storage {
            Storage::Dense { values } => vec![values],
            Storage::Csr { row_len, index, values, .. } => {
                let (ColumnIndex::Delta(index) | ColumnIndex::Absolute(index)) = index;
                vec![row_len, index, values]
            }
        };
        let bytes: u32 = sizes.iter().map(|array| array.bytes().unwrap()).sum();
        prop_assert_eq!(bytes as usize, candidates[0].bytes);
        let least = candidates.iter().map(|candidate| candidate.bytes).min();
        prop_assert!(candidates[0].encoding == "dense" || Some(candidates[0].bytes) == least);
    }
}

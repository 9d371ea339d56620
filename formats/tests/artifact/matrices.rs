//! What is put into a matrix comes out of its rows.

use half::f16;
use proptest::prelude::*;
use tfc_formats::artifact::{
    AlignedBytes, Artifact, ColumnIndex, Columns, Element, Header, Matrix, Step, Storage, Value, Writer,
    scratch_len,
};
use tfc_formats::op::{Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

/// How a test stores its matrix.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Dense,
    Delta,
    U16,
    U32,
}

/// In blocks of `block` rows, if it is sparse.
fn store(writer: &mut Writer, dense: &[Vec<f32>], kind: Kind, block: usize, half: bool) -> Storage {
    let mut values = Vec::new();
    let (mut lens, mut deltas, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for rows in dense.chunks(block) {
        let (start, mut last) = (columns.len(), 0);
        for column in 0..dense[0].len() {
            // A gap too wide for a byte needs an entry that only bridges it.
            let bridge = matches!(kind, Kind::Delta) && column - last == 255;
            let stored = rows.iter().any(|row| row[column] != 0.0);
            if stored || bridge || matches!(kind, Kind::Dense) {
                values.extend((0..block).map(|lane| rows.get(lane).map_or(0.0, |row| row[column])));
                deltas.push((column - last) as u8);
                columns.push(column as u32);
                last = column;
            }
        }
        lens.push((columns.len() - start) as u32);
    }
    let halves: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
    let values = if half { writer.f16s(&halves) } else { writer.f32s(&values) };
    let narrow: Vec<u16> = columns.iter().map(|c| *c as u16).collect();
    let index = match kind {
        Kind::Dense => return Storage::Dense { values },
        Kind::Delta => ColumnIndex::Delta(writer.u8s(&deltas)),
        Kind::U16 => ColumnIndex::Absolute(writer.u16s(&narrow)),
        Kind::U32 => ColumnIndex::Absolute(writer.u32s(&columns)),
    };
    Storage::Csr { block: block as u8, row_len: writer.u32s(&lens), index, values }
}

fn one_layer(writer: Writer, matrix: Matrix) -> Vec<u8> {
    let place = |n, offset| Value {
        shape: Shape::vector(n),
        halo: Padding::default(),
        element: Element::F32,
        offset,
    };
    let input = place(matrix.cols, 0);
    let output = place(matrix.rows, (matrix.cols * 4).next_multiple_of(16));
    let step = Step {
        name: "fc",
        op: Op::Dense(Dense { out_features: matrix.rows, transposed: false }),
        inputs: heapless::Vec::from_slice(&[input]).unwrap(),
        output,
        matrix: Some(matrix),
        params: heapless::Vec::new(),
        activation: None,
        requantization: None,
    };
    let header = Header {
        name: "one",
        producer: "tests",
        preprocess: Preprocess::default(),
        quantize: heapless::Vec::new(),
        input,
        output,
        arena_len: output.offset + matrix.rows * 4,
        scratch_len: 0,
        steps: 0,
    };
    let mut writer = writer;
    writer.step(&step);
    writer.finish(header).unwrap()
}

fn sparse_rows() -> impl Strategy<Value = Vec<Vec<f32>>> {
    // Whole numbers up to 1024 are exact in f16.
    let element = prop_oneof![20 => Just(0.0), 1 => (-1024i16..1024).prop_map(f32::from)];
    (1usize..10, 1usize..700).prop_flat_map(move |(rows, cols)| {
        prop::collection::vec(prop::collection::vec(element.clone(), cols), rows)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rows_give_back_the_matrix(
        dense in sparse_rows(),
        kind in prop::sample::select(vec![Kind::Dense, Kind::Delta, Kind::U16, Kind::U32]),
        block in prop::sample::select(vec![1usize, 2, 4]),
        half: bool,
    ) {
        let block = if matches!(kind, Kind::Dense) { 1 } else { block };
        let mut writer = Writer::new();
        let storage = store(&mut writer, &dense, kind, block, half);
        let matrix = Matrix { rows: dense.len() as u32, cols: dense[0].len() as u32, storage };
        let bytes = AlignedBytes::from(&*one_layer(writer, matrix));
        let artifact = Artifact::parse(&bytes).unwrap();
        let decoded: Vec<Vec<f32>> = artifact
            .rows(&matrix)
            .unwrap()
            .map(|row| {
                let mut all = vec![0.0; dense[0].len()];
                row.for_each(|(column, value)| all[column as usize] = value);
                all
            })
            .collect();
        prop_assert_eq!(&decoded, &dense);

        let (mut blocks, mut rows) = (artifact.rows(&matrix).unwrap(), artifact.rows(&matrix).unwrap());
        prop_assert_eq!(blocks.block(), block);
        while let Some((lens, columns, values)) = blocks.next_blocks::<2>() {
            prop_assert_eq!(columns == Columns::All, matches!(kind, Kind::Dense));
            let mut at = 0;
            for len in lens {
                for (lane, row) in rows.by_ref().take(block).enumerate() {
                    prop_assert_eq!((len, len * block), (row.len(), row.values.len()));
                    let of_row = |i: usize| values.get(at + i * block + lane);
                    prop_assert!(row.enumerate().all(|(i, (_, value))| of_row(i) == Some(value)));
                }
                at += len * block;
            }
            prop_assert_eq!(at, values.len());
        }
        prop_assert_eq!(rows.count().div_ceil(block), dense.len().div_ceil(block) % 2);
        let mut halfway = artifact.rows(&matrix).unwrap();
        halfway.next();
        prop_assert_eq!(halfway.next_blocks::<1>().is_none(), block > 1 || dense.len() == 1);
    }
}

#[test]
fn only_convolutions_use_scratch() {
    let pad = Padding::default();
    let conv = Conv2d { out_channels: 1, kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad, groups: 1 };
    let f32 = |n, block| scratch_len(&Op::Conv2d(conv), Element::F32, n, block);
    let lens = [0, 1, 2, 3, u32::MAX / 8 - 1, u32::MAX / 8].map(|n| f32(n, 1));
    assert_eq!(lens, [Some(0), Some(16), Some(16), Some(32), Some(u32::MAX - 15), None]);
    assert_eq!([2, 4].map(|block| f32(5, block)), [Some(64), Some(112)]);
    let bytes = Element::I8 { scale: 1.0, zero: 0 };
    assert_eq!([2, 3].map(|n| scratch_len(&Op::Conv2d(conv), bytes, n, 4)), [Some(16), Some(32)]);
    assert_eq!(scratch_len(&Op::Flatten, Element::F32, u32::MAX, 4), Some(0));
}

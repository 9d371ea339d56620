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

fn store(writer: &mut Writer, dense: &[Vec<f32>], kind: Kind, half: bool) -> Storage {
    let mut values = Vec::new();
    let (mut lens, mut deltas, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for row in dense {
        let (start, mut last) = (values.len(), 0);
        for (column, value) in row.iter().enumerate() {
            // A gap too wide for a byte needs an entry that only bridges it.
            let bridge = matches!(kind, Kind::Delta) && column - last == 255;
            if *value != 0.0 || bridge || matches!(kind, Kind::Dense) {
                values.push(*value);
                deltas.push((column - last) as u8);
                columns.push(column as u32);
                last = column;
            }
        }
        lens.push((values.len() - start) as u32);
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
    Storage::Csr { row_len: writer.u32s(&lens), index, values }
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
    (1usize..5, 1usize..700).prop_flat_map(move |(rows, cols)| {
        prop::collection::vec(prop::collection::vec(element.clone(), cols), rows)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rows_give_back_the_matrix(
        dense in sparse_rows(),
        kind in prop::sample::select(vec![Kind::Dense, Kind::Delta, Kind::U16, Kind::U32]),
        half: bool,
    ) {
        let mut writer = Writer::new();
        let storage = store(&mut writer, &dense, kind, half);
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
        prop_assert_eq!(decoded, dense);

        let (mut blocks, mut rows) = (artifact.rows(&matrix).unwrap(), artifact.rows(&matrix).unwrap());
        while let Some((lens, columns, values)) = blocks.next_block::<2>() {
            prop_assert_eq!(columns == Columns::All, matches!(kind, Kind::Dense));
            let mut at = 0;
            for (len, row) in lens.into_iter().zip(rows.by_ref().take(2)) {
                prop_assert_eq!(len, row.values.len());
                prop_assert!((0..len).all(|i| values.get(at + i) == row.values.get(i)));
                at += len;
            }
            prop_assert_eq!(at, values.len());
        }
        prop_assert_eq!(rows.count(), matrix.rows as usize % 2);
    }
}

#[test]
fn only_convolutions_use_scratch() {
    let pad = Padding::default();
    let conv = Conv2d { out_channels: 1, kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pad, groups: 1 };
    let lens =
        [0, 1, 2, 3, u32::MAX / 8 - 1, u32::MAX / 8].map(|n| scratch_len(&Op::Conv2d(conv), Element::F32, n));
    assert_eq!(lens, [Some(0), Some(16), Some(16), Some(32), Some(u32::MAX - 15), None]);
    let bytes = Element::I8 { scale: 1.0, zero: 0 };
    assert_eq!([4, 5].map(|n| scratch_len(&Op::Conv2d(conv), bytes, n)), [Some(16), Some(32)]);
    assert_eq!(scratch_len(&Op::Flatten, Element::F32, u32::MAX), Some(0));
}

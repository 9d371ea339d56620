//! Small artifacts that the tests here are about.

use half::f16;
use tfc_formats::artifact::{
    Array, Artifact, ColumnIndex, Dtype, Header, Matrix, Step, Storage, Value, WriteError, Writer,
};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::{Preprocess, Resize};

pub(crate) const SCRATCH: u32 = 32;
pub(crate) const ARENA: u32 = 416;

/// A file before it is written, open to mischief.
pub(crate) struct Draft {
    pub(crate) writer: Writer,
    pub(crate) header: Header<'static>,
    pub(crate) steps: Vec<Step<'static>>,
}

impl Draft {
    pub(crate) fn write(mut self) -> Result<Vec<u8>, WriteError> {
        self.steps.iter().for_each(|step| self.writer.step(step));
        self.writer.finish(self.header)
    }
}

fn value(shape: Shape, pad: u16, offset: u32) -> Value {
    Value { shape, halo: Padding::same(pad), dtype: Dtype::F32, offset }
}

fn step(name: &'static str, op: Op, input: Value, output: Value) -> Step<'static> {
    let mut inputs = heapless::Vec::new();
    inputs.push(input).unwrap();
    Step { name, op, inputs, output, matrix: None, params: heapless::Vec::new(), activation: None }
}

fn dense(out_features: u32, transposed: bool) -> Op {
    Op::Dense(Dense { out_features, transposed })
}

/// One dense layer of CSR with delta indices: the example of FORMAT.md.
pub(crate) fn example() -> Draft {
    let mut writer = Writer::new();
    let storage = Storage::Csr {
        block: 1,
        row_len: writer.u8s(&[1, 2]),
        index: ColumnIndex::Delta(writer.u8s(&[2, 0, 3])),
        values: writer.f16s(&[0.5, -1.0, 2.0].map(f16::from_f32)),
    };
    let (input, output) = (value(Shape::vector(4), 0, 0), value(Shape::vector(2), 0, 16));
    let mut fc = step("fc", dense(2, false), input, output);
    fc.matrix = Some(Matrix { rows: 2, cols: 4, storage });
    fc.params.push(writer.f32s(&[0.25, -0.25])).unwrap();
    fc.activation = Some(Activation::Relu);
    let header = Header {
        name: "tiny",
        producer: "tfc 0.1.0",
        preprocess: Preprocess::identity(),
        input,
        output,
        arena_len: 32,
        scratch_len: 0,
        steps: 0,
    };
    Draft { writer, header, steps: vec![fc] }
}

/// Every storage, a matrix that two steps share, a halo, all kinds of parameters.
pub(crate) fn mixed() -> Draft {
    let mut w = Writer::new();
    let conv = Op::Conv2d(Conv2d {
        out_channels: 2,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(1),
        groups: 1,
    });
    let pool = Op::MaxPool(Pool {
        kernel: [2, 2],
        stride: [2, 2],
        pad: Padding::default(),
        ceil: false,
        count_include_pad: false,
    });
    let input = value(Shape::new(1, 4, 4), 1, SCRATCH);
    let maps = value(Shape::new(2, 4, 4), 0, 176);
    let normed = value(Shape::new(2, 4, 4), 0, 32);
    let pooled = value(Shape::new(2, 2, 2), 0, 304);
    let inner = value(Shape::vector(3), 0, 336);
    let outer = value(Shape::vector(8), 0, 352);
    let scores = value(Shape::vector(2), 0, 384);
    let output = value(Shape::vector(2), 0, 400);

    let mut steps = vec![
        step("conv", conv, input, maps),
        step("norm", Op::BatchNorm { eps: 1e-5 }, maps, normed),
        step("pool", pool, normed, pooled),
        step("g", dense(3, false), pooled, inner),
        step("gt", dense(8, true), inner, outer),
        step("fc", dense(2, false), outer, scores),
        step("softmax", Op::Softmax, scores, output),
    ];
    let delta = Storage::Csr {
        block: 1,
        row_len: w.u8s(&[4, 2]),
        index: ColumnIndex::Delta(w.u8s(&[0, 1, 3, 4, 2, 6])),
        values: w.f32s(&[1.0, -2.0, 0.5, 4.0, 0.25, -0.125]),
    };
    steps[0].matrix = Some(Matrix { rows: 2, cols: 9, storage: delta });
    steps[0].params.push(w.f16s(&[0.5, -0.5].map(f16::from_f32))).unwrap();
    steps[0].activation = Some(Activation::LeakyRelu { alpha: 0.125 });
    steps[1].params.push(w.f32s(&[1.0, 2.0])).unwrap();
    steps[1].params.push(w.f32s(&[-1.0, 0.5])).unwrap();
    // Three rows in blocks of two: the second value of the last three entries is of no row.
    let shared = Storage::Csr {
        block: 2,
        row_len: w.u16s(&[2, 3]),
        index: ColumnIndex::Absolute(w.u16s(&[1, 7, 0, 3, 4])),
        values: w.f16s(&[1.0, 2.0, 0.0, -2.0, 3.0, 0.0, 4.0, 0.0, 5.0, 0.0].map(f16::from_f32)),
    };
    steps[3].matrix = Some(Matrix { rows: 3, cols: 8, storage: shared });
    steps[4].matrix = steps[3].matrix;
    let all: Vec<f32> = (0..16).map(|i| i as f32 / 4.0).collect();
    let values = w.f32s(&all);
    steps[5].matrix = Some(Matrix { rows: 2, cols: 8, storage: Storage::Dense { values } });
    steps[5].params.push(w.f32s(&[-1.0, 0.5])).unwrap();

    let mut preprocess = Preprocess::default();
    preprocess.mean.push(0.5).unwrap();
    preprocess.resize = Resize::Exact([300, 4]);
    let header = Header {
        name: "mixed",
        producer: "tests",
        preprocess,
        input,
        output,
        arena_len: ARENA,
        scratch_len: SCRATCH,
        steps: 0,
    };
    Draft { writer: w, header, steps }
}

/// Uses all that a parsed file promises; panics where it does not keep it.
pub(crate) fn walk(artifact: &Artifact<'_>) {
    let mut steps = 0;
    for step in artifact.steps() {
        steps += 1;
        for array in &step.params {
            assert_eq!(artifact.values(*array).expect("param").len(), array.len as usize);
        }
        let Some(matrix) = step.matrix else { continue };
        let (mut rows, mut stored) = (0, 0);
        for row in artifact.rows(&matrix).expect("rows") {
            rows += 1;
            stored += row.len();
            let len = row.len();
            let columns: Vec<u32> = row.map(|(column, _)| column).collect();
            assert_eq!(columns.len(), len);
            assert!(columns.is_sorted_by(|a, b| a < b), "{columns:?}");
            assert!(columns.iter().all(|c| *c < matrix.cols), "{columns:?}");
        }
        let block = artifact.rows(&matrix).expect("rows").block();
        let no_rows = matrix.rows as usize % block;
        assert_eq!(rows, matrix.rows);
        // The last block may have values that are of no row.
        assert!(stored <= matrix.stored() as usize && (no_rows != 0 || stored == matrix.stored() as usize));
    }
    assert_eq!(steps, artifact.header().steps);
}

/// The arrays of a CSR matrix: lengths of rows, columns, values.
pub(crate) fn csr<'a>(step: &'a mut Step<'static>) -> (&'a mut Array, &'a mut ColumnIndex, &'a mut Array) {
    match &mut step.matrix {
        Some(Matrix { storage: Storage::Csr { row_len, index, values, .. }, .. }) => (row_len, index, values),
        other => panic!("not sparse: {other:?}"),
    }
}

//! Builds small `.tfc` files: values one after the other in the arena, nothing reused.

pub(crate) mod lenet;

use half::f16;
use tfc_formats::artifact::{
    AlignedBytes, Array, BLOCKS, ColumnIndex, Dtype, Element, Header, Matrix, Step, Storage, Value, Writer,
    scratch_len,
};
use tfc_formats::op::{Activation, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

/// How a matrix is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoding {
    /// `None` for all elements, else the type of column indices: `U8` for deltas.
    pub(crate) index: Option<Dtype>,
    /// Rows that share their columns, where not all elements are stored.
    pub(crate) block: u8,
    pub(crate) half: bool,
}

impl Encoding {
    /// Every combination.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let sparse = [Dtype::U8, Dtype::U16, Dtype::U32].map(Some).into_iter();
        let sparse = sparse.flat_map(|index| BLOCKS.map(|block| (index, block)));
        let both = |(index, block)| [false, true].map(|half| Self { index, block, half });
        core::iter::once((None, 1)).chain(sparse).flat_map(both)
    }
}

/// Pseudo-random numbers in -1..1, the same each time.
pub(crate) fn noise(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2654435761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / 2f32.powi(31) - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// As `noise`, with this share of zeros.
pub(crate) fn sparse_noise(seed: u32, len: usize, zeros: f32) -> Vec<f32> {
    let mask = noise(seed.wrapping_add(1000), len);
    noise(seed, len).iter().zip(mask).map(|(v, m)| if m < zeros * 2.0 - 1.0 { 0.0 } else { *v }).collect()
}

/// A file under construction.
pub(crate) struct Builder {
    writer: Writer,
    steps: Vec<Step<'static>>,
    end: u32,
    scratch: u32,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { writer: Writer::new(), steps: Vec::new(), end: 0, scratch: 0 }
    }

    pub(crate) fn value(&mut self, shape: Shape, halo: Padding) -> Value {
        let value = Value { shape, halo, element: Element::F32, offset: self.end };
        self.end += value.bytes().unwrap().next_multiple_of(16);
        value
    }

    pub(crate) fn floats(&mut self, elements: &[f32], half: bool) -> Array {
        floats(&mut self.writer, elements, half)
    }

    pub(crate) fn matrix(&mut self, rows: u32, cols: u32, elements: &[f32], encoding: Encoding) -> Matrix {
        csr(&mut self.writer, rows, cols, elements, encoding, |writer, values| {
            floats(writer, values, encoding.half)
        })
    }

    pub(crate) fn step(
        &mut self,
        op: Op,
        inputs: &[Value],
        halo: Padding,
        matrix: Option<Matrix>,
        params: &[Array],
        activation: Option<Activation>,
    ) -> Value {
        let shapes: Vec<Shape> = inputs.iter().map(|v| v.shape).collect();
        let output = self.value(op.output_shape(&shapes).unwrap(), halo);
        self.step_into(output, op, inputs, matrix, params, activation);
        output
    }

    /// As `step`, into a value of before.
    pub(crate) fn step_into(
        &mut self,
        output: Value,
        op: Op,
        inputs: &[Value],
        matrix: Option<Matrix>,
        params: &[Array],
        activation: Option<Activation>,
    ) {
        let (longest, block) = match matrix {
            Some(Matrix { cols, storage: Storage::Csr { block, .. }, .. }) => (cols, block),
            Some(Matrix { cols, .. }) => (cols, 1),
            None => (0, 1),
        };
        self.scratch = self.scratch.max(scratch_len(&op, Element::F32, longest, block).unwrap());
        self.steps.push(Step {
            name: op.name(),
            op,
            inputs: inputs.iter().copied().collect(),
            output,
            matrix,
            params: params.iter().copied().collect(),
            activation,
            requantization: None,
        });
    }

    pub(crate) fn finish(mut self, input: Value, output: Value, preprocess: Preprocess) -> AlignedBytes {
        let scratch = self.scratch;
        let moved = |value: Value| Value { offset: value.offset + scratch, ..value };
        for step in &mut self.steps {
            step.inputs.iter_mut().for_each(|value| *value = moved(*value));
            step.output = moved(step.output);
            self.writer.step(step);
        }
        let header = Header {
            name: "test",
            producer: "tests",
            preprocess,
            quantize: [].into_iter().collect(),
            input: moved(input),
            output: moved(output),
            arena_len: scratch + self.end,
            scratch_len: scratch,
            steps: 0,
        };
        AlignedBytes::from(&*self.writer.finish(header).unwrap())
    }
}

fn floats(writer: &mut Writer, elements: &[f32], half: bool) -> Array {
    if half {
        writer.f16s(&elements.iter().map(|v| f16::from_f32(*v)).collect::<Vec<_>>())
    } else {
        writer.f32s(elements)
    }
}

/// A matrix in the given encoding, its values as `write` has them.
pub(crate) fn csr(
    writer: &mut Writer,
    rows: u32,
    cols: u32,
    elements: &[f32],
    encoding: Encoding,
    write: impl Fn(&mut Writer, &[f32]) -> Array,
) -> Matrix {
    let Some(dtype) = encoding.index else {
        let values = write(writer, elements);
        return Matrix { rows, cols, storage: Storage::Dense { values } };
    };
    let (mut row_len, mut index, mut values) = (vec![], vec![], vec![]);
    let (block, cols_len) = (usize::from(encoding.block), cols as usize);
    for rows in elements.chunks(block * cols_len) {
        let (start, mut column) = (index.len(), 0);
        let at = |c: u32| (0..block).map(move |row| rows.get(row * cols_len + c as usize).copied());
        for c in (0..cols).filter(|&c| at(c).flatten().any(|v| v != 0.0)) {
            if dtype == Dtype::U8 {
                while c - column > 255 {
                    index.push(255);
                    values.extend(vec![0.0; block]);
                    column += 255;
                }
                index.push(c - column);
            } else {
                index.push(c);
            }
            // Rows that the matrix does not have are not to be seen.
            values.extend(at(c).map(|v| v.unwrap_or(9.0)));
            column = c;
        }
        row_len.push((index.len() - start) as u32);
    }
    let narrow = |v: &[u32]| v.iter().map(|i| *i as u16).collect::<Vec<_>>();
    let index = match dtype {
        Dtype::U8 => ColumnIndex::Delta(writer.u8s(&index.iter().map(|i| *i as u8).collect::<Vec<_>>())),
        Dtype::U16 => ColumnIndex::Absolute(writer.u16s(&narrow(&index))),
        _ => ColumnIndex::Absolute(writer.u32s(&index)),
    };
    let row_len = writer.u16s(&narrow(&row_len));
    let values = write(writer, &values);
    Matrix { rows, cols, storage: Storage::Csr { block: encoding.block, row_len, index, values } }
}

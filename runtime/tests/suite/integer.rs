//! Steps on i8 against their definition in FORMAT.md, in i64, element by element.

use proptest::prelude::*;
use tfc_formats::artifact::{
    Affine, AlignedBytes, Array, Dtype, Element, Header, Matrix, Requantization, Residual, Step, Value,
    Writer, output_scratch_len, scratch_len,
};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::{Kernels, Model, RunError, Session};

use crate::arena::Arena;
use crate::common::{Encoding, csr, noise, sparse_noise};

const IN_ZERO: i8 = -7;
const OUT_ZERO: i8 = 11;

fn element(zero: i8) -> Element {
    Element::I8 { scale: 0.25, zero }
}

/// Whole numbers from -`most` to `most`.
fn whole(seed: u32, len: usize, most: i32) -> Vec<i32> {
    noise(seed, len).iter().map(|v| (v * (most as f32 + 0.5)) as i32).collect()
}

fn bytes(seed: u32, len: usize) -> Vec<i8> {
    whole(seed, len, 127).iter().map(|v| *v as i8).collect()
}

/// What each step does to a sum.
fn store(constants: &Requantization, sum: i64) -> i8 {
    let shifted = (sum + i64::from(constants.offset)).div_euclid(1 << constants.right);
    shifted.clamp(constants.lo.into(), constants.hi.into()) as i8
}

fn high(constants: &Requantization, sum: i64, multiplier: i32) -> i64 {
    ((sum << constants.left) * i64::from(multiplier) + (1 << 31)).div_euclid(1 << 32)
}

/// A file of steps on i8, values one after the other.
struct File {
    writer: Writer,
    steps: Vec<Step<'static>>,
    end: u32,
    scratch: u32,
    input: Value,
}

impl File {
    fn new(input: Shape, halo: Padding) -> Self {
        let value = Value { shape: input, halo, element: element(IN_ZERO), offset: 0 };
        let mut file = Self { writer: Writer::new(), steps: Vec::new(), end: 0, scratch: 0, input: value };
        file.input = file.value(input, halo, IN_ZERO);
        file
    }

    fn value(&mut self, shape: Shape, halo: Padding, zero: i8) -> Value {
        let value = Value { shape, halo, element: element(zero), offset: self.end };
        self.end += value.bytes().unwrap().next_multiple_of(16);
        value
    }

    fn step(&mut self, op: Op, inputs: &[Value], output: Value, params: &[Array]) -> &mut Step<'static> {
        self.steps.push(Step {
            name: op.name(),
            op,
            inputs: inputs.iter().copied().collect(),
            output,
            matrix: None,
            params: params.iter().copied().collect(),
            activation: None,
            requantization: None,
        });
        self.steps.last_mut().unwrap()
    }

    fn matrix(&mut self, rows: u32, cols: u32, weights: &[f32], encoding: Encoding) -> Matrix {
        self.scratch = (4 * cols + 8).next_multiple_of(16).max(self.scratch);
        csr(&mut self.writer, rows, cols, weights, encoding, |writer, values| {
            writer.i8s(&values.iter().map(|v| *v as i8).collect::<Vec<_>>())
        })
    }

    fn finish(mut self, output: Value, quantize: Affine, preprocess: Preprocess) -> AlignedBytes {
        let scratch = self.scratch.max(output_scratch_len(&output).unwrap());
        let moved = |value: Value| Value { offset: value.offset + scratch, ..value };
        for step in &mut self.steps {
            step.inputs.iter_mut().for_each(|value| *value = moved(*value));
            step.output = moved(step.output);
            if let Some(Requantization { residual: Some(residual), .. }) = &mut step.requantization {
                residual.value = moved(residual.value);
            }
            self.writer.step(step);
        }
        let header = Header {
            name: "integers",
            producer: "tests",
            preprocess,
            quantize: [quantize].into_iter().collect(),
            input: moved(self.input),
            output: moved(output),
            arena_len: scratch + self.end,
            scratch_len: scratch,
            steps: 0,
        };
        AlignedBytes::from(&*self.writer.finish(header).unwrap())
    }

    /// The output of every kind of kernel, which is the same.
    fn run(self, output: Value, input: &[i8]) -> Vec<i8> {
        let none = Affine { multiplier: 0, offset: 0, shift: 0 };
        let file = self.finish(output, none, Preprocess::identity());
        let model = Model::new(&file).unwrap();
        let outputs: Vec<Vec<i8>> = Kernels::available()
            .map(|kernels| {
                let mut arena = Arena::of(&model);
                let mut session = Session::with_kernels(&model, arena.bytes(), kernels).unwrap();
                session.run_i8(input).unwrap().to_vec()
            })
            .collect();
        assert!(outputs.iter().all(|output| *output == outputs[0]));
        outputs[0].clone()
    }
}

/// The number that an element of a value stands for in units of its scale, plus its zero point;
/// `None` outside.
fn at(shape: Shape, data: &[i8], c: i64, y: i64, x: i64) -> Option<i64> {
    let inside = |i: i64, n: u32| (0..i64::from(n)).contains(&i);
    (inside(c, shape.c) && inside(y, shape.h) && inside(x, shape.w))
        .then(|| data[((c * i64::from(shape.h) + y) * i64::from(shape.w) + x) as usize].into())
}

fn positions(shape: Shape) -> impl Iterator<Item = [i64; 3]> {
    let (c, h, w) = (i64::from(shape.c), i64::from(shape.h), i64::from(shape.w));
    (0..c * h * w).map(move |i| [i / (h * w), i / w % h, i % w])
}

#[derive(Clone, Copy, Debug)]
enum Adds {
    Nothing,
    Apart,
    InPlace,
}

fn windows() -> impl Strategy<Value = ([u16; 2], [u16; 2], [u16; 2], Padding)> {
    let pair = |from, to| [from..to, from..to];
    let pads = [0u16..3, 0u16..3, 0u16..3, 0u16..3];
    (pair(1u16, 4), pair(1u16, 4), pair(1u16, 3), pads).prop_map(|(kernel, stride, dilation, pads)| {
        let [top, left, bottom, right] = pads;
        (kernel, stride, dilation, Padding { top, left, bottom, right })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn convolutions(
        (kernel, stride, dilation, pad) in windows(),
        groups in 1u32..3,
        (group_in, group_out, h, w) in (1u32..4, 1u32..4, 5u32..9, 5u32..24),
        zeros in 0f32..1.0,
        encoding in prop::sample::select(Encoding::all().filter(|e| !e.half).collect::<Vec<_>>()),
        (left, right, adds) in (0u8..4, 0u8..10, prop::sample::select(vec![Adds::Nothing, Adds::Apart, Adds::InPlace])),
        seed: u32,
    ) {
        let x = Shape::new(groups * group_in, h, w);
        let spec = Conv2d { out_channels: groups * group_out, kernel, stride, dilation, pad, groups };
        let shape = Op::Conv2d(spec).output_shape(&[x]).unwrap();
        let [kh, kw] = kernel.map(u32::from);
        let (rows, cols) = (shape.c, group_in * kh * kw);
        let weights: Vec<f32> =
            sparse_noise(seed, (rows * cols) as usize, zeros).iter().map(|w| (w * 127.0).round()).collect();
        let bias = whole(seed ^ 1, rows as usize, 30_000);
        let multipliers: Vec<i32> = whole(seed ^ 2, rows as usize, 1 << 22).iter().map(|m| 2 * m.abs()).collect();
        let input = bytes(seed ^ 3, x.elements().unwrap() as usize);

        let halo = pad.max(Padding { top: 1, ..pad });
        let mut file = File::new(x, halo);
        // What is added: a table of the input, brought to the output's shape by a pooling where it can be.
        let can_add = shape == x;
        let residual = can_add.then(|| {
            let table: Vec<i8> = (-128..=127).rev().collect();
            let table = file.writer.i8s(&table);
            let value = file.value(shape, Padding::same(1), OUT_ZERO);
            file.step(Op::Activation(Activation::Relu), &[file.input], value, &[table]);
            value
        });
        let (output, residual) = match (adds, residual) {
            (Adds::InPlace, Some(value)) => (value, Some(value)),
            (Adds::Apart, Some(value)) => (file.value(shape, Padding::same(1), OUT_ZERO), Some(value)),
            _ => (file.value(shape, Padding::same(1), OUT_ZERO), None),
        };
        let residual = residual.map(|value| Residual { value, multiplier: -37 });
        let constants = Requantization { left, offset: 5 << right, right, lo: -100, hi: 120, residual };
        let matrix = file.matrix(rows, cols, &weights, encoding);
        let params = [file.writer.i32s(&bias), file.writer.i32s(&multipliers)];
        let input_value = file.input;
        let step = file.step(Op::Conv2d(spec), &[input_value], output, &params);
        (step.matrix, step.requantization) = (Some(matrix), Some(constants));
        // Out of the halo.
        let packed = file.value(shape, Padding::default(), OUT_ZERO);
        file.step(Op::Concat, &[output], packed, &[]);

        let expected: Vec<i8> = positions(shape)
            .map(|[o, y, i]| {
                let group = o / i64::from(group_out) * i64::from(group_in);
                let mut sum = i64::from(bias[o as usize]);
                for column in 0..i64::from(cols) {
                    let (channel, tap) = (column / i64::from(kh * kw), column % i64::from(kh * kw));
                    let (ky, kx) = (tap / i64::from(kw), tap % i64::from(kw));
                    let row = y * i64::from(stride[0]) + ky * i64::from(dilation[0]) - i64::from(pad.top);
                    let col = i * i64::from(stride[1]) + kx * i64::from(dilation[1]) - i64::from(pad.left);
                    let q = at(x, &input, group + channel, row, col).unwrap_or(IN_ZERO.into());
                    sum += weights[(o * i64::from(cols) + column) as usize] as i64 * q;
                }
                // The table turns every byte around.
                let more = residual.map_or(0, |_| -37 * (-1 - at(x, &input, o, y, i).unwrap()));
                store(&constants, high(&constants, sum, multipliers[o as usize]) + more)
            })
            .collect();
        prop_assert_eq!(file.run(packed, &input), expected);
    }

    #[test]
    fn dense_layers(
        (rows, cols) in (1u32..9, 1u32..700),
        zeros in 0f32..1.0,
        encoding in prop::sample::select(Encoding::all().filter(|e| !e.half).collect::<Vec<_>>()),
        left in 0u8..4,
        seed: u32,
    ) {
        let mut file = File::new(Shape::vector(cols), Padding::default());
        let weights: Vec<f32> =
            sparse_noise(seed, (rows * cols) as usize, zeros).iter().map(|w| (w * 127.0).round()).collect();
        let bias = whole(seed ^ 1, rows as usize, 30_000);
        let multipliers: Vec<i32> = whole(seed ^ 2, rows as usize, 1 << 20).iter().map(|m| 2 * m.abs()).collect();
        let input = bytes(seed ^ 3, cols as usize);
        let matrix = file.matrix(rows, cols, &weights, encoding);
        let params = [file.writer.i32s(&bias), file.writer.i32s(&multipliers)];
        let constants = Requantization { left, offset: 11, right: 0, lo: 11, hi: 127, residual: None };
        let output = file.value(Shape::vector(rows), Padding::default(), OUT_ZERO);
        let input_value = file.input;
        let op = Op::Dense(Dense { out_features: rows, transposed: false });
        let step = file.step(op, &[input_value], output, &params);
        (step.matrix, step.requantization) = (Some(matrix), Some(constants));
        let expected: Vec<i8> = weights
            .chunks(cols as usize)
            .enumerate()
            .map(|(o, row)| {
                let products = row.iter().zip(&input).map(|(w, q)| *w as i64 * i64::from(*q));
                let sum = i64::from(bias[o]) + products.sum::<i64>();
                store(&constants, high(&constants, sum, multipliers[o]))
            })
            .collect();
        prop_assert_eq!(file.run(output, &input), expected);
    }

    #[test]
    fn poolings(
        (kernel, stride, _, pad) in windows(),
        (c, h, w) in (1u32..4, 3u32..9, 3u32..12),
        (ceil, padded, in_place) in any::<(bool, bool, bool)>(),
        seed: u32,
    ) {
        let smaller = |p: u16, k: u16| p.min(k - 1);
        let pad = Padding {
            top: smaller(pad.top, kernel[0]),
            bottom: smaller(pad.bottom, kernel[0]),
            left: smaller(pad.left, kernel[1]),
            right: smaller(pad.right, kernel[1]),
        };
        let x = Shape::new(c, h, w);
        let input = bytes(seed, x.elements().unwrap() as usize);
        let pool = Pool { kernel, stride, pad, ceil, count_include_pad: padded };
        let shape = Op::MaxPool(pool).output_shape(&[x]).unwrap();
        // By output: what of its window is inside, and how many elements are in the padded input.
        let windows: Vec<(Vec<i64>, usize)> = positions(shape)
            .map(|[c, y, i]| {
                let (mut inside, mut count) = (vec![], 0);
                for (ky, kx) in (0..kernel[0]).flat_map(|ky| (0..kernel[1]).map(move |kx| (ky, kx))) {
                    let row = y * i64::from(stride[0]) + i64::from(ky) - i64::from(pad.top);
                    let col = i * i64::from(stride[1]) + i64::from(kx) - i64::from(pad.left);
                    inside.extend(at(x, &input, c, row, col));
                    let over = row >= i64::from(h) + i64::from(pad.bottom)
                        || col >= i64::from(w) + i64::from(pad.right);
                    count += usize::from(!over);
                }
                (inside, count)
            })
            .collect();

        let mut file = File::new(x, Padding::default());
        let input_value = file.input;
        let in_place = in_place && pad.top == 0 && pad.left == 0;
        let output = if in_place {
            Value { shape, ..input_value }
        } else {
            file.value(shape, Padding::default(), IN_ZERO)
        };
        file.step(Op::MaxPool(pool), &[input_value], output, &[]);
        let largest: Vec<i8> = windows.iter().map(|(inside, _)| *inside.iter().max().unwrap() as i8).collect();
        prop_assert_eq!(file.run(output, &input), largest);

        let constants = Requantization { left: 1, offset: 2, right: 0, lo: -128, hi: 100, residual: None };
        let most = usize::from(kernel[0] * kernel[1]);
        let multipliers: Vec<i32> = whole(seed ^ 1, most, 1 << 28).iter().map(|m| 2 * m.abs()).collect();
        let mut file = File::new(x, Padding::same(1));
        let params = [file.writer.i32s(&multipliers)];
        let output = file.value(shape, Padding::default(), OUT_ZERO);
        let input_value = file.input;
        file.step(Op::AvgPool(pool), &[input_value], output, &params).requantization = Some(constants);
        let averages: Vec<i8> = windows
            .iter()
            .map(|(inside, count)| {
                let n = if padded { *count } else { inside.len() };
                let sum = inside.iter().map(|q| q - i64::from(IN_ZERO)).sum();
                store(&constants, high(&constants, sum, multipliers[n - 1]))
            })
            .collect();
        prop_assert_eq!(file.run(output, &input), averages);
    }

    #[test]
    fn sums_global_averages_and_tables(c in 1u32..5, h in 1u32..5, w in 1u32..9, seed: u32) {
        let x = Shape::new(c, h, w);
        let n = x.elements().unwrap() as usize;
        let input = bytes(seed, n);
        let constants = Requantization { left: 0, offset: 1 << 12, right: 9, lo: -90, hi: 91, residual: None };

        let mut file = File::new(x, Padding::same(1));
        let (from, multipliers) = (file.input, [300, -100, 77]);
        let params = [file.writer.i32s(&multipliers)];
        let output = file.value(x, Padding::default(), OUT_ZERO);
        file.step(Op::Add, &[from; 3], output, &params).requantization = Some(constants);
        let expected: Vec<i8> = input.iter().map(|q| store(&constants, 277 * i64::from(*q))).collect();
        prop_assert_eq!(file.run(output, &input), expected);

        let mut file = File::new(x, Padding::same(1));
        let (from, multiplier) = (file.input, (1 << 29) / (h * w) as i32 * 2);
        let params = [file.writer.i32s(&[multiplier])];
        let output = file.value(Shape::vector(c), Padding::default(), OUT_ZERO);
        let constants = Requantization { right: 0, offset: 3, ..constants };
        file.step(Op::GlobalAvgPool, &[from], output, &params).requantization = Some(constants);
        let expected: Vec<i8> = input
            .chunks((h * w) as usize)
            .map(|plane| {
                let sum = plane.iter().map(|q| i64::from(*q) - i64::from(IN_ZERO)).sum();
                store(&constants, high(&constants, sum, multiplier))
            })
            .collect();
        prop_assert_eq!(file.run(output, &input), expected);

        let mut file = File::new(x, Padding::default());
        let (from, table) = (file.input, bytes(seed ^ 1, 256));
        let params = [file.writer.i8s(&table)];
        let output = file.value(x, Padding::default(), OUT_ZERO);
        file.step(Op::Activation(Activation::Tanh), &[from], output, &params);
        let expected: Vec<i8> = input.iter().map(|q| table[(i64::from(*q) + 128) as usize]).collect();
        prop_assert_eq!(file.run(output, &input), expected);

        let mut file = File::new(x, Padding::default());
        let (from, table) = (file.input, (0..256).map(|d| (1u32 << 23) >> (d / 8)).collect::<Vec<_>>());
        let params = [file.writer.u32s(&table)];
        let output = file.value(x, Padding::default(), OUT_ZERO);
        file.step(Op::Softmax, &[from], output, &params);
        let column = |y: i64, i: i64| (0..i64::from(c)).map(move |c| (c, y, i));
        let expected: Vec<i8> = positions(x)
            .map(|[c, y, i]| {
                let of = |(c, y, i)| at(x, &input, c, y, i).unwrap();
                let largest = column(y, i).map(of).max().unwrap();
                let e = |q: i64| u64::from(table[(largest - q) as usize]);
                let sum: u64 = column(y, i).map(|place| e(of(place))).sum();
                (((256 * e(of((c, y, i))) + sum / 2) / sum).min(255) as i64 - 128) as i8
            })
            .collect();
        prop_assert_eq!(file.run(output, &input), expected);
    }
}

/// One table step that changes nothing, for inputs of `c` channels of 2 x 2.
fn identity(c: u32, quantize: Affine, preprocess: Preprocess) -> AlignedBytes {
    let x = Shape::new(c, 2, 2);
    let mut file = File::new(x, Padding::default());
    let table: Vec<i8> = (-128..=127).collect();
    let params = [file.writer.i8s(&table)];
    let output = file.value(x, Padding::default(), IN_ZERO);
    let from = file.input;
    file.step(Op::Activation(Activation::Relu), &[from], output, &params);
    file.finish(output, quantize, preprocess)
}

#[test]
fn floats_are_rounded_on_the_way_in_and_back_on_the_way_out() {
    let file = identity(1, Affine { multiplier: 1, offset: 0, shift: 0 }, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    // In units of 0.25, halves to even, and limited to -128 and 127 behind the zero point of -7.
    assert_eq!(session.run(&[0.1, 0.375, -1e9, f32::INFINITY]).unwrap(), [0.0, 0.5, -30.25, 33.5]);
    assert_eq!(session.run_i8(&[1, -128, 127, 0]).unwrap(), [1, -128, 127, 0]);
    assert_eq!(session.run_i8(&[0; 3]), Err(RunError::InputLen { expected: 4, given: 3 }));
}

#[test]
fn raw_samples_have_constants_of_their_own() {
    use tfc_formats::preprocess::{ChannelOrder, Layout};
    let preprocess = Preprocess { order: ChannelOrder::Bgr, layout: Layout::Hwc, ..Preprocess::default() };
    let file = identity(2, Affine { multiplier: 3, offset: -257, shift: 1 }, preprocess);
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    let raw = [0, 1, 2, 3, 4, 200, 6, 255];
    // (3 x - 257) / 2, rounded down; the second byte of each pair is the first channel.
    assert_eq!(session.run_raw_i8(&raw).unwrap(), [-127, -124, 127, 127, -128, -126, -123, -120]);
    let numbers: Vec<f32> =
        [-127, -124, 127, 127, -128, -126, -123, -120].map(|q| 0.25 * (q + 7) as f32).into();
    assert_eq!(session.run_raw(&raw).unwrap(), numbers);
}

#[test]
fn a_network_on_floats_has_no_bytes() {
    let file = crate::common::lenet::lenet5(0.5, Encoding { index: Some(Dtype::U8), block: 1, half: false });
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    assert_eq!(session.run_i8(&[0; 784]), Err(RunError::NotI8));
    assert_eq!(session.run_raw_i8(&[0; 784]), Err(RunError::NotI8));
}

#[cfg(feature = "alloc")]
#[test]
fn bytes_are_not_prepared() {
    let file = identity(1, Affine { multiplier: 1, offset: 0, shift: 0 }, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    assert_eq!(tfc_runtime::Prepared::new(&model).err(), Some(tfc_runtime::PrepareError::Integer));
}

#[test]
fn scratch_is_an_offset_an_entry() {
    let conv = Conv2d {
        out_channels: 1,
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: Padding::default(),
        groups: 1,
    };
    assert_eq!(scratch_len(&Op::Conv2d(conv), element(0), 9, 1), Some(48));
}

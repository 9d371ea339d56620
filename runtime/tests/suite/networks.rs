//! Random networks: convolutions with sums and concatenations behind them, values that are read
//! several times or as of another shape, run in every way that there is.

use crate::cases::{outputs, sparse_rows};
use crate::common::{Builder, Encoding, noise};
use crate::oracle::{self, Plane};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseResult;
use tfc_formats::artifact::{AlignedBytes, Value};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;
use tfc_runtime::Model;

/// Largest difference from the definition, as a share of the largest output (at least 1).
const TOLERANCE: f64 = 1e-4;

/// As much as any convolution pads.
const HALO: Padding = Padding::same(4);

/// A part of a network; what it reads is drawn from the values before it.
#[derive(Clone, Debug)]
enum Part {
    Conv(Window),
    /// Two convolutions that end in as many channels, or one and what it reads, are added.
    Residual {
        window: Window,
        both: bool,
        first: bool,
        read_again: bool,
    },
    /// Convolutions of one value, or one and what it reads, are concatenated.
    Concat {
        windows: Vec<Window>,
        and_input: bool,
        twice: bool,
    },
    Pool {
        max: bool,
        pad: u16,
    },
    /// All elements as a vector, and a product with a matrix, as a dense layer or a convolution.
    Vector {
        outputs: u32,
        dense: bool,
    },
}

/// A convolution.
#[derive(Clone, Debug)]
struct Window {
    out: u32,
    kernel: [u16; 2],
    dilation: [u16; 2],
    stride: u16,
    grouped: bool,
    activation: Option<Activation>,
    zeros: f32,
    alike: usize,
}

fn activation() -> impl Strategy<Value = Option<Activation>> {
    select(vec![
        None,
        None,
        Some(Activation::Relu),
        Some(Activation::Relu6),
        Some(Activation::LeakyRelu { alpha: 0.1 }),
        Some(Activation::Tanh),
        Some(Activation::HardSwish),
    ])
}

impl Window {
    /// With a stride of 1 the output is as large as the input; behind it one more is padded than
    /// before it, if the kernel reaches over an even number.
    fn pad(&self) -> Padding {
        let [(top, bottom), (left, right)] = [0, 1].map(|axis| {
            let pad = (self.kernel[axis] - 1) * self.dilation[axis];
            (pad / 2, pad - pad / 2)
        });
        Padding { top, left, bottom, right }
    }
}

fn window() -> impl Strategy<Value = Window> {
    let square = || select(vec![1u16, 3, 3, 5]).prop_map(|k| ([k; 2], [1; 2]));
    let field = |most: u16| (1..=most, 1..=most).prop_map(|(a, b)| [a, b]);
    let kernel = prop_oneof![square(), (field(5), field(2))];
    let shape = (1u32..9, kernel, select(vec![1u16, 1, 1, 2, 3]), any::<bool>());
    let weights = (select(vec![0.0f32, 0.5, 0.9, 1.0]), select(vec![1usize, 2, 4]));
    (shape, activation(), weights).prop_map(|(shape, activation, (zeros, alike))| {
        let (out, (kernel, dilation), stride, grouped) = shape;
        Window { out, kernel, dilation, stride, grouped, activation, zeros, alike }
    })
}

fn part() -> impl Strategy<Value = Part> {
    let flags = any::<(bool, bool, bool)>();
    prop_oneof![
        window().prop_map(Part::Conv),
        (window(), flags).prop_map(|(window, (both, first, read_again))| Part::Residual {
            window,
            both,
            first,
            read_again
        }),
        (proptest::collection::vec(window(), 1..4), flags)
            .prop_map(|(windows, (and_input, twice, _))| Part::Concat { windows, and_input, twice }),
        (any::<bool>(), 0u16..2).prop_map(|(max, pad)| Part::Pool { max, pad }),
        (1u32..20, any::<bool>()).prop_map(|(outputs, dense)| Part::Vector { outputs, dense }),
    ]
}

/// A file, and all of its values as they must be.
struct Network {
    b: Builder,
    values: Vec<(Value, Plane)>,
    seed: u32,
}

impl Network {
    fn random(&mut self) -> u32 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }

    /// Adds a step whose weights keep values about as large as they are.
    fn step(
        &mut self,
        op: Op,
        from: &[usize],
        halo: Padding,
        activation: Option<Activation>,
        zeros: f32,
        alike: usize,
    ) -> usize {
        let values: Vec<Value> = from.iter().map(|i| self.values[*i].0).collect();
        let planes: Vec<Plane> = from.iter().map(|i| self.values[*i].1.clone()).collect();
        let (mut weights, mut params) = (vec![], vec![]);
        let matrix = op.weight_shape(values[0].shape).map(|(rows, cols)| {
            weights = sparse_rows(self.random(), [rows, cols], zeros, alike);
            let scale = (3.0 / (cols as f32 * (1.0 - zeros)).max(1.0)).sqrt();
            weights.iter_mut().for_each(|w| *w *= scale);
            let bias = op.output_shape(&[values[0].shape]).unwrap().c;
            params.push(noise(self.random(), bias as usize));
            let encodings: Vec<_> = Encoding::all().filter(|encoding| !encoding.half).collect();
            let encoding = encodings[self.seed as usize % encodings.len()];
            self.b.matrix(rows, cols, &weights, encoding)
        });
        let arrays: Vec<_> = params.iter().map(|p| self.b.floats(p, false)).collect();
        let value = self.b.step(op, &values, halo, matrix, &arrays, activation);
        let (expected, _) = oracle::run(op, &planes, &oracle::wide(&weights), &params, activation);
        self.values.push((value, Plane { shape: value.shape, data: expected }));
        self.values.len() - 1
    }

    fn plain(&mut self, op: Op, from: &[usize], activation: Option<Activation>) -> usize {
        self.step(op, from, HALO, activation, 0.0, 1)
    }

    fn conv(&mut self, window: &Window, mut from: usize) -> usize {
        let Value { shape, halo, .. } = self.values[from].0;
        if halo != HALO {
            from = self.plain(Op::Dropout { rate: 0.0 }, &[from], None);
        }
        let groups = if window.grouped { shape.c } else { 1 };
        let op = Op::Conv2d(Conv2d {
            out_channels: window.out.next_multiple_of(groups),
            kernel: window.kernel,
            stride: [window.stride; 2],
            dilation: window.dilation,
            pad: window.pad(),
            groups,
        });
        self.step(op, &[from], HALO, window.activation, window.zeros, window.alike)
    }

    /// Puts the last value into a file, run in every way.
    fn check(mut self, input: &[f32], as_vector: bool) -> TestCaseResult {
        let last = self.values.len() - 1;
        let output = self.step(Op::Dropout { rate: 0.0 }, &[last], Padding::default(), None, 0.0, 1);
        let (mut value, expected) = self.values[output].clone();
        if as_vector {
            value.shape = Shape::vector(value.shape.elements().unwrap());
        }
        let input_value = self.values[0].0;
        let file: AlignedBytes = self.b.finish(input_value, value, Preprocess::identity());
        let model = Model::new(&file).unwrap();
        let largest = expected.data.iter().fold(1.0f64, |a, b| a.max(b.abs()));
        for (name, found) in outputs(&model, input) {
            prop_assert_eq!(found.len(), expected.data.len());
            for (i, (found, expected)) in found.iter().zip(&expected.data).enumerate() {
                let difference = (f64::from(*found) - expected).abs();
                prop_assert!(
                    difference <= TOLERANCE * largest,
                    "{}: element {} is {} and not {}",
                    name,
                    i,
                    found,
                    expected
                );
            }
        }
        Ok(())
    }
}

fn check(shape: Shape, parts: &[(Part, Index)], as_vector: bool, seed: u32) -> TestCaseResult {
    let input = noise(seed, shape.elements().unwrap() as usize);
    let mut net = Network { b: Builder::new(), values: vec![], seed };
    let value = net.b.value(shape, HALO);
    net.values.push((value, Plane::new(shape, &input)));
    for (part, from) in parts {
        let from = from.index(net.values.len());
        let shape = net.values[from].0.shape;
        match part {
            Part::Conv(window) => _ = net.conv(window, from),
            Part::Residual { window, both, first, read_again } => {
                // What is added to has as many channels as what was read.
                let stride = if *both { window.stride } else { 1 };
                let window = Window { out: shape.c, stride, activation: None, ..window.clone() };
                let other = if *both { net.conv(&window, from) } else { from };
                let sum = net.conv(&window, from);
                let inputs = if *first { [sum, other] } else { [other, sum] };
                let activation = if *read_again { None } else { Some(Activation::Relu) };
                let added = net.plain(Op::Add, &inputs, activation);
                if *read_again {
                    net.plain(Op::Add, &[added, sum], Some(Activation::Relu6));
                }
            }
            Part::Concat { windows, and_input, twice } => {
                let one = |window: &Window| Window { stride: 1, ..window.clone() };
                let mut inputs: Vec<usize> = windows.iter().map(|w| net.conv(&one(w), from)).collect();
                if *and_input {
                    inputs.insert(inputs.len() / 2, from);
                }
                let whole = net.plain(Op::Concat, &inputs, None);
                if *twice {
                    net.plain(Op::Concat, &[inputs[0], whole], Some(Activation::Relu));
                }
            }
            Part::Pool { max, pad } => {
                let pool = Pool {
                    kernel: [2 + pad; 2],
                    stride: [2, 2],
                    pad: Padding::same(*pad),
                    ceil: false,
                    count_include_pad: false,
                };
                let op = if *max { Op::MaxPool(pool) } else { Op::AvgPool(pool) };
                if op.output_shape(&[shape]).is_ok() {
                    net.plain(op, &[from], None);
                }
            }
            Part::Vector { outputs, dense } => {
                let copy = net.step(Op::Dropout { rate: 0.0 }, &[from], Padding::default(), None, 0.0, 1);
                let (value, plane) = &mut net.values[copy];
                let vector = Shape::vector(shape.elements().unwrap());
                (value.shape, plane.shape) = (vector, vector);
                let op = if *dense {
                    Op::Dense(Dense { out_features: *outputs, transposed: outputs % 2 == 0 })
                } else {
                    let none = Padding::default();
                    let [kernel, stride, dilation] = [[1, 1]; 3];
                    Op::Conv2d(Conv2d {
                        out_channels: *outputs,
                        kernel,
                        stride,
                        dilation,
                        pad: none,
                        groups: 1,
                    })
                };
                net.step(op, &[copy], HALO, Some(Activation::Relu), 0.5, 1);
            }
        }
    }
    net.check(&input, as_vector)
}

fn shape() -> impl Strategy<Value = Shape> {
    (1u32..6, 1u32..9, prop_oneof![1u32..20, select(vec![8u32, 16, 32, 33])]).prop_map(|(c, h, w)| Shape {
        c,
        h,
        w,
    })
}

/// Values wherever they may be, most of which nothing wrote.
fn wild() -> impl Strategy<Value = (Shape, u32)> {
    let shapes = [(1, 1, 1), (4, 1, 1), (8, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 4), (1, 2, 4)];
    (select(shapes.to_vec()), 0u32..8).prop_map(|((c, h, w), at)| (Shape { c, h, w }, at * 32))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn networks(
        shape in shape(),
        parts in proptest::collection::vec((part(), any::<Index>()), 1..5),
        as_vector: bool,
        seed: u32,
    ) {
        check(shape, &parts, as_vector, seed)?;
    }

    /// A file that reads values that nothing wrote is refused or run; nothing panics.
    #[test]
    fn files_that_no_compiler_writes(
        steps in proptest::collection::vec((0usize..7, proptest::collection::vec(wild(), 1..3), 0u32..8), 1..6),
        ends in (wild(), wild()),
    ) {
        let none = Padding::default();
        let mut b = Builder::new();
        // All values lie in this one.
        b.value(Shape::vector(128), none);
        let value = |(shape, offset): (Shape, u32)| {
            Value { shape, halo: none, element: tfc_formats::artifact::Element::F32, offset }
        };
        for (op, inputs, at) in steps {
            let [kernel, stride, dilation] = [[1, 1]; 3];
            let conv = Conv2d { out_channels: 2, kernel, stride, dilation, pad: none, groups: 1 };
            let ops = [
                Op::Add,
                Op::Concat,
                Op::Flatten,
                Op::Dropout { rate: 0.0 },
                Op::GlobalAvgPool,
                Op::Conv2d(conv),
                Op::Dense(Dense { out_features: 3, transposed: false }),
            ];
            let shapes: Vec<Shape> = inputs.iter().map(|(shape, _)| *shape).collect();
            let Ok(shape) = ops[op].output_shape(&shapes) else { continue };
            let matrix = ops[op].weight_shape(shapes[0]).map(|(rows, cols)| {
                b.matrix(rows, cols, &noise(1, (rows * cols) as usize), Encoding { index: None, block: 1, half: false })
            });
            let inputs: Vec<Value> = inputs.into_iter().map(value).collect();
            let output = value((shape, at * 32));
            let range = |v: &Value| v.offset..v.offset + v.bytes().unwrap();
            let apart = |v: &Value| range(v).end <= output.offset || range(&output).end <= v.offset;
            if inputs.iter().all(apart) {
                b.step_into(output, ops[op], &inputs, matrix, &[], None);
            }
        }
        let file = b.finish(value(ends.0), value(ends.1), Preprocess::identity());
        let model = Model::new(&file).unwrap();
        #[cfg(feature = "alloc")]
        for kernels in tfc_runtime::Kernels::available() {
            if let Ok(prepared) = tfc_runtime::Prepared::with_kernels(&model, kernels) {
                let input = noise(1, model.input_shape().elements().unwrap() as usize);
                prop_assert!(prepared.session().run(&input).is_ok());
            }
        }
        #[cfg(not(feature = "alloc"))]
        let _ = model;
    }
}

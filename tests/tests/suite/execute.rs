//! Random graphs: what the runtime makes of an encoded network is what the network's definition
//! says, whatever was fused, renamed or placed in the same memory.

use proptest::prelude::*;
use tfc::encode::{Precision, densify, encode};
use tfc_formats::artifact::{AlignedBytes, Artifact};
use tfc_formats::network::{Network, ValueId};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_runtime::{Kernels, Model, Session};

use crate::common::Sketch;
use crate::oracle::{self, Plane, stored};

/// Error of an output as a share of the largest sum of magnitudes anywhere in the network: what
/// f32 rounds in some tens of operations.
pub(crate) const TOLERANCE: f64 = 1e-5;

/// Most elements of a value.
const MOST: u32 = 3000;

/// Numbers that say what a node is; each use takes another of them.
pub(crate) type Recipe = [u8; 10];

fn padding(bits: u8) -> Padding {
    let side = |at: u8| u16::from(bits >> at & 3).saturating_sub(1);
    Padding { top: side(0), left: side(2), bottom: side(4), right: side(6) }
}

/// From 1 to `most`.
fn one_to(most: u16, bits: u8) -> u16 {
    u16::from(bits) % most + 1
}

/// Adds the node of a recipe, if it fits the values that it picks.
fn add(sketch: &mut Sketch, recipe: &Recipe) {
    let [kind, a, b, c, d, e, f, g, h, i] = *recipe;
    let shapes = sketch.network.shapes().unwrap();
    // Late values more often than early ones.
    let pick = |bits: u8| shapes.len() - 1 - usize::from(bits).pow(2) * shapes.len() / (256 * 256);
    let first = pick(a);
    let x = shapes[first];
    let pool = || Pool {
        kernel: [one_to(3, b), one_to(3, c)],
        stride: [one_to(2, d), one_to(2, e)],
        pad: padding(f),
        ceil: g % 2 == 1,
        count_include_pad: h % 2 == 1,
    };
    let activation = [
        Activation::Relu,
        Activation::Relu6,
        Activation::LeakyRelu { alpha: 0.2 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSigmoid { alpha: 0.2 },
        Activation::HardSwish,
    ][usize::from(b) % 7];
    let op = match kind % 24 {
        0..=5 => {
            let groups = [1, 1, 2, x.c][usize::from(b) % 4];
            Op::Conv2d(Conv2d {
                out_channels: groups * u32::from(one_to(3, c)),
                kernel: [one_to(3, d), one_to(3, e)],
                stride: [one_to(2, f), one_to(2, f / 2)],
                dilation: [one_to(2, g), one_to(2, g / 2)],
                pad: padding(h),
                groups,
            })
        }
        6 | 7 => Op::Dense(Dense { out_features: u32::from(one_to(20, c)), transposed: b % 2 == 1 }),
        8 | 9 => Op::MaxPool(pool()),
        10 => Op::AvgPool(pool()),
        11 => Op::GlobalAvgPool,
        12 => Op::BatchNorm { eps: 1e-5 },
        13 => Op::Lrn { size: one_to(4, b), alpha: 0.5, beta: 0.75, bias: 1.0 },
        14 => Op::Maxout { pieces: one_to(3, b) },
        15 | 16 => Op::Add,
        17 => Op::Concat,
        18 => Op::Flatten,
        19 => Op::Softmax,
        20 => Op::Dropout { rate: 0.5 },
        _ => Op::Activation(activation),
    };
    let fits = |&value: &ValueId| match op {
        Op::Add => shapes[value] == x,
        _ => (shapes[value].h, shapes[value].w) == (x.h, x.w),
    };
    let mut inputs = vec![first];
    if op.is_variadic() {
        inputs.extend([pick(h), pick(i)].iter().filter(|value| fits(value)));
    }
    let of: Vec<Shape> = inputs.iter().map(|&value| shapes[value]).collect();
    if !op.output_shape(&of).is_ok_and(|shape| shape.elements().is_some_and(|n| n <= MOST)) {
        return;
    }
    match op {
        Op::Conv2d(_) | Op::Dense(_) => {
            let node = sketch.weighted(op, first) - 1;
            let Network { nodes, tensors, .. } = &mut sketch.network;
            let [weight, bias] = nodes[node].params[..] else { unreachable!() };
            match i % 4 {
                0 => nodes[node].params.truncate(1),
                1 => tensors[bias].data.fill(0.0),
                // A weight that another node has already.
                2 => {
                    let same = tensors.iter().position(|t| t.shape == tensors[weight].shape);
                    nodes[node].params[0] = same.unwrap_or(weight);
                }
                _ => {}
            }
        }
        Op::BatchNorm { .. } => {
            let n = x.c as usize;
            let params = (0..4).map(|role| {
                let mut values = sketch.random.values(n);
                if role == 3 {
                    values.iter_mut().for_each(|v| *v = 0.5 + v.abs());
                }
                sketch.tensor(&[n], values)
            });
            let params = params.collect();
            sketch.node(op, &inputs, params);
        }
        _ => {
            sketch.node(op, &inputs, Vec::new());
        }
    }
}

/// A network of these nodes; `output` picks its result, and `zeros` of 256 weights are zero.
pub(crate) fn network(input: Shape, recipes: &[Recipe], output: u8, zeros: u8, seed: u64) -> Network {
    let mut sketch = Sketch::new(input, seed);
    recipes.iter().for_each(|recipe| add(&mut sketch, recipe));
    if sketch.network.nodes.is_empty() {
        sketch.node(Op::Flatten, &[0], Vec::new());
    }
    let values = sketch.network.nodes.len() + 1;
    // The last value more often than any other.
    sketch.network.output = if output < 128 { values - 1 } else { usize::from(output) % values };
    for tensor in sketch.network.tensors.iter_mut().filter(|tensor| tensor.shape.len() > 1) {
        for value in &mut tensor.data {
            if sketch.random.next() as u8 <= zeros {
                *value = 0.0;
            }
        }
    }
    sketch.finish()
}

/// The network's output in f64, and the largest sum of magnitudes on the way.
pub(crate) fn evaluate(network: &Network, input: &[f32], half: bool) -> (Vec<f64>, f64) {
    let shapes = network.shapes().unwrap();
    let mut values = vec![Plane::new(network.input, input)];
    let mut largest = 1.0f64;
    for (node, &shape) in network.nodes.iter().zip(&shapes[1..]) {
        let data = |role: usize| network.tensors[node.params[role]].data.clone();
        let inputs: Vec<Plane> = node.inputs.iter().map(|&value| values[value].clone()).collect();
        let (weight, params) = match node.op {
            Op::Conv2d(_) | Op::Dense(_) => {
                let params = (1..node.params.len()).map(|role| stored(&data(role), half));
                (stored(&data(0), half), params.collect())
            }
            Op::BatchNorm { eps } => {
                let scale = data(0).into_iter().zip(data(3)).map(|(gamma, var)| gamma / (var + eps).sqrt());
                let scale: Vec<f32> = scale.collect();
                let shift = data(1).into_iter().zip(data(2)).zip(&scale).map(|((b, mean), s)| b - mean * s);
                let shift = shift.collect();
                (Vec::new(), vec![scale, shift])
            }
            _ => (Vec::new(), Vec::new()),
        };
        let (data, magnitude) = oracle::run(node.op, &inputs, &oracle::wide(&weight), &params, None);
        largest = largest.max(magnitude);
        values.push(Plane { shape, data });
    }
    (values.swap_remove(network.output).data, largest)
}

/// Runs a file for two inputs in turn in memory that begins as NaN.
fn run(bytes: &[u8], kernels: Kernels, inputs: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
    let bytes = AlignedBytes::from(bytes);
    let model = Model::new(&bytes).unwrap();
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    arena.fill(0xFF);
    let mut session = Session::with_kernels(&model, &mut arena, kernels).unwrap();
    let outputs = [0, 1].map(|at| session.run(&inputs[at]).unwrap().to_vec());
    assert_eq!(session.run(&inputs[0]).unwrap(), outputs[0], "{}: a run depends on the last", kernels.name());
    outputs
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn artifacts_compute_what_networks_define(
        (c, h, w) in (1u32..5, 1u32..9, 1u32..9),
        recipes in prop::collection::vec(any::<Recipe>(), 1..14),
        output in any::<u8>(),
        zeros in prop::sample::select(vec![0, 128, 230, 255]),
        half in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let network = network(Shape::new(c, h, w), &recipes, output, zeros, seed);
        let elements = network.input.elements().unwrap() as usize;
        let mut random = crate::common::Random(seed ^ 1);
        let inputs = [random.values(elements), random.values(elements)];
        let expected = inputs.clone().map(|input| evaluate(&network, &input, half));

        let precision = if half { Precision::F16 } else { Precision::F32 };
        let encoded = encode(&network, &vec![precision; network.tensors.len()]).unwrap();
        let aligned = AlignedBytes::from(encoded.bytes.as_slice());
        let twin = densify(&Artifact::parse(&aligned).unwrap()).unwrap();
        for (what, bytes) in [("artifact", &encoded.bytes), ("dense twin", &twin)] {
            for kernels in Kernels::available() {
                let found = run(bytes, kernels, &inputs);
                for (found, (expected, magnitude)) in found.iter().zip(&expected) {
                    prop_assert_eq!(found.len(), expected.len());
                    let close = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() <= TOLERANCE * magnitude;
                    prop_assert!(
                        found.iter().zip(expected).all(close),
                        "{} with {} kernels: {:?} is not {:?}, {:#?}",
                        what, kernels.name(), found, expected, network.nodes
                    );
                }
            }
        }
    }
}

//! Whole networks: what is reported is measured again on their outputs.

use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

use super::super::moments::Moments;
use super::super::patches::Geometry;
use super::super::*;
use crate::device::cpu::Cpu;
use crate::encode::{Precision, encode};
use crate::execute;
use crate::prune::{self, Method, Scope};

struct Builder {
    network: Network,
    random: Pcg64Mcg,
}

impl Builder {
    fn new(input: Shape, seed: u64) -> Self {
        let network = Network {
            name: "test".to_owned(),
            input,
            preprocess: Preprocess::default(),
            nodes: Vec::new(),
            tensors: Vec::new(),
            output: 0,
        };
        Self { network, random: Pcg64Mcg::seed_from_u64(seed) }
    }

    fn tensor(&mut self, shape: &[usize], low: f32) -> usize {
        let id = self.network.tensors.len();
        let len: usize = shape.iter().product();
        let data = (0..len).map(|_| self.random.random_range(low..1.0)).collect();
        self.network.tensors.push(Tensor { name: format!("t{id}"), shape: shape.to_vec(), data });
        id
    }

    fn node(&mut self, op: Op, inputs: &[usize], params: &[usize]) -> usize {
        let name = format!("n{}", self.network.nodes.len());
        self.network.nodes.push(Node { name, op, inputs: inputs.to_vec(), params: params.to_vec() });
        self.network.output = self.network.nodes.len();
        self.network.output
    }

    fn conv(&mut self, conv: Conv2d, x: usize, bias: bool) -> usize {
        let channels = self.network.shapes().unwrap()[x].c as usize;
        let [kh, kw] = conv.kernel.map(usize::from);
        let out = conv.out_channels as usize;
        let mut params = vec![self.tensor(&[out, channels / conv.groups as usize, kh, kw], -1.0)];
        params.extend(bias.then(|| self.tensor(&[out], -1.0)));
        self.node(Op::Conv2d(conv), &[x], &params)
    }

    fn norm(&mut self, x: usize) -> usize {
        let c = self.network.shapes().unwrap()[x].c as usize;
        let params = [-1.0, -1.0, -1.0, 0.5].map(|low| self.tensor(&[c], low));
        self.node(Op::BatchNorm { eps: 1e-5 }, &[x], &params)
    }

    fn relu(&mut self, x: usize) -> usize {
        self.node(Op::Activation(Activation::Relu), &[x], &[])
    }

    fn dense(&mut self, x: usize, out: usize) -> usize {
        let n = self.network.shapes().unwrap()[x].elements().unwrap() as usize;
        let params = [self.tensor(&[out, n], -1.0), self.tensor(&[out], -1.0)];
        let dense = Dense { out_features: out as u32, transposed: false };
        self.node(Op::Dense(dense), &[x], &params)
    }

    /// A residual block with batch norms between two convolutions and a dense layer.
    fn residual(seed: u64) -> Network {
        let mut b = Self::new(Shape::new(2, 6, 6), seed);
        let x = b.conv(conv(6, 1), 0, true);
        let x = b.relu(x);
        let y = b.conv(conv(6, 1), x, false);
        let y = b.norm(y);
        let y = b.relu(y);
        let y = b.conv(conv(6, 1), y, false);
        let y = b.norm(y);
        let y = b.node(Op::Add, &[y, x], &[]);
        let y = b.relu(y);
        let y = b.node(Op::GlobalAvgPool, &[y], &[]);
        b.dense(y, 5);
        b.network
    }
}

fn conv(out_channels: u32, groups: u32) -> Conv2d {
    Conv2d { out_channels, kernel: [3; 2], stride: [1; 2], dilation: [1; 2], pad: Padding::same(1), groups }
}

/// Smooth random images, whose neighbouring pixels are alike.
fn samples(shape: Shape, count: usize, seed: u64) -> Samples {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut data = Vec::new();
    for _ in 0..count {
        let mut value = 128.0f32;
        data.extend((0..shape.elements().unwrap()).map(|_| {
            value = (value + random.random_range(-40.0..40.0)).clamp(0.0, 255.0);
            value as u8
        }));
    }
    Samples { shape, classes: 1, data, labels: vec![0; count] }
}

fn outputs(network: &Network, samples: &Samples) -> Vec<Vec<f32>> {
    let bytes = encode(network, &vec![Precision::F32; network.tensors.len()]).unwrap().bytes;
    execute::outputs_of(&bytes, samples).unwrap()
}

/// By magnitude, the same share of every layer.
fn masks(network: &Network, sparsity: f64) -> Masks {
    let options = crate::factorize::Options::default();
    let scores = prune::scores(&Cpu, network, Method::Magnitude, &options, &mut |_| {}).unwrap();
    prune::masks(network, &scores, sparsity, Scope::Layer, &Masks::of_nonzeros(network))
}

fn corrected(network: &Network, samples: &Samples, masks: &Masks) -> (Network, Vec<Corrected>) {
    correct(&Cpu, network, samples, masks, 1, &mut |_| {}, &AtomicBool::new(false)).unwrap()
}

/// Mean squared difference about the mean of each channel, relative to the power of the first.
fn relative_error(a: &[Vec<f32>], b: &[Vec<f32>], channels: usize) -> f64 {
    let variance = |of: &dyn Fn(usize, usize) -> f64| -> f64 {
        let plane = a[0].len() / channels;
        let mut sum = 0.0;
        for channel in 0..channels {
            let of = &of;
            let values: Vec<f64> = (0..a.len())
                .flat_map(|sample| (channel * plane..(channel + 1) * plane).map(move |at| of(sample, at)))
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            sum += values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        }
        sum
    };
    variance(&|sample, at| f64::from(a[sample][at] - b[sample][at]))
        / variance(&|sample, at| f64::from(a[sample][at]))
}

fn mean(values: &[Vec<f32>]) -> f64 {
    values.iter().flatten().map(|v| f64::from(*v)).sum::<f64>() / (values.len() * values[0].len()) as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// For any geometry: the layer has the zeros asked for, the error that is told, no error of the
    /// mean, and less error than magnitude alone.
    #[test]
    fn one_convolution(
        kernel in prop::array::uniform2(1u16..4),
        stride in prop::array::uniform2(1u16..3),
        dilation in prop::array::uniform2(1u16..3),
        pad in 0u16..3,
        (groups, per_group) in (1u32..4, 1u32..3),
        sparsity in 0.2..0.8f64,
        seed: u64,
    ) {
        let mut b = Builder::new(Shape::new(groups * per_group, 8, 7), seed);
        let conv = Conv2d { out_channels: 2 * groups, kernel, stride, dilation, pad: Padding::same(pad), groups };
        b.conv(conv, 0, true);
        let samples = samples(b.network.input, 20, seed);
        let masks = masks(&b.network, sparsity);
        let (found, report) = corrected(&b.network, &samples, &masks);
        let kept = masks.get(0).map_or(0, |keep| keep.iter().filter(|keep| **keep).count());
        prop_assert!(found.tensors[0].nonzeros() <= kept);
        prop_assert!(found.tensors[0].nonzeros() + 1 >= kept, "a weight is zero by chance at most");
        let (before, after) = (outputs(&b.network, &samples), outputs(&found, &samples));
        let error = relative_error(&before, &after, 2 * groups as usize);
        let told = report[0].output_error.unwrap();
        prop_assert!((error - told).abs() < 1e-3, "measured {error}, told {told}");
        let scale = before.iter().flatten().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        prop_assert!((mean(&before) - mean(&after)).abs() < 1e-4 * scale);
        let mut magnitude = b.network.clone();
        masks.apply(&mut magnitude);
        let uncorrected = relative_error(&before, &outputs(&magnitude, &samples), 2 * groups as usize);
        // The ridge costs at most its share.
        prop_assert!(error <= uncorrected + 0.01, "{error} is worse than {uncorrected}");
    }
}

#[test]
fn the_dense_weights_are_the_best_without_zeros() {
    for (groups, out, inputs) in [(1, 4, 6), (3, 6, 6), (6, 6, 6)] {
        let mut b = Builder::new(Shape::new(inputs, 5, 5), 3);
        b.conv(conv(out, groups), 0, true);
        let shapes = b.network.shapes().unwrap();
        let geometry = Geometry::new(&b.network.nodes[0].op, shapes[0], shapes[1]).unwrap();
        let images: Vec<Vec<f32>> =
            (0..9).map(|_| (0..inputs * 25).map(|_| b.random.random_range(-1.0..1.0)).collect()).collect();
        let dense = &b.network.tensors[0].data;
        for offset in [false, true] {
            let mut moments = Moments::new(&Cpu, geometry, dense);
            images.chunks(4).for_each(|images| moments.add(images, images, None, None).unwrap());
            let seen = moments.finish(offset).unwrap();
            let found: Vec<f64> = (seen.problems.iter())
                .flat_map(|problem| {
                    let (_, weights) = problem.solve().unwrap();
                    (0..problem.rows()).flat_map(|row| weights.col_as_slice(row).to_vec()).collect::<Vec<_>>()
                })
                .collect();
            for (found, dense) in found.iter().zip(dense) {
                assert!((found - f64::from(*dense)).abs() < 1e-4, "{groups} groups: {found} {dense}");
            }
        }
    }
}

#[test]
fn nothing_changes_where_nothing_is_pruned() {
    let network = Builder::residual(1);
    let samples = samples(network.input, 10, 1);
    let (found, report) = corrected(&network, &samples, &Masks::keep_all(&network));
    assert_eq!(found, network);
    assert!(report.iter().all(|layer| layer.output_error == Some(0.0) && layer.zeros == 0));
    assert_eq!(report.len(), 4);
}

#[test]
fn residual_networks_come_closer_than_by_magnitude() {
    for seed in 0..4 {
        let network = Builder::residual(seed);
        let (used, unseen) = (samples(network.input, 40, seed), samples(network.input, 40, seed + 100));
        let masks = masks(&network, 0.6);
        let (found, report) = corrected(&network, &used, &masks);
        let mut magnitude = network.clone();
        masks.apply(&mut magnitude);
        let before = outputs(&network, &unseen);
        let error = |network: &Network| relative_error(&before, &outputs(network, &unseen), 5);
        let (ours, theirs) = (error(&found), error(&magnitude));
        assert!(ours < 0.5 * theirs, "seed {seed}: {ours} and {theirs}");
        assert!(
            report.iter().all(|layer| layer.order == Order::Exact && layer.zeros >= layer.weights * 6 / 10)
        );
        assert_eq!(corrected(&network, &used, &masks).0, found, "the same again");
    }
}

/// What a score says is what the squared error of the network's output becomes when that weight goes.
#[test]
fn scores_are_errors_of_the_output() {
    for (groups, seed) in [(1, 1), (2, 2), (4, 3)] {
        let mut b = Builder::new(Shape::new(4, 6, 6), seed);
        b.conv(conv(4, groups), 0, true);
        let samples = samples(b.network.input, 20, seed);
        let stop = AtomicBool::new(false);
        let scores = scores(&Cpu, &b.network, &samples, 1, &mut |_| {}, &stop).unwrap();
        let masks = prune::masks(&b.network, &scores, 1e-9, Scope::Global, &Masks::keep_all(&b.network));
        let removed = masks.get(0).unwrap().iter().position(|keep| !keep).unwrap();
        let told = f64::from(scores.get(0).unwrap()[removed]);
        let (found, _) = corrected(&b.network, &samples, &masks);
        assert_eq!(found.tensors[0].data[removed], 0.0);
        assert_eq!(found.tensors[0].nonzeros() + 1, found.tensors[0].data.len());
        let (before, after) = (outputs(&b.network, &samples), outputs(&found, &samples));
        let pairs = before.iter().flatten().zip(after.iter().flatten());
        let error = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        // The ridge counts in the score and not in the error.
        assert!(error <= 1.001 * told && error >= 0.3 * told, "{groups} groups: {error}, told {told}");
    }
}

/// Selections of channels are not weights, zeros stay, and shared weights are only masked.
#[test]
fn what_cannot_be_corrected() {
    let mut b = Builder::new(Shape::new(2, 6, 6), 7);
    let x = b.conv(conv(2, 1), 0, true);
    let selection = Conv2d { kernel: [1; 2], pad: Padding::same(0), ..conv(4, 1) };
    let x = b.conv(selection, x, false);
    b.network.tensors[2].data = vec![0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let x = b.conv(conv(4, 1), x, true);
    let shared = b.network.nodes[x - 1].params.clone();
    b.node(Op::Conv2d(conv(4, 1)), &[x], &shared);
    b.network.tensors[0].data[3] = 0.0;
    assert_eq!(b.network.selection(1), Some(1));
    let samples = samples(b.network.input, 10, 2);
    let masks = masks(&b.network, 0.5);
    let (found, report) = corrected(&b.network, &samples, &masks);
    assert_eq!(found.tensors[2], b.network.tensors[2]);
    assert_eq!(found.tensors[0].data[3], 0.0);
    let mut magnitude = b.network.clone();
    masks.apply(&mut magnitude);
    assert_eq!(found.tensors[shared[0]], magnitude.tensors[shared[0]]);
    let orders: Vec<_> = report.iter().map(|layer| layer.order).collect();
    assert_eq!(orders, [Order::Exact, Order::Scores, Order::Scores]);
}

/// Mean and variance of each channel of a value.
fn channel_moments(network: &Network, value: usize, samples: &Samples) -> Vec<(f64, f64)> {
    let mut part = network.clone();
    part.nodes.truncate(value);
    part.output = value;
    let channels = part.shapes().unwrap()[value].c as usize;
    let outputs = outputs(&part, samples);
    let of = |c: usize| {
        let of_sample = |y: &Vec<f32>| y.chunks_exact(y.len() / channels).nth(c).unwrap().to_vec();
        let values: Vec<f64> = outputs.iter().flat_map(of_sample).map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
    };
    (0..channels).map(of).collect()
}

/// Behind an addition, and behind layers that share their weights and are masked only.
#[test]
fn norms_that_no_layer_is_corrected_for_keep_their_outputs_moments() {
    for seed in 0..4 {
        let mut b = Builder::new(Shape::new(2, 6, 6), seed);
        let x = b.conv(conv(6, 1), 0, true);
        let y = b.conv(conv(6, 1), x, false);
        let y = b.node(Op::Add, &[y, x], &[]);
        let behind_add = b.norm(y);
        let x = b.relu(behind_add);
        let x = b.conv(conv(6, 1), x, false);
        let shared = b.network.nodes[x - 1].params.clone();
        let behind_first = b.norm(x);
        let x = b.relu(behind_first);
        let x = b.node(Op::Conv2d(conv(6, 1)), &[x], &shared);
        let behind_second = b.norm(x);
        let x = b.relu(behind_second);
        b.dense(x, 5);
        let samples = samples(b.network.input, 30, seed);
        let masks = masks(&b.network, 0.6);
        let (found, report) = corrected(&b.network, &samples, &masks);
        let orders: Vec<_> = report.iter().map(|layer| layer.order).collect();
        assert_eq!(orders, [Order::Exact, Order::Exact, Order::Scores, Order::Scores, Order::Exact]);
        for norm in [behind_add, behind_first, behind_second] {
            let before = channel_moments(&b.network, norm, &samples);
            let after = channel_moments(&found, norm, &samples);
            for ((mean, var), (mean_after, var_after)) in before.into_iter().zip(after) {
                assert!((mean - mean_after).abs() < 1e-3 * (1.0 + mean.abs()), "{mean} {mean_after}");
                assert!((var_after / var - 1.0).abs() < 1e-3, "{norm}: {var} {var_after}");
            }
            let tensors = |network: &Network, roles: [usize; 2]| {
                roles.map(|role| network.tensors[network.nodes[norm - 1].params[role]].data.clone())
            };
            assert_eq!(tensors(&found, [0, 1]), tensors(&b.network, [0, 1]), "factor and shift stay");
            assert_ne!(tensors(&found, [2, 3]), tensors(&b.network, [2, 3]));
        }
    }
}

/// Inputs that never change say nothing of the weights, which is no reason to refuse.
#[test]
fn images_that_are_all_the_same() {
    for seed in 0..4 {
        let mut b = Builder::new(Shape::new(2, 6, 6), seed);
        let x = b.conv(conv(6, 1), 0, true);
        let x = b.norm(x);
        let x = b.relu(x);
        let x = b.node(Op::GlobalAvgPool, &[x], &[]);
        let x = b.norm(x);
        let x = b.dense(x, 12);
        b.dense(x, 4);
        let one = samples(b.network.input, 1, seed);
        for data in [one.data.clone(), vec![0; one.data.len()], vec![255; one.data.len()]] {
            let same = Samples { data: data.repeat(30), labels: vec![0; 30], ..one.clone() };
            let stop = AtomicBool::new(false);
            let scores = scores(&Cpu, &b.network, &same, 1, &mut |_| {}, &stop).unwrap();
            assert!(scores.get(0).unwrap().iter().all(|score| score.is_finite()));
            let masks = masks(&b.network, 0.5);
            let (found, report) = corrected(&b.network, &same, &masks);
            assert!(report.iter().all(|layer| layer.zeros * 2 >= layer.weights), "{report:?}");
            let (before, after) = (outputs(&b.network, &same), outputs(&found, &same));
            let scale = before[0].iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (before, after) in before[0].iter().zip(&after[0]) {
                assert!((before - after).abs() < 1e-3 * scale, "seed {seed}: {before} {after}");
            }
        }
    }
}

#[test]
fn errors() {
    let mut network = Builder::residual(1);
    let samples = samples(network.input, 4, 1);
    let masks = masks(&network, 0.5);
    let run = |network: &Network, samples: &Samples, stop| {
        correct(&Cpu, network, samples, &masks, 1, &mut |_| {}, &AtomicBool::new(stop))
    };
    assert!(matches!(run(&network, &samples.take(0), false), Err(OneShotError::Empty)));
    assert!(matches!(run(&network, &samples, true), Err(OneShotError::Interrupted)));
    network.preprocess.scale = 1e37;
    match run(&network, &samples, false) {
        Err(OneShotError::NotFinite(layer)) => assert_eq!(layer, "n0"),
        other => panic!("{other:?}"),
    }
}

/// The ReLU's output comes closer to the dense one when what it cuts off is left out of account.
#[test]
fn what_a_relu_cuts_off_does_not_matter() {
    let mut b = Builder::new(Shape::new(2, 6, 6), 3);
    let x = b.conv(conv(12, 1), 0, true);
    let cut = b.relu(x);
    b.network.output = cut;
    let samples = samples(b.network.input, 40, 4);
    let masks = masks(&b.network, 0.7);
    let behind =
        |network: &Network| relative_error(&outputs(&b.network, &samples), &outputs(network, &samples), 12);
    let (solved, _) = corrected(&b.network, &samples, &masks);
    // The same network with the ReLU as a leaky one of slope 0: nothing is cut off as far as the method knows.
    let mut blind = b.network.clone();
    blind.nodes[1].op = Op::Activation(Activation::LeakyRelu { alpha: 0.0 });
    let (unaware, _) = corrected(&blind, &samples, &masks);
    let (solved, unaware) = (behind(&solved), behind(&unaware));
    assert!(solved < unaware, "{solved} and {unaware}");
}

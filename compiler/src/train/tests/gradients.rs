//! Gradients of whole networks against finite differences of the loss.

use super::*;
use crate::device::cpu::Cpu;
use crate::train::executor::{Answers, Executor};
use crate::train::ops::Mode;

const CLASSES: usize = 4;
/// Samples of a batch, and room for them.
const BATCH: usize = 5;
const ROOM: usize = 7;

/// Mean cross-entropy in f64 from the logits on the device.
fn loss(executor: &mut Executor<'_, Cpu>, input: &[f32], labels: &[f32], mode: Mode) -> f64 {
    executor.forward(input, BATCH, mode);
    let logits = executor.logits().unwrap();
    let of = |j: usize, k: usize| f64::from(logits[k * BATCH + j]);
    let losses = labels.iter().enumerate().map(|(j, &label)| {
        let sum: f64 = (0..CLASSES).map(|k| of(j, k).exp()).sum();
        sum.ln() - of(j, label as usize)
    });
    losses.sum::<f64>() / BATCH as f64
}

/// Compares the gradient of every tensor with central differences.
fn check_gradients(mut network: Network, mode: Mode) {
    const STEP: f32 = 1e-3;
    let mut rng = random::rng(&[9]);
    let len = network.input.elements().unwrap() as usize * BATCH;
    let input: Vec<f32> = (0..len).map(|_| rng.random_range(-1.0..1.0)).collect();
    let labels: Vec<f32> = (0..BATCH).map(|_| rng.random_range(0..CLASSES) as f32).collect();

    let mut executor = Executor::new(&Cpu, &network, ROOM, Some(1)).unwrap();
    executor.forward(&input, BATCH, mode);
    executor.loss(&Answers { labels: &labels, teacher: None });
    executor.backward(BATCH, mode);
    let gradients = executor.gradients();

    for (id, gradient) in gradients {
        let (mut distance, mut norm) = (0.0, 0.0);
        for (i, &found) in gradient.iter().enumerate() {
            let kept = network.tensors[id].data[i];
            let mut at = |value: f32| {
                network.tensors[id].data[i] = value;
                executor.load(&network.tensors);
                loss(&mut executor, &input, &labels, mode)
            };
            let (above, below) = (kept + STEP, kept - STEP);
            let expected = (at(above) - at(below)) / f64::from(above - below);
            at(kept);
            distance += (f64::from(found) - expected).powi(2);
            norm += expected.powi(2);
        }
        let (distance, norm) = (distance.sqrt(), norm.sqrt());
        assert!(norm > 1e-4, "tensor {id} has no influence: {norm}");
        assert!(distance < 5e-3 * norm, "tensor {id}: off by {distance} of {norm}");
    }
}

#[test]
fn convolutions_pools_and_joins() {
    let mut b = Builder::new(Shape::new(2, 6, 6));
    let a = b.conv(Conv2d { groups: 2, ..conv(4, 3, 1) }, 0, 2);
    let a = b.activation(a, Activation::Tanh);
    let strided = Conv2d {
        stride: [2, 2],
        dilation: [2, 1],
        pad: Padding { top: 2, left: 0, bottom: 1, right: 1 },
        ..conv(4, 3, 0)
    };
    let x = b.conv(strided, a, 4);
    let y = b.conv(Conv2d { stride: [2, 2], ..conv(4, 1, 0) }, a, 4);
    let sum = b.node(Op::Add, &[x, y, x], &[]);
    let sum = b.activation(sum, Activation::LeakyRelu { alpha: 0.1 });
    let max = b.node(Op::MaxPool(pool(2)), &[a], &[]);
    let average =
        Pool { pad: Padding { left: 1, ..Padding::same(0) }, count_include_pad: true, ceil: true, ..pool(3) };
    let average = b.node(Op::AvgPool(Pool { stride: [2, 2], ..average }), &[a], &[]);
    let joined = b.node(Op::Concat, &[sum, max, average], &[]);
    let mixed = b.conv(Conv2d { groups: 2, ..conv(6, 1, 0) }, joined, 12);
    let mixed = b.activation(mixed, Activation::HardSwish);
    let mean = b.node(Op::GlobalAvgPool, &[mixed], &[]);
    let flat = b.node(Op::Flatten, &[mixed], &[]);
    let all = b.node(Op::Concat, &[mean, flat], &[]);
    let scores = b.dense(all, CLASSES, 6 + 54);
    b.node(Op::Softmax, &[scores], &[]);
    check_gradients(b.random(1), Mode::INFERENCE);
}

#[test]
fn shared_and_transposed_factors() {
    let mut b = Builder::new(Shape::new(3, 2, 2));
    let g = b.tensor(&[12, 5]);
    let s = b.tensor(&[5, 5]);
    let by = |out_features: u32, transposed: bool| Op::Dense(Dense { out_features, transposed });
    // The planes of the input are taken as a vector.
    let x = b.node(by(5, true), &[0], &[g]);
    let x = b.node(by(5, false), &[x], &[s]);
    let x = b.node(by(12, false), &[x], &[g]);
    let x = b.activation(x, Activation::Tanh);
    let x = b.node(Op::Dropout { rate: 0.3 }, &[x], &[]);
    let y = b.node(by(5, true), &[x], &[g]);
    let y = b.node(by(5, true), &[y], &[s]);
    b.dense(y, CLASSES, 5);
    check_gradients(b.random(2), Mode { dropout: Some(3), ..Mode::INFERENCE });
}

#[test]
fn planes_into_dense() {
    let mut b = Builder::new(Shape::new(1, 4, 4));
    let x = b.conv(conv(3, 3, 0), 0, 1);
    let x = b.activation(x, Activation::Relu6);
    let x = b.activation(x, Activation::HardSigmoid { alpha: 0.2 });
    b.dense(x, CLASSES, 12);
    check_gradients(b.random(4), Mode::INFERENCE);
}

/// Convolutions with batch normalization, in sequence and in parallel, depthwise, joined by
/// additions and concatenation.
fn normalized() -> Network {
    let mut b = Builder::new(Shape::new(2, 6, 6));
    let a = b.conv_norm(conv(4, 3, 1), 0, 2);
    let a = b.activation(a, Activation::Tanh);
    let d = b.conv_norm(Conv2d { groups: 4, ..conv(4, 3, 1) }, a, 4);
    let d = b.activation(d, Activation::Tanh);
    let sum = b.node(Op::Add, &[a, d], &[]);
    let down = b.conv_norm(Conv2d { stride: [2, 2], ..conv(6, 3, 1) }, sum, 4);
    let shortcut = b.shortcut(sum, 4, 6);
    let joined = b.node(Op::Add, &[down, shortcut], &[]);
    let joined = b.activation(joined, Activation::Sigmoid);
    let pooled = b.node(Op::AvgPool(pool(2)), &[d], &[]);
    let pooled = b.norm(pooled, 4);
    let joined = b.node(Op::Concat, &[joined, pooled], &[]);
    let x = b.activation(joined, Activation::Tanh);
    b.dense(x, CLASSES, 90);
    b.random(6)
}

#[test]
fn batch_normalizations() {
    let mut b = Builder::new(Shape::vector(6));
    let x = b.dense(0, 5, 6);
    let x = b.activation(x, Activation::Tanh);
    let x = b.norm(x, 5);
    b.dense(x, CLASSES, 5);
    let vectors = b.random(1);
    for momentum in [None, Some(0.1)] {
        let mode = Mode { momentum, ..Mode::INFERENCE };
        check_gradients(normalized(), mode);
        check_gradients(vectors.clone(), mode);
    }
}

#[test]
fn only_what_learns_has_a_gradient() {
    let network = normalized();
    let executor = Executor::new(&Cpu, &network, ROOM, Some(1)).unwrap();
    let learning: Vec<usize> = executor.gradients().into_iter().map(|(id, _)| id).collect();
    for (n, node) in network.nodes.iter().enumerate() {
        for (role, id) in node.params.iter().enumerate() {
            let statistic = matches!(node.op, Op::BatchNorm { .. }) && role > 1;
            let learns = !statistic && network.selection(n).is_none();
            assert_eq!(learning.contains(id), learns, "{} role {role}", node.op.name());
        }
    }
    // Momentum and nothing else is kept for them.
    for (states, (_, gradient)) in
        executor.states().unwrap().iter().filter(|s| !s.is_empty()).zip(executor.gradients())
    {
        assert_eq!(states[0].len(), gradient.len());
    }
}

#[test]
fn responses_and_maxima_of_channels() {
    let mut b = Builder::new(Shape::new(2, 2, 2));
    let x = b.conv(conv(6, 3, 1), 0, 2);
    let x = b.node(Op::Lrn { size: 4, alpha: 3.0, beta: 0.75, bias: 1.0 }, &[x], &[]);
    let y = b.node(Op::Lrn { size: 20, alpha: 5.0, beta: 0.5, bias: 2.0 }, &[x], &[]);
    let x = b.node(Op::Add, &[x, y], &[]);
    let x = b.node(Op::Maxout { pieces: 3 }, &[x], &[]);
    b.dense(x, CLASSES, 8);
    check_gradients(b.random(1), Mode::INFERENCE);
}

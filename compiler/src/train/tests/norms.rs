//! Batch normalizations in training: whose statistics count, and what they become.

use std::sync::atomic::AtomicBool;

use tfc_formats::dataset;

use super::fitting::{options, run};
use super::*;
use crate::device::cpu::Cpu;
use crate::prune::{Masks, Method, Scope, masks, scores};

fn network(seed: u64) -> Network {
    residual(Shape::new(1, 8, 8), 4, 4, seed)
}

/// Tensors in these roles of the batch normalizations.
fn roles(network: &Network, roles: [usize; 2]) -> Vec<Vec<f32>> {
    let norms = network.nodes.iter().filter(|n| matches!(n.op, Op::BatchNorm { .. }));
    norms.flat_map(|n| roles.map(|role| network.tensors[n.params[role]].data.clone())).collect()
}

fn selections(network: &Network) -> Vec<usize> {
    (0..network.nodes.len()).filter(|&n| network.selection(n).is_some()).collect()
}

#[test]
fn statistics_are_updated_or_frozen() {
    for batch_norm in [BatchNorm::Updated, BatchNorm::Frozen] {
        let (mut network, before) = (network(2), network(2));
        let options = TrainOptions { batch_norm, epochs: 8, ..options() };
        let masks = Masks::keep_all(&network);
        run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
        let after = evaluate(&Cpu, &network, &corners(90, 2), 32).unwrap();
        assert!(after.errors <= 4, "{batch_norm:?}: {after:?}");
        let changed = roles(&network, [2, 3]) != roles(&before, [2, 3]);
        assert_eq!(changed, batch_norm == BatchNorm::Updated);
        assert_ne!(roles(&network, [0, 1]), roles(&before, [0, 1]));
        assert_eq!(selections(&network), selections(&before));
        // Running statistics are a network's own: nothing depends on the other samples of a batch.
        let whole = logits(&Cpu, &network, &corners(33, 3), 33).unwrap();
        let single = logits(&Cpu, &network, &corners(33, 3), 1).unwrap();
        assert!(whole.iter().zip(&single).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn only_weights_decay() {
    let (mut network, before) = (network(2), network(2));
    // Steps so small that only the decay can be seen.
    let options = TrainOptions {
        epochs: 1,
        rate: 1e-6,
        decay: 1e3,
        schedule: Schedule::Constant,
        batch_norm: BatchNorm::Frozen,
        ..options()
    };
    let masks = Masks::keep_all(&network);
    run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
    let norm = |n: &Network, id: usize| n.tensors[id].data.iter().map(|w| w * w).sum::<f32>().sqrt();
    for (n, node) in before.nodes.iter().enumerate() {
        for (role, &id) in node.params.iter().enumerate() {
            let shrinks = role == 0 && before.prunable(n).is_some();
            let (was, is) = (norm(&before, id), norm(&network, id));
            assert!(
                if shrinks { is < 0.99 * was } else { (is - was).abs() < 1e-3 },
                "{n} {role}: {was} {is}"
            );
        }
    }
}

#[test]
fn a_batch_without_variance_is_no_nan() {
    // A last batch of one sample, whose vector has one value a channel, and channels that are constant.
    let mut b = Builder::new(Shape::new(1, 2, 2));
    let x = b.norm(0, 1);
    let x = b.node(Op::GlobalAvgPool, &[x], &[]);
    let x = b.norm(x, 1);
    b.dense(x, 4, 1);
    let mut network = b.0;
    init(&mut network, 1);
    let samples =
        Samples { shape: Shape::new(1, 2, 2), classes: 4, data: vec![7; 4 * 5], labels: vec![1; 5] };
    let stop = AtomicBool::new(false);
    for (momentum, optimizer) in [(0.9, None), (0.0, Some(Optimizer::Adam))] {
        let optimizer = optimizer.unwrap_or(Optimizer::Sgd { momentum });
        let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
        let data = Data { train: &samples, validation: &samples, teacher: None };
        let options = TrainOptions { batch: 2, epochs: 2, optimizer, ..options() };
        let masks = Masks::keep_all(&network);
        train(&Cpu, &mut network, masks, data, &options, &mut |_, _| Ok(None), &mut control).unwrap();
        network.check().unwrap();
    }
}

#[test]
fn nodes_may_share_a_normalization() {
    let mut b = Builder::new(Shape::new(1, 8, 8));
    let params = [(); 4].map(|()| b.tensor(&[4]));
    let bn = Op::BatchNorm { eps: 1e-3 };
    let x = b.conv(conv(4, 3, 1), 0, 1);
    let x = b.node(bn, &[x], &params);
    let x = b.activation(x, Activation::Relu);
    let x = b.conv(Conv2d { stride: [2, 2], ..conv(4, 3, 1) }, x, 4);
    let x = b.node(bn, &[x], &params);
    b.dense(x, 4, 64);
    let mut network = b.0;
    init(&mut network, 1);
    let masks = Masks::keep_all(&network);
    run(&mut network, masks, &options(), &mut |_, _| Ok(None)).unwrap();
    network.check().unwrap();
    let after = evaluate(&Cpu, &network, &corners(90, 2), 32).unwrap();
    assert!(after.errors <= 45, "{after:?}");
}

#[test]
fn selections_are_no_weights() {
    let network = network(5);
    let [selection] = selections(&network)[..] else { panic!("not one selection") };
    let tensor = network.nodes[selection].params[0];
    let options = crate::factorize::Options::default();
    let scores = scores(&Cpu, &network, Method::Magnitude, &options, &mut |_| {}).unwrap();
    assert_eq!(scores.get(tensor), None);
    let none = Masks::of_nonzeros(&network);
    assert_eq!(none, Masks::keep_all(&network));
    for scope in Scope::ALL {
        let masks = masks(&network, &scores, 0.9, scope, &none);
        assert_eq!(masks.get(tensor), None, "{scope}");
    }
}

/// A residual network learns to read digits from scratch.
#[test]
fn digits_are_learned() {
    let data = dataset::load("builtin:digits?train=3000&test=300").unwrap();
    let mut network = residual(data.train.shape, 8, 10, 1);
    let stop = AtomicBool::new(false);
    let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
    let samples = Data { train: &data.train, validation: &data.test, teacher: None };
    let options = TrainOptions { epochs: 8, rate: 0.05, batch: 32, ..options() };
    let masks = Masks::keep_all(&network);
    train(&Cpu, &mut network, masks, samples, &options, &mut |_, _| Ok(None), &mut control).unwrap();
    let after = evaluate(&Cpu, &network, &data.test, 100).unwrap();
    assert!(after.error() <= 0.1, "{after:?}");
}

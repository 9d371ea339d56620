//! A few epochs of a tiny network.

use std::sync::atomic::AtomicBool;

use tfc::device::Device;
use tfc::prune::Masks;
use tfc::train::{
    Augment, BatchNorm, Control, Data, History, Optimizer, Schedule, TrainOptions, evaluate, init, train,
};
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

use super::data;

const INPUT: Shape = Shape::new(1, 6, 6);
const CLASSES: u32 = 3;
/// Of 29 samples, so that the third step of an epoch takes 9 in buffers made for 10.
const BATCH: usize = 10;

/// A convolution, an activation and a dense layer.
fn network() -> Network {
    let conv = Conv2d {
        out_channels: 4,
        kernel: [3, 3],
        stride: [2, 2],
        dilation: [1, 1],
        pad: Padding::same(1),
        groups: 1,
    };
    let ops = [
        Op::Conv2d(conv),
        Op::Activation(Activation::Relu),
        Op::Flatten,
        Op::Dense(Dense { out_features: CLASSES, transposed: false }),
    ];
    let params = [vec![0, 1], vec![], vec![], vec![2, 3]];
    let shapes: [&[usize]; 4] = [&[4, 1, 3, 3], &[4], &[3, 36], &[3]];
    let mut network = Network {
        name: "tiny".into(),
        input: INPUT,
        preprocess: Preprocess::default(),
        nodes: (ops.into_iter().zip(params).enumerate())
            .map(|(at, (op, params))| Node {
                name: format!("{}{at}", op.name()),
                op,
                inputs: vec![at],
                params,
            })
            .collect(),
        tensors: (shapes.into_iter().enumerate())
            .map(|(at, shape)| Tensor {
                name: format!("t{at}"),
                shape: shape.into(),
                data: vec![0.0; shape.iter().product()],
            })
            .collect(),
        output: 4,
    };
    init(&mut network, 3);
    network.check().expect("network");
    network
}

/// Images whose bright third tells their class.
fn samples() -> Samples {
    let count = 29;
    let labels: Vec<u32> = (0..count).map(|i| i % CLASSES).collect();
    let noise = data(count as usize * 36, 5);
    let pixel = |(at, noise): (usize, &f32)| {
        let (class, row) = (labels[at / 36], at % 36 / 12);
        (if row == class as usize { 180.0 } else { 60.0 } + 50.0 * noise) as u8
    };
    let data = noise.iter().enumerate().map(pixel).collect();
    Samples { shape: INPUT, classes: CLASSES, data, labels }
}

fn run<D: Device>(d: &D, network: &mut Network, masks: Masks, optimizer: Optimizer, rate: f32) -> History {
    let samples = samples();
    let options = TrainOptions {
        epochs: 4,
        batch: BATCH,
        optimizer,
        rate,
        decay: 1e-4,
        schedule: Schedule::Constant,
        batch_norm: BatchNorm::Updated,
        augment: Augment { flip: true, shift: 0 },
        seed: 1,
        distill: None,
    };
    let stop = AtomicBool::new(false);
    let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
    let data = Data { train: &samples, validation: &samples, teacher: None };
    train(d, network, masks, data, &options, &mut |_, _| Ok(None), &mut control).expect("history")
}

/// With every optimizer the loss goes down, weights that a mask takes stay 0, and the others move.
pub(crate) fn loss_falls_with_masks_held<D: Device>(d: &D) {
    let rules =
        [(Optimizer::Sgd { momentum: 0.9 }, 0.05), (Optimizer::Adam, 0.03), (Optimizer::RmsProp, 0.01)];
    for (optimizer, rate) in rules {
        let mut network = network();
        for tensor in [0, 2] {
            let len = network.tensors[tensor].data.len();
            (0..len).step_by(3).for_each(|at| network.tensors[tensor].data[at] = 0.0);
        }
        let before = network.clone();
        let first = evaluate(d, &before, &samples(), BATCH).expect("evaluation").loss;
        let history = run(d, &mut network, Masks::of_nonzeros(&before), optimizer, rate);
        let last = history.epochs.last().expect("epochs").validation.loss;
        assert!(last < 0.8 * first, "{optimizer:?}: the loss was {first} and is {last}");
        for tensor in [0, 2] {
            let pairs = before.tensors[tensor].data.iter().zip(&network.tensors[tensor].data);
            for (before, after) in pairs {
                assert_eq!(*before == 0.0, *after == 0.0, "{optimizer:?}: {before} became {after}");
            }
            assert_ne!(before.tensors[tensor].data, network.tensors[tensor].data, "{optimizer:?}");
        }
    }
}

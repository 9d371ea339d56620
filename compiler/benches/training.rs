//! Time of one training step of ResNet-20 (He et al. 2015, with 1x1 shortcuts) on CIFAR-sized
//! noise: batches of 64, SGD with momentum, on the CPU with as many threads as `RAYON_NUM_THREADS`
//! says. `pytorch_step.py` beside this file times the same step in PyTorch.
//!
//! `cargo bench -p tfc --bench training [-- STEPS]`

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc::device::{Device, cpu::Cpu};
use tfc::prune::Masks;
use tfc::train::{self, Control, Data, Optimizer, Schedule, TrainOptions};
use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

const BATCH: usize = 64;
const WARM_UP: usize = 3;

struct Builder {
    network: Network,
    batch_norm: bool,
}

impl Builder {
    fn tensor(&mut self, shape: &[usize]) -> usize {
        let id = self.network.tensors.len();
        let data = vec![0.0; shape.iter().product()];
        self.network.tensors.push(Tensor { name: format!("t{id}"), shape: shape.to_vec(), data });
        id
    }

    fn node(&mut self, op: Op, inputs: &[usize], params: &[usize]) -> usize {
        let name = format!("n{}", self.network.nodes.len());
        self.network.nodes.push(Node { name, op, inputs: inputs.to_vec(), params: params.to_vec() });
        self.network.output = self.network.nodes.len();
        self.network.output
    }

    /// A convolution with its batch norm, or else a bias.
    fn conv(&mut self, x: usize, [ins, outs]: [usize; 2], kernel: u16, stride: u16) -> usize {
        let conv = Conv2d {
            out_channels: outs as u32,
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [1; 2],
            pad: Padding::same(kernel / 2),
            groups: 1,
        };
        let weight = self.tensor(&[outs, ins, kernel.into(), kernel.into()]);
        if self.batch_norm {
            let x = self.node(Op::Conv2d(conv), &[x], &[weight]);
            let params = [0; 4].map(|_| self.tensor(&[outs]));
            self.node(Op::BatchNorm { eps: 1e-5 }, &[x], &params)
        } else {
            let bias = self.tensor(&[outs]);
            self.node(Op::Conv2d(conv), &[x], &[weight, bias])
        }
    }

    fn relu(&mut self, x: usize) -> usize {
        self.node(Op::Activation(Activation::Relu), &[x], &[])
    }
}

fn resnet20(batch_norm: bool) -> Network {
    let network = Network {
        name: "resnet20".to_owned(),
        input: Shape::new(3, 32, 32),
        preprocess: Preprocess::default(),
        nodes: Vec::new(),
        tensors: Vec::new(),
        output: 0,
    };
    let mut b = Builder { network, batch_norm };
    let mut x = b.conv(0, [3, 16], 3, 1);
    x = b.relu(x);
    let mut width = 16;
    for (outs, stride) in [(16, 1), (32, 2), (64, 2)] {
        for stride in [stride, 1, 1] {
            let y = b.conv(x, [width, outs], 3, stride);
            let y = b.relu(y);
            let y = b.conv(y, [outs, outs], 3, 1);
            let shortcut = if width == outs { x } else { b.conv(x, [width, outs], 1, stride) };
            x = b.node(Op::Add, &[y, shortcut], &[]);
            x = b.relu(x);
            width = outs;
        }
    }
    x = b.node(Op::GlobalAvgPool, &[x], &[]);
    let params = [b.tensor(&[10, 64]), b.tensor(&[10])];
    b.node(Op::Dense(Dense { out_features: 10, transposed: false }), &[x], &params);
    b.network
}

fn noise(n: usize) -> Samples {
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let shape = Shape::new(3, 32, 32);
    let data = (0..n * 3072).map(|_| rng.random_range(0..=255)).collect();
    let labels = (0..n).map(|_| rng.random_range(0..10)).collect();
    Samples { shape, classes: 10, data, labels }
}

/// Milliseconds of each step.
fn steps(mut network: Network, steps: usize) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    train::check(&network)?;
    train::init(&mut network, 1);
    let (samples, validation) = (noise(BATCH * (WARM_UP + steps)), noise(BATCH));
    let options = TrainOptions {
        epochs: 1,
        batch: BATCH,
        optimizer: Optimizer::Sgd { momentum: 0.9 },
        rate: 1e-4,
        decay: 1e-4,
        schedule: Schedule::Constant,
        seed: 1,
        distill: None,
    };
    let (mut last, mut times) = (Instant::now(), Vec::new());
    let mut progress = |_: &train::Progress| {
        times.push(last.elapsed().as_secs_f64() * 1e3);
        last = Instant::now();
    };
    let mut control =
        Control { progress: &mut progress, stop: &AtomicBool::new(false), checkpoint: None, resume: false };
    let data = Data { train: &samples, validation: &validation, teacher: None };
    let masks = Masks::keep_all(&network);
    train::train(&Cpu, &mut network, masks, data, &options, &mut |_, _| Ok(None), &mut control)?;
    Ok(times[WARM_UP..WARM_UP + steps].to_vec())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(20).max(1);
    println!("{}, batch {BATCH}, {count} steps", Cpu.name());
    for batch_norm in [false, true] {
        let name = format!("resnet20 {} batch norm", if batch_norm { "with" } else { "without" });
        let network = resnet20(batch_norm);
        if let Err(e) = train::check(&network) {
            println!("{name}: not timed: {e}");
            continue;
        }
        let mut times = steps(network, count)?;
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.1} ms a step at best, {:.1} ms median", times[0], times[count / 2]);
    }
    Ok(())
}

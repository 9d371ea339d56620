//! Time of one training step of ResNet-20 (He et al. 2015, option A shortcuts) on CIFAR-sized
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
use tfc::train::{self, Augment, BatchNorm, Control, Data, Optimizer, Schedule, TrainOptions};
use tfc_formats::dataset::Samples;
use tfc_formats::import::{ImportOptions, untrained};
use tfc_formats::network::Network;
use tfc_formats::op::Shape;

const BATCH: usize = 64;
const WARM_UP: usize = 3;

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
        batch_norm: BatchNorm::Updated,
        augment: Augment::default(),
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
    let network = untrained("resnet20", &ImportOptions::default())?;
    let mut times = steps(network, count)?;
    times.sort_by(f64::total_cmp);
    println!("resnet20: {:.1} ms a step at best, {:.1} ms median", times[0], times[count / 2]);
    Ok(())
}

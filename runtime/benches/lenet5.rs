//! LeNet-5 dense and with 95% of the weights zero, one thread, batch 1: microseconds of a run
//! and, measured apart, of each of its steps.
//!
//! `cargo bench -p tfc-runtime --features std [-- part of a line's name]`

#[path = "../tests/suite/common/mod.rs"]
mod common;

use std::time::Instant;

use common::{Arena, Encoding, lenet, noise};
use tfc_runtime::{Kernels, Model, Session};

const RUNS: usize = 1000;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with("--")).unwrap_or_default();
    println!("{:<28} {:>8} {:>8} {:>8}  least of each step", "us", "min", "p50", "p90");
    for encoding in Encoding::all() {
        let (zeros, storage) = match encoding.index {
            None => (0.0, "dense".to_string()),
            Some(index) => (0.95, format!("95% {index:?} x{}", encoding.block)),
        };
        let dtype = if encoding.half { "f16" } else { "f32" };
        for kernels in Kernels::available().filter(|kernels| *kernels != Kernels::SCALAR) {
            let name = format!("{storage} {dtype} {}", kernels.name());
            if name.contains(&filter) {
                measure(&name, zeros, encoding, kernels);
            }
        }
    }
}

fn measure(name: &str, zeros: f32, encoding: Encoding, kernels: Kernels) {
    let file = lenet::lenet5(zeros, encoding);
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::with_kernels(&model, arena.bytes(), kernels).unwrap();
    let input = noise(9, 784);
    let micros = |start: Instant| start.elapsed().as_secs_f64() * 1e6;

    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            session.run(&input).unwrap();
            micros(start)
        })
        .collect();
    times.sort_by(f64::total_cmp);

    let mut steps = vec![f64::INFINITY; model.header().steps as usize];
    for _ in 0..RUNS {
        let mut start = Instant::now();
        let observed = session.run_observed(&input, &mut |i, _, _| {
            steps[i] = steps[i].min(micros(start));
            start = Instant::now();
        });
        observed.unwrap();
    }
    let [min, p50, p90] = [0, RUNS / 2, RUNS * 9 / 10].map(|i| times[i]);
    println!("{name:<28} {min:>8.2} {p50:>8.2} {p90:>8.2}  {steps:.1?}");
}

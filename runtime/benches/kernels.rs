//! Layers of networks one by one, and LeNet-5: multiply-adds a second on the weights that are not
//! zero, and their share of what the processor can do at most, which is measured in the same run.
//!
//! `cargo bench -p tfc-runtime --features std --bench kernels [-- part of a name]`
//!
//! prints a table in Markdown behind what criterion prints; `results/` keeps it by machine and date.

mod cases;
#[path = "../tests/suite/common/mod.rs"]
mod common;

use std::fs;
use std::time::{Duration, Instant};

use cases::{Case, macs};
use common::noise;
use criterion::{Criterion, Throughput};
use tfc_runtime::{Kernels, Model, Prepared};

/// A row of the table.
struct Row {
    name: String,
    macs: u64,
    /// Least mean of a sample.
    seconds: f64,
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(40)
        .configure_from_args();
    let mut rows = Vec::new();
    let mut peak = 0.0_f64;
    for case in cases::all() {
        // Clocks change: the best of all moments of this run counts.
        peak = peak.max(multiply_adds_per_second());
        rows.extend(time(&mut criterion, case));
    }
    criterion.final_summary();
    print(&rows, peak);
}

/// Times a case; `None` where criterion was not asked for it.
fn time(criterion: &mut Criterion, Case { name, file }: Case) -> Option<Row> {
    let model = Model::new(&file).unwrap();
    let prepared = Prepared::new(&model).unwrap();
    let mut session = prepared.session();
    let input = noise(9, model.input_shape().elements().unwrap() as usize);
    let macs = macs(&model);
    let mut least = f64::INFINITY;
    let mut group = criterion.benchmark_group("kernels");
    group.throughput(Throughput::Elements(macs));
    group.bench_function(&name, |bencher| {
        bencher.iter_custom(|runs| {
            let start = Instant::now();
            for _ in 0..runs {
                session.run(&input).unwrap();
            }
            let taken = start.elapsed();
            least = least.min(taken.as_secs_f64() / runs as f64);
            taken
        });
    });
    group.finish();
    least.is_finite().then_some(Row { name, macs, seconds: least })
}

/// The most multiply-adds a second of ten tries of some milliseconds.
fn multiply_adds_per_second() -> f64 {
    let rate = || {
        let start = Instant::now();
        let done = Kernels::best().peak_multiply_adds(500_000);
        done as f64 / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| rate()).fold(0.0, f64::max)
}

fn print(rows: &[Row], peak: f64) {
    println!(
        "{}, {} kernels, one thread; peak {:.1} GMAC/s (f32)\n",
        cpu(),
        Kernels::best().name(),
        peak / 1e9
    );
    println!("| layer | kMAC on nonzeros | us | GMAC/s | of peak |");
    println!("|---|--:|--:|--:|--:|");
    for Row { name, macs, seconds } in rows {
        let rate = *macs as f64 / seconds;
        println!(
            "| {name} | {:.0} | {:.2} | {:.1} | {:.0}% |",
            *macs as f64 / 1e3,
            seconds * 1e6,
            rate / 1e9,
            100.0 * rate / peak
        );
    }
}

/// The processor as it names itself.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or(std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

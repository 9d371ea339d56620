//! `tfc bench`: latency on this machine, beside the same network dense, other artifacts or other engines;
//! or cost on another machine.

use std::path::PathBuf;

use crate::bench::{Latency, latencies, ramp};
use crate::board::BOARDS;
use crate::encode::densify;
use crate::peers::compare;
use crate::report::{Align, bytes, table};
use anyhow::{Result, ensure};
use serde::Serialize;

use super::output::{emit, emit_and_check};
use super::{CheckFailed, Global, artifact, board, check_number, peers};

/// Longest measurement, a day.
const MOST_SECONDS: f64 = 86_400.0;

/// Time a .tfc file on this machine, one sample at a time, beside the same network dense.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact: model.tfc.
    model: PathBuf,
    /// Other artifacts to time in the same run, in place of the same network dense.
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// How long to measure, all artifacts together.
    #[arg(long, default_value_t = 4.0, conflicts_with = "on")]
    seconds: f64,
    /// Time other inference engines beside it instead, on the ONNX file that it was compiled from: a
    /// folder with the Python virtual environments main (onnxruntime, openvino, MNN, onnx) and
    /// deepsparse.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["against", "on"])]
    peers: Option<PathBuf>,
    /// The ONNX file for --peers [default: the artifact's name with extension .onnx].
    #[arg(long, value_name = "FILE", requires = "peers")]
    onnx: Option<PathBuf>,
    /// Count instructions on a board that QEMU emulates, or measure on a real one (probe:CHIP) or by
    /// ssh (ssh:user@host), instead of on this machine.
    #[arg(long, value_name = "BOARD", long_help = on_help())]
    on: Option<String>,
    /// Sources of the programs for boards [default: examples/cortex-m of the checkout around the
    /// current folder or this program].
    #[arg(long, value_name = "DIR", requires = "on")]
    firmware: Option<PathBuf>,
    /// Exit with status 1 if the median is not this many times faster than each of the others.
    #[arg(long, value_name = "RATIO", conflicts_with = "on")]
    min_speedup: Option<f64>,
}

fn on_help() -> String {
    let boards = BOARDS.iter().map(|board| format!("  {}: {}\n", board.name, board.core));
    format!(
        "Count instructions on a board that QEMU emulates, or measure on a real one, instead of on this \
         machine. Outputs are compared with those of this machine.\n{}  probe:CHIP: a microcontroller behind \
         a debug probe, by probe-rs\n  ssh:user@host: Linux on aarch64 or armv7, a Raspberry Pi",
        boards.collect::<String>()
    )
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// Its median over the first row's.
    ratio: f64,
    #[serde(flatten)]
    latency: Latency,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    check_number("--seconds", args.seconds, MOST_SECONDS)?;
    check_number("--min-speedup", args.min_speedup.unwrap_or(0.0), f64::MAX)?;
    let bytes = artifact::read(&args.model)?;
    let artifact = artifact::parse(&args.model, &bytes)?;
    let threads = global.threads.map_or(1, usize::from);
    if let Some(folder) = &args.peers {
        ensure!(threads == 1, "--peers compares engines on one thread; leave --threads out");
        let onnx = args.onnx.clone().unwrap_or_else(|| args.model.with_extension("onnx"));
        ensure!(onnx.is_file(), "{}: not found; name the network's ONNX file with --onnx", onnx.display());
        let rows = compare(&bytes, &onnx, folder, args.seconds)?;
        let ratios = rows[1..].iter().filter_map(peers::ratio);
        let check = peers::check(&rows).and_then(|()| check_speedup(args.min_speedup, ratios));
        return emit_and_check(emit(global, || peers::text(&rows), &rows), check);
    }
    let mut names = vec![args.model.display().to_string()];
    let mut files = vec![bytes.to_vec()];
    for path in &args.against {
        files.push(artifact::read(path)?.to_vec());
        names.push(path.display().to_string());
    }
    if args.against.is_empty() {
        files.push(densify(&artifact)?);
        let element = if artifact.header().input.element.is_i8() { "int8" } else { "f32" };
        names.push(format!("the same steps, dense {element}"));
    }
    if let Some(place) = &args.on {
        return board::run(place, args.firmware.as_deref(), &names, &files, global);
    }
    let elements = artifact.header().input.shape.elements().unwrap_or(0) as usize;
    let input = ramp(elements);
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let measured = latencies(&files, &input, args.seconds, threads)?;
    let base = measured[0].p50_us;
    let rows: Vec<Row> = names
        .into_iter()
        .zip(measured)
        .map(|(name, latency)| Row { name, ratio: latency.p50_us / base, latency })
        .collect();
    let check = check_speedup(args.min_speedup, rows[1..].iter().map(|row| row.ratio));
    emit_and_check(emit(global, || text(&rows), &rows), check)
}

/// Fails where one of the others' medians over the first's is less than asked for.
fn check_speedup(least: Option<f64>, ratios: impl Iterator<Item = f64>) -> Result<()> {
    let slowest = ratios.fold(f64::INFINITY, f64::min);
    match least {
        Some(least) if slowest < least => {
            Err(CheckFailed(format!("speed-up {slowest:.2}x is below {least}x")).into())
        }
        _ => Ok(()),
    }
}

fn text(rows: &[Row]) -> String {
    let us = |time: f64| format!("{time:.1}");
    let columns = [
        ("model", Align::Left),
        ("min us", Align::Right),
        ("p50", Align::Right),
        ("p90", Align::Right),
        ("p99", Align::Right),
        ("ratio", Align::Right),
        ("init us", Align::Right),
        ("file", Align::Right),
        ("arena", Align::Right),
        ("prepared", Align::Right),
    ];
    let summary = table(
        &columns,
        rows.iter().map(|row| {
            let l = &row.latency;
            vec![
                row.name.clone(),
                us(l.min_us),
                us(l.p50_us),
                us(l.p90_us),
                us(l.p99_us),
                format!("{:.2}x", row.ratio),
                us(l.init_us),
                bytes(l.file_bytes as u64),
                bytes(l.arena_bytes as u64),
                bytes(l.prepared_bytes as u64),
            ]
        }),
    );
    let columns = [
        ("step", Align::Left),
        ("p50 us", Align::Right),
        ("share", Align::Right),
        ("other p50 us", Align::Right),
        ("ratio", Align::Right),
    ];
    let first = &rows[0].latency.steps;
    // By name: what is fused or copied differs from file to file.
    let other = |name: &str| {
        let steps = &rows.get(1)?.latency.steps;
        steps.iter().find(|step| step.name == name).map(|step| step.p50_us)
    };
    let steps = table(
        &columns,
        first.iter().map(|step| {
            let dense = other(&step.name);
            let show = |text: Option<String>| text.unwrap_or_default();
            vec![
                step.name.clone(),
                us(step.p50_us),
                format!("{:.1}%", 100.0 * step.share),
                show(dense.map(us)),
                show(dense.map(|dense| format!("{:.2}x", dense / step.p50_us))),
            ]
        }),
    );
    format!("{summary}\n{steps}\n{} runs each\n", rows[0].latency.runs)
}

//! `tfc compile`: a trained network in, a `.tfc` file out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compile::{Budget, Compiled, Context, Event, Goal, LowRank, Options, Work, compile};
use crate::device::select::{AnyDevice, Choice, select};
use crate::factorize::{Rank, Solver};
use crate::plan::Target;
use crate::prune::{Method, Scope};
use crate::quantize;
use crate::train::Distill;
use anyhow::{Result, bail};
use tfc_formats::artifact::{BLOCKS, write_file};
use tfc_formats::dataset::{Dataset, Samples};
use tfc_formats::network::Network;

use super::data::{self, LabelArgs};
use super::fit::FitArgs;
use super::input::{InputArgs, count, micros, size};
use super::output::{check_distinct, check_writable, emit, emit_and_check, note, work_folder};
use super::progress::Bar;
use super::training::{TrainingArgs, describe_run, stop_on_interrupt};
use super::{CheckFailed, Global};

/// Flags of a budget.
const BUDGETS: [&str; 3] = ["max_drop", "max_bytes", "max_latency"];

/// Flags of scores and fine-tuning, which one-shot pruning does without.
const NOT_IN_ONE_SHOT: [&str; 16] = [
    "method",
    "scope",
    "rounds",
    "epochs",
    "batch",
    "optimizer",
    "rate",
    "momentum",
    "decay",
    "schedule",
    "batch_norm",
    "flip",
    "shift_crop",
    "distill",
    "temperature",
    "resume",
];

/// Compile a trained network into a .tfc file.
///
/// Without --data weights stay as they are: zeros are stored as such, values as f16 where the
/// outputs for random inputs agree. With --data the network is pruned, fine-tuned and measured.
/// With --calibration, or --data without labels, and --sparsity it is pruned in one shot: the
/// weights that remain are corrected layer by layer.
/// How far is a share of zeros or a budget. Where a budget cannot be met, the exit status is 1 and
/// the nearest artifact is written with extension .nearest.tfc instead.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Trained network: model.safetensors or model.onnx.
    input: PathBuf,
    /// Artifact to write [default: the input with extension .tfc].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Data set: a folder, a file of samples, or builtin:digits; choices are made on its training set alone.
    #[arg(long, long_help = data::UNDERSTOOD)]
    data: Option<String>,
    /// Inputs to prune with in one shot, without labels and without fine-tuning: the remaining
    /// weights are corrected layer by layer. A folder, a file of samples, or builtin:digits; needs
    /// --sparsity. With --quantize also what ranges are found with.
    #[arg(long, value_name = "DATA", conflicts_with_all = NOT_IN_ONE_SHOT)]
    #[arg(long_help = calibration_help())]
    calibration: Option<String>,
    /// Prune in one shot as with --calibration, on a part of the training set of --data.
    #[arg(long, requires_all = ["data", "sparsity"], conflicts_with_all = NOT_IN_ONE_SHOT)]
    one_shot: bool,
    /// Most samples to calibrate with [default: 500].
    #[arg(long, value_name = "COUNT", value_parser = count)]
    calibration_samples: Option<usize>,
    /// Share of all weights that become zero, e.g. 0.95.
    #[arg(long, value_name = "SHARE", conflicts_with_all = BUDGETS)]
    sparsity: Option<f64>,
    /// Largest loss of accuracy on the validation set, in points: as small as that permits, or as the
    /// other limits ask for [default with --data and no other limit: 0.25].
    #[arg(long, value_name = "POINTS")]
    max_drop: Option<f64>,
    /// Largest file, e.g. 60kB (1 kB is 1000 bytes, 1 kiB 1024): as accurate as that permits.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_bytes: Option<u64>,
    /// Longest median time of one sample on one thread of this machine, or longest predicted time on
    /// --target, e.g. 200us or 1.5ms: as accurate as that permits.
    #[arg(long, value_name = "TIME", value_parser = micros)]
    max_latency: Option<f64>,
    /// What scores a weight: mfbp, mfbp-inflate, tri, tri-relative, magnitude or random.
    #[arg(long, default_value_t = Method::Magnitude)]
    method: Method,
    /// Among which weights scores are compared: layer, group, global, lamp or time; with --sparsity,
    /// since a budget says itself what each layer keeps.
    #[arg(long, default_value_t, requires = "sparsity", conflicts_with_all = BUDGETS)]
    scope: Scope,
    /// Output channels that are pruned together, 1, 2 or 4: so many neighbours share their columns, which
    /// runs faster and takes fewer bytes at the same number of zeros.
    #[arg(long, default_value_t = 1, value_name = "CHANNELS", value_parser = block)]
    block: u8,
    /// Steps to the final sparsity, one at the start of each epoch; 1 prunes in one shot
    /// [default: half the epochs].
    #[arg(long, value_parser = count)]
    rounds: Option<usize>,
    /// Latent dimensions of factorizations: a number, a share of each layer, or half-classes.
    #[arg(long, default_value_t)]
    rank: Rank,
    /// Most iterations of a tri-factorization.
    #[arg(long, default_value_t = 50, value_parser = count)]
    iterations: usize,
    /// Update rule of tri-factorizations: gradient or multiplicative.
    #[arg(long, default_value_t)]
    solver: Solver,
    /// Layers as thin factors: auto (dense ones after pruning, where smaller at the same validation
    /// accuracy), svd (dense ones before fine-tuning, of --rank), tri (the same, and convolutions
    /// where smaller and faster), off.
    #[arg(long, default_value = "auto", value_parser = low_rank)]
    low_rank: LowRank,
    /// Share of the dense network's own answers in the loss of fine-tuning; 0 for labels only.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE")]
    distill: f32,
    /// Temperature of distillation.
    #[arg(long, default_value_t = 4.0)]
    temperature: f32,
    /// Machine that the artifact is for: a name or a file of tfc tune. The encoding of each layer is
    /// the fastest predicted there, none slower than dense; of those within 5%, the smallest. Without
    /// it, the smallest encoding. --max-latency is then predicted, too.
    #[arg(long, value_name = "NAME|FILE")]
    target: Option<String>,
    /// How weights are stored: auto (f16 where outputs agree) or f32.
    #[arg(long, default_value = "auto", value_parser = ["auto", "f32"])]
    precision: String,
    /// Compute in whole numbers: int8, for processors without floating point and wherever that is
    /// faster. Ranges of values come from inputs: --data or --calibration.
    #[arg(long, value_name = "TYPE", value_parser = ["int8"], conflicts_with = "precision")]
    quantize: Option<String>,
    /// How the range of each value is chosen: min-max, percentile or mse.
    #[arg(long, default_value_t, value_name = "METHOD", requires = "quantize")]
    quantize_range: quantize::Method,
    /// Also write everything measured as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fit: FitArgs,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    network: InputArgs,
}

fn calibration_help() -> String {
    let what = "Inputs to prune with in one shot, without labels and without fine-tuning: the remaining \
                weights are corrected layer by layer. Needs --sparsity. With --quantize also what \
                ranges are found with.";
    format!("{what}\n{}", data::UNDERSTOOD)
}

fn block(text: &str) -> Result<u8, String> {
    text.parse().ok().filter(|block| BLOCKS.contains(block)).ok_or_else(|| "expected 1, 2 or 4".into())
}

fn low_rank(text: &str) -> Result<LowRank, String> {
    match text {
        "off" => Ok(LowRank::Off),
        "auto" => Ok(LowRank::Auto),
        "svd" => Ok(LowRank::Svd),
        "tri" => Ok(LowRank::Tri),
        _ => Err("expected auto, svd, tri or off".into()),
    }
}

/// Samples to calibrate with if a person says nothing.
const CALIBRATION_SAMPLES: usize = 500;

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    let output = args.output.clone().unwrap_or_else(|| args.input.with_extension("tfc"));
    let network = args.network.load(&args.input)?;
    let load = |spec: &str| args.labels.load(spec, network.input, &network.preprocess);
    let data = args.data.as_deref().map(load).transpose()?;
    let most = args.calibration_samples.unwrap_or(CALIBRATION_SAMPLES);
    let calibrate = |spec| data::inputs(spec, network.input, &network.preprocess, most);
    let calibration = args.calibration.as_deref().map(calibrate).transpose()?;
    // Without labels, data can do no more than calibrate.
    let (data, calibration) = match (data, calibration) {
        (Some(data), None) if !data.train.is_labelled() => {
            if args.sparsity.is_none() && args.quantize.is_none() {
                note(global, &format!("{} has no labels: give --sparsity to prune in one shot", data.name));
            }
            (None, Some(data.train))
        }
        given => given,
    };
    if args.calibration.is_some() && args.sparsity.is_none() && args.quantize.is_none() {
        bail!("--calibration needs --sparsity, to prune in one shot, or --quantize");
    }
    let calibrates = calibration.is_some() || args.one_shot || args.quantize.is_some();
    if args.calibration_samples.is_some() && !calibrates {
        bail!("--calibration-samples needs --calibration, --one-shot, --quantize, or --data without labels");
    }
    check_writable(&output, args.force)?;
    check_distinct(&output, &args.input)?;
    if let Some(report) = &args.report {
        check_writable(report, args.force)?;
        check_distinct(report, &args.input)?;
        check_distinct(report, &output)?;
    }
    let target = args.target.as_deref().map(Target::find).transpose()?;
    let options = Options { target, ..options(args, data.is_some(), calibration.is_some()) };
    let nearest = output.with_extension("nearest.tfc");
    if matches!(options.goal, Goal::Budget(_)) || args.fit.limits() {
        check_writable(&nearest, args.force)?;
    }
    let tunes = calibration.is_some() || data.is_some() && options.training.epochs > 0;
    let factorizes = options.low_rank == LowRank::Tri || options.method.needs_factors();
    let computes = options.changes_weights() && (tunes || factorizes);
    let device = select(if computes { args.training.device } else { Choice::Cpu })?;

    let inputs = Inputs { network: &network, data: data.as_ref(), calibration: calibration.as_ref() };
    let mut compiled = match &device {
        AnyDevice::Cpu(device) => drive(device, inputs, &options, args, &output, global),
        AnyDevice::Gpu(device) => drive(device, inputs, &options, args, &output, global),
    }?;
    let target = options.target.as_ref().map(|target| target.name.as_str());
    compiled.report.footprint = args.fit.footprint(&compiled.bytes, target, global)?;
    let too_large =
        compiled.report.footprint.as_ref().map(|footprint| args.fit.check(&compiled.bytes, footprint));
    let too_large = too_large.and_then(Result::err);
    let budget = compiled.report.budget.as_ref();
    let missed = budget.filter(|budget| !budget.met);
    // What does not meet its budget must not be taken for what does, and was work all the same.
    let output = if missed.is_some() || too_large.is_some() { nearest } else { output };
    write_file(&output, &compiled.bytes)?;
    if let Some(path) = &args.report {
        write_file(path, serde_json::to_string_pretty(&compiled.report)?.as_bytes())?;
    }
    let check = match (missed, too_large) {
        (Some(missed), _) => Err(CheckFailed(format!(
            "no artifact within {}; the nearest, {}, is in {}",
            missed.budget,
            missed.front[missed.kept].text(),
            output.display()
        ))
        .into()),
        (None, Some(error)) => {
            Err(CheckFailed(format!("{error}; the artifact is in {}", output.display())).into())
        }
        (None, None) => Ok(()),
    };
    emit_and_check(emit(global, || compiled.report.text(), &compiled.report), check)?;
    note(global, &format!("wrote {}", output.display()));
    if data.is_none() && calibration.is_none() {
        note(
            global,
            "with --data (a folder, or builtin:digits) tfc also prunes, fine-tunes and measures accuracy",
        );
    }
    Ok(())
}

/// What a compilation works on.
struct Inputs<'a> {
    network: &'a Network,
    data: Option<&'a Dataset>,
    calibration: Option<&'a Samples>,
}

fn drive<D: crate::device::Device>(
    device: &D,
    Inputs { network, data, calibration }: Inputs<'_>,
    options: &Options,
    args: &Args,
    output: &Path,
    global: Global,
) -> Result<Compiled> {
    note(global, &format!("{}: {} layers, on {}", network.name, network.nodes.len(), device.name()));
    let trains = data.is_some() && options.training.epochs > 0 && !options.one_shot;
    let stop = if trains || options.one_shot { stop_on_interrupt()? } else { Arc::default() };
    let leftover = args.training.leftover(args.force);
    let description = describe_run(options, &[network], data)?;
    let work = trains.then(|| Work::open(&work_folder(output), leftover, &description)).transpose()?;
    let mut bar = Bar::new(global);
    let context = Context {
        events: &mut |event| match event {
            Event::Training(progress) => bar.update(progress),
            Event::Factorizing(iteration) => bar.factorizing(iteration),
            Event::Measuring { done, of } => bar.measuring(*done, *of),
            Event::Attempt { number, zeros } => bar.attempt(*number, *zeros),
            Event::Correcting(progress) => bar.correcting(progress),
        },
        stop: &stop,
        work: work.as_ref(),
        calibration,
    };
    let compiled = compile(device, network, data, options, context);
    bar.finish();
    if let Some(work) = work {
        work.close(compiled.is_ok(), matches!(&compiled, Err(error) if error.is_interrupt()))?;
    }
    Ok(compiled?)
}

fn options(args: &Args, has_data: bool, calibrates: bool) -> Options {
    /// Points of validation accuracy that may go if a person says nothing.
    const MAX_DROP: f64 = 0.25;
    let factorizes = matches!(args.low_rank, LowRank::Svd | LowRank::Tri);
    let budget =
        Budget { max_drop: args.max_drop, max_bytes: args.max_bytes, max_latency_us: args.max_latency };
    let goal = match args.sparsity {
        Some(sparsity) => Goal::Sparsity(sparsity),
        None if budget != Budget::default() => Goal::Budget(budget),
        None if has_data && args.training.epochs > 0 && !factorizes => {
            Goal::Budget(Budget { max_drop: Some(MAX_DROP), ..budget })
        }
        None => Goal::Keep,
    };
    let distill = Distill { temperature: args.temperature, weight: args.distill };
    let distill = (args.distill != 0.0).then_some(distill);
    Options {
        goal,
        method: args.method,
        scope: args.scope,
        block: args.block,
        rounds: args.rounds.unwrap_or(args.training.epochs.div_ceil(2)).max(1),
        low_rank: args.low_rank,
        rank: args.rank,
        iterations: args.iterations,
        solver: args.solver,
        target: None,
        half: args.precision == "auto",
        quantize: args.quantize.is_some().then_some(args.quantize_range),
        one_shot: args.one_shot || calibrates && args.sparsity.is_some(),
        calibration_samples: args.calibration_samples.unwrap_or(CALIBRATION_SAMPLES),
        held_out: args.training.held_out,
        training: args.training.options(distill, args.low_rank == LowRank::Tri),
        seed: args.training.seed,
    }
}

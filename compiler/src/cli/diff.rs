//! `tfc diff`: how two networks differ, layer by layer and in their predictions.

use std::path::{Path, PathBuf};

use crate::diff::{Agreement, Diff, Errors, diff};
use crate::encode::{Precision, encode};
use crate::execute::Inputs;
use crate::report::{Align, table};
use anyhow::{Result, anyhow};
use serde::Serialize;
use tfc_formats::artifact::AlignedBytes;
use tfc_formats::dataset::{self, LoadOptions};

use super::input::{InputArgs, count};
use super::output::{emit, emit_and_check};
use super::{CheckFailed, Global, artifact, check_number, data};

/// Random inputs if a person says nothing.
const RANDOM: usize = 64;

/// Seed of the random inputs.
const SEED: u64 = 0;

/// Share of its range by which a layer may differ if a person says nothing.
const TOLERANCE: f64 = 1e-3;

/// Compare two networks layer by layer and in their predictions, by running both in the runtime.
///
/// A layer is compared behind its batch norm and activation, so that it does not matter whether
/// these are steps of their own. Layers are matched by name; where the networks have no name in
/// common, in their order by operation and shape. Each network preprocesses
/// the same raw samples as it says itself. Options about networks are for those of the two that
/// are no .tfc files.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The reference: model.tfc, model.safetensors or model.onnx.
    a: PathBuf,
    /// What is compared with it.
    b: PathBuf,
    /// Data set, of which the test samples are taken if it has any: a folder, a file of samples, or
    /// builtin:digits [default: random inputs].
    #[arg(long, long_help = data::UNDERSTOOD)]
    data: Option<String>,
    /// Most samples [default: all of --data, else 64 random inputs].
    #[arg(long, value_name = "N", value_parser = count)]
    samples: Option<usize>,
    /// Exit with status 1 if a layer or the output differs by more than this share of its range;
    /// also names the first such layer [default for that: 0.001].
    #[arg(long, value_name = "SHARE")]
    tolerance: Option<f64>,
    /// Exit with status 1 if the predictions agree for a smaller share of the samples, e.g. 0.99.
    #[arg(long, value_name = "SHARE")]
    min_agreement: Option<f64>,
    #[command(flatten)]
    network: InputArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    a: String,
    b: String,
    /// `None` for random inputs.
    data: Option<String>,
    tolerance: f64,
    /// Name of the first layer that differs by more than `tolerance` of its range.
    first_beyond_tolerance: Option<String>,
    #[serde(flatten)]
    diff: Diff,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    check_number("--tolerance", args.tolerance.unwrap_or(0.0), f64::MAX)?;
    check_number("--min-agreement", args.min_agreement.unwrap_or(0.0), 1.0)?;
    let (a, b) = (load(&args.a, &args.network)?, load(&args.b, &args.network)?);
    // Images become as large as the first network takes, in the way that it states.
    let aligned = AlignedBytes::from(a.as_slice());
    let first = artifact::parse(&args.a, &aligned)?;
    let fit = Some((first.header().input.shape, &first.header().preprocess));
    let options = LoadOptions { fit, ..LoadOptions::default() };
    let data = args.data.as_deref().map(|spec| dataset::load_with(spec, &options)).transpose()?;
    let samples = data.as_ref().map(|data| {
        let samples = if data.test.is_empty() { &data.train } else { &data.test };
        samples.take(args.samples.unwrap_or(usize::MAX))
    });
    let inputs = match &samples {
        Some(samples) => Inputs::Samples(samples),
        None => Inputs::Random { count: args.samples.unwrap_or(RANDOM), seed: SEED },
    };
    let [name_a, name_b] = [&args.a, &args.b].map(|path| path.display().to_string());
    let diff = diff(&a, &b, &inputs).map_err(|error| anyhow!("{name_a}, {name_b}: {error}"))?;
    let tolerance = args.tolerance.unwrap_or(TOLERANCE);
    let report = Report {
        a: name_a,
        b: name_b,
        data: data.map(|data| data.name),
        tolerance,
        first_beyond_tolerance: diff.first_beyond(tolerance).map(|layer| layer.name.clone()),
        diff,
    };
    let check = check(args, &report)?;
    emit_and_check(emit(global, || text(&report), &report), check)
}

/// The bytes of an artifact, or a trained network's as one with its weights in f32.
fn load(path: &Path, flags: &InputArgs) -> Result<Vec<u8>> {
    if artifact::is_artifact(path) {
        return Ok(artifact::read(path)?.to_vec());
    }
    let network = flags.load(path)?;
    let precisions = vec![Precision::F32; network.tensors.len()];
    Ok(encode(&network, &precisions).map_err(|error| anyhow!("{}: {error}", path.display()))?.bytes)
}

/// The outcome of what was asked for, or an error where that makes no sense.
fn check(args: &Args, report: &Report) -> Result<Result<()>> {
    let Report { a, b, diff, .. } = report;
    let mut failed = Vec::new();
    if let Some(tolerance) = args.tolerance.filter(|tolerance| diff.largest() > *tolerance) {
        let first = diff.first_beyond(tolerance);
        let (what, by) = match first.and_then(|layer| Some((layer, layer.errors?))) {
            Some((layer, errors)) => (format!("layer `{}`", layer.name), errors.relative),
            None => ("the output".to_owned(), diff.output.relative),
        };
        failed.push(format!("{what} differs by {by:.3e} of its range, more than {tolerance}"));
    }
    if let Some(least) = args.min_agreement {
        let Agreement { top1, .. } =
            diff.agreement.ok_or_else(|| anyhow!("{a}, {b}: --min-agreement is for classifiers"))?;
        if top1 < least {
            failed.push(format!(
                "{:.2}% of the predictions agree, less than {}%",
                100.0 * top1,
                100.0 * least
            ));
        }
    }
    if failed.is_empty() {
        return Ok(Ok(()));
    }
    Ok(Err(CheckFailed(format!("{a}, {b}: {}", failed.join("; "))).into()))
}

fn text(report: &Report) -> String {
    let Report { diff, tolerance, .. } = report;
    let columns = [
        ("layer", Align::Left),
        ("op", Align::Left),
        ("shape", Align::Right),
        ("max error", Align::Right),
        ("mean error", Align::Right),
        ("max / range", Align::Right),
    ];
    let both = |a: &str, b: &str| if a == b { a.to_owned() } else { format!("{a} | {b}") };
    let rows = diff.layers.iter().map(|layer| {
        let layer_of = |errors: [String; 3]| {
            let mut row = vec![
                both(&layer.name, &layer.name_b),
                both(&layer.op, &layer.op_b),
                both(&layer.shape, &layer.shape_b),
            ];
            row.extend(errors);
            row
        };
        let differs = || ["shape differs".to_owned(), String::new(), String::new()];
        layer_of(layer.errors.as_ref().map_or_else(differs, show))
    });
    let output = std::iter::once(["output", "", ""].map(str::to_owned).into_iter().chain(show(&diff.output)));
    let mut text = table(&columns, rows.chain(output.map(Iterator::collect))) + "\n";
    let mut say = |line: String| text += &(line + "\n");
    for (file, names) in [(&report.a, &diff.only_a), (&report.b, &diff.only_b)] {
        if !names.is_empty() {
            say(format!("only in {file}: {}", names.join(", ")));
        }
    }
    say(match (&report.first_beyond_tolerance, diff.output.relative > *tolerance) {
        (Some(layer), _) => {
            format!("first layer that differs by more than {tolerance} of its range: {layer}")
        }
        (None, true) => format!("only the output differs by more than {tolerance} of its range"),
        (None, false) => format!("nothing differs by more than {tolerance} of its range"),
    });
    if let Some(Agreement { top1, top5 }) = diff.agreement {
        let five =
            top5.map(|share| format!("; A's answer is among B's first five for {:.2}%", 100.0 * share));
        say(format!(
            "the predictions agree for {:.2}% of the samples{}",
            100.0 * top1,
            five.unwrap_or_default()
        ));
    }
    if diff.preprocessing_differs {
        say("the networks preprocess differently; each was given the raw samples".to_owned());
    }
    say(match &report.data {
        Some(data) => format!("{} samples of {data}", diff.samples),
        None => format!("{} random inputs; --data compares on real ones", diff.samples),
    });
    text
}

fn show(errors: &Errors) -> [String; 3] {
    [errors.max_abs, errors.mean_abs, errors.relative]
        .map(|v| if v == 0.0 { "0".to_owned() } else { format!("{v:.3e}") })
}

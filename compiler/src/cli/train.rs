//! `tfc train`: a network from scratch, to safetensors.

use std::path::PathBuf;

use crate::compile::{Work, hold_out};
use crate::device::Device;
use crate::device::select::{AnyDevice, select};
use crate::encode::{Precision, encode};
use crate::execute::{self, ExecuteError};
use crate::prune::Masks;
use crate::train::{Control, Data, TrainError, TrainOptions, init, train};
use anyhow::{Result, bail};
use serde::Serialize;
use tfc_formats::dataset::{Dataset, Samples};
use tfc_formats::import::{self, known};
use tfc_formats::network::Network;

use super::Global;
use super::data::{self, LabelArgs};
use super::input::InputArgs;
use super::output::{check_writable, emit, note, work_folder};
use super::progress::Bar;
use super::training::{TrainingArgs, describe_run, stop_on_interrupt};

/// Train a network from scratch and write it as safetensors, its graph in the metadata.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A graph.toml, or a known architecture.
    #[arg(long_help = architectures())]
    architecture: String,
    /// Data set: a folder, or builtin:digits.
    #[arg(long, long_help = data::UNDERSTOOD)]
    data: String,
    /// File to write: model.safetensors.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    network: InputArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    network: String,
    device: String,
    epochs: usize,
    best_epoch: Option<usize>,
    validation_error_percent: f64,
    /// Where there is a test set.
    test_error_percent: Option<f64>,
    seconds: f64,
}

fn architectures() -> String {
    let known = known::FAMILIES.iter().map(|family| format!("  {}: {}\n", family.standard, family.name));
    format!("A graph.toml, or a known architecture:\n{}", known.collect::<String>())
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    let mut network = match import::untrained(&args.architecture, &args.network.options()) {
        Ok(network) => network,
        Err(error) if !std::path::Path::new(&args.architecture).exists() => {
            let known: Vec<_> = known::FAMILIES.iter().map(|family| family.standard).collect();
            bail!("{error}; known architectures are {}", known.join(", "))
        }
        Err(error) => return Err(error.into()),
    };
    let data = args.labels.load(&args.data, network.input, &network.preprocess)?;
    check_writable(&args.output, args.force)?;
    init(&mut network, args.training.seed);
    let options = args.training.options(None, false);
    let device = select(args.training.device)?;
    let report = match &device {
        AnyDevice::Cpu(device) => drive(device, &mut network, &data, &options, args, global),
        AnyDevice::Gpu(device) => drive(device, &mut network, &data, &options, args, global),
    }?;
    import::save(&network, &args.output)?;
    let text = || {
        let test =
            report.test_error_percent.map_or("no test set".to_owned(), |e| format!("test error {e:.2}%"));
        let Report { network, validation_error_percent, seconds, device, .. } = &report;
        format!(
            "{network}: validation error {validation_error_percent:.2}%, {test}; {seconds:.1} s on {device}\n"
        )
    };
    emit(global, text, &report)?;
    note(global, &format!("wrote {}", args.output.display()));
    Ok(())
}

fn drive<D: Device>(
    device: &D,
    network: &mut Network,
    data: &Dataset,
    options: &TrainOptions,
    args: &Args,
    global: Global,
) -> Result<Report> {
    let start = std::time::Instant::now();
    note(global, &format!("{}: {} layers, on {}", network.name, network.nodes.len(), device.name()));
    let stop = stop_on_interrupt()?;
    let (training, validation) = hold_out(data, args.training.held_out, args.training.seed)?;
    let description = describe_run(options, &[network], Some(data))?;
    let leftover = args.training.leftover(args.force);
    let work = Work::open(&work_folder(&args.output), leftover, &description)?;
    let checkpoint = work.path().join("training.checkpoint");
    let mut bar = Bar::new(global);
    let mut control = Control {
        progress: &mut |progress| bar.update(progress),
        stop: &stop,
        checkpoint: Some(checkpoint.clone()),
        // Work may have stopped before there was anything to save.
        resume: work.resumed() && checkpoint.exists(),
    };
    let masks = Masks::keep_all(network);
    let samples = Data { train: &training, validation: &validation, teacher: None };
    let history = train(device, network, masks, samples, options, &mut |_, _| Ok(None), &mut control);
    bar.finish();
    work.close(history.is_ok(), matches!(history, Err(TrainError::Interrupted { .. })))?;
    let history = history?;
    let encoded = encode(network, &vec![Precision::F32; network.tensors.len()])?;
    let error =
        |samples: &Samples| Ok::<_, ExecuteError>(execute::score(&encoded.bytes, samples)?.error_percent());
    Ok(Report {
        network: network.name.clone(),
        device: device.name(),
        epochs: options.epochs,
        best_epoch: history.best.map(|epoch| epoch + 1),
        validation_error_percent: error(&validation)?,
        test_error_percent: (!data.test.is_empty()).then(|| error(&data.test)).transpose()?,
        seconds: start.elapsed().as_secs_f64(),
    })
}

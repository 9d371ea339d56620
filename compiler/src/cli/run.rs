//! `tfc run`: outputs of an artifact for one file of inputs.

use std::path::PathBuf;

use crate::execute;
use anyhow::{Result, anyhow};
use serde::Serialize;
use tfc_formats::artifact::write_file;
use tfc_formats::dataset::{npy, sample};

use super::input::count;
use super::output::{check_distinct, check_writable, emit, note};
use super::{Global, artifact};

/// Run a .tfc file on an image or an array and print its outputs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact: model.tfc.
    model: PathBuf,
    /// PNG or JPEG image, or NPY array of one sample or several: bytes are preprocessed as the
    /// artifact says, floats are taken as they are.
    input: PathBuf,
    /// Print only the largest outputs with their indices.
    #[arg(long, value_name = "K", value_parser = count)]
    top: Option<usize>,
    /// Also write all outputs as an NPY array.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Sample {
    sample: usize,
    /// The largest outputs, or all of them in order.
    outputs: Vec<Output>,
}

#[derive(Debug, Serialize)]
struct Output {
    index: usize,
    value: f32,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    let bytes = artifact::read(&args.model)?;
    let artifact = artifact::parse(&args.model, &bytes)?;
    let header = artifact.header();
    if let Some(output) = &args.output {
        check_writable(output, args.force)?;
        check_distinct(output, &args.model)?;
        check_distinct(output, &args.input)?;
    }
    let inputs = sample::read_input(&args.input, header.input.shape, &header.preprocess)?;
    let outputs = execute::outputs(&bytes, inputs.len(), |at, out| out.copy_from_slice(&inputs[at]))?;
    if let Some(path) = &args.output {
        let shape = header.output.shape;
        let shape = [outputs.len(), shape.c as usize, shape.h as usize, shape.w as usize];
        let shape = if header.output.shape.is_vector() { &shape[..2] } else { &shape[..] };
        write_file(path, &npy::encode(shape, &outputs.concat()))?;
        note(global, &format!("wrote {}", path.display()));
    }
    let samples: Vec<Sample> = outputs
        .into_iter()
        .enumerate()
        .map(|(sample, values)| Sample { sample, outputs: largest(values, args.top) })
        .collect();
    if samples.is_empty() {
        return Err(anyhow!("{}: no samples", args.input.display()));
    }
    emit(global, || samples.iter().map(|sample| line(sample, args.top.is_some())).collect(), &samples)
}

fn largest(values: Vec<f32>, top: Option<usize>) -> Vec<Output> {
    let mut outputs: Vec<Output> =
        values.into_iter().enumerate().map(|(index, value)| Output { index, value }).collect();
    if let Some(top) = top {
        outputs.sort_by(|a, b| b.value.total_cmp(&a.value).then(a.index.cmp(&b.index)));
        outputs.truncate(top);
    }
    outputs
}

fn line(sample: &Sample, top: bool) -> String {
    let show = |output: &Output| match top {
        true => format!("{}: {}", output.index, output.value),
        false => output.value.to_string(),
    };
    let outputs: Vec<String> = sample.outputs.iter().map(show).collect();
    outputs.join(if top { ", " } else { " " }) + "\n"
}

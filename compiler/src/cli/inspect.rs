//! `tfc inspect`: what is in an artifact.

use std::path::PathBuf;

use crate::report::{self, Align, Layer, bytes, percent, table};
use anyhow::Result;
use serde::Serialize;

use super::output::emit;
use super::{Global, artifact};

/// Show what is in a .tfc file: layers, encodings, nonzeros, bytes, memory.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact: model.tfc.
    model: PathBuf,
}

#[derive(Debug, Serialize)]
struct Report {
    network: String,
    producer: String,
    input: String,
    output: String,
    preprocess: tfc_formats::preprocess::Preprocess,
    file_bytes: u64,
    arena_bytes: u64,
    scratch_bytes: u64,
    layers: Vec<Layer>,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    let file = artifact::read(&args.model)?;
    let artifact = artifact::parse(&args.model, &file)?;
    let header = artifact.header();
    let report = Report {
        network: header.name.to_owned(),
        producer: header.producer.to_owned(),
        input: header.input.shape.to_string(),
        output: header.output.shape.to_string(),
        preprocess: header.preprocess.clone(),
        file_bytes: file.len() as u64,
        arena_bytes: u64::from(header.arena_len),
        scratch_bytes: u64::from(header.scratch_len),
        layers: report::layers(&artifact),
    };
    emit(global, || text(&report), &report)
}

fn text(report: &Report) -> String {
    let columns = [
        ("step", Align::Left),
        ("op", Align::Left),
        ("output", Align::Right),
        ("encoding", Align::Left),
        ("nonzeros", Align::Right),
        ("of", Align::Right),
        ("bytes", Align::Right),
        ("MACs", Align::Right),
    ];
    let rows = report.layers.iter().map(|layer| {
        let weighted = |text: String| if layer.weights > 0 { text } else { String::new() };
        vec![
            layer.name.clone(),
            layer.op.clone(),
            layer.output.clone(),
            layer.encoding.clone(),
            weighted(layer.nonzeros.to_string()),
            weighted(percent(layer.nonzeros, layer.weights)),
            weighted(layer.bytes.to_string()),
            weighted(layer.macs.to_string()),
        ]
    });
    let p = &report.preprocess;
    format!(
        "{}: {} -> {}, written by {}\ninput: (raw * {} - mean {:?}) / std {:?}, {:?}, {:?}, images of another size: {}\n{}\nfile {}, arena {} of which scratch {}\n",
        report.network,
        report.input,
        report.output,
        report.producer,
        p.scale,
        p.mean.as_slice(),
        p.std.as_slice(),
        p.order,
        p.layout,
        p.resize,
        table(&columns, rows),
        bytes(report.file_bytes),
        bytes(report.arena_bytes),
        bytes(report.scratch_bytes)
    )
}

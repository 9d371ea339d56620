//! `tfc graph`: a description of a file's network, to be completed by hand.

use std::path::PathBuf;

use anyhow::Result;
use tfc_formats::import;

use super::output::print;

/// Draft a graph.toml for a safetensors or ONNX file; open questions are marked `# ?`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Trained network: model.safetensors.
    input: PathBuf,
}

/// Runs the verb.
pub(super) fn run(args: &Args) -> Result<()> {
    print(&import::draft(&args.input)?)
}

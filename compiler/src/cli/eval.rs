//! `tfc eval`: error and confusion of an artifact on a data set, by running it in the runtime.

use std::path::PathBuf;

use crate::execute::{self, Score};
use crate::report::{Align, table};
use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::data::{self, LabelArgs};
use super::output::{emit, emit_and_check};
use super::{CheckFailed, Global, artifact, check_number};

/// Error and confusion of a .tfc file on a data set, by running it in the runtime.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The artifact: model.tfc.
    model: PathBuf,
    /// Data set: a folder, or builtin:digits.
    #[arg(long, long_help = data::UNDERSTOOD)]
    data: String,
    /// Which part of it.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    split: Split,
    /// Exit with status 1 if the error is above so many percent.
    #[arg(long, value_name = "PERCENT")]
    max_error: Option<f64>,
    #[command(flatten)]
    labels: LabelArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Split {
    Train,
    Test,
}

impl Split {
    fn name(self) -> &'static str {
        match self {
            Split::Train => "training",
            Split::Test => "test",
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    data: String,
    /// Names of the classes, where the data set has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    class_names: Vec<String>,
    error_percent: f64,
    #[serde(flatten)]
    score: Score,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    check_number("--max-error", args.max_error.unwrap_or(0.0), f64::MAX)?;
    let bytes = artifact::read(&args.model)?;
    let artifact = artifact::parse(&args.model, &bytes)?;
    let header = artifact.header();
    let data = args.labels.load(&args.data, header.input.shape, &header.preprocess)?;
    let samples = match args.split {
        Split::Train => &data.train,
        Split::Test => &data.test,
    };
    if samples.is_empty() {
        bail!("data set `{}` has no {} set; give the other --split", data.name, args.split.name());
    }
    let score = execute::score(&bytes, samples)?;
    let report = Report {
        model: args.model.display().to_string(),
        data: data.name,
        class_names: data.class_names,
        error_percent: score.error_percent(),
        score,
    };
    let check = match args.max_error {
        Some(most) if report.error_percent > most => {
            let error = report.error_percent;
            Err(CheckFailed(format!("{}: error {error:.2}% is above {most}%", report.model)).into())
        }
        _ => Ok(()),
    };
    emit_and_check(emit(global, || text(&report), &report), check)
}

fn text(report: &Report) -> String {
    /// Most classes whose confusion fits a terminal.
    const SHOWN: usize = 20;
    let score = &report.score;
    let predictions = score.confusion.first().map_or(0, Vec::len);
    let name = |class: usize| report.class_names.get(class).cloned().unwrap_or_else(|| class.to_string());
    let confusion = if predictions.max(score.confusion.len()) <= SHOWN {
        let classes: Vec<String> = (0..predictions).map(name).collect();
        let mut columns = vec![("class \\ predicted", Align::Right)];
        columns.extend(classes.iter().map(|class| (class.as_str(), Align::Right)));
        let rows = score.confusion.iter().enumerate().map(|(class, row)| {
            std::iter::once(name(class)).chain(row.iter().map(usize::to_string)).collect()
        });
        table(&columns, rows) + "\n"
    } else {
        String::new()
    };
    format!(
        "{confusion}error {:.2}%: {} of {} wrong, {} correct\n",
        report.error_percent,
        score.errors,
        score.samples,
        score.samples - score.errors
    )
}

//! The command line: one file a verb.
//!
//! stdout is data, stderr is progress and messages. Exit status: 0 done, 1 a check failed, 2 bad
//! usage or input, 130 interrupted.

mod artifact;
mod bench;
mod board;
mod compile;
mod completions;
mod data;
mod devices;
mod diff;
mod eval;
mod fit;
mod graph;
mod input;
mod inspect;
mod ops;
mod output;
mod peers;
mod progress;
mod run;
mod train;
mod training;
mod tune;

use std::process::ExitCode;

use crate::compile::CompileError;
use crate::train::TrainError;
use clap::{Parser, Subcommand, ValueEnum};

/// Prunes and factorizes trained networks into .tfc files that are really smaller and really faster.
#[derive(Debug, Parser)]
#[command(
    name = "tfc",
    version,
    after_help = "Exit status: 0 done, 1 a check failed (accuracy, budget, tolerance), 2 bad usage or input, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// How results are printed on stdout.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// No progress and no messages on stderr but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Threads: of one sample for bench [default there: 1], of all work on the processor elsewhere
    /// [default: one a core].
    #[arg(long, global = true, value_name = "N")]
    threads: Option<std::num::NonZeroUsize>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Compile(Box<compile::Args>),
    Train(train::Args),
    Inspect(inspect::Args),
    Run(run::Args),
    Eval(eval::Args),
    Bench(bench::Args),
    Tune(tune::Args),
    Diff(diff::Args),
    Graph(graph::Args),
    /// List the adapters that can train.
    Devices,
    /// List the operations and what is done with each.
    Ops,
    Completions(completions::Args),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs; stable.
    Json,
}

/// What every verb is told.
#[derive(Clone, Copy, Debug)]
struct Global {
    format: Format,
    quiet: bool,
    threads: Option<std::num::NonZeroUsize>,
}

/// A check that a person asked for did not hold.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CheckFailed(String);

/// Parses the arguments, runs the verb and reports its error on one line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let global = Global { format: cli.format, quiet: cli.quiet, threads: cli.threads };
    if let Some(threads) = cli.threads {
        // Fails only where the pool is already there, and nothing has asked for it.
        _ = rayon::ThreadPoolBuilder::new().num_threads(threads.get()).build_global();
    }
    let result = match cli.verb {
        Verb::Compile(args) => compile::run(&args, global),
        Verb::Train(args) => train::run(&args, global),
        Verb::Inspect(args) => inspect::run(&args, global),
        Verb::Run(args) => run::run(&args, global),
        Verb::Eval(args) => eval::run(&args, global),
        Verb::Bench(args) => bench::run(&args, global),
        Verb::Tune(args) => tune::run(&args, global),
        Verb::Diff(args) => diff::run(&args, global),
        Verb::Graph(args) => graph::run(&args),
        Verb::Devices => devices::run(global),
        Verb::Ops => ops::run(global),
        Verb::Completions(args) => completions::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("tfc: {error}"));
            ExitCode::from(status(&error))
        }
    }
}

/// Refuses a number that is not from 0 to `most`, such as NaN, with which no check ever fails.
fn check_number(flag: &str, value: f64, most: f64) -> anyhow::Result<()> {
    anyhow::ensure!((0.0..=most).contains(&value), "{flag} is {value}; it must be from 0 to {most}");
    Ok(())
}

fn status(error: &anyhow::Error) -> u8 {
    let stopped = matches!(error.downcast_ref(), Some(TrainError::Interrupted { .. }))
        || error.downcast_ref().is_some_and(CompileError::is_interrupt);
    match error {
        _ if stopped => 130,
        error if error.is::<CheckFailed>() => 1,
        _ => 2,
    }
}

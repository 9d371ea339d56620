//! `tfc tune`: what this machine takes for each kind of work.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use tfc_formats::artifact::write_file;
use tfc_runtime::Kernels;

use super::output::{check_writable, emit, note};
use super::progress::Bar;
use super::{Global, check_number};
use crate::plan::{Terms, Tuned, tune};
use crate::report::{Align, table};

/// Longest measurement, an hour.
const MOST_SECONDS: f64 = 3600.0;

/// Measure this machine, one thread, and write the table that `tfc compile --target FILE` takes.
///
/// Small layers are timed, and the costs that explain their times best are solved for. The fewer other
/// programs run meanwhile, the better they are.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Table to write: machine.toml.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long to measure.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Kernels to measure [default: the fastest that this machine runs].
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
    /// Replace a file that exists.
    #[arg(long)]
    force: bool,
}

/// Runs the verb.
pub(super) fn run(args: &Args, global: Global) -> Result<()> {
    check_number("--seconds", args.seconds, MOST_SECONDS)?;
    if let Some(output) = &args.output {
        check_writable(output, args.force)?;
    }
    let kernels = match &args.kernels {
        None => Kernels::best(),
        Some(name) => Kernels::available().find(|kernels| kernels.name() == name).ok_or_else(|| {
            let known: Vec<&str> = Kernels::available().map(Kernels::name).collect();
            anyhow!("kernels `{name}` do not run here; {} do", known.join(", "))
        })?,
    };
    let mut bar = Bar::new(global);
    let tuned = tune(kernels, args.seconds, &mut |done, of| bar.tuning(done, of))?;
    bar.finish();
    if let Some(output) = &args.output {
        write_file(output, toml::to_string(&tuned.target)?.as_bytes())?;
    }
    emit(global, || text(&tuned), &tuned)?;
    if let Some(output) = &args.output {
        note(global, &format!("wrote {}", output.display()));
    }
    Ok(())
}

fn text(tuned: &Tuned) -> String {
    let columns = [("layer", Align::Left), ("least ns", Align::Right), ("predicted", Align::Right)];
    let layers = table(
        &columns,
        tuned.layers.iter().map(|layer| {
            vec![layer.name.clone(), format!("{:.0}", layer.measured), format!("{:.0}", layer.predicted)]
        }),
    );
    let columns = [("cost", Align::Left), (tuned.target.unit.name(), Align::Right), ("of a", Align::Left)];
    let costs = Terms::ABOUT.iter().zip(tuned.target.costs.to_array()).map(|((name, about), cost)| {
        vec![(*name).to_owned(), format!("{cost:.3}"), about.trim().trim_end_matches('.').to_owned()]
    });
    let costs = table(&columns, costs);
    let mut errors: Vec<f64> =
        tuned.layers.iter().map(|layer| (layer.predicted / layer.measured - 1.0).abs()).collect();
    errors.sort_by(f64::total_cmp);
    let percent = |share: f64| 100.0 * errors[(share * (errors.len() - 1) as f64) as usize];
    format!(
        "{layers}\n{costs}\n{}: half of the layers are predicted within {:.0}%, nine of ten within {:.0}%\n",
        tuned.target.name,
        percent(0.5),
        percent(0.9)
    )
}

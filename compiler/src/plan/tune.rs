//! Costs of the machine that this runs on, from the times of small layers.

use std::time::{Duration, Instant};

use serde::Serialize;
use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Kernels, Model, ModelError, PrepareError, Prepared, RunError};

use super::cases::{Case, LAYER, cases};
use super::{Sample, Target, TargetError, Unit, fit};
use crate::bench::ramp;
use crate::encode::EncodeError;

/// Turns of every layer: what the machine does meanwhile slows some of them down, not all.
const TURNS: usize = 12;

/// The costs of this machine and the measurements that they come from.
#[derive(Clone, Debug, Serialize)]
pub struct Tuned {
    /// The table.
    pub target: Target,
    /// All layers that were timed.
    pub layers: Vec<Timed>,
}

/// A layer that was timed.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// What it is.
    pub name: String,
    /// Least time of a run, nanoseconds.
    pub measured: f64,
    /// What the table predicts.
    pub predicted: f64,
}

/// Why a machine cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuneError {
    /// No table says how these kernels run.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A layer cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The runtime refuses a layer.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The runtime cannot prepare a layer.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A layer does not run.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Measures these kernels on this machine, one thread, for about `seconds`, and tells `progress`
/// how many turns of how many are done.
pub fn tune(
    kernels: Kernels,
    seconds: f64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Tuned, TuneError> {
    // How long tiles are is known; what they cost is not.
    let base = Target::find(match kernels.name() {
        "avx512" => "x86-64-v4",
        "avx2" => "x86-64-v3",
        "neon" => "aarch64-a72",
        _ => "generic",
    })?;
    let cases = cases();
    let source = format!("tfc tune: least times of {} layers, {} kernels", cases.len(), kernels.name());
    let mut target = Target { name: format!("tuned-{}", base.name), source, unit: Unit::Ns, ..base };

    let times = times(&cases, kernels, seconds, progress)?;
    let sample = |(case, &time): (&Case, &f64)| Sample { counts: case.counts(&target), time };
    let samples: Vec<Sample> = cases.iter().zip(&times).map(sample).collect();
    target.costs = fit(&samples);
    let timed = cases.iter().zip(&samples).map(|(case, sample)| Timed {
        name: case.name.clone(),
        measured: sample.time,
        predicted: sample.counts.dot(target.costs),
    });
    Ok(Tuned { layers: timed.collect(), target })
}

/// Least time of each case, nanoseconds, measured turn by turn.
fn times(
    cases: &[Case],
    kernels: Kernels,
    seconds: f64,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<f64>, TuneError> {
    let files: Vec<AlignedBytes> = cases.iter().map(Case::file).collect::<Result<_, _>>()?;
    let models: Vec<Model<'_>> = files.iter().map(|file| Model::new(file)).collect::<Result<_, _>>()?;
    let prepared: Vec<Prepared<'_>> =
        models.iter().map(|model| Prepared::with_kernels(model, kernels)).collect::<Result<_, _>>()?;
    let mut sessions: Vec<_> = prepared.iter().map(Prepared::session).collect();
    // What looking at the clock takes.
    let clock = (0..1000).map(|_| Instant::now().elapsed().as_secs_f64() * 1e9).fold(f64::INFINITY, f64::min);
    let turn = Duration::from_secs_f64(seconds / (TURNS * cases.len()) as f64);
    let mut least = vec![f64::INFINITY; cases.len()];
    for done in 0..TURNS {
        for (((case, prepared), session), least) in
            cases.iter().zip(&prepared).zip(&mut sessions).zip(&mut least)
        {
            let is_layer: Vec<bool> = prepared.steps().map(|name| name.starts_with(LAYER)).collect();
            let input = ramp(case.network.input.elements().unwrap_or(0) as usize);
            let end = Instant::now() + turn;
            while Instant::now() < end {
                let mut taken = 0.0;
                let mut last = Instant::now();
                session.run_observed(&input, &mut |step| {
                    // What comes before and behind the layer belongs to neighbours that it lacks.
                    if is_layer[step] {
                        taken += (last.elapsed().as_secs_f64() * 1e9 - clock).max(1.0);
                    }
                    last = Instant::now();
                })?;
                *least = least.min(taken);
            }
        }
        progress(done + 1, TURNS);
    }
    Ok(least)
}

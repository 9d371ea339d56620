//! Latency of artifacts on this machine, one sample at a time.
//!
//! They run prepared, as a host runs them; those that cannot be prepared run in place.
//!
//! Several artifacts are timed in one run, turn by turn, so that what the machine does meanwhile
//! hits all of them alike and their ratio holds.

use std::time::{Duration, Instant};

use serde::Serialize;
use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Model, Prepared, PreparedSession, RunError, Session};

use crate::execute::ExecuteError;

/// Runs before anything is timed.
const WARM_UP: usize = 20;

/// Runs of one artifact before it is the next one's turn.
const TURN: usize = 10;

/// Timed runs of one artifact; more would tell nothing new and fill the memory.
const MOST_RUNS: usize = 1_000_000;

/// Latencies of one artifact.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Timed runs.
    pub runs: usize,
    /// Fastest run, microseconds.
    pub min_us: f64,
    /// Half of the runs are faster.
    pub p50_us: f64,
    /// Nine of ten are.
    pub p90_us: f64,
    /// All but one of a hundred are.
    pub p99_us: f64,
    /// From the file's bytes in memory to a session ready to run, expansion of the weights included:
    /// microseconds, fastest of several.
    pub init_us: f64,
    /// Median time of each step, in order; measured in runs of their own.
    pub steps: Vec<StepTime>,
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Bytes of the arena that it needs to run in place, as on a microcontroller.
    pub arena_bytes: usize,
    /// Bytes of expanded weights and of memory to run in here; 0 where it runs in place.
    pub prepared_bytes: usize,
}

/// A session of either kind: prepared, or in place for what cannot be prepared.
pub(crate) enum Runner<'r, 'm> {
    Prepared(PreparedSession<'r, 'm>),
    InPlace(Session<'m, 'r>),
}

impl<'r, 'm> Runner<'r, 'm> {
    /// A session of `model`, in `arena` if it is not prepared.
    pub(crate) fn new(
        model: &'m Model<'m>,
        prepared: Option<&'r Prepared<'m>>,
        arena: &'r mut AlignedBytes,
        threads: usize,
    ) -> Result<Self, ExecuteError> {
        Ok(match prepared {
            Some(prepared) => Self::Prepared(prepared.session_on(threads)?),
            None => Self::InPlace(Session::new(model, arena)?),
        })
    }

    pub(crate) fn run(&mut self, input: &[f32]) -> Result<&[f32], RunError> {
        match self {
            Self::Prepared(session) => session.run(input),
            Self::InPlace(session) => session.run(input),
        }
    }

    fn run_observed(
        &mut self,
        input: &[f32],
        mut observer: impl FnMut(usize) + Send,
    ) -> Result<(), RunError> {
        match self {
            Self::Prepared(session) => session.run_observed(input, &mut observer).map(drop),
            Self::InPlace(session) => session.run_observed(input, &mut |step, _, _| observer(step)).map(drop),
        }
    }
}

/// Time of one step.
#[derive(Clone, Debug, Serialize)]
pub struct StepTime {
    /// Name of the step.
    pub name: String,
    /// Median, microseconds.
    pub p50_us: f64,
    /// Share of the sum over all steps, 0 to 1.
    pub share: f64,
}

/// An input to time with: a ramp, neither all zero nor denormal anywhere.
pub fn ramp(elements: usize) -> Vec<f32> {
    (0..elements).map(|at| (at % 251) as f32 / 251.0).collect()
}

/// Times artifacts turn by turn for about `seconds` in all on the same input, each sample on so many
/// threads.
pub fn latencies(
    files: &[&[u8]],
    input: &[f32],
    seconds: f64,
    threads: usize,
) -> Result<Vec<Latency>, ExecuteError> {
    let aligned: Vec<AlignedBytes> = files.iter().map(|bytes| AlignedBytes::from(*bytes)).collect();
    let models: Vec<Model<'_>> = aligned.iter().map(|bytes| Model::new(bytes)).collect::<Result<_, _>>()?;
    let prepared: Vec<Option<Prepared<'_>>> = models.iter().map(|model| Prepared::new(model).ok()).collect();
    let mut arenas: Vec<AlignedBytes> =
        models.iter().map(|model| AlignedBytes::zeroed(model.arena_len())).collect();
    let mut sessions = Vec::with_capacity(files.len());
    for ((model, prepared), arena) in models.iter().zip(&prepared).zip(&mut arenas) {
        sessions.push(Runner::new(model, prepared.as_ref(), arena, threads)?);
    }
    let names = |index: usize| -> Vec<String> {
        match &prepared[index] {
            Some(prepared) => prepared.steps().map(str::to_owned).collect(),
            None => models[index].artifact().steps().map(|step| step.name.to_owned()).collect(),
        }
    };

    let mut whole: Vec<Vec<Duration>> = vec![Vec::new(); files.len()];
    let mut steps: Vec<Vec<Vec<Duration>>> =
        (0..files.len()).map(|index| vec![Vec::new(); names(index).len()]).collect();
    for session in &mut sessions {
        for _ in 0..WARM_UP {
            session.run(input)?;
        }
    }
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    while whole[0].len() < TURN || Instant::now() < end && whole[0].len() < MOST_RUNS {
        for (index, session) in sessions.iter_mut().enumerate() {
            for _ in 0..TURN {
                let start = Instant::now();
                session.run(input)?;
                whole[index].push(start.elapsed());
            }
            let mut last = Instant::now();
            session.run_observed(input, |step| {
                let now = Instant::now();
                steps[index][step].push(now - last);
                last = now;
            })?;
        }
    }
    let memory: Vec<usize> = sessions
        .iter()
        .map(|session| if let Runner::Prepared(session) = session { session.bytes() } else { 0 })
        .collect();
    drop(sessions);
    (0..files.len())
        .map(|index| {
            let init_us = init(&aligned[index])?;
            let medians: Vec<f64> = steps[index].iter_mut().map(|times| percentile(times, 0.5)).collect();
            let sum: f64 = medians.iter().sum();
            let steps = names(index).into_iter().zip(&medians).map(|(name, &p50_us)| StepTime {
                name,
                p50_us,
                share: p50_us / sum,
            });
            let times = &mut whole[index];
            Ok(Latency {
                runs: times.len(),
                min_us: percentile(times, 0.0),
                p50_us: percentile(times, 0.5),
                p90_us: percentile(times, 0.9),
                p99_us: percentile(times, 0.99),
                init_us,
                steps: steps.collect(),
                file_bytes: files[index].len(),
                arena_bytes: models[index].arena_len(),
                prepared_bytes: memory[index] + prepared[index].as_ref().map_or(0, Prepared::bytes),
            })
        })
        .collect()
}

fn init(bytes: &AlignedBytes) -> Result<f64, ExecuteError> {
    let mut fastest = f64::INFINITY;
    for _ in 0..TURN {
        let start = Instant::now();
        let model = Model::new(bytes)?;
        match Prepared::new(&model) {
            Ok(prepared) => {
                std::hint::black_box(prepared.session());
                fastest = fastest.min(start.elapsed().as_secs_f64() * 1e6);
            }
            Err(_) => {
                let taken = start.elapsed();
                let mut arena = AlignedBytes::zeroed(model.arena_len());
                let start = Instant::now();
                std::hint::black_box(Session::new(&model, &mut arena)?);
                fastest = fastest.min((taken + start.elapsed()).as_secs_f64() * 1e6);
            }
        }
    }
    Ok(fastest)
}

/// Microseconds below which this share of the times lies.
pub(crate) fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let index = (share * (times.len().saturating_sub(1)) as f64).round() as usize;
    times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

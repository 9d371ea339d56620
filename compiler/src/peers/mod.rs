//! Other inference engines beside ours: the same network on the same input, batch 1, one thread.
//!
//! Each engine runs in a process of its own under the Python of its virtual environment and is timed
//! there around its run call alone, without starting up or passing data between processes. Ours
//! and theirs take turns, so that what the machine does meanwhile hits all of them alike. Every
//! engine's output is compared with ours: who computes something else has no time to compare.

mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;
use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::{Model, PrepareError, Prepared};

use crate::bench::{Runner, percentile, ramp};
use crate::execute::ExecuteError;
use process::Process;

/// An engine that can be timed.
struct Engine {
    /// Name of its Python package, in lower case.
    name: &'static str,
    /// Virtual environment that has it.
    venv: &'static str,
}

/// DeepSparse pins old versions of what the others need, and so has an environment to itself.
const ENGINES: [Engine; 4] = [
    Engine { name: "onnxruntime", venv: "main" },
    Engine { name: "openvino", venv: "main" },
    Engine { name: "mnn", venv: "main" },
    Engine { name: "deepsparse", venv: "deepsparse" },
];

/// Turns of each engine.
const ROUNDS: u32 = 10;

/// One engine's turn.
#[derive(Clone, Copy, Debug, Serialize)]
struct Turn {
    /// Length.
    seconds: f64,
    /// Runs before it, which bring code and weights back into the caches.
    warm_up: usize,
    /// Runs that are timed however long they take.
    least: usize,
    /// Runs after which it ends however short they were.
    most: usize,
}

/// One engine in the comparison; the first is ours.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the engine.
    pub engine: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of timing an engine.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It ran.
    Timed(Timed),
    /// It did not.
    Failed {
        /// Why, one line.
        error: String,
    },
}

/// Latencies of one engine.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// Version of the engine.
    pub version: String,
    /// Timed runs.
    pub runs: usize,
    /// Fastest run, microseconds.
    pub min_us: f64,
    /// Half of the runs are faster.
    pub p50_us: f64,
    /// Nine of ten are.
    pub p90_us: f64,
    /// Its median over ours.
    pub ratio: f64,
    /// Its fastest run over ours.
    pub min_ratio: f64,
    /// Largest difference between its outputs and ours, as a share of the largest of ours.
    pub differs: f64,
}

/// Times an artifact and, on the ONNX file that it was compiled from, the engines of a folder of
/// virtual environments, about `seconds` in all. Engines that fail are listed with their reasons.
pub fn compare(file: &[u8], onnx: &Path, folder: &Path, seconds: f64) -> Result<Vec<Row>, ExecuteError> {
    let aligned = AlignedBytes::from(file);
    let model = Model::new(&aligned)?;
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let prepared = match Prepared::new(&model) {
        Err(PrepareError::Integer) => None,
        prepared => Some(prepared?),
    };
    let mut session = Runner::new(&model, prepared.as_ref(), &mut arena, 1)?;
    let input = ramp(model.input_shape().elements().unwrap_or(0) as usize);
    let output = session.run(&input)?.to_vec();

    let mut peers = ENGINES.map(|engine| Process::start(&engine, folder, onnx, &input));
    let turns = ROUNDS as usize * (1 + peers.iter().flatten().count());
    let turn = Turn { seconds: seconds / turns as f64, warm_up: 3, least: 3, most: 100_000 };
    let mut ours = Vec::new();
    let mut theirs = ENGINES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        ours.extend(timed(&turn, || session.run(&input).map(drop))?);
        for (peer, times) in peers.iter_mut().zip(&mut theirs) {
            match peer.as_mut().map(|process| process.turn(&turn)) {
                Ok(Ok(more)) => times.extend(more),
                Ok(Err(reason)) => *peer = Err(reason),
                Err(_) => {}
            }
        }
    }

    let ours = Timed::new(env!("CARGO_PKG_VERSION"), &mut ours, 0.0);
    let theirs = ENGINES.iter().zip(peers).zip(theirs).map(|((engine, peer), mut times)| {
        let outcome = peer.and_then(|process| {
            let differs = difference(&output, &process.ready.output)?;
            Ok(Outcome::Timed(Timed::new(&process.ready.version, &mut times, differs).over(&ours)))
        });
        let outcome = outcome.unwrap_or_else(|error| Outcome::Failed { error });
        Row { engine: engine.name.to_owned(), outcome }
    });
    let first = Row { engine: "tfc".to_owned(), outcome: Outcome::Timed(ours.clone()) };
    Ok([first].into_iter().chain(theirs).collect())
}

/// Times of the runs of one turn.
fn timed<E>(turn: &Turn, mut run: impl FnMut() -> Result<(), E>) -> Result<Vec<Duration>, E> {
    for _ in 0..turn.warm_up {
        run()?;
    }
    let mut times = Vec::new();
    let end = Instant::now() + Duration::from_secs_f64(turn.seconds);
    let mut start = Instant::now();
    while times.len() < turn.least || start < end && times.len() < turn.most {
        start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Largest difference as a share of the largest of ours. Another number of outputs, or a
/// difference of more than a quarter, is another network.
fn difference(ours: &[f32], theirs: &[f32]) -> Result<f64, String> {
    /// More than rounding to 8 bits does.
    const MOST: f64 = 0.25;
    if ours.len() != theirs.len() {
        return Err(format!("gives {} outputs where the artifact gives {}", theirs.len(), ours.len()));
    }
    let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0, |most: f32, v| most.max(v.abs()));
    let apart = largest(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    let share = f64::from(apart) / f64::from(largest(&mut ours.iter().copied()).max(f32::MIN_POSITIVE));
    if share > MOST {
        return Err(format!("outputs differ by {:.0}% of the largest: another network?", 100.0 * share));
    }
    Ok(share)
}

impl Timed {
    fn new(version: &str, times: &mut [Duration], differs: f64) -> Self {
        Self {
            version: version.to_owned(),
            runs: times.len(),
            min_us: percentile(times, 0.0),
            p50_us: percentile(times, 0.5),
            p90_us: percentile(times, 0.9),
            ratio: 1.0,
            min_ratio: 1.0,
            differs,
        }
    }

    fn over(self, ours: &Self) -> Self {
        Self { ratio: self.p50_us / ours.p50_us, min_ratio: self.min_us / ours.min_us, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_compared_by_the_largest_of_ours() {
        assert_eq!(difference(&[1.0, -4.0], &[1.0, -4.0]), Ok(0.0));
        assert_eq!(difference(&[1.0, -4.0], &[2.0, -4.0]), Ok(0.25));
        assert!(difference(&[1.0, -4.0], &[2.5, -4.0]).unwrap_err().starts_with("outputs differ by 38%"));
        assert!(difference(&[0.0], &[0.1]).is_err());
        let fewer = difference(&[1.0, 2.0], &[1.0]);
        assert_eq!(fewer, Err("gives 1 outputs where the artifact gives 2".to_owned()));
    }

    #[test]
    fn a_turn_ends_by_time_between_its_limits() {
        let mut runs = 0;
        let mut count = |turn: &Turn| {
            runs = 0;
            let times = timed(turn, || -> Result<(), ()> {
                runs += 1;
                Ok(())
            });
            (times.unwrap().len(), runs)
        };
        let turn = Turn { seconds: 0.0, warm_up: 2, least: 3, most: 5 };
        assert_eq!(count(&turn), (3, 5));
        assert_eq!(count(&Turn { seconds: 3600.0, ..turn }), (5, 7));
        assert_eq!(timed(&turn, || Err("no")), Err("no"));
    }
}

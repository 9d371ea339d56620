//! Prints what runs of a model cost under Linux: see [`measure`] for the lines. `tfc bench --on` builds
//! it, runs it by ssh or in QEMU and reads them.
//!
//! `linux IMAGE [RUNS]`: IMAGE is the file of a model with an input behind it.

use std::fmt::Write;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use bytemuck::{Pod, Zeroable};
use measure::{Clock, Image};
use tfc_runtime::Needs;

/// Memory as the runtime wants it.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(16))]
struct Chunk([u8; 16]);

/// Any model.
const NEEDS: u32 = Needs::ALL.bits();

/// The system's clock.
struct Nanoseconds(Instant);

impl Clock for Nanoseconds {
    const UNIT: &str = "ns";

    fn now() -> Self {
        Self(Instant::now())
    }

    fn elapsed(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

struct Output;

impl Write for Output {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        print!("{text}");
        Ok(())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linux: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: linux IMAGE [RUNS]")?;
    let runs = arguments.next().map_or(Ok(1), |runs| runs.parse::<usize>());
    let runs = runs.map_err(|error| format!("the number of runs: {error}"))?;
    let bytes = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut aligned = vec![Chunk::zeroed(); bytes.len().div_ceil(16)];
    let place: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
    place[..bytes.len()].copy_from_slice(&bytes);

    let said = |error| format!("{error:?}");
    let image = Image::of(&place[..bytes.len()]).map_err(said)?;
    let arena_len = image.model::<NEEDS>().map_err(said)?.arena_len();
    let mut arena = vec![Chunk::zeroed(); arena_len.div_ceil(16)];
    let arena: &mut [u8] = bytemuck::cast_slice_mut(&mut arena);
    for _ in 0..runs {
        measure::measure::<Nanoseconds, NEEDS>(&image, arena, &mut Output).map_err(said)?;
    }
    Ok(())
}

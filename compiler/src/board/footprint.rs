//! What a model takes of a microcontroller, known before it is flashed.

use std::path::Path;

use serde::Serialize;
use tfc_formats::artifact::{Artifact, Step, Value};

use super::firmware::{Build, Program};
use super::{Bench, Board, BoardError, Place, sources};
use crate::bench::ramp;

/// Flash and RAM that a model takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Footprint {
    /// Bytes of its file.
    pub model: u64,
    /// Bytes of RAM for its values.
    pub arena: u64,
    /// Bytes of the program around it, where they are known.
    pub program: Option<ProgramBytes>,
    /// Why they are not.
    pub unknown: Option<String>,
}

/// Bytes of the program around a model, measured on the smallest application of the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ProgramBytes {
    /// Flash: all code and constants but the model.
    pub code: u64,
    /// RAM: variables.
    pub statics: u64,
    /// RAM: the stack at its deepest.
    pub stack: u64,
}

impl Footprint {
    /// Of a checked file. On a board that QEMU emulates, the program is built and run; the sources of the
    /// firmware are in `firmware`, or where [`sources`] finds them.
    pub fn of(
        artifact: &Artifact<'_>,
        file: &[u8],
        board: Option<&'static Board>,
        firmware: Option<&Path>,
    ) -> Self {
        let (model, arena) = (file.len() as u64, artifact.header().arena_len.into());
        let measured = match board {
            Some(board) => measure(artifact, file, board, firmware).map_err(|error| error.to_string()),
            None => Err("--target names no microcontroller".to_owned()),
        };
        let (program, unknown) = match measured {
            Ok(program) => (Some(program), None),
            Err(reason) => (None, Some(reason)),
        };
        Self { model, arena, program, unknown }
    }

    /// Bytes of flash, those of the program where they are known.
    pub fn flash(&self) -> u64 {
        self.model + self.program.map_or(0, |program| program.code)
    }

    /// Bytes of RAM, those of the program where they are known.
    pub fn ram(&self) -> u64 {
        self.arena + self.program.map_or(0, |program| program.statics + program.stack)
    }
}

/// Builds the smallest application with the model in it for its size, and the one that measures for
/// its stack.
fn measure(
    artifact: &Artifact<'_>,
    file: &[u8],
    board: &'static Board,
    firmware: Option<&Path>,
) -> Result<ProgramBytes, BoardError> {
    let firmware = sources(firmware)?;
    let bench = Bench::prepare(&Place::Emulated(board), &firmware, artifact.needs())?;
    let input = ramp(artifact.header().input.shape.elements().unwrap_or(0) as usize);
    let stack = bench.run(file, &input)?.stack.unwrap_or(0);

    let folder = tempfile::tempdir().map_err(|error| BoardError::Io { path: "/tmp".into(), error })?;
    let path = folder.path().join("model.tfc");
    std::fs::write(&path, file).map_err(|error| BoardError::Io { path: path.clone(), error })?;
    let build = Build {
        package: "digit",
        target: Some(board.target),
        cpu: board.cpu,
        features: "",
        variables: &[("BOARD", board.name), ("MODEL", &path.to_string_lossy())],
    };
    let program = Program::open(build.run(&firmware)?.join("digit"))?;
    Ok(ProgramBytes { code: program.code.saturating_sub(file.len() as u64), statics: program.statics, stack })
}

/// Bytes of RAM that each step holds while it runs: its inputs, its output and the scratch.
pub fn ram_of_steps(artifact: &Artifact<'_>) -> Vec<(String, u64)> {
    let scratch = u64::from(artifact.header().scratch_len);
    artifact.steps().map(|step| (step.name.to_owned(), scratch + values(&step))).collect()
}

fn values(step: &Step<'_>) -> u64 {
    let residual =
        step.requantization.and_then(|constants| constants.residual).map(|residual| residual.value);
    let all = step.inputs.iter().copied().chain([step.output]).chain(residual);
    let mut all: Vec<Value> = all.collect();
    // What is written over its input lies there too.
    all.sort_by_key(|value| (value.offset, std::cmp::Reverse(value.bytes())));
    all.dedup_by_key(|value| value.offset);
    all.iter().map(|value| u64::from(value.bytes().unwrap_or(0))).sum()
}

//! Real microcontrollers, by probe-rs and a debug probe.

use std::path::{Path, PathBuf};
use std::process::Command;

use tfc_formats::artifact::Needs;

use super::firmware::{Build, Program};
use super::{BoardError, Measured, lines, tool, write_image};

/// Longest time that a model may be written and run.
const RUN_SECONDS: u64 = 600;

/// A chip that there is memory and configuration for.
#[derive(Debug)]
struct Chip {
    /// How probe-rs's name of it begins.
    begins: &'static str,
    /// Its memory in `boards/` of the firmware.
    board: &'static str,
    target: &'static str,
    cpu: &'static str,
    features: &'static str,
}

const CHIPS: [Chip; 5] = [
    chip("nRF52840", "nrf52840dk", "thumbv7em-none-eabihf", "cortex-m4", "rtt"),
    chip("STM32F446RE", "nucleo-f446re", "thumbv7em-none-eabihf", "cortex-m4", "rtt"),
    chip("STM32F767ZI", "nucleo-f767zi", "thumbv7em-none-eabihf", "cortex-m7", "rtt"),
    chip("RP2040", "rp2040", "thumbv6m-none-eabi", "cortex-m0plus", "rp2040"),
    chip("RP235", "rp2350", "thumbv8m.main-none-eabihf", "cortex-m33", "rp2350"),
];

const fn chip(
    begins: &'static str,
    board: &'static str,
    target: &'static str,
    cpu: &'static str,
    features: &'static str,
) -> Chip {
    Chip { begins, board, target, cpu, features }
}

/// A chip with the program for it.
#[derive(Debug)]
pub(super) struct Probe {
    chip: String,
    tool: PathBuf,
    program: Program,
}

impl Probe {
    pub(super) fn prepare(name: &str, sources: &Path, needs: Needs) -> Result<Self, BoardError> {
        let tool = tool::find("probe-rs", "cargo install probe-rs-tools --locked")?;
        let found = CHIPS.iter().find(|chip| {
            name.get(..chip.begins.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(chip.begins))
        });
        let Some(chip) = found else {
            let known = CHIPS.map(|chip| chip.begins).join("..., ");
            let reason = format!("no memory is described for {name}; there are {known}...");
            return Err(BoardError::Failed { program: "probe".to_owned(), reason });
        };
        let build = Build {
            package: "bench",
            target: Some(chip.target),
            cpu: Some(chip.cpu),
            features: chip.features,
            variables: &[("BOARD", chip.board), ("NEEDS", &needs.bits().to_string())],
        };
        let program = Program::open(build.run(sources)?.join("bench"))?;
        Ok(Self { chip: name.to_owned(), tool, program })
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    pub(super) fn run(&self, image: &[u8]) -> Result<Measured, BoardError> {
        self.program.check_fits(&self.chip, image)?;
        let folder = tempfile::tempdir().map_err(|error| BoardError::Io { path: "/tmp".into(), error })?;
        let model = write_image(folder.path(), image)?;
        let mut command = Command::new(&self.tool);
        command.args(["download", "--chip", &self.chip, "--binary-format", "bin", "--base-address"]);
        command.arg(format!("{:#x}", self.program.model.0)).arg(&model);
        tool::output(&mut command, RUN_SECONDS)?;
        // Ends when the program does.
        let mut command = Command::new(&self.tool);
        command.args(["run", "--chip", &self.chip]).arg(&self.program.path);
        let printed = tool::output(&mut command, RUN_SECONDS)?;
        lines::read("probe-rs", &printed, None)
    }
}

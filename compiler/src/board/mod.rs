//! Models on other processors: on boards that QEMU emulates, on real ones behind a debug probe, on a
//! Raspberry Pi.
//!
//! A program of `examples/cortex-m` is built for the place, given a model and an input, and prints
//! what each step costs; its lines are read here. In QEMU costs are instructions, exact and the
//! same every time.

mod catalog;
mod emulator;
mod error;
mod firmware;
mod footprint;
mod lines;
mod probe;
mod ssh;
mod tool;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use tfc_formats::artifact::Needs;

pub use catalog::{BOARDS, Board};
pub use error::BoardError;
pub use firmware::sources;
pub use footprint::{Footprint, ProgramBytes, ram_of_steps};

/// Where a model is to run.
#[derive(Clone, Debug)]
pub enum Place {
    /// A board or processor that QEMU emulates.
    Emulated(&'static Board),
    /// A real microcontroller behind a debug probe, by probe-rs's name of the chip.
    Probe(String),
    /// Linux on Arm, by ssh: `user@host`.
    Ssh(String),
}

impl FromStr for Place {
    type Err = BoardError;

    fn from_str(text: &str) -> Result<Self, BoardError> {
        match text.split_once(':') {
            Some(("probe", chip)) if !chip.is_empty() => Ok(Self::Probe(chip.to_owned())),
            // ssh would take a leading dash for an option.
            Some(("ssh", host)) if !host.is_empty() && !host.starts_with('-') => {
                Ok(Self::Ssh(host.to_owned()))
            }
            _ => {
                let board = BOARDS.iter().find(|board| board.name == text);
                board.map(Self::Emulated).ok_or_else(|| BoardError::Unknown(text.to_owned()))
            }
        }
    }
}

/// What costs are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Executed instructions.
    Instructions,
    /// Cycles of the processor's clock.
    Cycles,
    /// Nanoseconds.
    Ns,
}

/// What a model costs somewhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Of all costs.
    pub unit: Unit,
    /// Checking the file, once.
    pub load: u64,
    /// One run.
    pub run: u64,
    /// Each step of one run, in order.
    pub steps: Vec<u64>,
    /// Bytes of the stack at its deepest, the callers of the runtime included; of a board.
    pub stack: Option<u64>,
    /// The result.
    pub output: Vec<f32>,
}

/// A place that is ready to run models.
#[derive(Debug)]
pub struct Bench(Kind);

#[derive(Debug)]
enum Kind {
    Emulated(emulator::Emulator),
    Probe(probe::Probe),
    Ssh(ssh::Ssh),
}

impl Bench {
    /// Finds the tools and builds the program from the sources in `firmware`: see [`sources`]. A board's
    /// program runs models that need no more than `needs`.
    pub fn prepare(place: &Place, firmware: &Path, needs: Needs) -> Result<Self, BoardError> {
        Ok(Self(match place {
            Place::Emulated(board) => Kind::Emulated(emulator::Emulator::prepare(board, firmware, needs)?),
            Place::Probe(chip) => Kind::Probe(probe::Probe::prepare(chip, firmware, needs)?),
            Place::Ssh(host) => Kind::Ssh(ssh::Ssh::prepare(host, firmware)?),
        }))
    }

    /// Runs the file of a model on a preprocessed sample.
    pub fn run(&self, file: &[u8], input: &[f32]) -> Result<Measured, BoardError> {
        let image = image(file, input);
        match &self.0 {
            Kind::Emulated(emulator) => emulator.run(&image),
            Kind::Probe(probe) => probe.run(&image),
            Kind::Ssh(ssh) => ssh.run(&image),
        }
    }

    /// Bytes of flash that the program takes without the model, and of its variables; of a board.
    pub fn sizes(&self) -> Option<(u64, u64)> {
        let program = match &self.0 {
            Kind::Emulated(emulator) => emulator.program()?,
            Kind::Probe(probe) => probe.program(),
            Kind::Ssh(_) => return None,
        };
        Some((program.code, program.statics))
    }

    /// What is known of a machine now: its clock, temperature...
    pub fn conditions(&self) -> Result<Vec<(String, String)>, BoardError> {
        match &self.0 {
            Kind::Ssh(ssh) => ssh.conditions(),
            Kind::Emulated(_) | Kind::Probe(_) => Ok(Vec::new()),
        }
    }
}

/// Builds the program for Linux, static.
fn linux(target: &str, sources: &Path) -> Result<PathBuf, BoardError> {
    if target.starts_with("armv7") {
        tool::find("arm-linux-gnueabihf-gcc", "apt-get install gcc-arm-linux-gnueabihf")?;
    }
    let build =
        firmware::Build { package: "linux", target: Some(target), cpu: None, features: "", variables: &[] };
    Ok(build.run(sources)?.join("linux"))
}

/// A model and its input as the program on the other side expects them: the file, zeros up to a
/// multiple of 16, the input.
fn image(file: &[u8], input: &[f32]) -> Vec<u8> {
    let mut image = file.to_vec();
    image.resize(file.len().next_multiple_of(16), 0);
    image.extend(input.iter().flat_map(|x| x.to_le_bytes()));
    image
}

/// Writes the image of a model into a folder.
fn write_image(folder: &Path, image: &[u8]) -> Result<PathBuf, BoardError> {
    let path = folder.join("model.bin");
    std::fs::write(&path, image).map_err(|error| BoardError::Io { path: path.clone(), error })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_as_the_help_says() {
        assert!(matches!("mps2-an386".parse(), Ok(Place::Emulated(board)) if board.machine == "mps2-an386"));
        assert!(matches!("probe:STM32F446RETx".parse(), Ok(Place::Probe(chip)) if chip == "STM32F446RETx"));
        assert!(matches!("ssh:pi@host".parse(), Ok(Place::Ssh(host)) if host == "pi@host"));
        for wrong in ["", "ssh:", "probe:", "mps9", "ssh:-oProxyCommand=x"] {
            assert!(matches!(wrong.parse::<Place>(), Err(BoardError::Unknown(text)) if text == wrong));
        }
    }

    #[test]
    fn an_input_begins_at_a_multiple_of_16_behind_its_model() {
        let bytes = image(&[1; 17], &[1.0, -2.0]);
        assert_eq!(bytes.len(), 40);
        assert_eq!(bytes[17..32], [0; 15]);
        assert_eq!(bytes[36..], (-2.0f32).to_le_bytes());
    }
}

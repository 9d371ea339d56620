//! `tfc compile --flash --ram`: whether the artifact fits a microcontroller, before it is flashed.

use std::path::PathBuf;

use anyhow::Result;
use tfc_formats::artifact::{AlignedBytes, Artifact};

use super::input::size;
use super::{CheckFailed, Global};
use crate::board::{Board, Footprint, ram_of_steps};
use crate::execute::ExecuteError;
use crate::report::{bytes, layers};

/// Layers that are named where a limit is exceeded.
const NAMED: usize = 3;

/// Limits of a device.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Device")]
pub(super) struct FitArgs {
    /// Flash of the device, e.g. 256kB, for the model and, where --target is a microcontroller, the
    /// program around it. If it is too small, the exit status is 1 and the layers that cost most are named.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    flash: Option<u64>,
    /// RAM of the device, e.g. 48kB, for the arena and, where --target is a microcontroller, variables
    /// and the stack of the program around it.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    ram: Option<u64>,
    /// Sources of the program around it [default: examples/cortex-m of the checkout around the current
    /// folder or this program].
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
}

impl FitArgs {
    /// Whether there are any.
    pub(super) fn limits(&self) -> bool {
        self.flash.is_some() || self.ram.is_some()
    }

    /// What an artifact takes, if there is a limit.
    pub(super) fn footprint(
        &self,
        file: &[u8],
        target: Option<&str>,
        global: Global,
    ) -> Result<Option<Footprint>> {
        if !self.limits() {
            return Ok(None);
        }
        let file = AlignedBytes::from(file);
        let artifact = Artifact::parse(&file).map_err(ExecuteError::from)?;
        let board = target.and_then(Board::of_target);
        if let Some(board) = board {
            super::output::note(global, &format!("building the program for a {}", board.core));
        }
        Ok(Some(Footprint::of(&artifact, &file, board, self.firmware.as_deref())))
    }

    /// Fails if the artifact takes more than there is.
    pub(super) fn check(&self, file: &[u8], footprint: &Footprint) -> Result<()> {
        let file = AlignedBytes::from(file);
        let artifact = Artifact::parse(&file).map_err(ExecuteError::from)?;
        let of_flash = || layers(&artifact).into_iter().map(|layer| (layer.name, layer.bytes)).collect();
        let mut faults = Vec::new();
        if let Some(fault) = exceeds("flash", footprint.flash(), self.flash, of_flash) {
            let left = self.flash.unwrap_or(0).saturating_sub(footprint.flash() - footprint.model);
            faults.push(format!("{fault} (--max-bytes {left} would fit)"));
        }
        faults.extend(exceeds("RAM", footprint.ram(), self.ram, || ram_of_steps(&artifact)));
        if faults.is_empty() { Ok(()) } else { Err(CheckFailed(faults.join("; ")).into()) }
    }
}

/// What is said where more is needed than there is: the steps that take most.
fn exceeds(
    what: &str,
    needed: u64,
    limit: Option<u64>,
    steps: impl FnOnce() -> Vec<(String, u64)>,
) -> Option<String> {
    let limit = limit.filter(|limit| needed > *limit)?;
    let mut steps = steps();
    steps.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let named = steps.iter().filter(|(_, n)| *n > 0).take(NAMED);
    let named: Vec<String> = named.map(|(name, n)| format!("{name} {}", bytes(*n))).collect();
    Some(format!("needs {needed} bytes of {what}, there are {limit}; most is for {}", named.join(", ")))
}

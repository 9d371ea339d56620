//! The device a person asks for.

use core::{fmt, str::FromStr};

use super::{
    DeviceError,
    cpu::Cpu,
    gpu::{Gpu, Selection},
};

/// Environment variable that, set to `1`, lets [`Choice::Gpu`] open a software rasteriser: for
/// tests on machines without a GPU.
pub const ALLOW_SOFTWARE: &str = "TFC_ALLOW_SOFTWARE_GPU";

/// What to run on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// A real GPU if there is one, else the CPU; never a software rasteriser, which is slower.
    #[default]
    Auto,
    /// A real GPU, or with [`ALLOW_SOFTWARE`] a software rasteriser.
    Gpu,
    /// The CPU.
    Cpu,
}

/// The names of [`Choice`], in its order.
const NAMES: [(&str, Choice); 3] = [("auto", Choice::Auto), ("gpu", Choice::Gpu), ("cpu", Choice::Cpu)];

impl FromStr for Choice {
    type Err = UnknownChoice;

    fn from_str(s: &str) -> Result<Self, UnknownChoice> {
        let known = NAMES.iter().find(|(name, _)| *name == s);
        known.map(|(_, choice)| *choice).ok_or_else(|| UnknownChoice(s.to_owned()))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES[*self as usize].0)
    }
}

/// A name that is none of a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown device `{0}`: it is auto, gpu or cpu")]
pub struct UnknownChoice(String);

/// The device that was chosen.
#[derive(Debug)]
pub enum AnyDevice {
    /// The processor.
    Cpu(Cpu),
    /// A GPU.
    Gpu(Gpu),
}

/// Opens the device. [`Choice::Auto`] takes the CPU only where there is no GPU: one that is there
/// and does not open is an error, so that nobody waits for a slow run without knowing why.
pub fn select(choice: Choice) -> Result<AnyDevice, DeviceError> {
    let software = std::env::var_os(ALLOW_SOFTWARE).is_some_and(|value| value == "1");
    match selection(choice, software) {
        None => Ok(AnyDevice::Cpu(Cpu)),
        Some(selection) => match Gpu::new(selection) {
            Ok(gpu) => Ok(AnyDevice::Gpu(gpu)),
            Err(DeviceError::NoAdapter(_)) if choice == Choice::Auto => Ok(AnyDevice::Cpu(Cpu)),
            Err(e) => Err(e),
        },
    }
}

/// Adapters to look for, if any.
fn selection(choice: Choice, software: bool) -> Option<Selection> {
    match choice {
        Choice::Cpu => None,
        Choice::Gpu if software => Some(Selection::Any),
        Choice::Gpu | Choice::Auto => Some(Selection::Hardware),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for choice in [Choice::Auto, Choice::Gpu, Choice::Cpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let unknown = "cuda".parse::<Choice>().unwrap_err();
        assert_eq!(unknown.to_string(), "unknown device `cuda`: it is auto, gpu or cpu");
    }

    #[test]
    fn only_an_explicit_gpu_may_be_software() {
        assert_eq!(selection(Choice::Auto, true), Some(Selection::Hardware));
        assert_eq!(selection(Choice::Auto, false), Some(Selection::Hardware));
        assert_eq!(selection(Choice::Gpu, false), Some(Selection::Hardware));
        assert_eq!(selection(Choice::Gpu, true), Some(Selection::Any));
        assert_eq!(selection(Choice::Cpu, true), None);
    }
}

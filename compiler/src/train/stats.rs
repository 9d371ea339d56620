//! Running sums of losses and errors.

use serde::{Deserialize, Serialize};

use super::Evaluation;
use super::executor::Executor;
use crate::device::{Device, DeviceError};

/// Steps between two readings of the device's sums: reading waits for the device, and sums of
/// f32 must stay short.
const INTERVAL: usize = 16;

/// Sums over the samples seen so far, as far as they were read from the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    loss: f64,
    errors: f64,
    /// Samples that the sums are about.
    samples: usize,
    /// Samples since.
    unread: usize,
}

impl Sums {
    /// Counts the samples of a step, by its number from 1, and reads the sums now and then.
    pub(super) fn after_step<D: Device>(
        &mut self,
        executor: &mut Executor<'_, D>,
        step: usize,
        samples: usize,
    ) -> Result<(), DeviceError> {
        self.unread += samples;
        if step.is_multiple_of(INTERVAL) { self.collect(executor) } else { Ok(()) }
    }

    /// Reads what the device has summed up and sets that to 0.
    pub(super) fn collect<D: Device>(&mut self, executor: &mut Executor<'_, D>) -> Result<(), DeviceError> {
        let [loss, errors] = executor.stats()?;
        executor.set_stats([0.0; 2]);
        self.loss += f64::from(loss);
        self.errors += f64::from(errors);
        self.samples += std::mem::take(&mut self.unread);
        Ok(())
    }

    /// Means over the samples whose sums were read.
    pub(super) fn evaluation(&self) -> Evaluation {
        let loss = self.loss / self.samples.max(1) as f64;
        Evaluation { samples: self.samples, errors: self.errors as usize, loss }
    }
}

//! Training with masks held: forward and backward of a network over a [`Device`](crate::device::Device).
//!
//! - `ops/` has forward and backward of each op, one file an op; [`check`] says up front which
//!   nodes of a network have none.
//! - A plan is what follows from the graph alone; an executor is a plan with its buffers on a device.
//! - [`train`] runs epochs, [`evaluate()`] and [`logits`] run without gradients, [`init()`] starts from scratch.
//!
//! The order of samples, their augmentation and the dropout masks are pure functions of the seed,
//! the epoch, the step and the sample, so that the same seed on the same backend gives the same bytes, also after a run was
//! stopped and resumed.

mod augment;
mod batch;
mod checkpoint;
mod error;
mod evaluate;
mod executor;
mod fit;
mod init;
mod ops;
mod options;
mod plan;
mod random;
mod stats;
mod teacher;

#[cfg(test)]
mod tests;

pub use augment::Augment;
pub use error::{PruneError, Refused, TrainError};
pub use evaluate::{Evaluation, evaluate, logits};
pub use fit::{Control, Data, EpochStats, History, Progress, Prune, train};
pub use init::init;
pub use options::{BatchNorm, Distill, Optimizer, Schedule, TrainOptions};

use tfc_formats::network::Network;
use tfc_formats::op::{Op, Shape};

use crate::device::cpu::Cpu;

/// Whether an op has a backward pass; [`Op::Softmax`] only as the last of a network.
pub fn trains(op: &Op) -> bool {
    let x = Shape::new(4, 8, 8);
    let output = op.output_shape(&[x]).unwrap_or(x);
    *op == Op::Softmax || ops::layer::<Cpu>(op, &[x], output).is_some()
}

/// Whether a network can be trained and evaluated here.
///
/// # Errors
/// What is wrong with it, or all its nodes that have no backward pass.
pub fn check(network: &Network) -> Result<(), TrainError> {
    plan::Plan::<Cpu>::new(network).map(drop)
}

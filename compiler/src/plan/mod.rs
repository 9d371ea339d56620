//! What a network costs on a machine, from a table of a few costs.
//!
//! A step is so much work of each kind ([`Terms`]), which follows from its shapes and from where its
//! weights are not zero ([`Target::counts`]). A [`Target`] says what each kind costs; costs of this
//! machine are [measured](tune) and [solved](fit) for.

mod cases;
mod count;
mod fit;
mod predict;
mod target;
mod term;
mod tune;

pub use count::{Layer, Stored, StoredBlocks, Weights};
pub use fit::{Sample, fit};
pub use predict::{Prediction, StepCost, predict};
pub use target::{Target, TargetError, Unit};
pub use term::Terms;
pub use tune::{Timed, TuneError, Tuned, tune};

#[cfg(test)]
mod tests;

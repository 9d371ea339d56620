//! Compilation under a budget: as accurate as limits on size and time permit, or as small as a
//! limit on accuracy permits.
//!
//! The search goes down in steps, as NetAdapt does (Yang et al. 2018): measure how much each layer
//! of the network at hand matters (`sensitivity`) and costs (`cost`), solve for what to take from
//! each (`allocate`), prune in rounds, fine-tune, and measure the artifact (`attempt`). A step is
//! small, since what a layer's pruning does before fine-tuning tells little about a step that is
//! large. Every artifact on the way is kept in the report.

mod allocate;
mod attempt;
mod cost;
mod sensitivity;
mod walk;

pub(super) use walk::{Outcome, search};

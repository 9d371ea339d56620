//! Which weights stay: scores, thresholds, schedules and the masks that come of them.
//!
//! [`scores`] says how much each weight matters, [`masks`] prunes the lowest until a sparsity is
//! met (or [`masks_of_layers`] as many of each layer as a plan says), and [`sparsity_at`] spreads
//! that over rounds.

mod magnitude;
mod mask;
mod mfbp;
mod mfbp_inflate;
mod random;
mod schedule;
mod score;
mod threshold;
mod tri;
mod tri_relative;

pub use mask::Masks;
pub use schedule::sparsity_at;
pub use score::{Method, Scores, prunable, scores};
pub(crate) use threshold::rows_together;
pub use threshold::{Scope, masks, masks_of_layers, uses};

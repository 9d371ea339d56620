//! Which weights stay: scores, thresholds, schedules and the masks that come of them.

mod mask;

pub use mask::Masks;

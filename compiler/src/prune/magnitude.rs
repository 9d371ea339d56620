//! `magnitude`: the baseline.

/// `|w|`.
pub(super) fn score(w: f32) -> f32 {
    w.abs()
}

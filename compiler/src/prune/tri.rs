//! `tri`: keeps what the structure that layers share supports.

/// `|a| |w|` with `a` the reconstruction of `w`.
pub(super) fn score(w: f32, a: f32) -> f32 {
    a.abs() * w.abs()
}

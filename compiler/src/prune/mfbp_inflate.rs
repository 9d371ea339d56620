//! `mfbp-inflate`: the opposite sign of `mfbp`, as in its authors' code.

/// `|w| - |a|`: lowest, and so pruned first, where the reconstruction `a` inflates the weight
/// `w` most. Where the rank is small `a` is near 0, and this is close to magnitude.
pub(super) fn score(w: f32, a: f32) -> f32 {
    w.abs() - a.abs()
}

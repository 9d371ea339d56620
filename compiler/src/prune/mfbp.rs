//! `mfbp`: Algorithm 1 of the draft "Convolutional network pruning with matrix factorization"
//! (Roštan & Curk, 2016) as it is printed.

/// `|a| - |w|`: lowest, and so pruned first, where the reconstruction `a` shrinks the weight `w`
/// most.
pub(super) fn score(w: f32, a: f32) -> f32 {
    a.abs() - w.abs()
}

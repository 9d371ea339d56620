//! Random numbers as a pure function of what they are for, so that a resumed run repeats them.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

/// One number for a list of them: the finalizer of SplitMix64 (Steele et al. 2014) over each.
pub(super) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |state, part| {
        let z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// A generator of its own for a list of numbers.
pub(super) fn rng(parts: &[u64]) -> Pcg64Mcg {
    Pcg64Mcg::seed_from_u64(mix(parts))
}

/// Order of `n` samples in an epoch.
pub(super) fn order(n: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng(&[seed, 0, epoch as u64]));
    order
}

//! `random`: the sanity floor.

use rand::RngExt;
use rand_pcg::Pcg64;

/// Uniform in [0, 1); every tensor has a random stream of its own.
pub(super) fn scores(len: usize, seed: u64, tensor: usize) -> Vec<f32> {
    let mut rng = Pcg64::new(u128::from(seed), tensor as u128);
    (0..len).map(|_| rng.random()).collect()
}

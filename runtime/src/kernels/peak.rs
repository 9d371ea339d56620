//! Multiply-adds and nothing else: what the time of kernels is held against.

use core::hint::black_box;

use super::Kernels;
use super::arch::{Kernel, Vector};

/// Vectors that wait for nobody: more than two units times a latency of 4 or 5, and with the factor
/// no more than 16 registers.
const CHAINS: usize = 12;

impl Kernels {
    /// Runs `rounds` of independent multiply-adds on whole vectors in registers, with the
    /// instructions of these kernels. Returns how many there were, counted by element.
    #[doc(hidden)]
    pub fn peak_multiply_adds(self, rounds: u32) -> u64 {
        self.dispatch(Peak { rounds })
    }
}

struct Peak {
    rounds: u32,
}

impl Kernel for Peak {
    type Output = u64;

    #[inline(always)]
    fn run<V: Vector>(self) -> u64 {
        let factor = V::splat(black_box(0.5));
        let mut sums = [factor; CHAINS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = factor.mul_add(*sum, factor);
            }
        }
        black_box(sums);
        u64::from(self.rounds) * (CHAINS * V::LANES) as u64
    }
}

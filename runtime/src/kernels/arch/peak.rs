//! Multiply-adds and nothing else: what the time of kernels is held against.

/// Runs `rounds` of independent multiply-adds on all lanes of the widest vectors that this build and
/// processor have, in registers alone. Returns how many there were, counted by element.
#[doc(hidden)]
pub fn peak_multiply_adds(rounds: u32) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(done) = x86_64::multiply_adds(rounds) {
        return done;
    }
    portable(rounds)
}

/// Baseline vectors; NEON has 32 registers of 4, and fuses.
fn portable(rounds: u32) -> u64 {
    const LANES: usize = 64;
    let (a, b) = std::hint::black_box((0.5_f32, 0.5_f32));
    let mut sums = [0.0_f32; LANES];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = if cfg!(target_arch = "aarch64") { a.mul_add(*sum, b) } else { a * *sum + b };
        }
    }
    std::hint::black_box(sums);
    u64::from(rounds) * LANES as u64
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    #![allow(unsafe_code)]

    use std::arch::x86_64::*;
    use std::hint::black_box;
    use std::is_x86_feature_detected;

    /// More than units times latency, which is 10 where known; fits 16 registers with the factors.
    const CHAINS: usize = 12;

    pub(super) fn multiply_adds(rounds: u32) -> Option<u64> {
        // SAFETY: the features were detected.
        let lanes = unsafe {
            if is_x86_feature_detected!("avx512f") {
                avx512(rounds);
                16
            } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                avx2(rounds);
                8
            } else {
                return None;
            }
        };
        Some(u64::from(rounds) * CHAINS as u64 * lanes)
    }

    #[target_feature(enable = "avx512f")]
    fn avx512(rounds: u32) {
        let factor = black_box(_mm512_set1_ps(0.5));
        let mut sums = [factor; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(factor, *sum, factor);
            }
        }
        black_box(sums);
    }

    #[target_feature(enable = "avx2,fma")]
    fn avx2(rounds: u32) {
        let factor = black_box(_mm256_set1_ps(0.5));
        let mut sums = [factor; CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(factor, *sum, factor);
            }
        }
        black_box(sums);
    }
}

//! AVX2 and AVX-512, both with fused multiply-add.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use super::{Kernel, Vector};

/// An instruction set that this processor has: only [`available`](Self::available) makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Avx2,
    Avx512,
}

/// Whether the processor has all of these features: asked once and remembered by the standard
/// library, or known to the compiler without it.
macro_rules! has {
    ($($feature:tt),*) => {{
        #[cfg(feature = "std")]
        let has = $(std::is_x86_feature_detected!($feature))&&*;
        #[cfg(not(feature = "std"))]
        let has = $(cfg!(target_feature = $feature))&&*;
        has
    }};
}

impl Isa {
    /// Those that this processor has, the fastest last.
    pub(in crate::kernels) fn available() -> impl Iterator<Item = Self> {
        let avx2 = has!("avx2", "fma", "f16c");
        let avx512 = avx2 && has!("avx512f", "avx512vl", "avx512bw", "avx512dq");
        let levels = [avx2.then_some(Level::Avx2), avx512.then_some(Level::Avx512)];
        levels.into_iter().flatten().map(Self)
    }

    pub(in crate::kernels) const fn name(self) -> &'static str {
        match self.0 {
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(in crate::kernels) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` exists only where the processor has the features.
        unsafe {
            match self.0 {
                Level::Avx2 => avx2(kernel),
                Level::Avx512 => avx512(kernel),
            }
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<__m256>()
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<__m512>()
}

#[inline]
#[target_feature(enable = "avx2")]
fn evens_avx2(a: __m256, b: __m256) -> __m256 {
    let pairs = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
    _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(pairs))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn evens_avx512(a: __m512, b: __m512) -> __m512 {
    let index = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    _mm512_permutex2var_ps(a, index, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves_avx2(a: __m256, b: __m256) -> __m256 {
    _mm256_permute2f128_ps::<0x20>(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn halves_avx512(a: __m512, b: __m512) -> __m512 {
    _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b)
}

/// The functions of a vector by the intrinsics of its type.
macro_rules! vector {
    ($vector:ty, $lanes:literal, $registers:literal, $set1:ident, $loadu:ident, $storeu:ident, $fmadd:ident, $add:ident, $and:ident, $evens:ident, $halves:ident, $max:ident, $min:ident) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            fn mul_add_one(a: f32, b: f32, c: f32) -> f32 {
                a.mul_add(b, c)
            }

            #[inline(always)]
            fn splat(x: f32) -> Self {
                // SAFETY: named only beneath `dispatch`, which runs where the instructions are.
                unsafe { $set1(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as above, and the caller's.
                unsafe { $loadu(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above, and the caller's.
                unsafe { $storeu(to, self) }
            }

            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: as above.
                unsafe { $fmadd(self, b, c) }
            }

            #[inline(always)]
            fn add(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, b) }
            }

            #[inline(always)]
            fn evens(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $evens(self, b) }
            }

            #[inline(always)]
            fn halves(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $halves(self, b) }
            }

            #[inline(always)]
            fn and(self, b: Self) -> Self {
                // SAFETY: as above.
                unsafe { $and(self, b) }
            }

            #[inline(always)]
            fn max(self, b: Self) -> Self {
                // SAFETY: as above. The second operand is the result where either is no number.
                unsafe { $max(self, b) }
            }

            #[inline(always)]
            fn min(self, b: Self) -> Self {
                // SAFETY: as above. The second operand is the result where either is no number.
                unsafe { $min(self, b) }
            }
        }
    };
}

vector!(
    __m256,
    8,
    16,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_and_ps,
    evens_avx2,
    halves_avx2,
    _mm256_max_ps,
    _mm256_min_ps
);
vector!(
    __m512,
    16,
    32,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_and_ps,
    evens_avx512,
    halves_avx512,
    _mm512_max_ps,
    _mm512_min_ps
);

//! AVX2 and AVX-512, both with fused multiply-add.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use half::f16;

use super::{Kernel, LONGEST, Vector};

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
fn permute_avx2(a: __m256, index: &[u32; 16]) -> __m256 {
    // SAFETY: an array of 16 has 8.
    let index = unsafe { _mm256_loadu_si256(index.as_ptr().cast()) };
    let inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(8), index);
    _mm256_and_ps(_mm256_permutevar8x32_ps(a, index), _mm256_castsi256_ps(inside))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn permute_avx512(a: __m512, index: &[u32; 16]) -> __m512 {
    // SAFETY: an array of 16 has 16.
    let index = unsafe { _mm512_loadu_si512(index.as_ptr().cast()) };
    _mm512_maskz_permutexvar_ps(_mm512_cmplt_epu32_mask(index, _mm512_set1_epi32(16)), index, a)
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

/// # Safety
/// As of [`Vector::pick`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pick_avx2(table: *const f32, index: __m256) -> __m256 {
    // SAFETY: the caller's.
    let (low, high) = unsafe { (_mm256_loadu_ps(table), _mm256_loadu_ps(table.add(8))) };
    let index = _mm256_castps_si256(index);
    let (low, high) = (_mm256_permutevar8x32_ps(low, index), _mm256_permutevar8x32_ps(high, index));
    let is_high = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(index));
    _mm256_blendv_ps(low, high, is_high)
}

/// # Safety
/// As of [`Vector::pick`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn pick_avx512(table: *const f32, index: __m512) -> __m512 {
    // SAFETY: the caller's.
    let (low, high) = unsafe { (_mm512_loadu_ps(table), _mm512_loadu_ps(table.add(16))) };
    _mm512_permutex2var_ps(low, _mm512_castps_si512(index), high)
}

/// # Safety
/// 8 halves are readable.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn load_f16_avx2(from: *const f16) -> __m256 {
    // SAFETY: the caller's.
    unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
}

/// # Safety
/// 16 halves are readable.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load_f16_avx512(from: *const f16) -> __m512 {
    // SAFETY: the caller's.
    unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum_avx2(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
}

#[inline]
#[target_feature(enable = "avx2,avx512f,avx512dq")]
fn sum_avx512(x: __m512) -> f32 {
    sum_avx2(_mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x)))
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

/// Each half line of four rows by their columns: of rows `4 g..4 g + 4`, vector `4 g + c` of the result
/// has columns `c`, `4 + c`, ...
macro_rules! transpose_fours {
    ($rows:expr, $n:literal, $unpacklo:ident, $unpackhi:ident, $unpacklo_pd:ident, $unpackhi_pd:ident, $pd:ident, $ps:ident) => {{
        let rows = $rows;
        let mut fours = rows;
        let mut g = 0;
        while g < $n {
            let (a, b) = ($pd($unpacklo(rows[g], rows[g + 1])), $pd($unpackhi(rows[g], rows[g + 1])));
            let (c, d) = ($pd($unpacklo(rows[g + 2], rows[g + 3])), $pd($unpackhi(rows[g + 2], rows[g + 3])));
            (fours[g], fours[g + 1]) = ($ps($unpacklo_pd(a, c)), $ps($unpackhi_pd(a, c)));
            (fours[g + 2], fours[g + 3]) = ($ps($unpacklo_pd(b, d)), $ps($unpackhi_pd(b, d)));
            g += 4;
        }
        fours
    }};
}

#[inline]
#[target_feature(enable = "avx2")]
fn transpose_avx2(square: &mut [__m256; LONGEST]) {
    let fours = transpose_fours!(
        *square,
        8,
        _mm256_unpacklo_ps,
        _mm256_unpackhi_ps,
        _mm256_unpacklo_pd,
        _mm256_unpackhi_pd,
        _mm256_castps_pd,
        _mm256_castpd_ps
    );
    for c in 0..4 {
        square[c] = _mm256_permute2f128_ps::<0x20>(fours[c], fours[4 + c]);
        square[4 + c] = _mm256_permute2f128_ps::<0x31>(fours[c], fours[4 + c]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_avx512(square: &mut [__m512; LONGEST]) {
    /// The first and third quarter of both, and the second and fourth.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let fours = transpose_fours!(
        *square,
        16,
        _mm512_unpacklo_ps,
        _mm512_unpackhi_ps,
        _mm512_unpacklo_pd,
        _mm512_unpackhi_pd,
        _mm512_castps_pd,
        _mm512_castpd_ps
    );
    for c in 0..4 {
        let (top, bottom) = ([fours[c], fours[4 + c]], [fours[8 + c], fours[12 + c]]);
        let even = [
            _mm512_shuffle_f32x4::<EVEN>(top[0], top[1]),
            _mm512_shuffle_f32x4::<EVEN>(bottom[0], bottom[1]),
        ];
        let odd =
            [_mm512_shuffle_f32x4::<ODD>(top[0], top[1]), _mm512_shuffle_f32x4::<ODD>(bottom[0], bottom[1])];
        square[c] = _mm512_shuffle_f32x4::<EVEN>(even[0], even[1]);
        square[4 + c] = _mm512_shuffle_f32x4::<EVEN>(odd[0], odd[1]);
        square[8 + c] = _mm512_shuffle_f32x4::<ODD>(even[0], even[1]);
        square[12 + c] = _mm512_shuffle_f32x4::<ODD>(odd[0], odd[1]);
    }
}

/// The functions of a vector by the intrinsics of its type.
macro_rules! vector {
    ($vector:ty, $lanes:literal, $registers:literal, $set1:ident, $loadu:ident, $storeu:ident, $fmadd:ident, $add:ident, $and:ident, $permute:ident, $evens:ident, $halves:ident, $max:ident, $min:ident, $table:literal, $pick:ident, $load_f16:ident, $sum:ident, $transpose:ident) => {
        impl Vector for $vector {
            const LANES: usize = $lanes;
            const REGISTERS: usize = $registers;

            #[inline(always)]
            fn mul_add_one(a: f32, b: f32, c: f32) -> f32 {
                // SAFETY: named only beneath `dispatch`, which runs where the instructions are.
                unsafe { _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss(a), _mm_set_ss(b), _mm_set_ss(c))) }
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
            fn permute(self, index: &[u32; 16]) -> Self {
                // SAFETY: as above.
                unsafe { $permute(self, index) }
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
            fn transpose(square: &mut [Self; LONGEST]) {
                // SAFETY: as above.
                unsafe { $transpose(square) }
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

            const TABLE: usize = $table;

            #[inline(always)]
            unsafe fn pick(table: *const f32, index: Self) -> Self {
                // SAFETY: as above, and the caller's.
                unsafe { $pick(table, index) }
            }

            const WIDENS: bool = true;

            #[inline(always)]
            unsafe fn load_f16(from: *const f16) -> Self {
                // SAFETY: as above, and the caller's.
                unsafe { $load_f16(from) }
            }

            #[inline(always)]
            fn sum(self) -> f32 {
                // SAFETY: as above.
                unsafe { $sum(self) }
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
    permute_avx2,
    evens_avx2,
    halves_avx2,
    _mm256_max_ps,
    _mm256_min_ps,
    16,
    pick_avx2,
    load_f16_avx2,
    sum_avx2,
    transpose_avx2
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
    permute_avx512,
    evens_avx512,
    halves_avx512,
    _mm512_max_ps,
    _mm512_min_ps,
    32,
    pick_avx512,
    load_f16_avx512,
    sum_avx512,
    transpose_avx512
);

//! NEON, which processors with aarch64's usual calling convention have.
#![allow(unsafe_code)]

use core::arch::aarch64::*;

pub(in crate::kernels) use super::single::Isa;
use super::{LONGEST, Vector};

pub(super) const NAME: &str = "neon";
pub(super) type Only = float32x4_t;

// The module is compiled only for targets that have NEON, so that its instructions may be used
// anywhere.
impl Vector for float32x4_t {
    const LANES: usize = 4;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn mul_add_one(a: f32, b: f32, c: f32) -> f32 {
        // SAFETY: as above.
        unsafe { vfmas_lane_f32::<0>(c, a, vdup_n_f32(b)) }
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above, and the caller's.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above, and the caller's.
        unsafe { vst1q_f32(to, self) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        // SAFETY: as above.
        unsafe { vfmaq_f32(c, self, b) }
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { vaddq_f32(self, b) }
    }

    #[inline(always)]
    fn permute(self, index: &[u32; 16]) -> Self {
        // SAFETY: as above, and the index has more than 4 elements.
        unsafe {
            // The four bytes of each element, little-endian; of element 4, there are none.
            let index = vminq_u32(vld1q_u32(index.as_ptr()), vdupq_n_u32(4));
            let index = vmlaq_n_u32(vdupq_n_u32(0x0302_0100), index, 0x0404_0404);
            vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(self), vreinterpretq_u8_u32(index)))
        }
    }

    #[inline(always)]
    fn evens(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { vuzp1q_f32(self, b) }
    }

    #[inline(always)]
    fn halves(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { vcombine_f32(vget_low_f32(self), vget_low_f32(b)) }
    }

    #[inline(always)]
    fn and(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self), vreinterpretq_u32_f32(b))) }
    }

    #[inline(always)]
    fn transpose(square: &mut [Self; LONGEST]) {
        let [a, b, c, d, ..] = *square;
        // SAFETY: as above.
        unsafe {
            let pair = |x, y| (vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y));
            // Of rows 0 and 1, and of rows 2 and 3, columns 0 and 2, and columns 1 and 3.
            let (even, other) = (vtrn1q_f32(a, b), vtrn1q_f32(c, d));
            let (odd, last) = (vtrn2q_f32(a, b), vtrn2q_f32(c, d));
            let ((even, other), (odd, last)) = (pair(even, other), pair(odd, last));
            square[0] = vreinterpretq_f32_f64(vtrn1q_f64(even, other));
            square[1] = vreinterpretq_f32_f64(vtrn1q_f64(odd, last));
            square[2] = vreinterpretq_f32_f64(vtrn2q_f64(even, other));
            square[3] = vreinterpretq_f32_f64(vtrn2q_f64(odd, last));
        }
    }

    #[inline(always)]
    fn max(self, b: Self) -> Self {
        // SAFETY: as above. The result is no number where either is none.
        unsafe { vmaxq_f32(self, b) }
    }

    #[inline(always)]
    fn min(self, b: Self) -> Self {
        // SAFETY: as above. The result is no number where either is none.
        unsafe { vminq_f32(self, b) }
    }
}

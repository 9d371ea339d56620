//! WebAssembly's vectors, where the module is compiled for an engine that has them.
#![allow(unsafe_code)]

use core::arch::wasm32::*;

pub(in crate::kernels) use super::single::Isa;
use super::{LONGEST, Vector};

pub(super) const NAME: &str = "simd128";
pub(super) type Only = v128;

impl Vector for v128 {
    const LANES: usize = 4;
    /// Engines compile to the registers of SSE or NEON.
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn mul_add_one(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    fn splat(x: f32) -> Self {
        f32x4_splat(x)
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's; loads need no alignment.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's; stores need no alignment.
        unsafe { v128_store(to.cast(), self) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        f32x4_add(f32x4_mul(self, b), c)
    }

    #[inline(always)]
    fn add(self, b: Self) -> Self {
        f32x4_add(self, b)
    }

    #[inline(always)]
    fn permute(self, index: &[u32; 16]) -> Self {
        let [a, b, c, d, ..] = *index;
        // The four bytes of each element, little-endian; of element 4, there are none.
        let index = u32x4_min(u32x4(a, b, c, d), u32x4_splat(4));
        let first = i32x4_mul(index, i32x4_splat(0x0404_0404));
        u8x16_swizzle(self, i32x4_add(first, i32x4_splat(0x0302_0100)))
    }

    #[inline(always)]
    fn evens(self, b: Self) -> Self {
        i32x4_shuffle::<0, 2, 4, 6>(self, b)
    }

    #[inline(always)]
    fn halves(self, b: Self) -> Self {
        i64x2_shuffle::<0, 2>(self, b)
    }

    #[inline(always)]
    fn and(self, b: Self) -> Self {
        v128_and(self, b)
    }

    #[inline(always)]
    fn transpose(square: &mut [Self; LONGEST]) {
        let [a, b, c, d, ..] = *square;
        let (low, high) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b));
        let (other, last) = (i32x4_shuffle::<0, 4, 1, 5>(c, d), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        square[0] = i64x2_shuffle::<0, 2>(low, other);
        square[1] = i64x2_shuffle::<1, 3>(low, other);
        square[2] = i64x2_shuffle::<0, 2>(high, last);
        square[3] = i64x2_shuffle::<1, 3>(high, last);
    }

    #[inline(always)]
    fn max(self, b: Self) -> Self {
        // `self` where `b` is less.
        f32x4_pmax(b, self)
    }

    #[inline(always)]
    fn min(self, b: Self) -> Self {
        // `self` where it is less.
        f32x4_pmin(b, self)
    }
}

//! Portable kernels in a shape that compilers turn into vector code: fixed-size arrays of
//! accumulators and an inner loop without conditions.

mod conv;
mod dense;
mod taps;

pub(super) use conv::{conv, handles as handles_conv};
pub(super) use dense::{dense, handles as handles_dense};

/// What the generic kernels need to know of an instruction set.
///
/// A fused multiply-add is one instruction where the processor has it
/// and a slow call where it has not, so the instruction set decides.
pub(super) trait MulAdd {
    /// Sums that the vector registers hold, with room left for what is added to them.
    const SUMS: usize;

    /// `a * b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// A multiplication, then an addition.
pub(super) struct Unfused;

impl MulAdd for Unfused {
    /// Eight registers of four, as SSE2 and NEON have them to spare.
    const SUMS: usize = 32;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

//! Portable kernels in a shape that compilers turn into vector code: fixed-size arrays of
//! accumulators and an inner loop without conditions.

mod conv;
mod dense;

pub(super) use conv::conv;
pub(super) use dense::dense;

/// How a product is added. A fused multiply-add is one instruction where the processor has it
/// and a slow call where it has not, so the instruction set decides.
pub(super) trait MulAdd {
    /// `a * b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// A multiplication, then an addition.
pub(super) struct Unfused;

impl MulAdd for Unfused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

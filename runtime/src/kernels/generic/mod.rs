//! Portable kernels in a shape that compilers turn into vector code: fixed-size arrays of
//! accumulators and an inner loop without conditions.

mod conv;
mod dense;

use tfc_formats::artifact::Needs;

pub(super) use conv::{conv, handles as handles_conv};
pub(super) use dense::{dense, handles as handles_dense};

/// What the generic kernels need to know of an instruction set.
///
/// A fused multiply-add is one instruction where the processor has it
/// and a slow call where it has not, so the instruction set decides.
pub(super) trait MulAdd {
    /// Sums that the vector registers hold, with room left for what is added to them.
    const SUMS: usize;

    /// Encodings that there may be; no code comes of others.
    const NEEDS: Needs = Needs::ALL;

    /// Whether there may be this in a model.
    #[inline(always)]
    fn needs(need: Needs) -> bool {
        Self::NEEDS.contains(need)
    }

    /// `a * b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// A multiplication, then an addition.
pub(super) struct Unfused<const NEEDS: u32>;

impl<const NEEDS: u32> MulAdd for Unfused<NEEDS> {
    const NEEDS: Needs = Needs::from_bits(NEEDS);

    /// Eight registers of four, as SSE2 and NEON have them to spare; half of what a Cortex-M4F has.
    const SUMS: usize = if cfg!(target_os = "none") { 16 } else { 32 };

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

//! Portable kernels in a shape that compilers turn into vector code: fixed-size arrays of
//! accumulators and an inner loop without conditions.

mod conv;
mod conv_i8;
mod dense;
mod dense_i8;
mod lines;
mod taps;

use tfc_formats::artifact::Needs;

pub(super) use conv::handles as handles_conv;
pub(super) use conv_i8::handles as handles_conv_i8;
pub(super) use dense::handles as handles_dense;
pub(super) use dense_i8::handles as handles_dense_i8;

use super::arch::{Kernel, Vector};
use super::{Conv, ConvI8, Dense, DenseI8};

/// A job of a model that needs no more than `NEEDS`: no code comes of other encodings.
pub(super) struct Job<'j, J, const NEEDS: u32>(pub(super) &'j mut J);

impl<const NEEDS: u32> Kernel for Job<'_, Conv<'_>, NEEDS> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        conv::conv::<V, NEEDS>(self.0)
    }
}

impl<const NEEDS: u32> Kernel for Job<'_, Dense<'_>, NEEDS> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        dense::dense::<V, NEEDS>(self.0)
    }
}

impl<const NEEDS: u32> Kernel for Job<'_, ConvI8<'_>, NEEDS> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        conv_i8::conv::<NEEDS>(self.0)
    }
}

impl<const NEEDS: u32> Kernel for Job<'_, DenseI8<'_>, NEEDS> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        dense_i8::dense::<NEEDS>(self.0)
    }
}

/// Whether a model may need this.
#[inline(always)]
fn needs<const NEEDS: u32>(need: Needs) -> bool {
    Needs::from_bits(NEEDS).contains(need)
}

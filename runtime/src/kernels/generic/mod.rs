//! Portable kernels in a shape that compilers turn into vector code: fixed-size arrays of
//! accumulators and an inner loop without conditions.

mod conv;
mod dense;
mod taps;

pub(super) use conv::handles as handles_conv;
pub(super) use dense::handles as handles_dense;

use super::arch::{Kernel, Vector};
use super::{Conv, Dense};

impl Kernel for &mut Conv<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        conv::conv::<V>(self)
    }
}

impl Kernel for &mut Dense<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        dense::dense::<V>(self)
    }
}

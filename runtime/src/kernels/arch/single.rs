//! The one instruction set of a target that is compiled for nothing else.

use super::Kernel;
use super::isa::{NAME, Only};

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) struct Isa(());

impl Isa {
    /// The only one.
    pub(in crate::kernels) fn available() -> impl Iterator<Item = Self> {
        core::iter::once(Self(()))
    }

    pub(in crate::kernels) const fn name(self) -> &'static str {
        NAME
    }

    /// Runs a kernel compiled for this instruction set.
    #[inline]
    pub(in crate::kernels) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run::<Only>()
    }
}

//! No instruction set beyond what portable code is compiled to.

use super::Kernel;

/// An instruction set beyond the portable code that this processor has: here, none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernels) enum Isa {}

impl Isa {
    pub(in crate::kernels) fn available() -> impl Iterator<Item = Self> {
        core::iter::empty()
    }

    pub(in crate::kernels) const fn name(self) -> &'static str {
        match self {}
    }

    pub(in crate::kernels) fn dispatch<K: Kernel>(self, _: K) -> K::Output {
        match self {}
    }
}

//! Kernels for one instruction set; the only place with `unsafe`.

#[cfg(feature = "alloc")]
mod tile;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(feature = "alloc")]
pub(super) use tile::{Tap, Taps, load, store};
pub(super) use vector::{Portable, Vector};
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::Isa;

/// A loop that is compiled for each instruction set.
pub(super) trait Kernel {
    /// Its result.
    type Output;

    /// Runs it. It and all that it calls for each vector are `inline(always)`, so that they are
    /// compiled with the instructions that `V` needs.
    fn run<V: Vector>(self) -> Self::Output;
}

/// An instruction set beyond the portable code that this processor has: here, none.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {}

#[cfg(not(target_arch = "x86_64"))]
impl Isa {
    pub(super) fn available() -> impl Iterator<Item = Self> {
        core::iter::empty()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {}
    }

    pub(super) fn dispatch<K: Kernel>(self, _: K) -> K::Output {
        match self {}
    }
}

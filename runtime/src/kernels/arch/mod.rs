//! Kernels for one instruction set; the only place with `unsafe`.

#[cfg(feature = "std")]
mod peak;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86_64;

#[cfg(feature = "std")]
pub use peak::peak_multiply_adds;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(super) use x86_64::Isa;

/// An instruction set that this processor has: here, none.
#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Isa {}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
impl Isa {
    pub(super) fn available() -> impl Iterator<Item = Self> {
        core::iter::empty()
    }

    pub(super) const fn name(self) -> &'static str {
        match self {}
    }

    pub(super) fn conv(self, _: &mut super::Conv<'_>) -> Option<()> {
        match self {}
    }

    pub(super) fn dense(self, _: &mut super::Dense<'_>) -> Option<()> {
        match self {}
    }
}

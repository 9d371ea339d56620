use core::ops::{Deref, DerefMut};

/// `N` bytes of zeros, aligned as [`Session::new`](crate::Session::new) wants them: for a `static`
/// or the stack.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct AlignedArena<const N: usize>([u8; N]);

impl<const N: usize> AlignedArena<N> {
    /// All zeros.
    pub const fn new() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Default for AlignedArena<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for AlignedArena<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> DerefMut for AlignedArena<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

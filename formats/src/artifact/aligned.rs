//! Bytes that begin at a multiple of 16, as [`Artifact::parse`](super::Artifact::parse) wants them.

/// Anything, aligned to 16 bytes.
///
/// For bytes in a program, `static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("model.tfc"))`, and for
/// a buffer in a microcontroller's RAM.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// Bytes on the heap, aligned to 16 wherever `u128` is, and to 8 elsewhere.
#[cfg(feature = "std")]
#[derive(Clone, Debug, Default)]
pub struct AlignedBytes {
    words: std::vec::Vec<u128>,
    len: usize,
}

#[cfg(feature = "std")]
impl AlignedBytes {
    /// As many zeros.
    pub fn zeroed(len: usize) -> Self {
        Self { words: std::vec![0; len.div_ceil(size_of::<u128>())], len }
    }
}

#[cfg(feature = "std")]
impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

#[cfg(feature = "std")]
impl core::ops::Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

#[cfg(feature = "std")]
impl core::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

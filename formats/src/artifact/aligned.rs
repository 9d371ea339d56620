//! Bytes that begin at a multiple of 16, as [`Artifact::parse`](super::Artifact::parse) wants them.

/// Anything, aligned to 16 bytes.
///
/// For bytes in a program, `static FILE: &Aligned<[u8]> = &Aligned(*include_bytes!("model.tfc"))`, and for
/// a buffer in a microcontroller's RAM.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// What [`AlignedBytes`] allocates: `u128` is aligned to 8 on some targets of 32 bits.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(16))]
struct Block([u8; 16]);

/// Bytes on the heap, aligned to 16.
#[cfg(feature = "std")]
#[derive(Clone, Debug, Default)]
pub struct AlignedBytes {
    blocks: std::vec::Vec<Block>,
    len: usize,
}

#[cfg(feature = "std")]
impl AlignedBytes {
    /// As many zeros.
    pub fn zeroed(len: usize) -> Self {
        Self { blocks: std::vec![Block([0; 16]); len.div_ceil(size_of::<Block>())], len }
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
        &bytemuck::cast_slice(&self.blocks)[..self.len]
    }
}

#[cfg(feature = "std")]
impl core::ops::DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.blocks)[..self.len]
    }
}

//! The innermost loop of a convolution: a tile of outputs in registers.
#![allow(unsafe_code)]

use super::vector::Vector;

/// One column of a block of `R` rows: where its input lies and its weights.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Tap<const R: usize> {
    /// Elements from the start of the source.
    pub(crate) offset: u32,
    /// One weight a row.
    pub(crate) weights: [f32; R],
}

/// Blocks of `R` rows of a matrix, each a list of [`Tap`]s.
#[derive(Clone, Debug)]
pub(crate) struct Taps<const R: usize> {
    taps: alloc::vec::Vec<Tap<R>>,
    /// Where the taps of each block end.
    ends: alloc::vec::Vec<usize>,
    /// No offset is larger.
    last: usize,
}

impl<const R: usize> Taps<R> {
    pub(in crate::kernels) fn new(blocks: impl IntoIterator<Item = alloc::vec::Vec<Tap<R>>>) -> Self {
        let mut all = Self { taps: alloc::vec::Vec::new(), ends: alloc::vec::Vec::new(), last: 0 };
        for block in blocks {
            all.last = block.iter().map(|tap| tap.offset as usize).fold(all.last, usize::max);
            all.taps.extend(block);
            all.ends.push(all.taps.len());
        }
        all
    }

    /// Bytes on the heap.
    pub(in crate::kernels) fn bytes(&self) -> usize {
        size_of_val(self.taps.as_slice()) + size_of_val(self.ends.as_slice())
    }

    fn block(&self, block: usize) -> Option<&[Tap<R>]> {
        let start = if block == 0 { 0 } else { *self.ends.get(block - 1)? };
        self.taps.get(start..*self.ends.get(block)?)
    }

    /// Sums of a block of rows over `N` vectors of positions from `at`, onto `start`. `None` if the
    /// source is too short or there is no such block.
    #[inline(always)]
    pub(in crate::kernels) fn sums<V: Vector, const N: usize>(
        &self,
        block: usize,
        source: &[f32],
        at: usize,
        start: [f32; R],
    ) -> Option<[[V; N]; R]> {
        if self.last.checked_add(at)?.checked_add(N * V::LANES)? > source.len() {
            return None;
        }
        let mut sums = [[V::splat(0.0); N]; R];
        for r in 0..R {
            sums[r] = [V::splat(start[r]); N];
        }
        let x = source.as_ptr().wrapping_add(at);
        for tap in self.block(block)? {
            let x = x.wrapping_add(tap.offset as usize);
            let mut window = [V::splat(0.0); N];
            for (n, window) in window.iter_mut().enumerate() {
                // SAFETY: no offset is larger than `last`, so that all N vectors end in the source.
                *window = unsafe { V::load(x.wrapping_add(n * V::LANES)) };
            }
            for r in 0..R {
                let w = V::splat(tap.weights[r]);
                for n in 0..N {
                    sums[r][n] = window[n].mul_add(w, sums[r][n]);
                }
            }
        }
        Some(sums)
    }
}

/// A run of elements as vectors; `None` if there are fewer.
#[inline(always)]
pub(in crate::kernels) fn load<V: Vector, const N: usize>(from: &[f32]) -> Option<[V; N]> {
    let from = from.get(..N * V::LANES)?.as_ptr();
    let mut vectors = [V::splat(0.0); N];
    for (n, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: there are N vectors of elements.
        *vector = unsafe { V::load(from.wrapping_add(n * V::LANES)) };
    }
    Some(vectors)
}

/// Writes vectors to a run of elements; `None` if there are fewer.
#[inline(always)]
pub(in crate::kernels) fn store<V: Vector, const N: usize>(vectors: [V; N], to: &mut [f32]) -> Option<()> {
    let to = to.get_mut(..N * V::LANES)?.as_mut_ptr();
    for (n, vector) in vectors.into_iter().enumerate() {
        // SAFETY: there are N vectors of elements.
        unsafe { vector.store(to.wrapping_add(n * V::LANES)) };
    }
    Some(())
}

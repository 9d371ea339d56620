//! The innermost loops on i8. Their sums are exact, so that all forms of a loop have the same.
#![expect(unsafe_code)]

use core::marker::PhantomData;

use tfc_formats::artifact::Requantization;

/// Words behind the entries of a row.
pub(in crate::kernels) const BEHIND: usize = 2;

/// A form of the loops.
pub(in crate::kernels) trait Bytes: Copy {
    /// Sums that are kept in registers, the most first.
    const TILES: &'static [usize];

    /// Largest offset of an entry.
    const REACH: usize;

    /// An entry as one word, which is not 0 if the weight is not.
    fn word(offset: u32, weight: i8) -> u32;

    /// Offset and weight of an entry.
    fn parts(word: u32) -> (usize, i32);

    /// Sums of tiles: `bias` and what the entries have at places of `x` that are `S` apart, the first
    /// of all being the entry's offset.
    ///
    /// # Safety
    /// `x` has `S` elements for each sum behind every offset.
    unsafe fn sum<const S: usize, const N: usize>(
        x: &[i8],
        entries: Entries<'_, Self>,
        bias: i32,
        tiles: &mut [[i32; N]],
    );

    /// The sum of products of weights with elements of `x`: the first is `deltas[0]`, and each is so
    /// many behind the one before it. `None` if one is behind the end.
    #[inline(always)]
    fn dot(x: &[i8], deltas: &[u8], weights: &[i8]) -> Option<i32> {
        let (mut sum, mut column) = (0i32, 0usize);
        for (delta, weight) in deltas.iter().zip(weights) {
            column += usize::from(*delta);
            sum = sum.wrapping_add(i32::from(*x.get(column)?).wrapping_mul((*weight).into()));
        }
        Some(sum)
    }

    /// Stores the first of these sums as bytes: times the multiplier, and `factor` times what is in
    /// `from`, or in `to` without that. Returns how many it stored.
    #[inline(always)]
    fn store(
        _constants: &Requantization,
        _multiplier: i32,
        _factor: i32,
        _from: Option<&[i8]>,
        _to: &mut [i8],
        _sums: &[i32],
    ) -> usize {
        0
    }

    /// The sum of products of neighbours.
    #[inline(always)]
    fn dot_all(x: &[i8], weights: &[i8]) -> i32 {
        let products = x.iter().zip(weights).map(|(x, weight)| i32::from(*x).wrapping_mul((*weight).into()));
        products.fold(0, i32::wrapping_add)
    }
}

/// What a row of a convolution's matrix multiplies: entries that are each an offset in the input and
/// a weight other than 0. Behind them are two words of 0.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Entries<'a, B> {
    words: &'a [u32],
    /// What offsets are relative to.
    base: usize,
    /// No offset is larger.
    reach: usize,
    form: PhantomData<B>,
}

impl<'a, B: Bytes> Entries<'a, B> {
    /// `words` holds the offsets of entries with these weights, which rise, and [`BEHIND`] words
    /// more. `None`, and nothing is changed, if they are too far apart.
    #[inline(always)]
    pub(in crate::kernels) fn pack(words: &'a mut [u32], weights: impl Iterator<Item = i8>) -> Option<Self> {
        let n = words.len().checked_sub(BEHIND)?;
        let least = words.first().filter(|_| n > 0).copied().unwrap_or(0);
        let most = words.get(n.wrapping_sub(1)).copied().unwrap_or(0);
        let reach = most.checked_sub(least)? as usize;
        if reach > B::REACH {
            return None;
        }
        let mut len = 0;
        for (i, weight) in (0..n).zip(weights) {
            let offset = words.get(i)?.wrapping_sub(least);
            if weight != 0 && offset as usize <= reach {
                *words.get_mut(len)? = B::word(offset, weight);
                len += 1;
            }
        }
        words.get_mut(len..len + BEHIND)?.fill(0);
        Some(Self { words: words.get(..len + BEHIND)?, base: least as usize, reach, form: PhantomData })
    }

    /// What offsets are relative to.
    #[inline(always)]
    pub(in crate::kernels) fn base(&self) -> usize {
        self.base
    }

    /// The entries, and words of 0 behind them.
    #[cfg(any(dsp, helium, thumb1))]
    pub(super) fn words(&self) -> &'a [u32] {
        self.words
    }

    /// Offsets and weights.
    #[inline(always)]
    pub(in crate::kernels) fn iter(&self) -> impl Iterator<Item = (usize, i32)> {
        self.words.iter().take(self.words.len() - BEHIND).map(|word| B::parts(*word))
    }

    /// Sums of tiles: `bias` and what the entries have at places of `x` that are `S` apart, the first
    /// of all being the entry's offset. `false`, and nothing is stored, if `x` ends too soon.
    #[inline(always)]
    pub(in crate::kernels) fn sum<const S: usize, const N: usize>(
        &self,
        x: &[i8],
        bias: i32,
        tiles: &mut [[i32; N]],
    ) -> bool {
        let enough = x.len() >= self.reach + tiles.len() * N * S;
        if enough {
            // SAFETY: no offset is larger than the reach.
            unsafe { B::sum::<S, N>(x, *self, bias, tiles) };
        }
        enough
    }
}

/// Portable code.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Plain;

impl Bytes for Plain {
    const TILES: &'static [usize] = if cfg!(target_pointer_width = "64") { &[64, 32, 16, 8] } else { &[4] };
    const REACH: usize = 0xff_ffff;

    #[inline(always)]
    fn word(offset: u32, weight: i8) -> u32 {
        offset << 8 | u32::from(weight as u8)
    }

    #[inline(always)]
    fn parts(word: u32) -> (usize, i32) {
        ((word >> 8) as usize, (word as i8).into())
    }

    #[inline(always)]
    unsafe fn sum<const S: usize, const N: usize>(
        x: &[i8],
        entries: Entries<'_, Self>,
        bias: i32,
        tiles: &mut [[i32; N]],
    ) {
        // SAFETY: as the caller vouches.
        unsafe { sum_each::<Self, S, N>(x, entries, bias, tiles) }
    }
}

/// [`Bytes::sum`] in any form.
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn sum_each<B: Bytes, const S: usize, const N: usize>(
    x: &[i8],
    entries: Entries<'_, B>,
    bias: i32,
    tiles: &mut [[i32; N]],
) {
    for (t, tile) in tiles.iter_mut().enumerate() {
        // In registers.
        let mut sums = [bias; N];
        for (offset, weight) in entries.iter() {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: so many elements are behind the offset.
                let x = unsafe { *x.get_unchecked(offset + (t * N + i) * S) };
                *sum = sum.wrapping_add(weight.wrapping_mul(x.into()));
            }
        }
        *tile = sums;
    }
}

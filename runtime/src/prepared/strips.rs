//! The input of a convolution, laid out again so that each tap reads consecutive, aligned elements.
//!
//! A *strip* holds what one column of taps reads of one input channel: rows as wide as the output's,
//! already moved by the tap's column, with the stride taken out and zeros where the tap is in the
//! padding. Row `y` of the output reads row `y + a` of the strip, so a tap is an offset, and no
//! position is computed that is not an output.
//!
//! Where the width is no multiple of a vector, taps of different `a` would be aligned differently.
//! Then each alignment has a strip of its own, if the loads that this saves are worth the copies.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use tfc_formats::op::Conv2d;

use crate::kernels::fill::{Copies, Strip};
use crate::tensor::{LINE, Layout};

/// Where the taps of a convolution are: channel of the input, row and column of the kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) channel: usize,
    pub(super) ky: usize,
    pub(super) kx: usize,
}

/// What identifies a strip: channel, column, phase, alignment.
type Key = (usize, isize, usize, isize);

/// The strips of a convolution.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    strips: Vec<Strip>,
    /// Output rows of a band, all of which fit the strips at a time; the last may have fewer.
    band: usize,
    /// Of each band.
    copies: Vec<Copies>,
    by_key: BTreeMap<Key, usize>,
    stride: [usize; 2],
    dilation: [usize; 2],
    pad: [isize; 2],
    /// Columns of the output.
    w: usize,
    /// Taps whose rows differ by multiples of this share a strip.
    classes: isize,
    /// Elements of all strips.
    len: usize,
}

impl Columns {
    /// Strips for the taps that have weights, `taps` with how many each. `None` for sizes beyond the
    /// address space.
    pub(super) fn new(
        spec: &Conv2d,
        x: Layout,
        out: Layout,
        taps: &[(At, usize)],
        lanes: usize,
    ) -> Option<Self> {
        let aligned = lanes / gcd(lanes, out.w);
        let together = Self::with_classes(spec, x, out, taps, 1)?;
        if aligned == 1 {
            return Some(together);
        }
        let apart = Self::with_classes(spec, x, out, taps, aligned)?;
        // A load that is not aligned takes longer by a sixth, measured, of the time that copying a
        // vector takes beyond the cache.
        let uses: usize =
            taps.iter().filter(|(at, _)| !together.is_aligned(*at, lanes)).map(|(_, n)| n).sum();
        let saved = uses * (out.h * out.w).div_ceil(lanes) / 10;
        Some(if (apart.len - together.len) / lanes < saved { apart } else { together })
    }

    fn with_classes(
        spec: &Conv2d,
        x: Layout,
        out: Layout,
        taps: &[(At, usize)],
        classes: usize,
    ) -> Option<Self> {
        let field = |[a, b]: [u16; 2]| [usize::from(a), usize::from(b)];
        let mut strips = Self {
            strips: Vec::new(),
            band: out.h,
            copies: Vec::new(),
            by_key: BTreeMap::new(),
            stride: field(spec.stride),
            dilation: field(spec.dilation),
            pad: [spec.pad.top, spec.pad.left].map(|n| n as isize),
            w: out.w,
            classes: classes as isize,
            len: 0,
        };
        let mut rows: BTreeMap<Key, (isize, isize)> = BTreeMap::new();
        for (at, _) in taps.iter().filter(|(at, _)| at.channel < x.c) {
            let (key, a) = strips.key(*at);
            let range = rows.entry(key).or_insert((a, a));
            *range = (range.0.min(a), range.1.max(a));
        }
        strips.band = band(rows.values().map(|(first, last)| (last - first) as usize), out);
        for (key, (first, last)) in rows {
            let rows = (last - first) as usize + strips.band;
            let (channel, column, phase, _) = key;
            let end = strips.len.checked_add(rows.checked_mul(out.w)?)?.checked_next_multiple_of(LINE)?;
            strips.by_key.insert(key, strips.strips.len());
            let origin = [phase as isize, column];
            strips.strips.push(Strip { channel, origin, first, place: strips.len..end });
            strips.len = end;
        }
        u32::try_from(strips.len).ok()?;
        for first in (0..out.h).step_by(strips.band) {
            let moved = |strip: &Strip| Strip { first: strip.first + first as isize, ..strip.clone() };
            let band: Vec<Strip> = strips.strips.iter().map(moved).collect();
            strips.copies.push(Copies::new(&band, x, out.w, strips.stride)?);
        }
        Some(strips)
    }

    /// The strip of a tap and the row of it that output row 0 reads.
    fn key(&self, at: At) -> (Key, isize) {
        let row = (at.ky * self.dilation[0]) as isize - self.pad[0];
        let column = (at.kx * self.dilation[1]) as isize - self.pad[1];
        let stride = self.stride[0] as isize;
        let a = row.div_euclid(stride);
        ((at.channel, column, row.rem_euclid(stride) as usize, a.rem_euclid(self.classes)), a)
    }

    /// Elements from the start of the scratch to what output position 0 reads.
    pub(super) fn offset(&self, at: At) -> Option<u32> {
        let (key, a) = self.key(at);
        let strip = self.strips.get(*self.by_key.get(&key)?)?;
        u32::try_from(strip.place.start + (a - strip.first) as usize * self.w).ok()
    }

    fn is_aligned(&self, at: At, lanes: usize) -> bool {
        self.offset(at).is_some_and(|offset| (offset as usize).is_multiple_of(lanes))
    }

    /// Elements of scratch that the strips fill.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.copies.iter().map(Copies::bytes).sum()
    }

    /// Output rows of a band.
    pub(super) fn band(&self) -> usize {
        self.band
    }

    /// What each band is filled with.
    pub(super) fn bands(&self) -> &[Copies] {
        &self.copies
    }
}

/// Output rows of a band, so that strips whose taps reach over `reach` more rows each stay in a
/// second-level cache of a quarter of a megabyte or more. (Bands that fit the first level were
/// slower: what they copy twice and their shorter tiles cost more than they save.)
fn band(reach: impl Iterator<Item = usize>, out: Layout) -> usize {
    const CACHE: usize = 64 * 1024;
    let (strips, reach) = reach.fold((0, 0), |(strips, sum), reach| (strips + 1, sum + reach));
    let rows = (CACHE / out.w).saturating_sub(reach) / strips.max(1);
    // Whole lines, so that no band ends within a vector of the next.
    let unit = LINE / gcd(LINE, out.w);
    if rows >= out.h { out.h } else { (rows / unit).max(1).saturating_mul(unit).min(out.h) }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

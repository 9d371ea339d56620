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

use tfc_formats::op::Conv2d;

use crate::kernels::Kernels;
use crate::kernels::fill::Strips;
use crate::tensor::{LINE, Layout, Tensor};

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
    strips: Strips,
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
        // A copied vector takes about as long as a load that is not aligned takes longer.
        let uses: usize =
            taps.iter().filter(|(at, _)| !together.is_aligned(*at, lanes)).map(|(_, n)| n).sum();
        let saved = uses * (out.h * out.w).div_ceil(lanes) / 2;
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
            strips: Strips::new(x, out.w, field(spec.stride)),
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
        for (key, (first, last)) in rows {
            let rows = (last - first) as usize + out.h;
            let (channel, column, phase, _) = key;
            let end = strips.len.checked_add(rows.checked_mul(out.w)?)?.checked_next_multiple_of(LINE)?;
            let number = strips.strips.push(channel, [phase as isize, column], first, strips.len..end);
            strips.by_key.insert(key, number);
            strips.len = end;
        }
        u32::try_from(strips.len).ok()?;
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

    /// Fills the strips.
    pub(super) fn fill(&self, kernels: Kernels, x: Tensor<'_>, scratch: &mut [f32]) {
        self.strips.fill(kernels, x, scratch);
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

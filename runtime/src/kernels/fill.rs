//! Copies the planes of a convolution's input to where its taps read them.

use alloc::vec::Vec;
use core::ops::Range;

use super::Kernels;
use super::arch::{Kernel, Vector, load, store};
use crate::tensor::{LINE, Layout, Tensor};

/// Rows of one input channel as one column of taps reads them.
#[derive(Clone, Debug)]
pub(crate) struct Strip {
    /// Start of the channel.
    plane: usize,
    /// Row and column of the input that row and column 0 of the output read, before row `first`
    /// is added: rows are `stride * row + origin[0]`.
    origin: [isize; 2],
    /// Row of the strip that is its first, for output row 0.
    pub(crate) first: isize,
    /// Columns that are inside the input.
    inside: Range<usize>,
    /// Elements of the scratch, whole lines.
    pub(crate) place: Range<usize>,
    /// Its mask, where rows are as wide as the plane's and the stride is 1.
    mask: Option<usize>,
}

/// Ones where a column is inside the input, zeros elsewhere, for whole rows and whole lines.
#[derive(Clone, Debug)]
struct Mask {
    inside: Range<usize>,
    /// Empty where all columns are inside.
    ones: Vec<f32>,
}

/// Where all strips of a convolution lie.
#[derive(Clone, Debug)]
pub(crate) struct Strips {
    strips: Vec<Strip>,
    masks: Vec<Mask>,
    stride: [usize; 2],
    /// Columns of the output.
    w: usize,
    x: Layout,
}

/// Elements of a mask, at least.
const MASK: usize = 16 * LINE;

impl Strips {
    pub(crate) fn new(x: Layout, w: usize, stride: [usize; 2]) -> Self {
        Self { strips: Vec::new(), masks: Vec::new(), stride, w, x }
    }

    /// Adds a strip of channel `channel` and returns its number.
    pub(crate) fn push(
        &mut self,
        channel: usize,
        origin: [isize; 2],
        first: isize,
        place: Range<usize>,
    ) -> usize {
        let stride = self.stride[1] as isize;
        // The first column whose input is not before `n`.
        let column = |n: usize| {
            let distance = n as isize - origin[1];
            (distance + stride - 1).div_euclid(stride).clamp(0, self.w as isize) as usize
        };
        let inside = column(0)..column(self.x.w);
        let moved = self.stride == [1, 1] && self.w == self.x.w;
        let mask = moved.then(|| self.mask(&inside));
        self.strips.push(Strip { plane: channel * self.x.plane, origin, first, inside, place, mask });
        self.strips.len() - 1
    }

    fn mask(&mut self, inside: &Range<usize>) -> usize {
        let known = self.masks.iter().position(|mask| mask.inside == *inside);
        known.unwrap_or_else(|| {
            let all = *inside == (0..self.w);
            let len = if all { 0 } else { (self.w * LINE) * MASK.div_ceil(self.w * LINE) };
            let one = |x: usize| if inside.contains(&x) { f32::from_bits(u32::MAX) } else { 0.0 };
            let ones = (0..len).map(|at| one(at % self.w)).collect();
            self.masks.push(Mask { inside: inside.clone(), ones });
            self.masks.len() - 1
        })
    }

    /// A strip by its number.
    pub(crate) fn get(&self, strip: usize) -> Option<&Strip> {
        self.strips.get(strip)
    }

    /// Fills all strips with what the input holds.
    pub(crate) fn fill(&self, kernels: Kernels, x: Tensor<'_>, scratch: &mut [f32]) {
        kernels.dispatch(Fill { strips: self, x, scratch });
    }
}

/// All strips of a convolution to fill.
struct Fill<'a> {
    strips: &'a Strips,
    x: Tensor<'a>,
    scratch: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        for strip in &self.strips.strips {
            let Some(to) = self.scratch.get_mut(strip.place.clone()) else { continue };
            match strip.mask {
                Some(mask) => {
                    let ones = self.strips.masks.get(mask).map_or(&[][..], |mask| &mask.ones);
                    move_plane::<V>(strip, self.x, ones, to);
                }
                None => copy_rows::<V>(strip, self.x, self.strips.w, self.strips.stride, to),
            }
        }
    }
}

/// A strip as wide as the plane: one run of the plane, with zeros where columns wrap around its
/// edges and where rows are outside.
#[inline(always)]
fn move_plane<V: Vector>(strip: &Strip, x: Tensor<'_>, ones: &[f32], to: &mut [f32]) {
    let w = x.at.w as isize;
    let row = strip.first + strip.origin[0];
    let end = |rows: isize| ((rows.max(0) * w) as usize).min(to.len());
    // What of the strip is inside the plane; in whole vectors.
    let (above, below) = (end(-row), end(x.at.h as isize - row));
    let first = above / V::LANES * V::LANES;
    let last = below.next_multiple_of(V::LANES).max(first);
    // Only the first and the last vector can reach over the ends of all planes.
    let from = strip.plane as isize + row * w + strip.origin[1] + first as isize;
    let before = usize::from(from < 0) * V::LANES;
    let vectors = last - first;
    let behind = usize::from(from + vectors as isize > x.data.len() as isize) * V::LANES;
    for at in (0..before).step_by(V::LANES).chain((vectors.saturating_sub(behind)..vectors).step_by(V::LANES))
    {
        edge::<V>(from + at as isize, x.data, at, ones, to.get_mut(first + at..).unwrap_or_default());
    }
    let middle = before..vectors.saturating_sub(behind).max(before);
    let source = x.data.get((from + before as isize) as usize..).unwrap_or_default();
    let target = to.get_mut(first + middle.start..first + middle.end).unwrap_or_default();
    if ones.is_empty() {
        for (to, from) in target.chunks_exact_mut(V::LANES).zip(source.chunks_exact(V::LANES)) {
            load::<V, 1>(from).and_then(|x| store(x, to));
        }
    } else {
        // Masks begin again after whole rows and whole vectors.
        let mut skip = (first + before) % ones.len();
        let (mut target, mut source) = (target, source);
        while !target.is_empty() {
            let ones = ones.get(skip..).unwrap_or_default();
            skip = 0;
            let n = target.len().min(ones.len());
            let (now, later) = core::mem::take(&mut target).split_at_mut(n);
            let (from, rest) = source.split_at_checked(n).unwrap_or_default();
            let vectors = now.chunks_exact_mut(V::LANES).zip(from.chunks_exact(V::LANES));
            for ((to, from), ones) in vectors.zip(ones.chunks_exact(V::LANES)) {
                if let (Some([x]), Some([ones])) = (load::<V, 1>(from), load::<V, 1>(ones)) {
                    store([x.and(ones)], to);
                }
            }
            (target, source) = (later, rest);
        }
    }
    zeros(to.get_mut(..above).unwrap_or_default());
    zeros(to.get_mut(below..).unwrap_or_default());
}

/// One vector of a strip, from element `from` of the input on, where that may be outside.
#[cold]
fn edge<V: Vector>(from: isize, x: &[f32], at: usize, ones: &[f32], to: &mut [f32]) {
    for (i, to) in to.iter_mut().enumerate().take(V::LANES) {
        let inside = ones.is_empty() || ones.get((at + i) % ones.len()).is_some_and(|one| one.to_bits() != 0);
        let x = usize::try_from(from + i as isize).ok().and_then(|at| x.get(at)).copied();
        *to = x.filter(|_| inside).unwrap_or(0.0);
    }
}

/// Any other strip, row by row.
#[inline(always)]
fn copy_rows<V: Vector>(strip: &Strip, x: Tensor<'_>, w: usize, [sh, sw]: [usize; 2], to: &mut [f32]) {
    let inside = strip.inside.clone();
    for (row, to) in (strip.first..).zip(to.chunks_exact_mut(w)) {
        let y = row * sh as isize + strip.origin[0];
        if y < 0 || y >= x.at.h as isize {
            zeros(to);
            continue;
        }
        let first = strip.origin[1] + (inside.start * sw) as isize;
        let from = (strip.plane + y as usize * x.at.row).wrapping_add_signed(first);
        let from = x.data.get(from..).unwrap_or_default();
        let (before, rest) = to.split_at_mut_checked(inside.start).unwrap_or_default();
        let (middle, after) = rest.split_at_mut_checked(inside.len()).unwrap_or_default();
        zeros(before);
        zeros(after);
        match sw {
            1 => copy::<V>(middle, from),
            2 => every_other::<V>(middle, from),
            _ => middle.iter_mut().zip(from.iter().step_by(sw)).for_each(|(to, x)| *to = *x),
        }
    }
}

/// Zeros, without the call that a slice's `fill` becomes: it takes longer than a short row.
#[inline(always)]
fn zeros(to: &mut [f32]) {
    let (vectors, rest) = to.as_chunks_mut::<4>();
    vectors.iter_mut().for_each(|to| *to = core::hint::black_box([0.0; 4]));
    rest.iter_mut().for_each(|to| *to = core::hint::black_box(0.0));
}

/// A short run of consecutive elements; the last vector overlaps the one before it.
#[inline(always)]
fn copy<V: Vector>(to: &mut [f32], from: &[f32]) {
    let n = to.len();
    let Some(from) = from.get(..n) else { return };
    if n < V::LANES {
        to.iter_mut().zip(from).for_each(|(to, x)| *to = core::hint::black_box(*x));
        return;
    }
    let mut at = 0;
    while at < n {
        let start = at.min(n - V::LANES);
        if let (Some(to), Some(from)) = (to.get_mut(start..), from.get(start..).and_then(load::<V, 1>)) {
            store(from, to);
        }
        at += V::LANES;
    }
}

/// Elements 0, 2, 4, ...
#[inline(always)]
fn every_other<V: Vector>(to: &mut [f32], from: &[f32]) {
    let mut vectors = to.chunks_exact_mut(V::LANES);
    let mut rest = from;
    let mut done = true;
    for to in vectors.by_ref() {
        match load::<V, 2>(rest) {
            Some([a, b]) => store([a.evens(b)], to),
            None => {
                to.iter_mut().zip(rest.iter().step_by(2)).for_each(|(to, x)| *to = *x);
                done = false;
                Some(())
            }
        };
        rest = rest.get(2 * V::LANES..).unwrap_or_default();
    }
    debug_assert!(done || rest.is_empty());
    vectors.into_remainder().iter_mut().zip(rest.iter().step_by(2)).for_each(|(to, x)| *to = *x);
}

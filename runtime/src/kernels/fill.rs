//! Copies the planes of a convolution's input to where its taps read them.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use super::Kernels;
use super::arch::{Kernel, Vector, load, store};
use crate::tensor::{LINE, Layout, Tensor};

/// Rows of one input channel as one column of taps reads them.
#[derive(Clone, Debug)]
pub(crate) struct Strip {
    pub(crate) channel: usize,
    /// Row and column of the input that row and column 0 of the output read, before `first` rows
    /// are added.
    pub(crate) origin: [isize; 2],
    /// Row of the strip that is its first, for output row 0.
    pub(crate) first: isize,
    /// Elements of the scratch, whole lines.
    pub(crate) place: Range<usize>,
}

impl Strip {
    /// The element of the input that row `y`, column `at` of the strip is, if it is inside.
    fn from(&self, x: Layout, [sh, sw]: [usize; 2], y: usize, at: usize) -> i64 {
        let row = (self.first + y as isize) * sh as isize + self.origin[0];
        let column = (at * sw) as isize + self.origin[1];
        (self.channel * x.plane) as i64 + row as i64 * x.row as i64 + column as i64
    }
}

/// Masks of strips, each kept once.
struct Masks {
    x: Layout,
    w: usize,
    stride: [usize; 2],
    known: BTreeMap<(isize, [isize; 2], usize), u32>,
    masks: Vec<f32>,
}

impl Masks {
    fn new(x: Layout, w: usize, stride: [usize; 2]) -> Self {
        Self { x, w, stride, known: BTreeMap::new(), masks: Vec::new() }
    }

    /// Where the mask of a strip begins.
    fn of(&mut self, strip: &Strip) -> Option<u32> {
        let key = (strip.first, strip.origin, strip.place.len());
        if let Some(mask) = self.known.get(&key) {
            return Some(*mask);
        }
        let mask = u32::try_from(self.masks.len()).ok()?;
        let [sh, sw] = self.stride.map(|n| n as isize);
        let inside = |n: isize, extent: usize| n >= 0 && n < extent as isize;
        let (x, w) = (self.x, self.w);
        self.masks.extend((0..strip.place.len()).map(|at| {
            let row = (strip.first + (at / w) as isize) * sh + strip.origin[0];
            let column = (at % w) as isize * sw + strip.origin[1];
            f32::from_bits(if inside(row, x.h) && inside(column, x.w) { u32::MAX } else { 0 })
        }));
        self.known.insert(key, mask);
        Some(mask)
    }
}

/// Where all strips of a convolution come from: worked out once, so that a run only copies.
///
/// What is not in the input (rows and columns of the padding, and what lies between them) is masked:
/// a strip has few different masks, and an `and` is free beside a load and a store.
#[derive(Clone, Debug)]
pub(crate) enum Copies {
    /// Rows as wide as the input's, stride 1: each strip is one run of its plane.
    Runs { runs: Vec<Run>, edges: Vec<Edge>, masks: Vec<f32> },
    /// Stride 1 or 2, rows of whole half lines.
    Pairs { pairs: Vec<Pair>, edges: Vec<Edge>, masks: Vec<f32>, stride: usize },
    /// Any other: row by row.
    Rows { rows: Vec<Row>, stride: usize, w: usize },
}

/// Lines of the scratch that are a run of the input, masked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    from: u32,
    to: u32,
    len: u32,
    mask: u32,
}

/// A line of the scratch: elements, or every other one, from two places of the input, half a line
/// each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    from: [u32; HALVES],
    to: u32,
    mask: u32,
}

/// A line of the scratch that reaches over the ends of the input: where its halves begin there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    from: [i64; HALVES],
    to: u32,
    mask: u32,
}

const HALVES: usize = 2;
const HALF: usize = LINE / HALVES;

/// A row of the scratch: zeros, then elements of the input, then zeros.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    from: u32,
    to: u32,
    before: u32,
    len: u32,
}

impl Default for Copies {
    fn default() -> Self {
        Self::Rows { rows: Vec::new(), stride: 1, w: 1 }
    }
}

impl Copies {
    /// Copies of input `x` for strips of rows of `w` elements. `None` beyond 32 bits.
    pub(crate) fn new(strips: &[Strip], x: Layout, w: usize, stride: [usize; 2]) -> Option<Self> {
        match stride {
            [1, 1] if w == x.w => Self::runs(strips, x, w),
            [_, 1 | 2] if w.is_multiple_of(HALF) => Self::pairs(strips, x, w, stride),
            _ => Self::rows(strips, x, w, stride),
        }
    }

    fn runs(strips: &[Strip], x: Layout, w: usize) -> Option<Self> {
        let (mut runs, mut edges, mut masks) = (Vec::new(), Vec::new(), Masks::new(x, w, [1, 1]));
        for strip in strips {
            let (mask, len) = (masks.of(strip)?, strip.place.len());
            let to = u32::try_from(strip.place.start).ok()?;
            let start = strip.from(x, [1, 1], 0, 0);
            let line = |at: usize| {
                let from = start + at as i64;
                (from, from >= 0 && from + LINE as i64 <= x.len() as i64)
            };
            let first = (0..len).step_by(LINE).find(|at| line(*at).1).unwrap_or(len);
            let last = (first..len).step_by(LINE).find(|at| !line(*at).1).unwrap_or(len);
            for at in (0..first).chain(last..len).step_by(LINE) {
                let from = line(at).0;
                edges.push(Edge {
                    from: [from, from + HALF as i64],
                    to: to + at as u32,
                    mask: mask + at as u32,
                });
            }
            if first < last {
                let from = u32::try_from(line(first).0).ok()?;
                let skipped = first as u32;
                runs.push(Run { from, to: to + skipped, len: (last - first) as u32, mask: mask + skipped });
            }
        }
        Some(Self::Runs { runs, edges, masks: masks.masks })
    }

    fn pairs(strips: &[Strip], x: Layout, w: usize, stride: [usize; 2]) -> Option<Self> {
        let (mut pairs, mut edges, mut masks) = (Vec::new(), Vec::new(), Masks::new(x, w, stride));
        for strip in strips {
            let mask = masks.of(strip)?;
            for at in (0..strip.place.len()).step_by(LINE) {
                let (to, mask) = (u32::try_from(strip.place.start + at).ok()?, mask + at as u32);
                let half = |at: usize| strip.from(x, stride, at / w, at % w);
                let from = [half(at), half(at + HALF)];
                if from.iter().all(|from| *from >= 0 && from + LINE as i64 <= x.len() as i64) {
                    pairs.push(Pair { from: from.map(|from| from as u32), to, mask });
                } else {
                    edges.push(Edge { from, to, mask });
                }
            }
        }
        Some(Self::Pairs { pairs, edges, masks: masks.masks, stride: stride[1] })
    }

    fn rows(strips: &[Strip], x: Layout, w: usize, stride: [usize; 2]) -> Option<Self> {
        let [sh, sw] = stride.map(|n| n as isize);
        let mut rows = Vec::new();
        for strip in strips {
            // The first column whose input is not before `n`.
            let column =
                |n: usize| (n as isize - strip.origin[1] + sw - 1).div_euclid(sw).clamp(0, w as isize);
            let (first, end) = (column(0), column(x.w));
            for (row, to) in (strip.first..).zip(strip.place.clone().step_by(w)) {
                if to + w > strip.place.end {
                    break;
                }
                let y = row * sh + strip.origin[0];
                let inside = y >= 0 && y < x.h as isize;
                let from =
                    (strip.channel * x.plane) as isize + y * x.row as isize + strip.origin[1] + first * sw;
                let len = if inside { end - first } else { 0 };
                rows.push(Row {
                    from: if len > 0 { u32::try_from(from).ok()? } else { 0 },
                    to: u32::try_from(to).ok()?,
                    before: if len > 0 { first as u32 } else { 0 },
                    len: len as u32,
                });
            }
        }
        Some(Self::Rows { rows, stride: stride[1], w })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Runs { runs, edges, masks } => {
                size_of_val(runs.as_slice()) + size_of_val(edges.as_slice()) + size_of_val(masks.as_slice())
            }
            Self::Pairs { pairs, edges, masks, .. } => {
                size_of_val(pairs.as_slice()) + size_of_val(edges.as_slice()) + size_of_val(masks.as_slice())
            }
            Self::Rows { rows, .. } => size_of_val(rows.as_slice()),
        }
    }

    /// Copies what the input holds to the scratch; `None` if one of them is too short.
    pub(crate) fn run(&self, kernels: Kernels, x: Tensor<'_>, scratch: &mut [f32]) -> Option<()> {
        kernels.dispatch(Fill { copies: self, x: x.data, scratch })
    }
}

struct Fill<'a> {
    copies: &'a Copies,
    x: &'a [f32],
    scratch: &'a mut [f32],
}

impl Kernel for Fill<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let Self { copies, x, scratch } = self;
        match copies {
            Copies::Runs { runs, edges, masks } => {
                for run in runs {
                    let [from, to, len, mask] = [run.from, run.to, run.len, run.mask].map(|n| n as usize);
                    let from = x.get(from..from + len)?.chunks_exact(V::LANES);
                    let ones = masks.get(mask..mask + len)?.chunks_exact(V::LANES);
                    let to = scratch.get_mut(to..to + len)?.chunks_exact_mut(V::LANES);
                    for ((to, from), ones) in to.zip(from).zip(ones) {
                        let ([x], [ones]) = (load::<V, 1>(from)?, load::<V, 1>(ones)?);
                        store([x.and(ones)], to)?;
                    }
                }
                put_edges(edges, 1, x, masks, scratch)
            }
            Copies::Pairs { pairs, edges, masks, stride } => {
                match stride {
                    1 => put_pairs::<V, 1>(pairs, x, masks, scratch)?,
                    _ => put_pairs::<V, 2>(pairs, x, masks, scratch)?,
                }
                put_edges(edges, *stride as i64, x, masks, scratch)
            }
            Copies::Rows { rows, stride, w } => {
                for row in rows {
                    let [from, to, before, len] = [row.from, row.to, row.before, row.len].map(|n| n as usize);
                    let to = scratch.get_mut(to..to + w)?;
                    let (head, rest) = to.split_at_mut_checked(before)?;
                    let (middle, tail) = rest.split_at_mut_checked(len)?;
                    zeros(head);
                    zeros(tail);
                    let from = x.get(from..)?;
                    match stride {
                        1 => copy::<V>(middle, from),
                        2 => every_other::<V>(middle, from),
                        _ => middle.iter_mut().zip(from.iter().step_by(*stride)).for_each(|(to, x)| *to = *x),
                    }
                }
                Some(())
            }
        }
    }
}

#[inline(always)]
fn put_pairs<V: Vector, const S: usize>(
    pairs: &[Pair],
    x: &[f32],
    masks: &[f32],
    scratch: &mut [f32],
) -> Option<()> {
    for pair in pairs {
        let to = scratch.get_mut(pair.to as usize..)?.first_chunk_mut::<LINE>()?;
        let ones = masks.get(pair.mask as usize..)?.first_chunk::<LINE>()?;
        let [first, second] = pair.from.map(|from| x.get(from as usize..));
        let halves = [first?.first_chunk::<LINE>()?, second?.first_chunk::<LINE>()?];
        for at in (0..LINE).step_by(V::LANES) {
            // The elements of this vector: of one half, or of both.
            let part = |at: usize| load::<V, 1>(halves.get(at / HALF)?.get(at % HALF * S..)?);
            let [ones] = load::<V, 1>(ones.get(at..)?)?;
            let vector = match S {
                1 if V::LANES > HALF => part(at)?[0].halves(part(at + HALF)?[0]),
                1 => part(at)?[0],
                _ => part(at)?[0].evens(part(at + V::LANES / 2)?[0]),
            };
            store([vector.and(ones)], to.get_mut(at..)?)?;
        }
    }
    Some(())
}

#[inline(always)]
fn put_edges(edges: &[Edge], stride: i64, x: &[f32], masks: &[f32], scratch: &mut [f32]) -> Option<()> {
    for edge in edges {
        let to = scratch.get_mut(edge.to as usize..)?.first_chunk_mut::<LINE>()?;
        let ones = masks.get(edge.mask as usize..)?.first_chunk::<LINE>()?;
        for ((to, ones), from) in to.chunks_exact_mut(HALF).zip(ones.chunks_exact(HALF)).zip(edge.from) {
            for ((to, one), i) in to.iter_mut().zip(ones).zip(0..) {
                let x =
                    usize::try_from(from + i * stride).ok().and_then(|at| x.get(at)).copied().unwrap_or(0.0);
                *to = f32::from_bits(x.to_bits() & one.to_bits());
            }
        }
    }
    Some(())
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
    let mut rest = from;
    let mut vectors = to.chunks_exact_mut(V::LANES);
    for to in vectors.by_ref() {
        match load::<V, 2>(rest) {
            Some([a, b]) => _ = store([a.evens(b)], to),
            None => to.iter_mut().zip(rest.iter().step_by(2)).for_each(|(to, x)| *to = *x),
        }
        rest = rest.get(2 * V::LANES..).unwrap_or_default();
    }
    vectors.into_remainder().iter_mut().zip(rest.iter().step_by(2)).for_each(|(to, x)| *to = *x);
}

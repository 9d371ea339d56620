//! How much of each kind of work a step is.
//!
//! On a target that prepares, weights are expanded at load and zeros are left out, however they are
//! stored; of blocks of 1, 2 and 4 output channels the fastest run. Elsewhere a matrix runs as it is
//! stored, zeros of a dense one included.

use std::collections::BTreeMap;

use tfc_formats::op::{Conv2d, Op, Shape};

use super::{Target, Terms};

/// Elements of a cache line, which planes and strips are multiples of.
const LINE: usize = 16;

/// A step that may have weights.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// What it computes.
    pub op: Op,
    /// Shape of its first input.
    pub x: Shape,
    /// Shape of its output.
    pub out: Shape,
    /// Its matrix.
    pub weights: Option<Weights<'a>>,
}

/// A matrix.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Row-major, zeros included.
    pub values: &'a [f32],
    /// Columns.
    pub cols: usize,
    /// How it is stored.
    pub stored: Stored,
}

/// How a matrix is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Blocks of sparse rows; `None` if every element is stored.
    pub blocks: Option<StoredBlocks>,
    /// Whether values are f16.
    pub half: bool,
}

/// Blocks of sparse rows that share their columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlocks {
    /// Rows of a block.
    pub rows: u8,
    /// Columns of all blocks, those that bridge gaps included.
    pub entries: usize,
}

impl Target {
    /// What a step costs, in the target's unit.
    pub fn cost(&self, layer: &Layer<'_>) -> f64 {
        self.counts(layer).dot(self.costs)
    }

    /// What a sample costs beside the steps: it is written to where the first of them reads it.
    pub fn input_counts(&self, input: Shape) -> Terms {
        Terms { step: 1.0, element: elements(input), ..Terms::default() }
    }

    /// What a step does.
    pub fn counts(&self, layer: &Layer<'_>) -> Terms {
        let Layer { op, x, out, weights } = *layer;
        let vectors = |shape: Shape| f64::from(shape.c) * self.vectors(shape) as f64;
        let none = Terms { step: 1.0, ..Terms::default() };
        match (op, weights) {
            (Op::Conv2d(conv), Some(weights)) if !is_product(&conv, x, out) => {
                self.conv(&conv, x, out, weights)
            }
            (Op::Conv2d(_) | Op::Dense(_), Some(weights)) => self.product(x, out, weights),
            (Op::MaxPool(pool) | Op::AvgPool(pool), _) => {
                let window = f64::from(pool.kernel[0]) * f64::from(pool.kernel[1]);
                Terms { pool: window * vectors(out), ..none }
            }
            (Op::GlobalAvgPool, _) => Terms { mean: vectors(x), ..none },
            // Sums are added as a convolution stores, parts are written where they belong.
            (Op::Add | Op::Concat, _) if self.prepares => Terms::default(),
            _ => Terms { element: elements(out), ..none },
        }
    }

    /// Vectors of a plane.
    fn vectors(&self, shape: Shape) -> usize {
        (shape.h as usize * shape.w as usize).div_ceil(self.lanes)
    }

    /// A matrix-vector product, after the input is made contiguous.
    fn product(&self, x: Shape, out: Shape, weights: Weights<'_>) -> Terms {
        let Weights { values, stored, .. } = weights;
        let packed = if self.prepares && !x.is_vector() { elements(x) } else { 0.0 };
        let base = Terms { step: 1.0, row: elements(out), element: packed, ..Terms::default() };
        let all = values.len() as f64;
        let dense =
            if stored.half { Terms { dense_f16: all, ..base } } else { Terms { dense_f32: all, ..base } };
        let sparse = |rows: u8, entries: usize| match rows {
            1 => Terms { sparse_1: entries as f64, ..base },
            2 => Terms { sparse_2: entries as f64, ..base },
            _ => Terms { sparse_4: entries as f64, ..base },
        };
        match stored.blocks {
            _ if self.prepares => {
                let nonzeros = values.iter().filter(|value| **value != 0.0).count();
                self.cheapest([dense, sparse(1, nonzeros)])
            }
            None => dense,
            Some(StoredBlocks { rows, entries }) => sparse(rows, entries),
        }
    }

    fn conv(&self, conv: &Conv2d, x: Shape, out: Shape, weights: Weights<'_>) -> Terms {
        let vectors = self.vectors(out);
        let group_out = (out.c / conv.groups.max(1)) as usize;
        let run = |rows: usize, entries: usize| {
            let tiles = vectors.div_ceil(self.tiles[rows / 2]);
            let (taps, each) = ((entries * vectors) as f64, (entries * tiles) as f64);
            let base = Terms {
                step: 1.0,
                tile: ((out.c as usize).div_ceil(rows) * tiles) as f64,
                store: out.c as f64 * vectors as f64,
                ..Terms::default()
            };
            match rows {
                1 => Terms { tap_1: taps, entry_1: each, ..base },
                2 => Terms { tap_2: taps, entry_2: each, ..base },
                _ => Terms { tap_4: taps, entry_4: each, ..base },
            }
        };
        match weights.stored.blocks {
            _ if self.prepares => {
                let taps = Taps::of(conv, x, out, weights);
                let mut counts = self.cheapest([1, 2, 4].map(|rows| run(rows, taps.in_blocks(rows))));
                counts += self.copies(conv, x, out, &taps);
                if self.is_far(conv, x, out) {
                    counts.far = counts.tap_1 + counts.tap_2 + counts.tap_4;
                }
                counts
            }
            None if group_out >= 4 => run(4, group_out.div_ceil(4) * conv.groups as usize * weights.cols),
            None => run(1, weights.values.len()),
            Some(StoredBlocks { rows, entries }) => {
                Terms { unpack: entries as f64, ..run(usize::from(rows), entries) }
            }
        }
    }

    /// What is copied so that each tap of a convolution reads consecutive elements: what surrounds the
    /// tiles of a grid, or for every column of taps of a channel a strip of rows, as wide as the
    /// output's.
    fn copies(&self, conv: &Conv2d, x: Shape, out: Shape, taps: &Taps) -> Terms {
        let is_direct = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.pad.is_zero();
        if is_direct && !out.is_vector() {
            return Terms::default();
        }
        if let Some(halo) = self.halo(conv, x, out) {
            return Terms { copy: halo as f64, ..Terms::default() };
        }
        let w = out.w as usize;
        let (together, loads) = self.strips(conv, out, taps, 1);
        let classes = self.lanes / gcd(self.lanes, w);
        let apart = self.strips(conv, out, taps, classes as isize).0;
        // As the runtime weighs loads that are not aligned against more copies.
        let is_worth = (apart.1 - together.1) / self.lanes < loads * self.vectors(out) / 10;
        let (rows, len) = if classes > 1 && is_worth { apart } else { together };
        let vectors = (len / self.lanes) as f64;
        match conv.stride {
            [1, 1] if out.w == x.w => Terms { copy: vectors, ..Terms::default() },
            [_, 1 | 2] if w.is_multiple_of(LINE / 2) => Terms { copy_apart: vectors, ..Terms::default() },
            _ => Terms { copy_row: rows as f64, copy_apart: vectors, ..Terms::default() },
        }
    }

    /// Whether the longest tile reads more of all input channels than a first-level cache holds.
    fn is_far(&self, conv: &Conv2d, x: Shape, out: Shape) -> bool {
        const CACHE: usize = 64 * 1024;
        let strips = if self.halo(conv, x, out).is_some() { 1 } else { usize::from(conv.kernel[1]) };
        let tile = self.vectors(out).min(self.tiles[0]) * self.lanes * size_of::<f32>();
        (x.c / conv.groups.max(1)) as usize * strips * tile > CACHE
    }

    /// Vectors around the tiles of the input's grid, if every tap can read a grid: lanes divide both
    /// planes alike.
    pub(super) fn halo(&self, conv: &Conv2d, x: Shape, out: Shape) -> Option<usize> {
        let lanes: [u32; 2] = match self.lanes {
            16 => [4, 4],
            8 => [2, 4],
            4 => [2, 2],
            _ => return None,
        };
        let [stride @ (1 | 2), across] = conv.stride.map(u32::from) else { return None };
        let tile = |shape: Shape| {
            let divides = shape.h.is_multiple_of(lanes[0]) && shape.w.is_multiple_of(lanes[1]);
            divides.then_some([shape.h / lanes[0], shape.w / lanes[1]])
        };
        let (of_x, of_out) = (tile(x)?, tile(out)?);
        if stride != across || of_x != of_out.map(|n| n * stride) {
            return None;
        }
        let axis = |axis: usize, pad: u16| {
            let reach = u32::from(conv.kernel[axis].saturating_sub(1)) * u32::from(conv.dilation[axis]);
            let read = ((of_out[axis] - 1) * stride + reach + 1).saturating_sub(u32::from(pad));
            of_x[axis].max(read) + u32::from(pad)
        };
        let all = axis(0, conv.pad.top) * axis(1, conv.pad.left);
        Some((x.c * (all - of_x[0] * of_x[1])) as usize)
    }

    /// Rows and elements of all strips, and how many taps read them off the alignment of vectors.
    fn strips(&self, conv: &Conv2d, out: Shape, taps: &Taps, classes: isize) -> ((usize, usize), usize) {
        let stride = isize::from(conv.stride[0] as i16).max(1);
        let key = |[channel, ky, kx]: [usize; 3]| {
            let row = (ky * usize::from(conv.dilation[0])) as isize - isize::from(conv.pad.top as i16);
            let first = row.div_euclid(stride);
            ((channel, kx, row.rem_euclid(stride), first.rem_euclid(classes)), first)
        };
        let mut strips: BTreeMap<(usize, usize, isize, isize), (isize, isize)> = BTreeMap::new();
        for (tap, _) in taps.used() {
            let (key, first) = key(tap);
            let range = strips.entry(key).or_insert((first, first));
            *range = (range.0.min(first), range.1.max(first));
        }
        let w = out.w as usize;
        let rows = |(first, last): &(isize, isize)| (last - first) as usize + out.h as usize;
        let total = strips.values().map(rows).sum();
        let len = strips.values().map(|range| (rows(range) * w).next_multiple_of(LINE)).sum();
        let is_off = |tap| {
            let (key, first) = key(tap);
            strips.get(&key).is_some_and(|range| !((first - range.0) as usize * w).is_multiple_of(self.lanes))
        };
        ((total, len), taps.used().filter(|(tap, _)| is_off(*tap)).map(|(_, uses)| uses).sum())
    }

    fn cheapest<const N: usize>(&self, counts: [Terms; N]) -> Terms {
        let cost = |counts: &Terms| counts.dot(self.costs);
        counts.into_iter().min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or_default()
    }
}

/// Taps of a convolution whose weights are not zero, as numbers: `(channel * rows + row) * columns +
/// column` of the kernel.
struct Taps {
    kernel: [usize; 2],
    /// Of each output channel.
    rows: Vec<Vec<usize>>,
    /// How many output channels have each.
    uses: Vec<usize>,
}

impl Taps {
    fn of(conv: &Conv2d, x: Shape, out: Shape, weights: Weights<'_>) -> Self {
        let kernel = conv.kernel.map(|n| usize::from(n).max(1));
        let groups = conv.groups.max(1);
        let (group_in, group_out) = ((x.c / groups) as usize, (out.c / groups).max(1) as usize);
        let area = kernel[0] * kernel[1];
        let nonzeros = |(o, row): (usize, &[f32])| -> Vec<usize> {
            let first = o / group_out * group_in * area;
            let nonzero = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
            nonzero.map(|(column, _)| first + column).collect()
        };
        let rows: Vec<_> = weights.values.chunks(weights.cols.max(1)).enumerate().map(nonzeros).collect();
        let mut uses = vec![0; x.c as usize * area];
        rows.iter().flatten().for_each(|&tap| uses[tap] += 1);
        Self { kernel, rows, uses }
    }

    /// Taps that any row of a block has, summed over blocks of so many rows.
    fn in_blocks(&self, rows: usize) -> usize {
        let mut last = vec![usize::MAX; self.uses.len()];
        let taps = self.rows.chunks(rows).enumerate();
        let taps = taps.flat_map(|(block, rows)| rows.iter().flatten().map(move |tap| (block, *tap)));
        taps.filter(|(block, tap)| std::mem::replace(&mut last[*tap], *block) != *block).count()
    }

    /// Channel, kernel row and column of those that any output channel has, with how many do.
    fn used(&self) -> impl Iterator<Item = ([usize; 3], usize)> + '_ {
        let [kh, kw] = self.kernel;
        let at = move |tap: usize| [tap / (kh * kw), tap / kw % kh, tap % kw];
        self.uses.iter().enumerate().filter(|(_, uses)| **uses > 0).map(move |(tap, uses)| (at(tap), *uses))
    }
}

/// Whether a convolution runs as a matrix-vector product.
fn is_product(conv: &Conv2d, x: Shape, out: Shape) -> bool {
    x.is_vector() && out.is_vector() && conv.kernel == [1, 1] && conv.groups == 1
}

fn elements(shape: Shape) -> f64 {
    f64::from(shape.c) * f64::from(shape.h) * f64::from(shape.w)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

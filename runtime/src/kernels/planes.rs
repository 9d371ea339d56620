//! Convolution over planes in which every tap reads a run of consecutive elements.
//!
//! The output at position `p` of a channel is the sum over the taps of `weight * source[offset + p]`,
//! a vector of positions at a time: kernel, stride, dilation, padding and groups are in the offsets
//! and in how the source was laid out (see [`prepared`](crate::prepared)). A tile of positions stays in registers while all taps of
//! a block of channels go over it.

// Arrays of vectors are indexed: iterators move them through memory.
#![allow(clippy::needless_range_loop)]

use alloc::vec::Vec;

use tfc_formats::op::Activation;

use super::Kernels;
use super::arch::{Kernel, Tap, Taps, Vector, load_rows, store, store_rows};
use super::team::Team;
use crate::model::EVERYTHING;
use crate::ops::activation;

/// Most vectors of a tile whose channels come one at a time.
const LONGEST: usize = 16;

/// Elements behind the last position that the last tile may read.
pub(crate) const SLACK: usize = 16 * LONGEST;

/// The rows of a matrix by blocks of channels that share their columns.
#[derive(Clone, Debug)]
pub(crate) enum Blocks {
    /// Each channel on its own.
    One(Taps<1>),
    /// Two channels.
    Two(Taps<2>),
    /// Four channels.
    Four(Taps<4>),
}

impl Blocks {
    /// Rows of (offset, weight), offsets rising, as blocks of `size` rows; offsets from each of
    /// `limits` on are a chunk of their own.
    pub(crate) fn new(rows: &[Vec<(u32, f32)>], size: usize, limits: &[u32]) -> Self {
        match size {
            4 => Self::Four(Taps::new(rows.chunks(4).map(merge), limits)),
            2 => Self::Two(Taps::new(rows.chunks(2).map(merge), limits)),
            _ => Self::One(Taps::new(rows.chunks(1).map(merge), limits)),
        }
    }

    /// The size of block that takes least time: 1, 2 or 4.
    pub(crate) fn best(rows: &[Vec<(u32, f32)>]) -> usize {
        /// Cycles of a tap and a vector, measured: single channels are bound by loads, blocks by
        /// multiply-adds.
        const CYCLES: [(usize, f32); 3] = [(1, 0.77), (2, 1.18), (4, 2.17)];
        let taps = |size: usize| match size {
            4 => rows.chunks(4).map(|rows| merge::<4>(rows).len()).sum::<usize>(),
            2 => rows.chunks(2).map(|rows| merge::<2>(rows).len()).sum(),
            _ => rows.iter().map(Vec::len).sum(),
        };
        let cost = |&(size, cycles): &(usize, f32)| taps(size) as f32 * cycles;
        let least = |a: (usize, f32), b: (usize, f32)| if cost(&b) < cost(&a) { b } else { a };
        CYCLES.into_iter().reduce(least).map_or(1, |(size, _)| size)
    }

    /// Rows of a block, and the taps up to the end of each.
    fn totals(&self) -> (usize, &[usize]) {
        match self {
            Self::One(taps) => (1, taps.totals()),
            Self::Two(taps) => (2, taps.totals()),
            Self::Four(taps) => (4, taps.totals()),
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(taps) => taps.bytes(),
            Self::Two(taps) => taps.bytes(),
            Self::Four(taps) => taps.bytes(),
        }
    }
}

/// The columns of any of up to `R` rows, each with the weights of all.
fn merge<const R: usize>(rows: &[Vec<(u32, f32)>]) -> Vec<Tap<R>> {
    let mut taps = Vec::new();
    let mut rest: [&[(u32, f32)]; R] = [&[]; R];
    rest.iter_mut().zip(rows).for_each(|(rest, row)| *rest = row);
    while let Some(offset) = rest.iter().filter_map(|row| row.first()).map(|entry| entry.0).min() {
        let mut weights = [0.0; R];
        for (weight, row) in weights.iter_mut().zip(&mut rest) {
            if let Some(((at, value), later)) = row.split_first()
                && *at == offset
            {
                (*weight, *row) = (*value, later);
            }
        }
        taps.push(Tap { offset, weights });
    }
    taps
}

/// Where the vectors of a value lie, in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The first vector of a channel.
    pub(crate) first: usize,
    /// From one row of vectors to the next.
    pub(crate) row: usize,
    /// From one channel to the next.
    pub(crate) plane: usize,
}

/// Vectors of all channels of a convolution to compute.
pub(crate) struct Planes<'a> {
    pub(crate) blocks: &'a Blocks,
    /// The block of the first channel of `out`.
    pub(crate) first: usize,
    /// One a channel, or none.
    pub(crate) bias: &'a [f32],
    pub(crate) source: &'a [f32],
    /// From the source of one row of vectors to that of the next.
    pub(crate) source_row: usize,
    /// From the source of a vector to that of its neighbour, in vectors: 1 or 2.
    pub(crate) stride: usize,
    /// Rows and columns of vectors.
    pub(crate) extent: [usize; 2],
    pub(crate) out: &'a mut [f32],
    pub(crate) to: Spread,
    /// Added to the output, element by element, before the activation.
    pub(crate) residual: Option<(&'a [f32], Spread)>,
    pub(crate) activation: Option<Activation>,
}

impl Planes<'_> {
    /// Runs it; `None` if a length contradicts another.
    pub(crate) fn run(self, kernels: Kernels, team: Team) -> Option<()> {
        let (size, ends) = self.blocks.totals();
        let all = ends.last().copied().unwrap_or(0);
        let parts = team.parts(all * size * self.extent[0] * self.extent[1]);
        if parts == 1 {
            return self.run_alone(kernels);
        }
        // Each thread gets blocks with as many taps.
        let block = |part: usize| ends.partition_point(|end| *end * parts < all * part);
        let starts: Vec<usize> = (0..parts).map(|part| block(part) * size * self.to.plane).collect();
        let Self { out, residual, bias, .. } = self;
        let rest = Self { out: &mut [], residual: None, ..self };
        team.each(out, &starts, |part, out| {
            let first = block(part);
            let residual = match residual {
                Some((data, spread)) => Some((data.get(first * size * spread.plane..)?, spread)),
                None => None,
            };
            let bias = bias.get(first * size..).unwrap_or_default();
            Planes { out, first, bias, residual, ..rest.shared() }.run_alone(kernels)
        })
    }

    /// All but what is written.
    fn shared(&self) -> Planes<'_> {
        Planes { out: &mut [], ..*self }
    }

    /// By a loop for the size of the blocks and the stride: one for all would take a compiler long.
    fn run_alone(self, kernels: Kernels) -> Option<()> {
        match (self.blocks, self.stride) {
            (Blocks::One(taps), 1) => kernels.dispatch(Sized::<1, 1> { taps, planes: self }),
            (Blocks::One(taps), _) => kernels.dispatch(Sized::<1, 2> { taps, planes: self }),
            (Blocks::Two(taps), 1) => kernels.dispatch(Sized::<2, 1> { taps, planes: self }),
            (Blocks::Two(taps), _) => kernels.dispatch(Sized::<2, 2> { taps, planes: self }),
            (Blocks::Four(taps), 1) => kernels.dispatch(Sized::<4, 1> { taps, planes: self }),
            (Blocks::Four(taps), _) => kernels.dispatch(Sized::<4, 2> { taps, planes: self }),
        }
    }
}

/// Blocks of `R` rows, read with a stride of `S`.
struct Sized<'a, const R: usize, const S: usize> {
    taps: &'a Taps<R>,
    planes: Planes<'a>,
}

impl<const R: usize, const S: usize> Kernel for Sized<'_, R, S> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(mut self) -> Option<()> {
        self.planes.tiles::<V, R, S>(self.taps)
    }
}

/// Vectors of a tile whose sums stay in registers, beside a weight of each channel and an input.
const fn most<V: Vector, const R: usize>() -> usize {
    let most = (V::REGISTERS - R - 2) / R;
    if most < LONGEST { most } else { LONGEST }
}

/// Tiles side by side, as few as have no more than `most` columns, and how many rows of `left` they have.
#[inline(always)]
fn even_tiles(left: usize, cols: usize, most: usize) -> (usize, usize) {
    let across = cols.div_ceil(most).max(1);
    let widest = cols.div_ceil(across);
    let fits = |m: &usize| *m <= left && m * widest <= most;
    (across, [4, 2].into_iter().find(fits).unwrap_or(1))
}

/// What a tap loads for an extent of vectors: these, and its offset and weight for each tile.
pub(crate) fn loads([rows, cols]: [usize; 2]) -> usize {
    let mut loads = rows * cols;
    let mut i = 0;
    while i < rows {
        let (across, m) = even_tiles(rows - i, cols, LONGEST);
        loads += 2 * across;
        i += m;
    }
    loads
}

impl Planes<'_> {
    /// Tiles of even lengths: as few as the registers allow.
    #[inline(always)]
    fn tiles<V: Vector, const R: usize, const S: usize>(&mut self, taps: &Taps<R>) -> Option<()> {
        let [rows, cols] = self.extent;
        let mut i = 0;
        while i < rows {
            let (across, m) = even_tiles(rows - i, cols, most::<V, R>());
            let mut j = 0;
            for tile in 0..across {
                let end = cols * (tile + 1) / across;
                self.tile::<V, R, S>(taps, [i, j], [m, end - j])?;
                j = end;
            }
            i += m;
        }
        Some(())
    }

    #[inline(always)]
    fn tile<V: Vector, const R: usize, const S: usize>(
        &mut self,
        taps: &Taps<R>,
        at: [usize; 2],
        extent: [usize; 2],
    ) -> Option<()> {
        macro_rules! extents {
            ($($m:literal x ($($n:literal)*)),*) => {
                match extent {
                    // Constants, so that no code comes of tiles too large for the registers.
                    $($([$m, $n] if $m * $n <= const { most::<V, R>() } => {
                        self.channels::<V, R, $m, $n, S>(taps, at)
                    })*)*
                    _ => None,
                }
            };
        }
        extents!(1 x (1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16), 2 x (1 2 3 4 5 6 7 8), 4 x (1 2 3 4))
    }

    #[inline(always)]
    fn channels<V: Vector, const R: usize, const M: usize, const N: usize, const S: usize>(
        &mut self,
        taps: &Taps<R>,
        [i, j]: [usize; 2],
    ) -> Option<()> {
        let channels = self.out.len() / self.to.plane;
        let source = i * self.source_row + j * S * V::LANES;
        let at = |spread: Spread, channel: usize, m: usize| {
            channel * spread.plane + spread.first + (i + m) * spread.row + j * V::LANES
        };
        // Whether the tile ends behind the plane.
        let beyond = at(self.to, 0, M - 1) + N * V::LANES > self.to.plane;
        let rest = match self.activation {
            None | Some(Activation::Relu | Activation::Relu6) => None,
            other => other,
        };
        for chunk in 0..taps.chunks() {
            let last = chunk + 1 == taps.chunks();
            for block in 0..channels.div_ceil(R) {
                let first = block * R;
                let count = R.min(channels - first);
                let mut sums = [[[V::splat(0.0); N]; M]; R];
                for r in 0..R {
                    sums[r] = [[V::splat(self.bias.get(first + r).copied().unwrap_or(0.0)); N]; M];
                }
                if chunk > 0 {
                    for r in 0..R {
                        if r < count {
                            sums[r] = load_rows(self.out, at(self.to, first + r, 0), self.to.row)?;
                        }
                    }
                }
                let place = [chunk, self.first + block];
                sums = taps.add::<V, M, N, S>(place, self.source, source, self.source_row, sums)?;
                if last && beyond {
                    let sums = sums;
                    for (r, sums) in sums.iter().enumerate().take(count) {
                        for (m, sums) in sums.iter().enumerate() {
                            let residual = match self.residual {
                                Some((residual, spread)) => Some(residual.get(at(spread, first + r, m)..)?),
                                None => None,
                            };
                            let to = at(self.to, first + r, m);
                            let to = self.out.get_mut(to..(first + r + 1) * self.to.plane)?;
                            put_part(*sums, to, residual, self.activation)?;
                        }
                    }
                    continue;
                }
                if let (true, Some((residual, spread))) = (last, self.residual) {
                    for r in 0..R {
                        if r < count {
                            let more: [[V; N]; M] =
                                load_rows(residual, at(spread, first + r, 0), spread.row)?;
                            for m in 0..M {
                                for n in 0..N {
                                    sums[r][m][n] = sums[r][m][n].add(more[m][n]);
                                }
                            }
                        }
                    }
                }
                if let (true, Some(Activation::Relu | Activation::Relu6)) = (last, self.activation) {
                    for r in 0..R {
                        for m in 0..M {
                            for n in 0..N {
                                sums[r][m][n] = V::splat(0.0).max(sums[r][m][n]);
                            }
                        }
                    }
                }
                if let (true, Some(Activation::Relu6)) = (last, self.activation) {
                    for r in 0..R {
                        for m in 0..M {
                            for n in 0..N {
                                sums[r][m][n] = V::splat(6.0).min(sums[r][m][n]);
                            }
                        }
                    }
                }
                for r in 0..R {
                    if r < count {
                        store_rows(sums[r], self.out, at(self.to, first + r, 0), self.to.row)?;
                    }
                }
                if let (true, Some(_)) = (last, rest) {
                    for r in 0..count {
                        for m in 0..M {
                            let to = at(self.to, first + r, m);
                            activation::apply::<EVERYTHING>(rest, self.out.get_mut(to..to + N * V::LANES)?);
                        }
                    }
                }
            }
        }
        Some(())
    }
}

/// Stores what of a tile is inside the plane.
#[inline(always)]
fn put_part<V: Vector, const N: usize>(
    sums: [V; N],
    to: &mut [f32],
    residual: Option<&[f32]>,
    op: Option<Activation>,
) -> Option<()> {
    let mut all = [0.0; SLACK];
    store(sums, &mut all)?;
    if let Some(residual) = residual {
        all.iter_mut().zip(residual).for_each(|(sum, x)| *sum += x);
    }
    crate::ops::copy(to, &all);
    activation::apply::<EVERYTHING>(op, to);
    Some(())
}

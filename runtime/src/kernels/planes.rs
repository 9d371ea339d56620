//! Convolution over planes in which every tap reads a run of consecutive elements.
//!
//! Output position `p` of every channel is the sum over the taps of `weight * source[offset + p]`:
//! kernel, stride, dilation, padding and groups are in the offsets and in how the source was laid
//! out (see [`prepared`](crate::prepared)). A tile of positions stays in registers while all taps of
//! a block of channels go over it.

use alloc::vec::Vec;

use tfc_formats::op::Activation;

use super::Kernels;
use super::arch::{Kernel, Tap, Taps, Vector, load, store};
use crate::model::EVERYTHING;
use crate::ops::activation;

/// Most vectors of a tile whose channels come one at a time.
const LONGEST: usize = 12;

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
    /// Rows of (offset, weight), offsets rising, as blocks of `size` rows.
    pub(crate) fn new(rows: &[Vec<(u32, f32)>], size: usize) -> Self {
        match size {
            4 => Self::Four(Taps::new(rows.chunks(4).map(merge))),
            2 => Self::Two(Taps::new(rows.chunks(2).map(merge))),
            _ => Self::One(Taps::new(rows.chunks(1).map(merge))),
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

/// Positions of all channels of a convolution to compute.
pub(crate) struct Planes<'a> {
    pub(crate) blocks: &'a Blocks,
    /// One a channel, or none.
    pub(crate) bias: &'a [f32],
    pub(crate) source: &'a [f32],
    /// Positions, the first of which is at `start` of every plane of the output.
    pub(crate) count: usize,
    pub(crate) start: usize,
    /// From one channel of the output to the next.
    pub(crate) plane: usize,
    pub(crate) out: &'a mut [f32],
    /// Added to the output, element by element, before the activation.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) activation: Option<Activation>,
}

impl Planes<'_> {
    /// Runs it; `None` if a length contradicts another.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

impl Kernel for Planes<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(mut self) -> Option<()> {
        match self.blocks {
            Blocks::One(taps) => self.tiles::<V, 1>(taps),
            Blocks::Two(taps) => self.tiles::<V, 2>(taps),
            Blocks::Four(taps) => self.tiles::<V, 4>(taps),
        }
    }
}

impl Planes<'_> {
    /// Tiles of even lengths: as few as the registers allow.
    #[inline(always)]
    fn tiles<V: Vector, const R: usize>(&mut self, taps: &Taps<R>) -> Option<()> {
        let most = match R {
            1 => (V::REGISTERS - 4).min(LONGEST),
            2 => (V::REGISTERS - 4) / 3,
            _ => (V::REGISTERS - 4) / 5,
        };
        let vectors = self.count.div_ceil(V::LANES);
        let tiles = vectors.div_ceil(most);
        let mut first = 0;
        for tile in 0..tiles {
            let end = vectors * (tile + 1) / tiles;
            self.tile::<V, R>(taps, first * V::LANES, end - first)?;
            first = end;
        }
        Some(())
    }

    #[inline(always)]
    fn tile<V: Vector, const R: usize>(&mut self, taps: &Taps<R>, at: usize, n: usize) -> Option<()> {
        macro_rules! lengths {
            ($($n:literal)*) => {
                match n {
                    // A constant, so that no code comes of tiles too long for the registers.
                    $($n if R * $n <= V::REGISTERS - 4 => self.channels::<V, R, $n>(taps, at),)*
                    _ => None,
                }
            };
        }
        lengths!(1 2 3 4 5 6 7 8 9 10 11 12)
    }

    #[inline(always)]
    fn channels<V: Vector, const R: usize, const N: usize>(
        &mut self,
        taps: &Taps<R>,
        at: usize,
    ) -> Option<()> {
        let channels = self.out.len() / self.plane;
        for block in 0..channels.div_ceil(R) {
            let mut bias = [0.0; R];
            bias.iter_mut().zip(self.bias.get(block * R..).unwrap_or_default()).for_each(|(to, b)| *to = *b);
            let sums = taps.sums::<V, N>(block, self.source, at, bias)?;
            for (r, sums) in sums.into_iter().enumerate().take(channels - block * R) {
                self.put(sums, (block * R + r) * self.plane, self.start + at)?;
            }
        }
        Some(())
    }

    /// Stores sums of a channel from position `at` of its plane.
    #[inline(always)]
    fn put<V: Vector, const N: usize>(&mut self, mut sums: [V; N], plane: usize, at: usize) -> Option<()> {
        let to = self.out.get_mut(plane + at..plane + self.plane)?;
        let residual = match self.residual {
            Some(residual) => Some(residual.get(plane + at..plane + self.plane)?),
            None => None,
        };
        if to.len() < N * V::LANES {
            return put_part(sums, to, residual, self.activation);
        }
        if let Some(residual) = residual {
            let residual = load::<V, N>(residual)?;
            for n in 0..N {
                sums[n] = sums[n].add(residual[n]);
            }
        }
        match self.activation {
            None => {}
            Some(Activation::Relu) => {
                for sum in &mut sums {
                    *sum = V::splat(0.0).max(*sum);
                }
            }
            Some(Activation::Relu6) => {
                for sum in &mut sums {
                    *sum = V::splat(6.0).min(V::splat(0.0).max(*sum));
                }
            }
            other => {
                store(sums, to)?;
                activation::apply::<EVERYTHING>(other, to.get_mut(..N * V::LANES)?);
                return Some(());
            }
        }
        store(sums, to)
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

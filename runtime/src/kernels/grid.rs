//! Values in a grid of lanes: a layout in which every tap of a convolution is an aligned load.
//!
//! A plane is cut into as many equal tiles as a vector has lanes; lane `(a, b)` has tile `(a, b)`, and
//! vector `(i, j)` holds the pixel in row `i`, column `j` of every tile. So the neighbour of a pixel
//! lies in the same lane of a neighbouring vector, at any distance, and with a stride of 2 from tiles
//! of twice the size too. Only beyond the edges of its tile a neighbour is in another lane: the
//! vectors around the tiles, the halo, are copies with the lanes moved by one tile, and zeros move in
//! from outside of the plane. A copy of the whole value for each column of taps, as planes of
//! consecutive pixels need it, is saved, and a fraction of the memory is read again and again.
//!
//! Planes need not be as large as their tiles are together. Where they are smaller, the last tiles are
//! partly empty: nothing reads there, or reads zeros. Where they are larger by a few pixels, all tiles
//! are computed with that many more, which all but the last share with their neighbours.

use alloc::vec::Vec;

use super::Kernels;
use super::arch::{Kernel, Vector, permute_each};
use super::planes::{self, Spread};
use crate::tensor::{LINE, Layout};

/// How planes are cut into tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Rows and columns of lanes.
    pub(crate) lanes: [usize; 2],
    /// Rows and columns of a tile, in pixels.
    pub(crate) tile: [usize; 2],
}

impl Cut {
    /// Into as few vectors of `lanes` lanes as make little work, and of those the squarest; `None` for
    /// single pixels and vectors that are too short.
    pub(crate) fn best(size: [usize; 2], lanes: usize) -> Option<Self> {
        if lanes < 4 || !lanes.is_power_of_two() || size[0] * size[1] <= 1 {
            return None;
        }
        let lanes = (0..=lanes.ilog2()).map(|n| [1 << n, lanes >> n]);
        let cuts =
            lanes.map(|lanes| Self { lanes, tile: [0, 1].map(|axis| size[axis].div_ceil(lanes[axis])) });
        cuts.min_by_key(|cut| (planes::loads(cut.extent(size)), cut.lanes[0].abs_diff(cut.lanes[1])))
    }

    /// Of a value that is read at every `stride`-th pixel for one of these.
    pub(crate) fn times(self, stride: usize) -> Self {
        Self { tile: self.tile.map(|n| n * stride), ..self }
    }

    /// Pixels by which planes are larger than all tiles.
    fn over(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| size[axis].saturating_sub(self.lanes[axis] * self.tile[axis]))
    }

    /// Rows and columns of vectors that are computed.
    pub(crate) fn extent(&self, size: [usize; 2]) -> [usize; 2] {
        let over = self.over(size);
        [self.tile[0] + over[0], self.tile[1] + over[1]]
    }

    /// Vectors that are computed.
    pub(crate) fn vectors(&self, size: [usize; 2]) -> usize {
        let [rows, cols] = self.extent(size);
        rows * cols
    }
}

/// A value in a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(super) channels: usize,
    /// Rows and columns of a plane.
    pub(super) size: [usize; 2],
    pub(super) cut: Cut,
    /// Vectors before and behind the tiles.
    halo: [Halo; 2],
}

/// Vectors around the tiles along one axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Halo {
    pub(crate) before: usize,
    pub(crate) behind: usize,
}

impl Halo {
    /// The larger of both, side by side.
    pub(crate) fn max(self, other: Self) -> Self {
        Self { before: self.before.max(other.before), behind: self.behind.max(other.behind) }
    }
}

impl Grid {
    /// Planes cut into tiles, with a halo around these.
    pub(crate) fn new(x: Layout, cut: Cut, halo: [Halo; 2]) -> Self {
        let (size, mut halo) = ([x.h, x.w], halo);
        for (halo, over) in halo.iter_mut().zip(cut.over(size)) {
            halo.behind = halo.behind.max(over);
        }
        Self { channels: x.c, size, cut, halo }
    }

    fn vector(&self) -> usize {
        self.cut.lanes[0] * self.cut.lanes[1]
    }

    /// Rows and columns of vectors that are computed.
    pub(crate) fn extent(&self) -> [usize; 2] {
        self.cut.extent(self.size)
    }

    /// Where its vectors lie.
    pub(crate) fn spread(&self) -> Spread {
        let [rows, cols] = [0, 1].map(|i| self.halo[i].before + self.cut.tile[i] + self.halo[i].behind);
        let row = cols * self.vector();
        let first = self.halo[0].before * row + self.halo[1].before * self.vector();
        Spread { first, row, plane: rows * row }
    }

    /// From the first vector of a channel to the one this many rows and columns from it, which may
    /// be in the halo.
    pub(crate) fn offset(&self, [i, j]: [isize; 2]) -> isize {
        i * self.spread().row as isize + j * self.vector() as isize
    }

    /// Elements.
    pub(crate) fn len(&self) -> usize {
        self.channels * self.spread().plane
    }

    /// Pixel `at` of the tile of a lane, if it is inside of the plane.
    fn pixel(&self, lane: usize, at: [isize; 2]) -> Option<[usize; 2]> {
        let lane = [lane / self.cut.lanes[1], lane % self.cut.lanes[1]];
        let axis = |i: usize| {
            let pixel = (lane[i] * self.cut.tile[i]).checked_add_signed(at[i]);
            pixel.filter(|pixel| *pixel < self.size[i])
        };
        Some([axis(0)?, axis(1)?])
    }

    /// For each lane the one that has pixel `at` of its tile, if that lies this many tiles further,
    /// or none.
    fn moved(&self, at: [isize; 2], [down, right]: [isize; 2]) -> [u32; LINE] {
        let [rows, cols] = self.cut.lanes;
        core::array::from_fn(|lane| {
            let a = (lane / cols).checked_add_signed(down).filter(|a| *a < rows);
            let b = (lane % cols).checked_add_signed(right).filter(|b| *b < cols);
            let place = a.zip(b).filter(|_| lane < self.vector() && self.pixel(lane, at).is_some());
            place.map_or(LINE as u32, |(a, b)| (a * cols + b) as u32)
        })
    }

    /// Keeps of each vector of the tiles the pixels that no other lane has too.
    pub(crate) fn own(&self) -> Vec<[u32; LINE]> {
        let ([rows, cols], [a, b]) = (self.extent(), self.cut.lanes);
        let is_own = |lane: usize, i: usize, j: usize| {
            let own = |at: usize, tile: usize, is_last: bool| at < tile || is_last;
            own(i, self.cut.tile[0], lane / b + 1 == a) && own(j, self.cut.tile[1], lane % b + 1 == b)
        };
        let mut own = Vec::with_capacity(rows * cols);
        for (i, j) in (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j))) {
            let mut inside = self.moved([i as isize, j as isize], [0, 0]);
            for (lane, from) in inside.iter_mut().enumerate() {
                *from = if is_own(lane, i, j) { *from } else { LINE as u32 };
            }
            own.push(inside);
        }
        own
    }

    /// Whether a lane has no pixel.
    fn is_empty(&self, lane: usize) -> bool {
        self.pixel(lane, [0, 0]).is_none()
    }
}

/// What the halo of a grid is copied from, and what of its tiles is no pixel: worked out once.
#[derive(Clone, Debug)]
pub(crate) struct HaloCopies {
    channels: usize,
    plane: usize,
    /// Vectors of a channel: from, to, and by which of the permutations.
    copies: Vec<[usize; 3]>,
    permutations: Vec<[u32; LINE]>,
}

impl HaloCopies {
    /// `None` where nothing is to be copied.
    pub(crate) fn new(grid: &Grid) -> Option<Self> {
        let (spread, extent) = (grid.spread(), grid.extent());
        let mut all = Self {
            channels: grid.channels,
            plane: spread.plane,
            copies: Vec::new(),
            permutations: Vec::new(),
        };
        let range = |axis: usize| {
            let halo = grid.halo[axis];
            -(halo.before as isize)..(grid.cut.tile[axis] + halo.behind) as isize
        };
        // By how many tiles a row or column of vectors is in another.
        let tiles = |axis: usize, at: isize| {
            let inside = at >= 0 && at < extent[axis] as isize;
            if inside { 0 } else { at.div_euclid(grid.cut.tile[axis] as isize) }
        };
        for i in range(0) {
            for j in range(1) {
                let moved = [tiles(0, i), tiles(1, j)];
                let permutation = grid.moved([i, j], moved);
                // Of the tiles, only what is empty in a lane that has pixels can be read.
                let is_read = |lane: usize| permutation[lane] == LINE as u32 && !grid.is_empty(lane);
                if moved == [0, 0] && !(0..grid.vector()).any(is_read) {
                    continue;
                }
                let known = all.permutations.iter().position(|known| *known == permutation);
                let number = known.unwrap_or_else(|| {
                    all.permutations.push(permutation);
                    all.permutations.len() - 1
                });
                let place = |at| (spread.first as isize + grid.offset(at)) as usize;
                let [rows, cols] = grid.cut.tile.map(|n| n as isize);
                let from = place([i - moved[0] * rows, j - moved[1] * cols]);
                all.copies.push([from, place([i, j]), number]);
            }
        }
        (!all.copies.is_empty()).then_some(all)
    }

    /// Fills the halo of `x`; `None` if it is too short.
    pub(crate) fn run(&self, kernels: Kernels, x: &mut [f32]) -> Option<()> {
        kernels.dispatch(Copy { copies: self, x })
    }
}

struct Copy<'a> {
    copies: &'a HaloCopies,
    x: &'a mut [f32],
}

impl Kernel for Copy<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let HaloCopies { channels, plane, copies, permutations } = self.copies;
        for first in (0..*channels).step_by(TOGETHER) {
            let count = TOGETHER.min(channels - first);
            let x = self.x.get_mut(first * plane..)?;
            for [from, to, permutation] in copies {
                permute_each::<V>(x, [*from, *to], [count, *plane], permutations.get(*permutation)?)?;
            }
        }
        Some(())
    }
}

/// Channels whose vectors at the same place are copied together, by one permutation.
const TOGETHER: usize = 8;

//! Values in a grid of lanes: a layout in which every tap of a convolution is an aligned load.
//!
//! A plane is cut into as many equal tiles as a vector has lanes; lane `(a, b)` has tile `(a, b)`, and
//! vector `(i, j)` holds the pixel in row `i`, column `j` of every tile. So the neighbour of a pixel
//! lies in the same lane of a neighbouring vector, at any distance, and with a stride of 2 from tiles
//! of twice the size too. Only beyond the edges of its tile a neighbour is in another lane: the
//! vectors around the tiles, the halo, are copies with the lanes moved by one tile, and zeros move in
//! from outside of the plane. A copy of the whole value for each column of taps, as planes of
//! consecutive pixels need it, is saved, and a fraction of the memory is read again and again.

use alloc::vec::Vec;

use super::Kernels;
use super::arch::{Kernel, Vector, load, permute_each, store};
use super::planes::Spread;
use crate::tensor::{LINE, Layout};

/// A value in a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) channels: usize,
    /// Rows and columns of lanes.
    lanes: [usize; 2],
    /// Rows and columns of vectors: pixels of a tile.
    pub(crate) tile: [usize; 2],
    /// Vectors before and behind them.
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
    /// A grid of `lanes` lanes; `None` where they do not divide the plane.
    pub(crate) fn new(x: Layout, lanes: usize, halo: [Halo; 2]) -> Option<Self> {
        let lanes = match lanes {
            16 => [4, 4],
            8 => [2, 4],
            4 => [2, 2],
            _ => return None,
        };
        let divides = x.h.is_multiple_of(lanes[0]) && x.w.is_multiple_of(lanes[1]);
        let tile = [x.h / lanes[0], x.w / lanes[1]];
        (divides && tile[0] * tile[1] > 0).then_some(Self { channels: x.c, lanes, tile, halo })
    }

    fn vector(&self) -> usize {
        self.lanes[0] * self.lanes[1]
    }

    /// Where its vectors lie.
    pub(crate) fn spread(&self) -> Spread {
        let [rows, cols] = [0, 1].map(|i| self.halo[i].before + self.tile[i] + self.halo[i].behind);
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

    /// Calls `f` with the start of each row of pixels of a row of tiles, in the plane and in the
    /// grid. There, pixels of one tile are a vector apart, and those of its neighbour next to them.
    #[inline(always)]
    fn for_rows(&self, plane: usize, w: usize, mut f: impl FnMut(usize, usize)) {
        let (spread, rows) = (self.spread(), self.tile[0]);
        // All rows of lanes of a vector together, while it is in the cache.
        for c in 0..self.channels {
            for i in 0..rows {
                for a in 0..self.lanes[0] {
                    let grid = c * spread.plane + spread.first + i * spread.row + a * self.lanes[1];
                    f(c * plane + (a * rows + i) * w, grid);
                }
            }
        }
    }

    /// Writes the planes of `x` to the grid, without its halo.
    pub(crate) fn scatter(&self, x: &[f32], at: Layout, to: &mut [f32]) {
        match self.lanes[1] {
            4 => self.scatter_rows::<4>(x, at, to),
            _ => self.scatter_rows::<2>(x, at, to),
        }
    }

    #[inline(always)]
    fn scatter_rows<const TILES: usize>(&self, x: &[f32], at: Layout, to: &mut [f32]) {
        let (cols, vector) = (self.tile[1], self.vector());
        self.for_rows(at.plane, at.row, |plane, grid| {
            let mut tiles = [&[][..]; TILES];
            for (b, tile) in tiles.iter_mut().enumerate() {
                *tile = x.get(plane + b * cols..plane + (b + 1) * cols).unwrap_or_default();
            }
            let mut to = to.get_mut(grid..).unwrap_or_default();
            let whole = cols / 4 * 4;
            for j in (0..whole).step_by(4) {
                // Four pixels of each tile, transposed.
                let mut pixels = [[0.0; 4]; TILES];
                for (pixels, tile) in pixels.iter_mut().zip(tiles) {
                    *pixels = tile.get(j..).and_then(|x| x.first_chunk().copied()).unwrap_or_default();
                }
                for i in 0..4 {
                    let mut column = [0.0; TILES];
                    for (to, pixels) in column.iter_mut().zip(&pixels) {
                        *to = pixels[i];
                    }
                    if let Some(to) = to.first_chunk_mut() {
                        *to = column;
                    }
                    to = core::mem::take(&mut to).get_mut(vector..).unwrap_or_default();
                }
            }
            for (j, to) in (whole..cols).zip(to.chunks_mut(vector)) {
                for (to, tile) in to.iter_mut().zip(tiles) {
                    *to = tile.get(j).copied().unwrap_or(0.0);
                }
            }
        });
    }

    /// Writes the grid to planes.
    pub(crate) fn gather(&self, x: &[f32], at: Layout, to: &mut [f32]) {
        let (cols, vector) = (self.tile[1], self.vector());
        self.for_rows(at.plane, at.row, |plane, grid| {
            for b in 0..self.lanes[1] {
                let from = x.get(grid + b..).unwrap_or_default().iter().step_by(vector);
                let start = plane + b * cols;
                let to = to.get_mut(start..start + cols).unwrap_or_default();
                from.zip(to).for_each(|(x, to)| *to = *x);
            }
        });
    }
}

/// What the halo of a grid is copied from: worked out once.
#[derive(Clone, Debug)]
pub(crate) struct HaloCopies {
    channels: usize,
    plane: usize,
    /// Vectors of a channel: from, to, and by which of the permutations.
    copies: Vec<[usize; 3]>,
    permutations: Vec<[u32; LINE]>,
}

impl HaloCopies {
    /// `None` where there is no halo.
    pub(crate) fn new(grid: &Grid) -> Option<Self> {
        let (spread, [rows, cols]) = (grid.spread(), grid.tile);
        let mut all = Self {
            channels: grid.channels,
            plane: spread.plane,
            copies: Vec::new(),
            permutations: Vec::new(),
        };
        let range = |axis: usize| {
            -(grid.halo[axis].before as isize)..(grid.tile[axis] + grid.halo[axis].behind) as isize
        };
        for i in range(0) {
            for j in range(1) {
                let [rows, cols] = [rows as isize, cols as isize];
                let moved = [i.div_euclid(rows), j.div_euclid(cols)];
                if moved == [0, 0] {
                    continue;
                }
                let permutation = grid.moved(moved);
                let known = all.permutations.iter().position(|known| *known == permutation);
                let number = known.unwrap_or_else(|| {
                    all.permutations.push(permutation);
                    all.permutations.len() - 1
                });
                let place = |at| (spread.first as isize + grid.offset(at)) as usize;
                all.copies.push([place([i.rem_euclid(rows), j.rem_euclid(cols)]), place([i, j]), number]);
            }
        }
        (!all.copies.is_empty()).then_some(all)
    }

    /// Fills the halo of `x`; `None` if it is too short.
    pub(crate) fn run(&self, kernels: Kernels, x: &mut [f32]) -> Option<()> {
        kernels.dispatch(Copy { copies: self, x })
    }
}

impl Grid {
    /// For each lane the one that lies this many tiles further, or none.
    fn moved(&self, [down, right]: [isize; 2]) -> [u32; LINE] {
        let [rows, cols] = self.lanes;
        core::array::from_fn(|lane| {
            let a = (lane / cols).checked_add_signed(down).filter(|a| *a < rows);
            let b = (lane % cols).checked_add_signed(right).filter(|b| *b < cols);
            a.zip(b).map_or(LINE as u32, |(a, b)| (a * cols + b) as u32)
        })
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

/// Sums of the channels of a grid, each divided by its elements.
pub(crate) struct GridMeans<'a> {
    pub(crate) grid: Grid,
    pub(crate) x: &'a [f32],
    /// One a channel.
    pub(crate) out: &'a mut [f32],
}

impl GridMeans<'_> {
    /// `None` if a length contradicts the grid.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

impl Kernel for GridMeans<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let (spread, [rows, cols]) = (self.grid.spread(), self.grid.tile);
        let n = (rows * cols * V::LANES) as f32;
        for (channel, to) in self.out.iter_mut().enumerate().take(self.grid.channels) {
            let mut sums = V::splat(0.0);
            for i in 0..rows {
                let row = channel * spread.plane + spread.first + i * spread.row;
                for vector in self.x.get(row..row + cols * V::LANES)?.chunks_exact(V::LANES) {
                    sums = sums.add(load::<V, 1>(vector)?[0]);
                }
            }
            let mut lanes = [0.0; LINE];
            store([sums], &mut lanes)?;
            *to = lanes.iter().sum::<f32>() / n;
        }
        Some(())
    }
}

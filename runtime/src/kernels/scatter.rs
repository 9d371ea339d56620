//! Copies from planes to a grid and back: squares of as many pixels as tiles, transposed, or one pixel
//! after the other where tiles are narrow.

use alloc::vec::Vec;

use super::Kernels;
use super::arch::{Kernel, LONGEST, Vector, load, store};
use super::grid::Grid;
use crate::tensor::Layout;

/// Writes planes to the tiles of a grid. What is no pixel there has any value.
pub(crate) struct Scatter<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) at: Layout,
    pub(crate) grid: Grid,
    pub(crate) out: &'a mut [f32],
}

impl Scatter<'_> {
    /// `None` if a length contradicts the grid.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

/// The pixels of a plane and where in a grid's channel each lies, in the order of the plane: for tiles
/// whose rows are too short to be copied as such.
#[derive(Clone, Debug)]
pub(crate) struct Pixels {
    pixels: Vec<[u32; 2]>,
    /// Elements of a channel.
    plane: usize,
    channel: usize,
}

impl Pixels {
    /// `None` beyond 32 bits.
    pub(crate) fn new(at: Layout, grid: &Grid) -> Option<Self> {
        let (spread, [rows, cols]) = (grid.spread(), grid.extent());
        let mut pixels = Vec::new();
        for (i, j) in (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j))) {
            for (lane, from, _) in rows_of(grid, at, 0, i, j, 1) {
                let to = spread.first + (grid.offset([i as isize, j as isize]) as usize) + lane;
                pixels.push([u32::try_from(from).ok()?, u32::try_from(to).ok()?]);
            }
        }
        pixels.sort_unstable();
        Some(Self { pixels, plane: at.plane, channel: spread.plane })
    }

    /// Whether the rows of tiles are too short to be copied as such.
    pub(crate) fn are_apart(grid: &Grid, lanes: usize) -> bool {
        2 * grid.extent()[1] < lanes
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.pixels.as_slice())
    }

    /// Writes planes to the tiles of a grid; `None` if one is too short.
    pub(crate) fn scatter(&self, x: &[f32], out: &mut [f32]) -> Option<()> {
        for (x, out) in x.chunks_exact(self.plane).zip(out.chunks_exact_mut(self.channel)) {
            for [from, to] in &self.pixels {
                *out.get_mut(*to as usize)? = *x.get(*from as usize)?;
            }
        }
        Some(())
    }

    /// Writes the tiles of a grid to planes; `None` if one is too short.
    pub(crate) fn gather(&self, x: &[f32], out: &mut [f32]) -> Option<()> {
        for (x, out) in x.chunks_exact(self.channel).zip(out.chunks_exact_mut(self.plane)) {
            for [to, from] in &self.pixels {
                *out.get_mut(*to as usize)? = *x.get(*from as usize)?;
            }
        }
        Some(())
    }
}

/// The part of a row of a tile that is in the plane: lane, first element in the plane, and how many
/// of `cols`.
#[inline(always)]
fn rows_of(
    grid: &Grid,
    at: Layout,
    c: usize,
    i: usize,
    j: usize,
    cols: usize,
) -> impl Iterator<Item = (usize, usize, usize)> {
    let [rows_of_lanes, cols_of_lanes] = grid.cut.lanes;
    (0..rows_of_lanes).flat_map(move |a| {
        let y = a * grid.cut.tile[0] + i;
        (0..cols_of_lanes).filter_map(move |b| {
            let x = b * grid.cut.tile[1] + j;
            let inside = y < at.h && x < at.w;
            inside.then(|| (a * cols_of_lanes + b, c * at.plane + y * at.row + x, cols.min(at.w - x)))
        })
    })
}

impl Kernel for Scatter<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let Self { x, at, grid, out } = self;
        let (spread, [rows, cols]) = (grid.spread(), grid.extent());
        for (c, i) in (0..at.c).flat_map(|c| (0..rows).map(move |i| (c, i))) {
            let row = c * spread.plane + spread.first + i * spread.row;
            for j in (0..cols).step_by(V::LANES) {
                let n = V::LANES.min(cols - j);
                let to = out.get_mut(row + j * V::LANES..)?.get_mut(..n * V::LANES)?;
                let mut square = [V::splat(0.0); LONGEST];
                for (lane, start, n) in rows_of(&grid, at, c, i, j, n) {
                    let from = x.get(start..)?;
                    let vector = match load::<V, 1>(from) {
                        Some([vector]) => vector,
                        None => {
                            let mut last = [0.0; LONGEST];
                            last.iter_mut().zip(from).take(n).for_each(|(to, x)| *to = *x);
                            load::<V, 1>(&last)?[0]
                        }
                    };
                    *square.get_mut(lane)? = vector;
                }
                V::transpose(&mut square);
                for (vector, to) in square.iter().zip(to.chunks_exact_mut(V::LANES)) {
                    store([*vector], to)?;
                }
            }
        }
        Some(())
    }
}

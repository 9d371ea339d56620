//! Convolution with a row of the matrix as a list of (input offset, weight).
//!
//! Kernel size, dilation and groups exist only in the offsets. With stride 1 the outputs of a
//! channel are positions of the *flattened* padded input plane: output row `y` starts
//! `y * row stride` further in the input, so one run of `T` positions may span several rows, and
//! what falls between two rows is computed and not stored. Other strides go row by row.

use half::f16;

use super::needs;
use crate::kernels::Conv;
use crate::kernels::arch::Vector;
use crate::kernels::weights::{ROOM, Value, columns};
use crate::ops::{self, activation};
use crate::tensor::Layout;
use tfc_formats::artifact::{Columns, Needs, Values};
use tfc_formats::op::{Activation, Conv2d};

/// Output channels of a dense matrix that share what is loaded.
const BLOCK: usize = 4;

/// Most positions that a tile reaches over.
const LONGEST: usize = 96;

/// Whether the horizontal stride is at most 2 and columns divide fast.
pub(in crate::kernels) fn handles(job: &Conv<'_>) -> bool {
    job.spec.stride[1] <= 2 && Taps::of(&job.spec, job.x.at, 0, job.weights.cols).is_some()
}

/// Any kernel, dilation, padding and grouping.
#[inline(always)]
pub(in crate::kernels) fn conv<M: Vector, const NEEDS: u32>(job: &mut Conv<'_>) -> Option<()> {
    let lines = Lines::of(&job.spec, job.x.at, job.out.at)?;
    let most = if job.weights.dense && needs::<NEEDS>(Needs::ALL_COLUMNS) {
        M::SUMS / BLOCK
    } else {
        M::SUMS / 2 * 3
    };
    match (job.spec.stride[1], lines.tile(most)) {
        (1, 96) if M::SUMS / 2 * 3 >= 96 => run::<M, NEEDS, 6, 16, 1>(job, lines),
        (1, 64) if M::SUMS / 2 * 3 >= 64 => run::<M, NEEDS, 4, 16, 1>(job, lines),
        (1, 48) if M::SUMS / 2 * 3 >= 48 => run::<M, NEEDS, 3, 16, 1>(job, lines),
        (1, 32) if M::SUMS / 2 * 3 >= 32 => run::<M, NEEDS, 2, 16, 1>(job, lines),
        (1, 16..) => run::<M, NEEDS, 1, 16, 1>(job, lines),
        (1, _) => run::<M, NEEDS, 1, 8, 1>(job, lines),
        (2, 32..) if M::SUMS / 2 * 3 >= 32 => run::<M, NEEDS, 2, 16, 2>(job, lines),
        (2, _) => run::<M, NEEDS, 1, 8, 2>(job, lines),
        _ => None,
    }
}

/// Runs of output positions whose inputs are one horizontal stride apart.
#[derive(Clone, Copy)]
struct Lines {
    count: usize,
    /// Positions in a line.
    len: usize,
    /// From the input of one line to that of the next.
    step: usize,
    /// Positions in a row of outputs, those that are not stored included.
    row: usize,
}

impl Lines {
    fn of(spec: &Conv2d, x: Layout, out: Layout) -> Option<Self> {
        if usize::from(spec.pad.top) > x.top || usize::from(spec.pad.left) > x.left {
            return None;
        }
        Some(if spec.stride == [1, 1] {
            Self { count: 1, len: (out.h.checked_sub(1)?) * x.row + out.w, step: 0, row: x.row }
        } else {
            Self { count: out.h, len: out.w, step: usize::from(spec.stride[0]) * x.row, row: out.w }
        })
    }

    /// Length of a tile: the one that computes least, a tile counting as so many positions more.
    fn tile(&self, most: usize) -> usize {
        const OVERHEAD: usize = 16;
        let cost = |tile: usize| self.len.div_ceil(tile) * (tile + OVERHEAD);
        [96, 64, 48, 32, 16, 8]
            .into_iter()
            .filter(|tile| *tile <= most)
            .min_by_key(|&tile| cost(tile))
            .unwrap_or(8)
    }
}

/// From a column of the matrix to an offset in the input.
struct Taps {
    kernel: Divisor,
    row: Divisor,
    /// From one input channel, tap row and tap column to the next.
    steps: [u32; 3],
    /// Of the first tap of a group's first channel.
    base: u32,
}

impl Taps {
    /// Taps of group `group`. `cols` is the number of columns of the matrix.
    fn of(spec: &Conv2d, x: Layout, group: usize, cols: usize) -> Option<Self> {
        let [kh, kw] = spec.kernel.map(u32::from);
        let [dh, dw] = spec.dilation.map(usize::from);
        let group_in = x.c.checked_div(spec.groups as usize)?;
        let corner =
            (x.top.checked_sub(spec.pad.top.into())?) * x.row + x.left.checked_sub(spec.pad.left.into())?;
        let u32 = |n: usize| u32::try_from(n).ok();
        Some(Self {
            kernel: Divisor::new(kh * kw, cols)?,
            row: Divisor::new(kw, cols)?,
            steps: [u32(x.plane)?, u32(dh * x.row)?, u32(dw)?],
            base: u32(group * group_in * x.plane + corner)?,
        })
    }

    /// Writes the offsets of a row's entries.
    #[inline(always)]
    fn offsets(&self, row: Columns<'_>, out: &mut [u32]) {
        columns(row, out);
        out.iter_mut().for_each(|column| *column = self.offset(*column));
    }

    #[inline(always)]
    fn offset(&self, column: u32) -> u32 {
        let (channel, tap) = self.kernel.divide(column);
        let (ky, kx) = self.row.divide(tap);
        let [plane, row, col] = self.steps;
        let at = channel.wrapping_mul(plane).wrapping_add(ky.wrapping_mul(row));
        self.base.wrapping_add(at).wrapping_add(kx.wrapping_mul(col))
    }
}

/// Division of column numbers by a constant of the layer, as a multiplication with its
/// reciprocal: exact while `n * divisor < 2^32`.
struct Divisor {
    divisor: u32,
    reciprocal: u64,
}

impl Divisor {
    /// For numbers below `bound`.
    fn new(divisor: u32, bound: usize) -> Option<Self> {
        let exact = (bound as u64).checked_mul(divisor.into())? < 1 << 32;
        (exact && divisor > 0).then(|| Self { divisor, reciprocal: (1u64 << 32).div_ceil(divisor.into()) })
    }

    #[inline(always)]
    fn divide(&self, n: u32) -> (u32, u32) {
        let quotient = ((u64::from(n) * self.reciprocal) >> 32) as u32;
        (quotient, n.wrapping_sub(quotient.wrapping_mul(self.divisor)))
    }
}

#[inline(always)]
fn run<M: Vector, const NEEDS: u32, const N: usize, const L: usize, const S: usize>(
    job: &mut Conv<'_>,
    lines: Lines,
) -> Option<()> {
    let (cols, groups) = (job.weights.cols, job.spec.groups as usize);
    let group_out = job.out.at.c.checked_div(groups)?;
    let scratch = core::mem::take(&mut job.scratch);
    let mut rows = job.weights.rows.clone();
    for group in 0..groups {
        let taps = Taps::of(&job.spec, job.x.at, group, cols)?;
        let (mut o, end) = (group * group_out, (group + 1) * group_out);
        // In a dense matrix every column is stored: offsets are found once a group, and four
        // output channels share what is loaded.
        if job.weights.dense && needs::<NEEDS>(Needs::ALL_COLUMNS) {
            let (offsets, _) = split(scratch, cols)?;
            taps.offsets(Columns::All, offsets);
            // A constant, so that no code comes of tiles too long for the registers.
            while BLOCK * N * L <= M::SUMS && end - o >= BLOCK {
                let mut next = || rows.next().map(|row| row.values);
                let mut room = [[0.0; ROOM]; BLOCK];
                match [next()?, next()?, next()?, next()?] {
                    [Values::F16(a), Values::F16(b), Values::F16(c), Values::F16(d)] if cols > ROOM => {
                        channels::<M, _, NEEDS, BLOCK, N, L, S>(job, lines, o, offsets, [a, b, c, d])?;
                    }
                    values => {
                        let mut wide: [&[f32]; BLOCK] = [&[]; BLOCK];
                        for ((wide, room), values) in wide.iter_mut().zip(&mut room).zip(values) {
                            *wide = widened(values, room);
                        }
                        channels::<M, _, NEEDS, BLOCK, N, L, S>(job, lines, o, offsets, wide)?;
                    }
                }
                o += BLOCK;
            }
        }
        for o in o..end {
            let row = rows.next()?;
            let (offsets, room) = split(scratch, row.values.len())?;
            if !job.weights.dense {
                taps.offsets(row.columns, offsets);
            }
            channels::<M, _, NEEDS, 1, N, L, S>(job, lines, o, offsets, [widened(row.values, room)])?;
        }
    }
    Some(())
}

/// Values as f32, those of halves in `room`.
#[inline(always)]
fn widened<'a>(values: Values<'a>, room: &'a mut [f32]) -> &'a [f32] {
    match values {
        Values::F32(v) => v,
        Values::F16(v) => f16::wide(v, room),
    }
}

/// Scratch as `n` offsets and `n` values.
fn split(scratch: &mut [f32], n: usize) -> Option<(&mut [u32], &mut [f32])> {
    let (offsets, values) = scratch.split_at_mut_checked(n)?;
    Some((bytemuck::try_cast_slice_mut(offsets).ok()?, values.get_mut(..n)?))
}

/// Output channels `o..o + R`, which share their offsets.
#[inline(always)]
fn channels<
    M: Vector,
    V: Value,
    const NEEDS: u32,
    const R: usize,
    const N: usize,
    const L: usize,
    const S: usize,
>(
    job: &mut Conv<'_>,
    lines: Lines,
    o: usize,
    offsets: &[u32],
    weights: [&[V]; R],
) -> Option<()> {
    let mut bias = [0.0; R];
    for (r, bias) in bias.iter_mut().enumerate() {
        *bias = job.weights.bias(o + r)?;
    }
    for line in 0..lines.count {
        let x = job.x.data.get(line * lines.step..)?;
        let mut next = 0;
        while next < lines.len {
            // The last tile overlaps the one before it.
            let at = next.min(lines.len.saturating_sub(N * L));
            let mut sums = tile::<M, V, R, N, L, S>(x.get(at * S..)?, offsets, weights, bias)?;
            let position = line * lines.len + at;
            let start = [position / lines.row, position % lines.row];
            for (r, sums) in sums.iter_mut().enumerate() {
                let sums = sums.as_flattened_mut();
                let least = match job.activation {
                    None => f32::NEG_INFINITY,
                    Some(Activation::Relu) => 0.0,
                    activation => {
                        activation::apply::<NEEDS>(activation, sums);
                        f32::NEG_INFINITY
                    }
                };
                store(job, lines, o + r, start, sums.get(..lines.len.min(N * L))?, least);
            }
            next = at + N * L;
        }
    }
    Some(())
}

/// Sums of `R` channels at `N * L` positions, `S` apart in `x`.
#[inline(always)]
fn tile<M: Vector, V: Value, const R: usize, const N: usize, const L: usize, const S: usize>(
    x: &[f32],
    offsets: &[u32],
    mut weights: [&[V]; R],
    bias: [f32; R],
) -> Option<[[[f32; L]; N]; R]> {
    let span = (N * L - 1) * S + 1;
    let mut sums = [[[0.0; L]; N]; R];
    for r in 0..R {
        sums[r] = [[bias[r]; L]; N];
    }
    for offsets in offsets.chunks(V::AT_ONCE) {
        let mut room = [[0.0; ROOM]; R];
        let mut wide: [&[f32]; R] = [&[]; R];
        for ((wide, room), weights) in wide.iter_mut().zip(&mut room).zip(&mut weights) {
            let (now, later) = weights.split_at_checked(offsets.len())?;
            (*wide, *weights) = (V::wide(now, room), later);
        }
        // A tile that is longer than its line reaches beyond the end of the input with the last
        // offsets: those read a copy of the end with zeros behind.
        let beyond = |offset: &&u32| **offset as usize + span > x.len();
        let inside = offsets.len() - offsets.iter().rev().take_while(beyond).count();
        let (offsets, last) = offsets.split_at_checked(inside)?;
        let start = last.first().map_or(x.len(), |offset| *offset as usize);
        let end;
        let end: &[f32] = if last.is_empty() {
            &[]
        } else {
            end = padded(x.get(start..)?);
            &end
        };
        for (x, start, k, offsets) in [(x, 0, 0, offsets), (end, start, inside, last)] {
            for (k, &offset) in (k..).zip(offsets) {
                let at = (offset as usize).wrapping_sub(start);
                let x = x.get(at..at.wrapping_add(span))?;
                // Loaded once for all channels.
                let mut window = [[0.0; L]; N];
                for n in 0..N {
                    for l in 0..L {
                        window[n][l] = x[(n * L + l) * S];
                    }
                }
                for r in 0..R {
                    let w = *wide[r].get(k)?;
                    for n in 0..N {
                        for l in 0..L {
                            sums[r][n][l] = M::mul_add_one(w, window[n][l], sums[r][n][l]);
                        }
                    }
                }
            }
        }
    }
    Some(sums)
}

/// The end of the input and zeros behind it.
#[cold]
fn padded(x: &[f32]) -> [f32; 2 * LONGEST] {
    let mut end = [0.0; 2 * LONGEST];
    ops::copy(&mut end, x);
    end
}

/// Stores what of a tile belongs to an output row, and `least` where it is less. The tile starts in
/// row `y`.
#[inline(always)]
fn store(
    job: &mut Conv<'_>,
    lines: Lines,
    o: usize,
    [mut y, mut column]: [usize; 2],
    mut sums: &[f32],
    least: f32,
) {
    while y < job.out.at.h {
        let (now, later) = sums.split_at(sums.len().min(lines.row - column));
        if let Some(to) = job.out.row(o, y).get_mut(column..) {
            copy_at_least(to, now, least);
        }
        if later.is_empty() {
            return;
        }
        (sums, y, column) = (later, y + 1, 0);
    }
}

/// Copies a short row. The comparison is free and keeps compilers from calling `memcpy`, which
/// takes longer than the row.
#[inline(always)]
fn copy_at_least(to: &mut [f32], from: &[f32], least: f32) {
    let n = to.len().min(from.len());
    let (to, to_tail) = to.get_mut(..n).unwrap_or_default().as_chunks_mut::<8>();
    let (from, from_tail) = from.get(..n).unwrap_or_default().as_chunks::<8>();
    let at_least = |x: f32| if x < least { least } else { x };
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from.map(at_least));
    to_tail.iter_mut().zip(from_tail).for_each(|(to, from)| *to = at_least(*from));
}

#[cfg(test)]
mod tests {
    use super::Divisor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_divisor_divides_all_numbers_that_it_accepts(divisor in 1u32..70_000, bound in 1usize..5_000_000, n: u32) {
            match Divisor::new(divisor, bound) {
                Some(by) => {
                    for n in [n % bound as u32, bound as u32 - 1, divisor.min(bound as u32) - 1] {
                        prop_assert_eq!(by.divide(n), (n / divisor, n % divisor));
                    }
                }
                None => prop_assert!(bound as u64 * u64::from(divisor) >= 1 << 32),
            }
        }
    }
}

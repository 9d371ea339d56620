//! Convolution with a row of the matrix as a list of (input offset, weight).
//!
//! Kernel size, dilation and groups exist only in the offsets. With stride 1 the outputs of a
//! channel are positions of the *flattened* padded input plane: output row `y` starts
//! `y * row stride` further in the input, so one run of `T` positions may span several rows, and
//! what falls between two rows is computed and not stored. Other strides go row by row.

use half::f16;

use super::MulAdd;
use crate::kernels::Conv;
use crate::kernels::weights::{Value, columns};
use crate::ops::{self, activation};
use crate::tensor::Layout;
use tfc_formats::artifact::{Columns, Rows, Values};
use tfc_formats::op::Conv2d;

/// Output channels of a dense matrix that share what is loaded.
const BLOCK: usize = 4;

/// Most positions that are summed at a time.
const LONGEST_TILE: usize = 64;

/// Whether the horizontal stride is at most 2 and columns divide fast.
pub(in crate::kernels) fn handles(job: &Conv<'_>) -> bool {
    job.spec.stride[1] <= 2 && Taps::of(&job.spec, job.x.at, 0, job.weights.cols).is_some()
}

/// Any kernel, dilation, padding and grouping.
#[inline(always)]
pub(in crate::kernels) fn conv<M: MulAdd>(job: &mut Conv<'_>) -> Option<()> {
    let lines = Lines::of(&job.spec, job.x.at, job.out.at)?;
    let blocked = job.weights.dense && f32s(&mut job.weights.rows.clone()).is_some();
    let most = if blocked { M::SUMS / BLOCK } else { LONGEST_TILE };
    match (job.spec.stride[1], lines.tile(most)) {
        (1, LONGEST_TILE) => run::<M, LONGEST_TILE, 1>(job, lines),
        (1, 32) => run::<M, 32, 1>(job, lines),
        (1, 16) => run::<M, 16, 1>(job, lines),
        (1, 8) => run::<M, 8, 1>(job, lines),
        (1, _) => run::<M, 1, 1>(job, lines),
        (2, 32..) => run::<M, 32, 2>(job, lines),
        (2, 8..) => run::<M, 8, 2>(job, lines),
        (2, _) => run::<M, 1, 2>(job, lines),
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
        let fits = |tile: &usize| *tile <= most.min(self.len);
        [LONGEST_TILE, 32, 16, 8].into_iter().filter(fits).min_by_key(|&tile| cost(tile)).unwrap_or(1)
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
fn run<M: MulAdd, const T: usize, const S: usize>(job: &mut Conv<'_>, lines: Lines) -> Option<()> {
    let (cols, groups) = (job.weights.cols, job.spec.groups as usize);
    let group_out = job.out.at.c.checked_div(groups)?;
    let scratch = core::mem::take(&mut job.scratch);
    let mut rows = job.weights.rows.clone();
    for group in 0..groups {
        let taps = Taps::of(&job.spec, job.x.at, group, cols)?;
        let (mut o, end) = (group * group_out, (group + 1) * group_out);
        // In a dense matrix every column is stored: offsets are found once a group, and four
        // output channels share what is loaded.
        if job.weights.dense {
            let (offsets, _) = split(scratch, cols)?;
            taps.offsets(Columns::All, offsets);
            while end - o >= BLOCK {
                let mut block = rows.clone();
                let weights = [f32s(&mut block), f32s(&mut block), f32s(&mut block), f32s(&mut block)];
                let [Some(a), Some(b), Some(c), Some(d)] = weights else { break };
                channels::<M, BLOCK, T, S>(job, lines, o, offsets, [a, b, c, d])?;
                (o, rows) = (o + BLOCK, block);
            }
        }
        for o in o..end {
            let row = rows.next()?;
            let (offsets, room) = split(scratch, row.values.len())?;
            if !job.weights.dense {
                taps.offsets(row.columns, offsets);
            }
            let values = match row.values {
                Values::F32(v) => v,
                Values::F16(v) => f16::wide(v, room),
            };
            channels::<M, 1, T, S>(job, lines, o, offsets, [values])?;
        }
    }
    Some(())
}

/// Values of the next row if they are f32.
fn f32s<'a>(rows: &mut Rows<'a>) -> Option<&'a [f32]> {
    match rows.next()?.values {
        Values::F32(v) => Some(v),
        Values::F16(_) => None,
    }
}

/// Scratch as `n` offsets and `n` values.
fn split(scratch: &mut [f32], n: usize) -> Option<(&mut [u32], &mut [f32])> {
    let (offsets, values) = scratch.split_at_mut_checked(n)?;
    Some((bytemuck::try_cast_slice_mut(offsets).ok()?, values.get_mut(..n)?))
}

/// Output channels `o..o + R`, which share their offsets.
#[inline(always)]
fn channels<M: MulAdd, const R: usize, const T: usize, const S: usize>(
    job: &mut Conv<'_>,
    lines: Lines,
    o: usize,
    offsets: &[u32],
    weights: [&[f32]; R],
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
            let at = next.min(lines.len.checked_sub(T)?);
            let mut sums = tile::<M, R, T, S>(x.get(at * S..)?, offsets, weights, bias)?;
            for (r, sums) in sums.iter_mut().enumerate() {
                activation::apply(job.activation, sums);
                store(job, lines, o + r, line * lines.len + at, sums);
            }
            next = at + T;
        }
    }
    Some(())
}

/// Sums of `R` channels at `T` positions, `S` apart in `x`.
#[inline(always)]
fn tile<M: MulAdd, const R: usize, const T: usize, const S: usize>(
    x: &[f32],
    offsets: &[u32],
    weights: [&[f32]; R],
    bias: [f32; R],
) -> Option<[[f32; T]; R]> {
    let mut sums = [[0.0; T]; R];
    for (k, &offset) in offsets.iter().enumerate() {
        let window = x.get(offset as usize..)?.get(..(T - 1) * S + 1)?;
        // Loaded once for all channels.
        let window = match window.first_chunk::<T>() {
            Some(window) if S == 1 => *window,
            _ => core::array::from_fn(|i| window[i * S]),
        };
        for (sums, weights) in sums.iter_mut().zip(&weights) {
            let w = *weights.get(k)?;
            for i in 0..T {
                sums[i] = M::mul_add(w, window[i], sums[i]);
            }
        }
    }
    for (sums, bias) in sums.iter_mut().zip(bias) {
        sums.iter_mut().for_each(|sum| *sum += bias);
    }
    Some(sums)
}

/// Stores what of a tile belongs to an output row.
#[inline(always)]
fn store(job: &mut Conv<'_>, lines: Lines, o: usize, at: usize, mut sums: &[f32]) {
    let (mut y, mut column) = (at / lines.row, at % lines.row);
    while y < job.out.at.h {
        let (now, later) = sums.split_at(sums.len().min(lines.row - column));
        if let Some(to) = job.out.row(o, y).get_mut(column..) {
            ops::copy(to, now);
        }
        if later.is_empty() {
            return;
        }
        (sums, y, column) = (later, y + 1, 0);
    }
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

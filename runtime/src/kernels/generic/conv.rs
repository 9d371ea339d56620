//! Convolution with a row of the matrix as a list of (input offset, weight), or several rows that
//! share their offsets, so that what is loaded serves all of them.
//!
//! Kernel size, dilation and groups exist only in the offsets. With stride 1 the outputs of a
//! channel are positions of the *flattened* padded input plane: output row `y` starts
//! `y * row stride` further in the input, so one run of `T` positions may span several rows, and
//! what falls between two rows is computed and not stored. Other strides go row by row.

use half::f16;

use super::lines::Lines;
use super::needs;
use super::taps::Taps;
use crate::kernels::Conv;
use crate::kernels::arch::Vector;
use crate::kernels::weights::{ROOM, Value};
use crate::ops::{self, activation};
use tfc_formats::artifact::{Columns, Needs, Values};
use tfc_formats::op::Activation;

/// Output channels of a dense matrix that share what is loaded.
const BLOCK: usize = 4;

/// Most positions that a tile reaches over.
const LONGEST: usize = 96;

/// Whether the horizontal stride is at most 2 and columns divide fast.
pub(in crate::kernels) fn handles(job: &Conv<'_>) -> bool {
    job.spec.stride[1] <= 2 && Taps::of(&job.spec, job.x.at, job.weights.cols).is_some()
}

/// Any kernel, dilation, padding and grouping.
#[inline(always)]
pub(in crate::kernels) fn conv<M: Vector, const NEEDS: u32>(job: &mut Conv<'_>) -> Option<()> {
    let lines = Lines::of(&job.spec, job.x.at, job.out.at)?;
    let most = match if job.weights.dense { BLOCK } else { job.weights.rows.block() } {
        1 => M::SUMS / 2 * 3,
        block => M::SUMS / block,
    };
    let tiles: &[usize] = &[96, 64, 48, 32, 16, 8];
    let fitting = tiles.iter().position(|tile| *tile <= most)?;
    match (job.spec.stride[1], lines.tile(tiles.get(fitting..)?)?) {
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

#[inline(always)]
fn run<M: Vector, const NEEDS: u32, const N: usize, const L: usize, const S: usize>(
    job: &mut Conv<'_>,
    lines: Lines,
) -> Option<()> {
    let taps = Taps::of(&job.spec, job.x.at, job.weights.cols)?;
    let group_out = job.out.at.c.checked_div(job.spec.groups as usize)?;
    if job.weights.dense && needs::<NEEDS>(Needs::ALL_COLUMNS) {
        dense::<M, NEEDS, N, L, S>(job, lines, taps, group_out)
    } else {
        sparse::<M, NEEDS, N, L, S>(job, lines, taps, group_out)
    }
}

/// A matrix of which every column is stored: offsets are found once a group, and four output
/// channels share what is loaded.
#[inline(always)]
fn dense<M: Vector, const NEEDS: u32, const N: usize, const L: usize, const S: usize>(
    job: &mut Conv<'_>,
    lines: Lines,
    taps: Taps,
    group_out: usize,
) -> Option<()> {
    let cols = job.weights.cols;
    let scratch = core::mem::take(&mut job.scratch);
    let (offsets, room) = split(scratch, cols, 1)?;
    let mut rows = job.weights.rows.clone();
    for group in 0..job.spec.groups as usize {
        taps.offsets(group, Columns::All, offsets);
        let (mut o, end) = (group * group_out, (group + 1) * group_out);
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
        for o in o..end {
            let values = widened(rows.next()?.values, room);
            channels::<M, _, NEEDS, 1, N, L, S>(job, lines, o, offsets, [values])?;
        }
    }
    Some(())
}

/// Blocks of rows, each with offsets of its own: the output channels of a block share what is
/// loaded.
#[inline(always)]
fn sparse<M: Vector, const NEEDS: u32, const N: usize, const L: usize, const S: usize>(
    job: &mut Conv<'_>,
    lines: Lines,
    taps: Taps,
    group_out: usize,
) -> Option<()> {
    let scratch = core::mem::take(&mut job.scratch);
    let mut rows = job.weights.rows.clone();
    let block = rows.block();
    for o in (0..job.out.at.c).step_by(block.max(1)) {
        let ([n], columns, values) = rows.next_blocks::<1>()?;
        let (offsets, room) = split(scratch, n, block)?;
        let values: &[f32] = if block == 1 { widened(values, room) } else { by_row(values, block, room) };
        let end = job.out.at.c.min(o + block);
        let group = o.checked_div(group_out)?;
        taps.offsets(group, columns, offsets);
        // As above, constants first.
        match block {
            4 if needs::<NEEDS>(Needs::BLOCKS)
                && 4 * N * L <= M::SUMS
                && end - o == 4
                && end <= (group + 1) * group_out =>
            {
                channels::<M, _, NEEDS, 4, N, L, S>(job, lines, o, offsets, rows_of(values, n)?)?;
            }
            2 if needs::<NEEDS>(Needs::BLOCKS)
                && 2 * N * L <= M::SUMS
                && end - o == 2
                && end <= (group + 1) * group_out =>
            {
                channels::<M, _, NEEDS, 2, N, L, S>(job, lines, o, offsets, rows_of(values, n)?)?;
            }
            _ => {
                // A row, or a block that is cut off or reaches over groups.
                for (row, o) in (o..end).enumerate() {
                    if row > 0 {
                        taps.offsets(o.checked_div(group_out)?, columns, offsets);
                    }
                    let [values] = rows_of(values.get(row * n..)?, n)?;
                    channels::<M, _, NEEDS, 1, N, L, S>(job, lines, o, offsets, [values])?;
                }
            }
        }
    }
    Some(())
}

/// Values of the rows of a block as f32, one row behind the other, in `room`.
fn by_row<'a>(values: Values<'_>, block: usize, room: &'a mut [f32]) -> &'a [f32] {
    fn part<V: Value>(values: &[V], block: usize, room: &mut [f32]) {
        let n = values.len().checked_div(block).unwrap_or(0);
        for (row, room) in room.chunks_exact_mut(n.max(1)).enumerate() {
            let values = values.iter().skip(row).step_by(block);
            room.iter_mut().zip(values).for_each(|(to, value)| *to = value.f32());
        }
    }
    match values {
        Values::F32(v) => part(v, block, room),
        Values::F16(v) => part(v, block, room),
        // A step on floats has none.
        Values::I8(_) => {}
    }
    room
}

/// The first `R` rows of `n` values.
fn rows_of<const R: usize>(values: &[f32], n: usize) -> Option<[&[f32]; R]> {
    let mut rows: [&[f32]; R] = [&[]; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = values.get(r * n..(r + 1) * n)?;
    }
    Some(rows)
}

/// Values as f32, those of halves in `room`.
#[inline(always)]
fn widened<'a>(values: Values<'a>, room: &'a mut [f32]) -> &'a [f32] {
    match values {
        Values::F32(v) => v,
        Values::F16(v) => f16::wide(v, room),
        // A step on floats has none.
        Values::I8(_) => &[],
    }
}

/// Scratch as `n` offsets and `n` values for each row of a block.
fn split(scratch: &mut [f32], n: usize, block: usize) -> Option<(&mut [u32], &mut [f32])> {
    let (offsets, values) = scratch.split_at_mut_checked(n)?;
    Some((bytemuck::try_cast_slice_mut(offsets).ok()?, values.get_mut(..n.checked_mul(block)?)?))
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

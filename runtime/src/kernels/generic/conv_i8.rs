//! Convolution on i8: as on f32, each row of the matrix becomes a list of (input offset, weight), and
//! the sums of a run of output positions stay in registers until the list is done.

use tfc_formats::artifact::{Needs, Values};

use super::lines::Lines;
use super::needs;
use super::taps::Taps;
use crate::kernels::ConvI8;
use crate::kernels::arch::{BEHIND, Bytes, Entries, Native, Plain};

/// Whether the horizontal stride is at most 2, columns divide fast, and offsets fit.
pub(in crate::kernels) fn handles(job: &ConvI8<'_>) -> bool {
    job.spec.stride[1] <= 2
        && job.x.data.len() <= Plain::REACH
        && Taps::of(&job.spec, job.x.at, job.weights.cols).is_some()
}

/// Any kernel, dilation, padding and grouping.
#[inline(always)]
pub(in crate::kernels) fn conv<const NEEDS: u32>(job: &mut ConvI8<'_>) -> Option<()> {
    let flat = Lines::of(&job.spec, job.x.at, job.out.at)?;
    let rows = Lines::rows(&job.spec, job.x.at, job.out.at)?;
    let cost = |lines: &Lines| Some(lines.cost(lines.tile(Native::TILES)?));
    let lines = if cost(&rows)? <= cost(&flat)? { rows } else { flat };
    // Constants first, so that no code comes of tiles that are not to be had.
    match (job.spec.stride[1], lines.tile(Native::TILES)?) {
        (1, 64) if has(64) => run::<NEEDS, 1, 64>(job, lines),
        (1, 32) if has(32) => run::<NEEDS, 1, 32>(job, lines),
        (1, 16) if has(16) => run::<NEEDS, 1, 16>(job, lines),
        (1, 8) if has(8) => run::<NEEDS, 1, 8>(job, lines),
        (1, 4) if has(4) => run::<NEEDS, 1, 4>(job, lines),
        (2, 64) if has(64) => run::<NEEDS, 2, 64>(job, lines),
        (2, 32) if has(32) => run::<NEEDS, 2, 32>(job, lines),
        (2, 16) if has(16) => run::<NEEDS, 2, 16>(job, lines),
        (2, 8) if has(8) => run::<NEEDS, 2, 8>(job, lines),
        (2, 4) if has(4) => run::<NEEDS, 2, 4>(job, lines),
        _ => None,
    }
}

/// Whether there is such a tile.
const fn has(tile: usize) -> bool {
    let mut i = 0;
    while i < Native::TILES.len() {
        if Native::TILES[i] == tile {
            return true;
        }
        i += 1;
    }
    false
}

#[inline(always)]
fn run<const NEEDS: u32, const S: usize, const N: usize>(job: &mut ConvI8<'_>, lines: Lines) -> Option<()> {
    let taps = Taps::of(&job.spec, job.x.at, job.weights.cols)?;
    let group_out = job.out.at.c.checked_div(job.spec.groups as usize)?;
    let scratch = core::mem::take(&mut job.scratch);
    let mut rows = job.weights.rows.clone();
    let block = rows.block();
    for first in (0..job.out.at.c).step_by(block.max(1)) {
        let ([n], columns, Values::I8(values)) = rows.next_blocks::<1>()? else { return None };
        for (lane, o) in (first..job.out.at.c.min(first + block)).enumerate() {
            let words = scratch.get_mut(..n + BEHIND)?;
            taps.offsets(o.checked_div(group_out)?, columns, words.get_mut(..n)?);
            let weights = || values.iter().skip(lane).step_by(block).copied();
            match Entries::<Native>::pack(&mut *words, weights()) {
                Some(entries) => channel::<_, S, N>(job, lines, o, entries)?,
                None if needs::<NEEDS>(Needs::LARGE_CONV) => {
                    channel::<_, S, N>(job, lines, o, Entries::<Plain>::pack(words, weights())?)?;
                }
                None => return None,
            }
        }
    }
    Some(())
}

/// Sums that are stored together, of as many tiles as they hold.
const ROOM: usize = 64;

/// Output channel `o`.
#[inline(always)]
fn channel<B: Bytes, const S: usize, const N: usize>(
    job: &mut ConvI8<'_>,
    lines: Lines,
    o: usize,
    entries: Entries<'_, B>,
) -> Option<()> {
    let bias = *job.weights.bias.get(o)?;
    let (mut sums, mut filled, mut place) = ([0; ROOM], 0, [0, 0]);
    for line in 0..lines.count {
        let x = job.x.data.get(entries.base() + line * lines.step..)?;
        let mut at = 0;
        while at < lines.len {
            let room = sums.get_mut(filled..)?;
            let tile = |x: &[i8], tiles: &mut [[i32; N]]| {
                if !entries.sum::<S, N>(x, bias, tiles) {
                    sum_inside::<B, S, N>(x, entries, bias, tiles);
                }
            };
            let whole = (lines.len - at).min(room.len()) / N;
            let n = if whole > 0 {
                tile(x.get(at * S..)?, room.as_chunks_mut().0.get_mut(..whole)?);
                whole * N
            } else {
                // Overlaps the one before it, rather than reach beyond the input.
                let mut last = [[0; N]];
                let from = lines.len.saturating_sub(N);
                tile(x.get(from * S..)?, &mut last);
                let sums = last.as_flattened().get(at - from..)?;
                room.iter_mut().zip(sums).for_each(|(to, sum)| *to = *sum);
                lines.len - at
            };
            (at, filled) = (at + n, filled + n);
            if filled + N > ROOM {
                place = job.weights.store(&mut job.out, o, place, lines.row, sums.get(..filled)?)?;
                filled = 0;
            }
        }
    }
    job.weights.store(&mut job.out, o, place, lines.row, sums.get(..filled)?)?;
    Some(())
}

/// Tiles that reach beyond the end of the input: what is there is not stored.
#[cold]
#[inline(never)]
fn sum_inside<B: Bytes, const S: usize, const N: usize>(
    x: &[i8],
    entries: Entries<'_, B>,
    bias: i32,
    tiles: &mut [[i32; N]],
) {
    for (i, sum) in tiles.as_flattened_mut().iter_mut().enumerate() {
        let at = |offset| i32::from(x.get(offset + i * S).copied().unwrap_or(0));
        *sum = entries.iter().fold(bias, |sum, (offset, w)| sum.wrapping_add(w.wrapping_mul(at(offset))));
    }
}

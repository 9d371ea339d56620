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

/// Output channel `o`.
#[inline(always)]
fn channel<B: Bytes, const S: usize, const N: usize>(
    job: &mut ConvI8<'_>,
    lines: Lines,
    o: usize,
    entries: Entries<'_, B>,
) -> Option<()> {
    let bias = *job.weights.bias.get(o)?;
    let (mut y, mut column) = (0, 0);
    for line in 0..lines.count {
        let x = job.x.data.get(entries.base() + line * lines.step..)?;
        let mut done = 0;
        while done < lines.len {
            // The last tile overlaps the one before it.
            let at = done.min(lines.len.saturating_sub(N));
            let mut sums = [bias; N];
            let x = x.get(at * S..)?;
            if !entries.add::<S, N>(x, &mut sums) {
                add_inside::<B, S, N>(x, entries, &mut sums);
            }
            let end = lines.len.min(at + N);
            let mut sums = sums.get(done - at..end - at)?;
            done = end;
            // What falls between two rows is not stored.
            while y < job.out.at.h {
                let (now, later) = sums.split_at_checked(lines.row - column).unwrap_or((sums, &[]));
                let stored = now.get(..job.out.at.w.saturating_sub(column)).unwrap_or(now);
                if column < job.out.at.w {
                    job.weights.store(&mut job.out, [o, y, column], stored)?;
                }
                column += now.len();
                if column == lines.row {
                    (y, column) = (y + 1, 0);
                }
                if later.is_empty() {
                    break;
                }
                sums = later;
            }
        }
    }
    Some(())
}

/// A tile that reaches beyond the end of the input: what is there is not stored.
#[cold]
fn add_inside<B: Bytes, const S: usize, const N: usize>(
    x: &[i8],
    entries: Entries<'_, B>,
    sums: &mut [i32; N],
) {
    for (offset, weight) in entries.iter() {
        let x = x.get(offset..).unwrap_or_default().iter().step_by(S);
        let add = |(sum, x): (&mut i32, &i8)| *sum = sum.wrapping_add(weight.wrapping_mul((*x).into()));
        sums.iter_mut().zip(x).for_each(add);
    }
}

//! Matrix-vector product on i8.

use tfc_formats::artifact::{Columns, Needs, Values};

use super::needs;
use crate::kernels::DenseI8;
use crate::kernels::arch::{Bytes, Native};
use crate::kernels::weights::NextColumn;

/// Whether input and output are contiguous.
pub(in crate::kernels) fn handles(job: &DenseI8<'_>) -> bool {
    job.x.at.is_packed() && job.out.at.is_packed()
}

/// Rows whose bytes are made together.
const TOGETHER: usize = 8;

/// `y = W x`, the matrix in any storage.
#[inline(always)]
pub(in crate::kernels) fn dense<const NEEDS: u32>(job: &mut DenseI8<'_>) -> Option<()> {
    let mut rows = job.weights.rows.clone();
    let block = rows.block().max(1);
    let mut sums = [0; TOGETHER];
    for first in (0..job.out.at.c).step_by(TOGETHER) {
        let sums = sums.get_mut(..TOGETHER.min(job.out.at.c - first))?;
        if sums.len() == TOGETHER && block == 1 {
            let (lens, columns, values) = rows.next_blocks::<TOGETHER>()?;
            dots::<NEEDS>(job.x.data, &lens, columns, values, block, sums)?;
        } else {
            for sums in sums.chunks_mut(block) {
                let (lens, columns, values) = rows.next_blocks::<1>()?;
                dots::<NEEDS>(job.x.data, &lens, columns, values, block, sums)?;
            }
        }
        job.weights.store_channels(&mut job.out, first, sums)?;
    }
    Some(())
}

/// Sums of rows, of blocks with these lengths.
#[inline(always)]
fn dots<const NEEDS: u32>(
    x: &[i8],
    lens: &[usize],
    columns: Columns<'_>,
    values: Values<'_>,
    block: usize,
    sums: &mut [i32],
) -> Option<()> {
    let Values::I8(mut values) = values else { return None };
    match columns {
        Columns::All if needs::<NEEDS>(Needs::ALL_COLUMNS) => {
            for (sum, len) in sums.iter_mut().zip(lens) {
                let (now, later) = values.split_at_checked(*len)?;
                (*sum, values) = (Native::dot_all(x, now), later);
            }
        }
        Columns::Delta(mut deltas) if block == 1 && needs::<NEEDS>(Needs::DELTA_COLUMNS) => {
            for (sum, len) in sums.iter_mut().zip(lens) {
                let (now, later) = values.split_at_checked(*len)?;
                let (deltas_now, deltas_later) = deltas.split_at_checked(*len)?;
                (*sum, values, deltas) = (Native::dot(x, deltas_now, now)?, later, deltas_later);
            }
        }
        Columns::Delta(v) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::BLOCKS)) => {
            each(x, lens, v, values, block, sums)?;
        }
        Columns::U16(v) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS) => each(x, lens, v, values, block, sums)?,
        Columns::U32(v) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS) => each(x, lens, v, values, block, sums)?,
        _ => return None,
    }
    Some(())
}

/// [`dots`] of any index and any number of rows in a block.
#[inline(always)]
fn each<I: NextColumn>(
    x: &[i8],
    lens: &[usize],
    mut index: &[I],
    mut values: &[i8],
    block: usize,
    sums: &mut [i32],
) -> Option<()> {
    for (sums, len) in sums.chunks_mut(block).zip(lens) {
        let (index_now, index_later) = index.split_at_checked(*len)?;
        let (now, later) = values.split_at_checked(len.checked_mul(block)?)?;
        (index, values) = (index_later, later);
        sums.fill(0);
        let mut column = 0;
        for (index, weights) in index_now.iter().zip(now.chunks_exact(block)) {
            column = index.after(column);
            let q = i32::from(*x.get(column as usize)?);
            let add =
                |(sum, weight): (&mut i32, &i8)| *sum = sum.wrapping_add(q.wrapping_mul((*weight).into()));
            sums.iter_mut().zip(weights).for_each(add);
        }
    }
    Some(())
}

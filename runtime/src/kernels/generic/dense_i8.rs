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

/// `y = W x`, the matrix in any storage.
#[inline(always)]
pub(in crate::kernels) fn dense<const NEEDS: u32>(job: &mut DenseI8<'_>) -> Option<()> {
    let x = job.x.data;
    let mut rows = job.weights.rows.clone();
    let block = rows.block();
    for first in (0..job.out.at.c).step_by(block.max(1)) {
        let ([_], columns, Values::I8(values)) = rows.next_blocks::<1>()? else { return None };
        for (lane, o) in (first..job.out.at.c.min(first + block)).enumerate() {
            let sum = match columns {
                Columns::All if needs::<NEEDS>(Needs::ALL_COLUMNS) => Native::dot_all(x, values),
                Columns::Delta(deltas) if block == 1 && needs::<NEEDS>(Needs::DELTA_COLUMNS) => {
                    Native::dot(x, deltas, values)?
                }
                Columns::Delta(v) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::BLOCKS)) => {
                    dot(x, v, values.get(lane..)?.iter().step_by(block))?
                }
                Columns::U16(v) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS) => {
                    dot(x, v, values.get(lane..)?.iter().step_by(block))?
                }
                Columns::U32(v) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS) => {
                    dot(x, v, values.get(lane..)?.iter().step_by(block))?
                }
                _ => return None,
            };
            let sum = sum.wrapping_add(*job.weights.bias.get(o)?);
            job.weights.store(&mut job.out, [o, 0, 0], &[sum])?;
        }
    }
    Some(())
}

/// The sum of products of weights with the elements in their columns.
#[inline(always)]
fn dot<'w, I: NextColumn>(x: &[i8], index: &[I], weights: impl Iterator<Item = &'w i8>) -> Option<i32> {
    let (mut sum, mut column) = (0i32, 0);
    for (index, weight) in index.iter().zip(weights) {
        column = index.after(column);
        sum = sum.wrapping_add(i32::from(*x.get(column as usize)?).wrapping_mul((*weight).into()));
    }
    Some(sum)
}

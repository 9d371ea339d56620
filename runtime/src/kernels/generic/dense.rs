//! Matrix-vector product, bound by the bytes of the matrix.

use half::f16;
use tfc_formats::artifact::{Columns, Needs, Rows, Values};

use super::needs;
use crate::kernels::Dense;
use crate::kernels::arch::Vector;
use crate::kernels::weights::{NextColumn, Value};
use crate::ops::{self, activation};

/// Sums that a dot product of dense rows is spread over: f32 is bound by memory, and for halves
/// registers are needed to widen them.
const LANES: usize = 64;
const HALF_LANES: usize = 32;

/// Sums that a dot product of sparse rows is spread over.
const SPARSE_LANES: usize = 4;

/// Sparse rows whose values are widened together, and how many values that may be. A loop over
/// the values of one row costs more for its unforeseeable end than for what it does.
const TOGETHER: usize = 4;
const TOGETHER_ROOM: usize = 256;

/// Whether input and output are contiguous.
pub(in crate::kernels) fn handles(job: &Dense<'_>) -> bool {
    job.x.at.is_packed() && job.out.at.is_packed()
}

/// `y = W x + b`, the matrix in any storage and either orientation.
#[inline(always)]
pub(in crate::kernels) fn dense<M: Vector, const NEEDS: u32>(job: &mut Dense<'_>) -> Option<()> {
    match job.weights.bias {
        None => job.out.data.fill(0.0),
        Some(Values::F32(bias)) => ops::copy(job.out.data, bias),
        Some(Values::F16(bias)) => _ = f16::wide(bias, job.out.data),
        Some(Values::I8(_)) => return None,
    }
    let rows = job.weights.rows.clone();
    if job.transposed && needs::<NEEDS>(Needs::TRANSPOSED) {
        // Row `i` holds what input `i` adds to each output.
        match rows.block() {
            4 => add_scaled::<M, 4>(job.out.data, rows, job.x.data),
            2 => add_scaled::<M, 2>(job.out.data, rows, job.x.data),
            _ => add_scaled::<M, 1>(job.out.data, rows, job.x.data),
        }?;
    } else if job.weights.dense && needs::<NEEDS>(Needs::ALL_COLUMNS) {
        for (out, row) in job.out.data.iter_mut().zip(rows) {
            *out += match row.values {
                Values::F32(v) if needs::<NEEDS>(Needs::F32) => dense_dot::<M, _, LANES>(v, job.x.data),
                Values::F16(v) if needs::<NEEDS>(Needs::F16) => dense_dot::<M, _, HALF_LANES>(v, job.x.data),
                _ => return None,
            };
        }
    } else {
        match rows.block() {
            4 if needs::<NEEDS>(Needs::BLOCKS) => block_dots::<M, NEEDS, 4>(job.out.data, rows, job.x.data),
            2 if needs::<NEEDS>(Needs::BLOCKS) => block_dots::<M, NEEDS, 2>(job.out.data, rows, job.x.data),
            _ => sparse_dots::<M, NEEDS>(job.out.data, rows, job.x.data),
        }?;
    }
    activation::apply::<NEEDS>(job.activation, job.out.data);
    Some(())
}

/// Adds the products of all sparse rows with `x`.
#[inline(always)]
fn sparse_dots<M: Vector, const NEEDS: u32>(out: &mut [f32], mut rows: Rows<'_>, x: &[f32]) -> Option<()> {
    let (whole, rest) = out.as_chunks_mut::<TOGETHER>();
    for out in whole {
        sparse_together::<M, NEEDS, TOGETHER>(out, &mut rows, x)?;
    }
    for out in rest.as_chunks_mut().0 {
        sparse_together::<M, NEEDS, 1>(out, &mut rows, x)?;
    }
    Some(())
}

#[inline(always)]
fn sparse_together<M: Vector, const NEEDS: u32, const N: usize>(
    out: &mut [f32; N],
    rows: &mut Rows<'_>,
    x: &[f32],
) -> Option<()> {
    let (lens, columns, values) = rows.next_blocks::<N>()?;
    match (columns, values) {
        (Columns::Delta(i), Values::F32(v)) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::F32)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        (Columns::Delta(i), Values::F16(v)) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::F16)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        (Columns::U16(i), Values::F32(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F32)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        (Columns::U16(i), Values::F16(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F16)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        (Columns::U32(i), Values::F32(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F32)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        (Columns::U32(i), Values::F16(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F16)) => {
            add_sparse::<M, _, _, N>(out, lens, i, v, x)
        }
        _ => None,
    }
}

/// Adds to each of `out` the product of a row with `x`: of short rows, all values are widened
/// together.
#[inline(always)]
fn add_sparse<M: Vector, I: NextColumn, V: Value, const N: usize>(
    out: &mut [f32; N],
    lens: [usize; N],
    mut index: &[I],
    mut values: &[V],
    x: &[f32],
) -> Option<()> {
    let mut room = [0.0; TOGETHER_ROOM];
    if values.len() <= V::AT_ONCE.max(TOGETHER_ROOM) {
        let mut values = V::wide(values, &mut room);
        for (out, len) in out.iter_mut().zip(lens) {
            *out += total(sparse_dot::<M, _>(&mut 0, index, values, len, x, [0.0; SPARSE_LANES]));
            (index, values) = (index.get(len..)?, values.get(len..)?);
        }
        return Some(());
    }
    for (out, len) in out.iter_mut().zip(lens) {
        let (mut sums, mut column) = ([0.0; SPARSE_LANES], 0);
        for (index, values) in
            index.get(..len)?.chunks(TOGETHER_ROOM).zip(values.get(..len)?.chunks(TOGETHER_ROOM))
        {
            let values = V::wide(values, &mut room);
            sums = sparse_dot::<M, _>(&mut column, index, values, values.len(), x, sums);
        }
        *out += total(sums);
        (index, values) = (index.get(len..)?, values.get(len..)?);
    }
    Some(())
}

/// Adds to each of `out` the product of a row with `x`, the rows in blocks of `B`.
#[inline(always)]
fn block_dots<M: Vector, const NEEDS: u32, const B: usize>(
    out: &mut [f32],
    mut rows: Rows<'_>,
    x: &[f32],
) -> Option<()> {
    for out in out.chunks_mut(B) {
        let (_, columns, values) = rows.next_blocks::<1>()?;
        let sums = match (columns, values) {
            (Columns::Delta(i), Values::F32(v)) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::F32)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            (Columns::Delta(i), Values::F16(v)) if needs::<NEEDS>(Needs::DELTA_COLUMNS.and(Needs::F16)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            (Columns::U16(i), Values::F32(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F32)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            (Columns::U16(i), Values::F16(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F16)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            (Columns::U32(i), Values::F32(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F32)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            (Columns::U32(i), Values::F16(v)) if needs::<NEEDS>(Needs::ABSOLUTE_COLUMNS.and(Needs::F16)) => {
                block_dot::<M, _, _, B>(i, v, x)
            }
            _ => return None,
        };
        // The last block may have more rows than there are.
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
    Some(())
}

/// The products of the rows of a block with `x`: each element of `x` is loaded once for all rows.
#[inline(always)]
fn block_dot<M: Vector, I: NextColumn, V: Value, const B: usize>(
    index: &[I],
    values: &[V],
    x: &[f32],
) -> [f32; B] {
    let at = |column: u32| x.get(column as usize).copied().unwrap_or(0.0);
    let (mut sums, mut column) = ([[0.0; B]; SPARSE_LANES], 0);
    let mut room = [0.0; TOGETHER_ROOM];
    for (index, values) in index.chunks(TOGETHER_ROOM / B).zip(values.chunks(TOGETHER_ROOM / B * B)) {
        let values = V::wide(values, &mut room).as_chunks::<B>().0;
        let (index, index_tail) = index.as_chunks::<SPARSE_LANES>();
        let (values, values_tail) = values.split_at_checked(index.len() * SPARSE_LANES).unwrap_or_default();
        for (index, values) in index.iter().zip(values.as_chunks::<SPARSE_LANES>().0) {
            for i in 0..SPARSE_LANES {
                column = index[i].after(column);
                let x = at(column);
                for r in 0..B {
                    sums[i][r] = M::mul_add_one(values[i][r], x, sums[i][r]);
                }
            }
        }
        for (index, values) in index_tail.iter().zip(values_tail) {
            column = index.after(column);
            let x = at(column);
            for r in 0..B {
                sums[0][r] = M::mul_add_one(values[r], x, sums[0][r]);
            }
        }
    }
    core::array::from_fn(|r| total(sums.map(|sums| sums[r])))
}

/// Adds to `out` each row times its element of `x`, the rows in blocks of `B`.
#[inline(always)]
fn add_scaled<M: Vector, const B: usize>(out: &mut [f32], mut rows: Rows<'_>, x: &[f32]) -> Option<()> {
    for part in x.chunks(B) {
        let (_, columns, values) = rows.next_blocks::<1>()?;
        let mut x = [0.0; B];
        ops::copy(&mut x, part);
        if x == [0.0; B] {
            continue;
        }
        match (columns, values) {
            (Columns::All, Values::F32(v)) => dense_add::<M, _>(out, *x.first()?, v),
            (Columns::All, Values::F16(v)) => dense_add::<M, _>(out, *x.first()?, v),
            (Columns::Delta(i), Values::F32(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (Columns::Delta(i), Values::F16(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (Columns::U16(i), Values::F32(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (Columns::U16(i), Values::F16(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (Columns::U32(i), Values::F32(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (Columns::U32(i), Values::F16(v)) => sparse_add::<M, _, _, B>(out, x, i, v),
            (_, Values::I8(_)) => return None,
        }
    }
    Some(())
}

#[inline(always)]
fn dense_dot<M: Vector, V: Value, const N: usize>(values: &[V], x: &[f32]) -> f32 {
    let (values, values_tail) = values.as_chunks::<N>();
    let (x, x_tail) = x.as_chunks::<N>();
    let mut sums = [0.0; N];
    for (values, x) in values.iter().zip(x) {
        for i in 0..N {
            sums[i] = M::mul_add_one(values[i].f32(), x[i], sums[i]);
        }
    }
    let tail: f32 = values_tail.iter().zip(x_tail).map(|(v, x)| v.f32() * x).sum();
    total(sums) + tail
}

/// Adds the first `len` entries to `sums`; more may follow in `index` and `values`.
#[inline(always)]
fn sparse_dot<M: Vector, I: NextColumn>(
    column: &mut u32,
    index: &[I],
    values: &[f32],
    len: usize,
    x: &[f32],
    mut sums: [f32; SPARSE_LANES],
) -> [f32; SPARSE_LANES] {
    let at = |column: u32| x.get(column as usize).copied().unwrap_or(0.0);
    let (whole, left) = (len / SPARSE_LANES, len % SPARSE_LANES);
    let (index, index_tail) = index.split_at_checked(whole * SPARSE_LANES).unwrap_or_default();
    let (values, values_tail) = values.split_at_checked(whole * SPARSE_LANES).unwrap_or_default();
    let (index, values) = (index.as_chunks::<SPARSE_LANES>().0, values.as_chunks::<SPARSE_LANES>().0);
    for (index, values) in index.iter().zip(values) {
        for i in 0..SPARSE_LANES {
            *column = index[i].after(*column);
            sums[i] = M::mul_add_one(values[i], at(*column), sums[i]);
        }
    }
    // How many are left cannot be foreseen, and a branch mispredicted takes longer than to go on
    // into the next row with its entries masked.
    for (i, sum) in sums.iter_mut().take(SPARSE_LANES - 1).enumerate() {
        if let (Some(index), Some(value)) = (index_tail.get(i), values_tail.get(i)) {
            let mask = 0u32.wrapping_sub(u32::from(i < left));
            *column = *column & !mask | index.after(*column) & mask;
            *sum = M::mul_add_one(f32::from_bits(value.to_bits() & mask), at(*column), *sum);
        }
    }
    sums
}

/// Sum of a power of two of sums, halved over and over: short dependencies, small rounding errors.
#[inline(always)]
fn total<const N: usize>(mut sums: [f32; N]) -> f32 {
    let mut width = N / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

#[inline(always)]
fn dense_add<M: Vector, V: Value>(out: &mut [f32], x: f32, values: &[V]) {
    for (out, v) in out.iter_mut().zip(values) {
        *out = M::mul_add_one(v.f32(), x, *out);
    }
}

#[inline(always)]
fn sparse_add<M: Vector, I: NextColumn, V: Value, const B: usize>(
    out: &mut [f32],
    x: [f32; B],
    index: &[I],
    values: &[V],
) {
    let mut column = 0;
    for (index, v) in index.iter().zip(values.as_chunks::<B>().0) {
        column = index.after(column);
        if let Some(out) = out.get_mut(column as usize) {
            for r in 0..B {
                *out = M::mul_add_one(v[r].f32(), x[r], *out);
            }
        }
    }
}

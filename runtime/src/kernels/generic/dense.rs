//! Matrix-vector product, bound by the bytes of the matrix.

use half::f16;
use tfc_formats::artifact::{Columns, Row, Values};

use super::MulAdd;
use crate::kernels::Dense;
use crate::kernels::weights::{NextColumn, ROOM, Value};
use crate::ops::{self, activation};

/// Sums that a dot product of dense rows is spread over: f32 is bound by memory, and for halves
/// registers are needed to widen them.
const LANES: usize = 64;
const HALF_LANES: usize = 32;

/// Sums that a dot product of sparse rows is spread over.
const SPARSE_LANES: usize = 4;

/// Whether input and output are contiguous.
pub(in crate::kernels) fn handles(job: &Dense<'_>) -> bool {
    job.x.at.is_packed() && job.out.at.is_packed()
}

/// `y = W x + b`, the matrix in any storage and either orientation.
#[inline(always)]
pub(in crate::kernels) fn dense<M: MulAdd>(job: &mut Dense<'_>) -> Option<()> {
    match job.weights.bias {
        None => job.out.data.fill(0.0),
        Some(Values::F32(bias)) => ops::copy(job.out.data, bias),
        Some(Values::F16(bias)) => _ = f16::wide(bias, job.out.data),
    }
    let rows = job.weights.rows.clone();
    if job.transposed {
        // Row `i` holds what input `i` adds to each output.
        for (&x, row) in job.x.data.iter().zip(rows) {
            if x != 0.0 {
                add_scaled::<M>(job.out.data, x, &row);
            }
        }
    } else {
        for (out, row) in job.out.data.iter_mut().zip(rows) {
            *out += dot::<M>(&row, job.x.data);
        }
    }
    activation::apply(job.activation, job.out.data);
    Some(())
}

#[inline(always)]
fn dot<M: MulAdd>(row: &Row<'_>, x: &[f32]) -> f32 {
    match (row.columns, row.values) {
        (Columns::All, Values::F32(v)) => dense_dot::<M, _, LANES>(v, x),
        (Columns::All, Values::F16(v)) => dense_dot::<M, _, HALF_LANES>(v, x),
        (Columns::Delta(i), Values::F32(v)) => sparse_dot::<M, _, _>(i, v, x),
        (Columns::Delta(i), Values::F16(v)) => sparse_dot::<M, _, _>(i, v, x),
        (Columns::U16(i), Values::F32(v)) => sparse_dot::<M, _, _>(i, v, x),
        (Columns::U16(i), Values::F16(v)) => sparse_dot::<M, _, _>(i, v, x),
        (Columns::U32(i), Values::F32(v)) => sparse_dot::<M, _, _>(i, v, x),
        (Columns::U32(i), Values::F16(v)) => sparse_dot::<M, _, _>(i, v, x),
    }
}

#[inline(always)]
fn add_scaled<M: MulAdd>(out: &mut [f32], x: f32, row: &Row<'_>) {
    match (row.columns, row.values) {
        (Columns::All, Values::F32(v)) => dense_add::<M, _>(out, x, v),
        (Columns::All, Values::F16(v)) => dense_add::<M, _>(out, x, v),
        (Columns::Delta(i), Values::F32(v)) => sparse_add::<M, _, _>(out, x, i, v),
        (Columns::Delta(i), Values::F16(v)) => sparse_add::<M, _, _>(out, x, i, v),
        (Columns::U16(i), Values::F32(v)) => sparse_add::<M, _, _>(out, x, i, v),
        (Columns::U16(i), Values::F16(v)) => sparse_add::<M, _, _>(out, x, i, v),
        (Columns::U32(i), Values::F32(v)) => sparse_add::<M, _, _>(out, x, i, v),
        (Columns::U32(i), Values::F16(v)) => sparse_add::<M, _, _>(out, x, i, v),
    }
}

#[inline(always)]
fn dense_dot<M: MulAdd, V: Value, const N: usize>(values: &[V], x: &[f32]) -> f32 {
    let (values, values_tail) = values.as_chunks::<N>();
    let (x, x_tail) = x.as_chunks::<N>();
    let mut sums = [0.0; N];
    for (values, x) in values.iter().zip(x) {
        for i in 0..N {
            sums[i] = M::mul_add(values[i].f32(), x[i], sums[i]);
        }
    }
    let tail: f32 = values_tail.iter().zip(x_tail).map(|(v, x)| v.f32() * x).sum();
    total(sums) + tail
}

#[inline(always)]
fn sparse_dot<M: MulAdd, I: NextColumn, V: Value>(index: &[I], values: &[V], x: &[f32]) -> f32 {
    let mut sums = [0.0; SPARSE_LANES];
    let mut column = 0;
    let mut next = |index: &I| {
        column = index.after(column);
        x.get(column as usize).copied().unwrap_or(0.0)
    };
    let mut room = [0.0; ROOM];
    for (index, values) in index.chunks(V::AT_ONCE).zip(values.chunks(V::AT_ONCE)) {
        let (index, index_tail) = index.as_chunks::<SPARSE_LANES>();
        let (values, values_tail) = V::wide(values, &mut room).as_chunks::<SPARSE_LANES>();
        for (index, values) in index.iter().zip(values) {
            for i in 0..SPARSE_LANES {
                sums[i] = M::mul_add(values[i], next(&index[i]), sums[i]);
            }
        }
        for ((index, value), sum) in index_tail.iter().zip(values_tail).zip(&mut sums) {
            *sum = M::mul_add(*value, next(index), *sum);
        }
    }
    total(sums)
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
fn dense_add<M: MulAdd, V: Value>(out: &mut [f32], x: f32, values: &[V]) {
    for (out, v) in out.iter_mut().zip(values) {
        *out = M::mul_add(v.f32(), x, *out);
    }
}

#[inline(always)]
fn sparse_add<M: MulAdd, I: NextColumn, V: Value>(out: &mut [f32], x: f32, index: &[I], values: &[V]) {
    let mut column = 0;
    for (index, v) in index.iter().zip(values) {
        column = index.after(column);
        if let Some(out) = out.get_mut(column as usize) {
            *out = M::mul_add(v.f32(), x, *out);
        }
    }
}

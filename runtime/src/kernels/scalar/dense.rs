use crate::kernels::{Dense, DenseI8};
use crate::model::EVERYTHING;
use crate::ops::activation;

/// Any storage, either orientation, any halo.
pub(in crate::kernels) fn dense(job: &mut Dense<'_>) -> Option<()> {
    let Dense { x, transposed, .. } = *job;
    let at = job.out.at;
    for o in 0..at.elements() {
        *job.out.data.get_mut(at.position(o))? = job.weights.bias(o)?;
    }
    super::for_weights(job.weights.rows.clone(), |row, column, w| {
        let (o, i) = if transposed { (column, row) } else { (row, column) };
        *job.out.data.get_mut(at.position(o))? += w * x.data.get(x.at.position(i))?;
        Some(())
    })?;
    job.out.for_rows(|row| activation::apply::<EVERYTHING>(job.activation, row));
    Some(())
}

/// As [`dense`], on i8; the matrix is `[out, in]`.
pub(in crate::kernels) fn dense_i8(job: &mut DenseI8<'_>) -> Option<()> {
    for (o, row) in job.weights.rows.clone().enumerate() {
        let mut sum = *job.weights.bias.get(o)?;
        for (column, w) in row {
            let q = i32::from(*job.x.data.get(column as usize)?);
            sum = sum.wrapping_add(q.wrapping_mul(w as i32));
        }
        job.weights.store(&mut job.out, o, [0, 0], 1, &[sum])?;
    }
    Some(())
}

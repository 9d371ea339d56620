use crate::kernels::Dense;
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

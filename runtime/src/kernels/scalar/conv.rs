use crate::kernels::Conv;
use crate::model::EVERYTHING;
use crate::ops::activation;

/// Any stride, dilation, padding, grouping and halo.
pub(in crate::kernels) fn conv(job: &mut Conv<'_>) -> Option<()> {
    let Conv { spec, x, .. } = *job;
    for o in 0..job.out.at.c {
        let bias = job.weights.bias(o)?;
        for y in 0..job.out.at.h {
            job.out.row(o, y).fill(bias);
        }
    }
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let [dh, dw] = spec.dilation.map(usize::from);
    let (top, left) = (usize::from(spec.pad.top), usize::from(spec.pad.left));
    let groups = spec.groups as usize;
    let (group_in, group_out) = (x.at.c.checked_div(groups)?, job.out.at.c.checked_div(groups)?);

    super::for_weights(job.weights.rows.clone(), |o, column, w| {
        let channel = o.checked_div(group_out)? * group_in + column.checked_div(kh * kw)?;
        let (ky, kx) = (column / kw % kh, column % kw);
        for y in 0..job.out.at.h {
            // Positions in the input, offset by the padding; outside of it there are zeros.
            let Some(from) = (y * sh + ky * dh).checked_sub(top).filter(|&y| y < x.at.h) else { continue };
            let (from, to) = (x.row(channel, from), job.out.row(o, y));
            for (i, out) in to.iter_mut().enumerate() {
                let x = (i * sw + kx * dw).checked_sub(left).and_then(|i| from.get(i));
                *out += w * x.copied().unwrap_or(0.0);
            }
        }
        Some(())
    })?;
    job.out.for_rows(|row| activation::apply::<EVERYTHING>(job.activation, row));
    Some(())
}

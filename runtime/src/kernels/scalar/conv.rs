use crate::kernels::{Conv, ConvI8};
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

/// Output elements of one row whose sums are kept at a time.
const TILE: usize = 16;

/// As [`conv`], on i8. The input's halo is at least the padding, and is what stands for 0.
pub(in crate::kernels) fn conv_i8(job: &mut ConvI8<'_>) -> Option<()> {
    let ConvI8 { spec, x, .. } = *job;
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let [dh, dw] = spec.dilation.map(usize::from);
    let groups = spec.groups as usize;
    let (group_in, group_out) = (x.at.c.checked_div(groups)?, job.out.at.c.checked_div(groups)?);
    let width = job.out.at.w;
    let top = x.at.top.checked_sub(spec.pad.top.into())?;
    let left = x.at.left.checked_sub(spec.pad.left.into())?;

    for (o, row) in job.weights.rows.clone().enumerate() {
        // Where the input is that each entry multiplies, for the first output of the channel.
        let group = o.checked_div(group_out)? * group_in;
        let offsets = job.scratch.get_mut(..row.len())?;
        for (offset, (column, _)) in offsets.iter_mut().zip(row.clone()) {
            let column = column as usize;
            let channel = group + column.checked_div(kh * kw)?;
            let (ky, kx) = (column / kw % kh, column % kw);
            *offset = (channel * x.at.plane + (top + ky * dh) * x.at.row + left + kx * dw) as u32;
        }
        let bias = *job.weights.bias.get(o)?;
        for y in 0..job.out.at.h {
            for start in (0..job.out.at.w).step_by(TILE) {
                let mut sums = [bias; TILE];
                let sums = sums.get_mut(..TILE.min(job.out.at.w - start))?;
                for (offset, (_, w)) in offsets.iter().zip(row.clone()) {
                    let from = x.data.get(*offset as usize + y * sh * x.at.row + start * sw..)?;
                    let add = |(sum, q): (&mut i32, &i8)| {
                        *sum = sum.wrapping_add(i32::from(*q).wrapping_mul(w as i32));
                    };
                    // Compilers vectorise neighbours only where it is plain that they are.
                    match sw {
                        1 => sums.iter_mut().zip(from).for_each(add),
                        _ => sums.iter_mut().zip(from.iter().step_by(sw)).for_each(add),
                    }
                }
                job.weights.store(&mut job.out, o, [y, start], width, sums)?;
            }
        }
    }
    Some(())
}

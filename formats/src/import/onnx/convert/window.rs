//! Operators that slide a window over rows and columns.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Reason, axis};
use super::super::feature::Feature;
use super::super::node::Call;
use super::{pair, select, small};
use crate::op::{Activation, Conv2d, Op, Padding, Pool};

pub(super) fn conv(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let weight = call.constant(1)?;
    let &[out, _, rows, columns] = &weight.dims[..] else {
        return Err(format!(
            "weight `{}` of shape {:?}: only two-dimensional convolutions are supported",
            weight.name, weight.dims
        ));
    };
    x.expect_planes()?;
    let groups = u32::try_from(call.int("group", 1)).unwrap_or(0);
    let kernel = [rows, columns].map(|k| u16::try_from(k).unwrap_or(0));
    let stated = pair(call, "kernel_shape", 0)?;
    let out_channels = u32::try_from(out).unwrap_or(0);
    let (stride, dilation) = (pair(call, "strides", 1)?, pair(call, "dilations", 1)?);
    let pad = padding(call, x, kernel, stride, dilation)?;
    let (x, pad) = match around(x).and_then(|extra| sum(pad, extra)) {
        Some(sum) => (Feature { selection: None, ..x.clone() }, sum),
        None => (select::compute(x, builder)?, pad),
    };
    let op = Conv2d { out_channels, kernel, stride, dilation, pad, groups };
    let channels = x.shape.c as usize;
    let expected = [out, channels.checked_div(groups as usize).unwrap_or(0), rows, columns];
    if weight.dims != expected || (stated != [0; 2] && stated != kernel) {
        return Err(format!(
            "weight `{}` of shape {:?} does not fit {channels} channels, {groups} groups and kernel {stated:?}",
            weight.name, weight.dims
        ));
    }
    let mut params = Vec::from([builder.tensor(weight, &weight.dims)?]);
    if let Some(bias) = call.optional(2)? {
        if bias.dims != [out] {
            return Err(format!("bias `{}` has shape {:?}, expected [{out}]", bias.name, bias.dims));
        }
        params.push(builder.tensor(bias, &bias.dims)?);
    }
    let (id, shape) = builder.push(call.name.clone(), Op::Conv2d(op), Vec::from([x.id]), params)?;
    Ok(Feature::planes(id, shape, x.batch()))
}

/// `MaxPool` and `AveragePool`.
pub(super) fn pool(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    x.expect_planes()?;
    let max = call.op() == "MaxPool";
    let kernel = pair(call, "kernel_shape", 0)?;
    let stride = pair(call, "strides", 1)?;
    if pair(call, "dilations", 1)? != [1; 2] {
        return Err("a dilated pooling is not supported".into());
    }
    let own = padding(call, x, kernel, stride, [1; 2])?;
    let (ceil, included) = (call.flag("ceil_mode"), call.flag("count_include_pad"));
    let (x, pad, count_include_pad) = match around(x).and_then(|extra| sum(own, extra)) {
        _ if x.selection.is_none() => (x.clone(), own, included),
        // Zeros around the input become the pooling's own padding where that is the same.
        Some(pad)
            if !ceil
                && pad.top.max(pad.bottom) < kernel[0]
                && pad.left.max(pad.right) < kernel[1]
                && if max { is_positive(x, builder) } else { own.is_zero() || included } =>
        {
            (Feature { selection: None, ..x.clone() }, pad, true)
        }
        _ => (select::compute(x, builder)?, own, included),
    };
    let pool = Pool { kernel, stride, pad, ceil, count_include_pad: count_include_pad && !max };
    let op = if max { Op::MaxPool(pool) } else { Op::AvgPool(pool) };
    let (id, shape) = builder.push(call.name.clone(), op, Vec::from([x.id]), Vec::new())?;
    Ok(Feature::planes(id, shape, x.batch()))
}

/// Whether no element is negative, so that a zero is never more than the maximum.
fn is_positive(x: &Feature, builder: &Builder) -> bool {
    let node = x.id.checked_sub(1).and_then(|node| builder.network.nodes.get(node));
    let op = node.map(|n| n.op);
    matches!(
        op,
        Some(Op::Activation(
            Activation::Relu | Activation::Relu6 | Activation::Sigmoid | Activation::HardSigmoid { .. }
        ))
    )
}

/// The zeros around a value, if nothing else is done with it.
fn around(x: &Feature) -> Option<Padding> {
    match &x.selection {
        None => Some(Padding::default()),
        Some(selection) => selection.padding(x.shape),
    }
}

fn sum(a: Padding, b: Padding) -> Option<Padding> {
    Some(Padding {
        top: a.top.checked_add(b.top)?,
        left: a.left.checked_add(b.left)?,
        bottom: a.bottom.checked_add(b.bottom)?,
        right: a.right.checked_add(b.right)?,
    })
}

/// The padding that `pads` or `auto_pad` state.
fn padding(
    call: &Call<'_>,
    x: &Feature,
    kernel: [u16; 2],
    stride: [u16; 2],
    dilation: [u16; 2],
) -> Result<Padding, Reason> {
    let lower = match call.text("auto_pad", "NOTSET") {
        "NOTSET" | "" => {
            return match call.ints("pads") {
                None | Some([]) => Ok(Padding::default()),
                Some(&[top, left, bottom, right]) => Ok(Padding {
                    top: small(top)?,
                    left: small(left)?,
                    bottom: small(bottom)?,
                    right: small(right)?,
                }),
                Some(pads) => Err(format!("pads {pads:?}: only two dimensions are supported")),
            };
        }
        "VALID" => return Ok(Padding::default()),
        "SAME_UPPER" => false,
        "SAME_LOWER" => true,
        other => return Err(format!("auto_pad {other:?} is not supported")),
    };
    let side = |at: usize| -> Result<(u16, u16), Reason> {
        let extent = x.dims[at + 2] as u64;
        let (k, s, d) = (u64::from(kernel[at]), u64::from(stride[at]), u64::from(dilation[at]));
        if k == 0 || s == 0 {
            return Err("a kernel or stride is 0".into());
        }
        let covered = (extent.div_ceil(s).max(1) - 1) * s + (k - 1) * d + 1;
        let total = covered.saturating_sub(extent);
        let (less, more) = (total / 2, total.div_ceil(2));
        let (before, after) = if lower { (more, less) } else { (less, more) };
        Ok((small(before as i64)?, small(after as i64)?))
    };
    let ((top, bottom), (left, right)) = (side(0)?, side(1)?);
    Ok(Padding { top, left, bottom, right })
}

/// `GlobalAveragePool` and `GlobalMaxPool`.
pub(super) fn global(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    x.expect_planes()?;
    let op = if call.op() == "GlobalAveragePool" {
        Op::GlobalAvgPool
    } else {
        let kernel = [small(x.shape.h.into())?, small(x.shape.w.into())?];
        let pad = Padding::default();
        Op::MaxPool(Pool { kernel, stride: [1; 2], pad, ceil: false, count_include_pad: false })
    };
    let (id, shape) = builder.push(call.name.clone(), op, Vec::from([x.id]), Vec::new())?;
    Ok(Feature::planes(id, shape, x.batch()))
}

/// `ReduceMean` over rows and columns, wherever they are.
pub(super) fn reduce_mean(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let fail = || format!("it reduces {:?} over other axes than rows and columns", x.dims);
    let axes = call.ints_of("axes", 1)?.ok_or_else(fail)?;
    let groups = x.groups().ok_or_else(fail)?;
    let mut reduced = std::vec![false; x.dims.len()];
    for &a in axes {
        reduced[axis(a, x.dims.len())?] = true;
    }
    // Every axis of extent above 1 but the channels is reduced, and those are not.
    let is_mean = !reduced[0]
        && groups.iter().enumerate().all(|(at, group)| {
            let long = |a: usize| x.sequence().contains(&a);
            group.iter().all(|&a| !long(a) || reduced[at + 1] == (a != 0))
        });
    if !is_mean {
        return Err(fail());
    }
    let (id, shape) = builder.push(call.name.clone(), Op::GlobalAvgPool, Vec::from([x.id]), Vec::new())?;
    let keep = call.int("keepdims", 1) != 0;
    let extents = x.dims.iter().zip(reduced);
    let dims = extents.filter(|(_, gone)| keep || !gone).map(|(&d, gone)| if gone { 1 } else { d }).collect();
    Ok(Feature { dims, ..Feature::planes(id, shape, 1) })
}

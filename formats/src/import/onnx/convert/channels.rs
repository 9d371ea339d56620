//! Operators that treat each channel, or all channels of a pixel, in one way.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Constant, Reason, axis};
use super::super::feature::Feature;
use super::super::node::Call;
use super::small;
use crate::op::Op;

pub(super) fn batch_norm(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    x.expect_channels()?;
    if call.flag("training_mode") {
        return Err("it is in training mode; export the model in evaluation mode".into());
    }
    let mut params = Vec::with_capacity(4);
    for input in 1..5 {
        let param = call.constant(input)?;
        if param.dims != [x.shape.c as usize] {
            return Err(format!("`{}` has shape {:?}, expected [{}]", param.name, param.dims, x.shape.c));
        }
        params.push(builder.tensor(param, &param.dims)?);
    }
    let op = Op::BatchNorm { eps: call.float("epsilon", 1e-5) };
    let (id, shape) = builder.push(call.name.clone(), op, Vec::from([x.id]), params)?;
    Ok(x.like(id, shape))
}

/// A factor and a summand for each channel.
pub(super) struct Affine {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// `scale x + shift`: a batch norm whose statistics are those of a standard normal variable.
pub(super) fn affine(
    call: &Call<'_>,
    x: &Feature,
    affine: Affine,
    builder: &mut Builder,
) -> Result<Feature, Reason> {
    let n = affine.scale.len();
    let mut params = Vec::with_capacity(4);
    let roles = [("scale", affine.scale), ("shift", affine.shift)];
    for (role, values) in roles {
        params.push(builder.new_tensor(&format!("{}.{role}", call.name), Vec::from([n]), values)?);
    }
    for (role, value) in [("mean", 0.0), ("var", 1.0)] {
        builder.charge(n)?;
        let values = std::vec![value; n];
        params.push(builder.new_tensor(&format!("{}.{role}", call.name), Vec::from([n]), values)?);
    }
    let op = Op::BatchNorm { eps: 0.0 };
    let (id, shape) = builder.push(call.name.clone(), op, Vec::from([x.id]), params)?;
    builder.affine = Some(id);
    Ok(x.like(id, shape))
}

/// A constant that is broadcast over `x`, as one value for each channel.
pub(super) fn per_channel(
    x: &Feature,
    constant: &Constant,
    builder: &mut Builder,
) -> Result<Vec<f32>, Reason> {
    let channels = x.shape.c as usize;
    let values = constant.floats()?;
    let fail =
        || format!("`{}` of shape {:?} is not one value for each channel", constant.name, constant.dims);
    let missing = x.dims.len().checked_sub(constant.dims.len()).ok_or_else(fail)?;
    builder.charge(channels)?;
    if let [value] = values {
        return Ok(std::vec![*value; channels]);
    }
    let channel_axis = x.channel_axis().ok_or_else(fail)?;
    let only_channels = constant
        .dims
        .iter()
        .enumerate()
        .all(|(at, &extent)| extent == if at + missing == channel_axis { channels } else { 1 });
    if only_channels && values.len() == channels { Ok(values.to_vec()) } else { Err(fail()) }
}

pub(super) fn lrn(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    x.expect_channels()?;
    let size = small(call.int("size", 0))?;
    if size % 2 == 0 {
        return Err(format!("its size {size} is not odd"));
    }
    let op = Op::Lrn {
        size,
        alpha: call.float("alpha", 1e-4),
        beta: call.float("beta", 0.75),
        bias: call.float("bias", 1.0),
    };
    builder.map(&call.name, op, x)
}

/// `Softmax` over the channels. Before opset 13 it took everything from its axis on as one vector.
pub(super) fn softmax(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let rank = x.dims.len();
    let at = axis(call.int("axis", if call.opset < 13 { 1 } else { -1 }), rank)?;
    let over_channels = if call.opset < 13 {
        x.shape.is_vector() && at >= 1 && x.dims[1..at].iter().all(|&d| d == 1)
    } else {
        x.channel_axis() == Some(at)
    };
    if !over_channels {
        return Err(format!("its axis {at} of {:?} is not that of the channels", x.dims));
    }
    builder.map(&call.name, Op::Softmax, x)
}

//! Hard swish as exporters spell it out: `x` times a hard sigmoid of `x`, or times
//! `Clip(x + 3, 0, 6)`, which is divided by 6 before or after. What only the product needed is
//! swept in the end.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::Reason;
use super::super::feature::Feature;
use super::super::node::Call;
use super::channels::{Affine, affine};
use crate::network::{Node, ValueId};
use crate::op::{Activation, Op};

/// The product of two computed values, if it is `factor hard_swish(x)`.
pub(super) fn product(call: &Call<'_>, builder: &mut Builder) -> Result<Option<Feature>, Reason> {
    let (a, b) = (call.feature(0)?, call.feature(1)?);
    if a.dims != b.dims || a.sequence() != b.sequence() {
        return Ok(None);
    }
    for (x, gate) in [(a, b), (b, a)] {
        let Some(factor) = factor(builder, gate.id, x.id)? else { continue };
        let op = Op::Activation(Activation::HardSwish);
        if factor == 1.0 {
            return builder.map(&call.name, op, x).map(Some);
        }
        let name = builder.node_name(&format!("{}.hard_swish", call.name));
        let swish = builder.map(&name, op, x)?;
        let channels = swish.shape.c as usize;
        builder.charge(2 * channels)?;
        let scaling = Affine { scale: std::vec![factor; channels], shift: std::vec![0.0; channels] };
        return affine(call, &swish, scaling, builder).map(Some);
    }
    Ok(None)
}

/// The factor of a value that is `factor hard_sigmoid(x)` with a slope of 1/6.
fn factor(builder: &mut Builder, gate: ValueId, x: ValueId) -> Result<Option<f32>, Reason> {
    let Some(node) = node(builder, gate) else { return Ok(None) };
    match node.op {
        Op::Activation(Activation::HardSigmoid { alpha }) if node.inputs[..] == [x] => {
            Ok(((alpha - 1.0 / 6.0).abs() < 1e-6).then_some(1.0))
        }
        Op::BatchNorm { .. } => match scale_and_shift(builder, gate)? {
            Some((scale, 0.0, clip)) if clips(builder, clip, x)? => Ok(Some(to_one(6.0 * scale))),
            _ => Ok(None),
        },
        _ => Ok(clips(builder, gate, x)?.then_some(6.0)),
    }
}

/// A factor of 6 and one of 0.16667 are one of 1.
fn to_one(factor: f32) -> f32 {
    if (factor - 1.0).abs() < 1e-4 { 1.0 } else { factor }
}

/// Whether a value is `Clip(x + 3, 0, 6)`.
fn clips(builder: &mut Builder, value: ValueId, x: ValueId) -> Result<bool, Reason> {
    match node(builder, value) {
        Some(&Node { op: Op::Activation(Activation::Relu6), ref inputs, .. }) => {
            let shifted = inputs.first().copied().unwrap_or(0);
            Ok(scale_and_shift(builder, shifted)? == Some((1.0, 3.0, x)))
        }
        _ => Ok(false),
    }
}

/// The scale and shift, the same for all channels, of a value that is `scale input + shift`.
fn scale_and_shift(builder: &mut Builder, value: ValueId) -> Result<Option<(f32, f32, ValueId)>, Reason> {
    let Some(&Node { op: Op::BatchNorm { eps: 0.0 }, ref inputs, ref params, .. }) = node(builder, value)
    else {
        return Ok(None);
    };
    let (input, params) = (inputs.first().copied(), params.clone());
    let mut numbers = Vec::with_capacity(params.len());
    for id in params {
        let len = builder.network.tensors.get(id).map_or(0, |tensor| tensor.data.len());
        builder.charge(len)?;
        let data = builder.network.tensors.get(id).map_or(&[][..], |tensor| &tensor.data);
        numbers.extend(data.first().filter(|first| data.iter().all(|v| v == *first)));
    }
    Ok(match (&numbers[..], input) {
        (&[scale, shift, 0.0, 1.0], Some(input)) => Some((scale, shift, input)),
        _ => None,
    })
}

fn node(builder: &Builder, value: ValueId) -> Option<&Node> {
    builder.network.nodes.get(value.checked_sub(1)?)
}

//! Arithmetic of two values, or of a value and a constant, and concatenation.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Reason, axis};
use super::super::feature::Feature;
use super::super::node::{Call, Value};
use super::channels::{Affine, affine, per_channel};
use super::hard_swish;
use crate::op::Op;

/// `Add`, `Sum`, `Sub`, `Mul`, `Div`.
pub(super) fn arithmetic(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let constant = |v: &Option<Value>| matches!(v, Some(Value::Constant(_)));
    match &call.inputs[..] {
        inputs if !inputs.iter().any(constant) => sum(call, builder),
        [a, _] if constant(a) => with_constant(call, 1, 0, builder),
        [_, b] if constant(b) => with_constant(call, 0, 1, builder),
        _ => Err("a sum of several values and constants is not supported".into()),
    }
}

fn features<'c>(call: &'c Call<'_>) -> Result<Vec<&'c Feature>, Reason> {
    let features: Vec<_> = (0..call.inputs.len()).map(|i| call.feature(i)).collect::<Result<_, _>>()?;
    if features.is_empty() {
        return Err("it has no inputs".into());
    }
    Ok(features)
}

fn sum(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    if call.op() == "Mul"
        && let Some(out) = hard_swish::product(call, builder)?
    {
        return Ok(out);
    }
    if !matches!(call.op(), "Add" | "Sum") {
        return Err("of two computed values only sums and hard swish are supported".into());
    }
    let inputs = features(call)?;
    let x = inputs[0];
    if let [_] = inputs[..] {
        return Ok(x.clone());
    }
    if let Some(y) = inputs.iter().find(|y| y.dims != x.dims || y.sequence() != x.sequence()) {
        return Err(format!("{:?} and {:?} are not of one shape and order", x.dims, y.dims));
    }
    let ids = inputs.iter().map(|y| y.id).collect();
    let (id, shape) = builder.push(call.name.clone(), Op::Add, ids, Vec::new())?;
    Ok(x.like(id, shape))
}

fn with_constant(
    call: &Call<'_>,
    value: usize,
    constant: usize,
    builder: &mut Builder,
) -> Result<Feature, Reason> {
    let (x, c) = (call.feature(value)?, call.constant(constant)?);
    let values = per_channel(x, c, builder)?;
    builder.charge(values.len())?;
    let all = |v: f32| std::vec![v; values.len()];
    let first = value == 0;
    let Affine { scale, shift } = match call.op() {
        "Add" | "Sum" => Affine { scale: all(1.0), shift: values },
        "Sub" if first => Affine { scale: all(1.0), shift: values.iter().map(|v| -v).collect() },
        "Sub" => Affine { scale: all(-1.0), shift: values },
        "Mul" => Affine { scale: values.clone(), shift: all(0.0) },
        _ if first => Affine { scale: values.iter().map(|v| v.recip()).collect(), shift: all(0.0) },
        _ => return Err("a constant divided by a value is not supported".into()),
    };
    if scale.iter().all(|&s| s == 1.0)
        && let Some(out) = shifted(x, &c.name, &shift, builder)?
    {
        return Ok(out);
    }
    let then = Affine { scale, shift };
    if let Some(out) = composed(x, &then, builder) {
        return Ok(out);
    }
    affine(call, x, then, builder)
}

/// Adds to the node that computes `x`, if that is possible: as the bias of a layer that has none.
fn shifted(x: &Feature, name: &str, shift: &[f32], builder: &mut Builder) -> Result<Option<Feature>, Reason> {
    let Some(node) = builder.producer(x) else { return Ok(None) };
    match (node.op, &node.params[..]) {
        (Op::Conv2d(_) | Op::Dense(_), [_]) => {
            let bias = builder.new_tensor(name, Vec::from([shift.len()]), shift.to_vec())?;
            if let Some(node) = builder.producer(x) {
                node.params.push(bias);
            }
            Ok(Some(x.clone()))
        }
        _ => Ok(None),
    }
}

/// Takes arithmetic into that which computes `x`, if there is such; both together may be nothing.
fn composed(x: &Feature, then: &Affine, builder: &mut Builder) -> Option<Feature> {
    if builder.affine != Some(x.id) {
        return None;
    }
    let node = builder.producer(x)?;
    let (input, &[gamma, beta, ..]) = (*node.inputs.first()?, &node.params[..]) else { return None };
    let [gamma, beta] = builder.network.tensors.get_disjoint_mut([gamma, beta]).ok()?;
    for ((gamma, beta), (scale, shift)) in
        gamma.data.iter_mut().zip(&mut beta.data).zip(then.scale.iter().zip(&then.shift))
    {
        (*gamma, *beta) = (*gamma * scale, *beta * scale + shift);
    }
    let is_nothing = gamma.data.iter().all(|&v| v == 1.0) && beta.data.iter().all(|&v| v == 0.0);
    Some(if is_nothing { Feature { shared: true, ..x.like(input, x.shape) } } else { x.clone() })
}

/// `Concat` of channels.
pub(super) fn concat(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let inputs = features(call)?;
    let x = inputs[0];
    let at = axis(call.int("axis", 1), x.dims.len())?;
    let mut dims = x.dims.clone();
    dims[at] = 0;
    for y in &inputs {
        let same = y.channel_axis() == Some(at)
            && y.dims.len() == dims.len()
            && dims.iter().zip(&y.dims).enumerate().all(|(i, (x, y))| i == at || x == y)
            && y.groups() == x.groups();
        if !same {
            return Err(format!(
                "it joins {:?} and {:?} at axis {at}, which is not that of the channels of both",
                x.dims, y.dims
            ));
        }
        dims[at] = dims[at].checked_add(y.dims[at]).ok_or("its result is too large")?;
    }
    let ids = inputs.iter().map(|y| y.id).collect();
    let (id, shape) = builder.push(call.name.clone(), Op::Concat, ids, Vec::new())?;
    Ok(Feature { dims, ..x.like(id, shape) })
}

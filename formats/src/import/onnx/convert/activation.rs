//! Element-wise functions of one value.

use std::format;

use super::super::builder::Builder;
use super::super::constant::Reason;
use super::super::feature::Feature;
use super::super::node::Call;
use crate::op::{Activation, Op};

pub(super) fn activation(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let activation = match call.op() {
        "Relu" => Activation::Relu,
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "HardSwish" => Activation::HardSwish,
        "HardSigmoid" => match call.float("beta", 0.5) {
            0.5 => Activation::HardSigmoid { alpha: call.float("alpha", 0.2) },
            beta => return Err(format!("its beta is {beta}; only 0.5 is supported")),
        },
        "LeakyRelu" => Activation::LeakyRelu { alpha: call.float("alpha", 0.01) },
        "PRelu" => {
            let slopes = call.constant(1)?;
            builder.charge(slopes.len())?;
            match slopes.floats()? {
                [alpha, rest @ ..] if rest.iter().all(|a| a == alpha) => {
                    Activation::LeakyRelu { alpha: *alpha }
                }
                _ => return Err("slopes that differ from channel to channel are not supported".into()),
            }
        }
        _ => {
            let (min, max) = clip_bounds(call)?;
            match (min, max) {
                (0.0, 6.0) => Activation::Relu6,
                // What exporters write for "no bound".
                (0.0, max) if max >= f32::MAX => Activation::Relu,
                _ => return Err(format!("it clips to {min}..{max}; only 0..6 and 0.. are supported")),
            }
        }
    };
    builder.map(&call.name, Op::Activation(activation), x)
}

/// Bounds as attributes (before opset 11) or as inputs.
fn clip_bounds(call: &Call<'_>) -> Result<(f32, f32), Reason> {
    let bound = |name: &str, input: usize, none: f32| match call.optional(input)? {
        Some(bound) => bound.float(),
        None => Ok(call.float(name, none)),
    };
    Ok((bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?))
}

//! Arithmetic of constants.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Constant, Data, Reason, elements};
use super::super::node::Call;
use super::super::tensor;
use super::reorder::broadcast;

/// `Add`, `Sub`, `Mul`, `Div`, `Min`, `Max` of two constants, with NumPy's broadcasting.
pub(super) fn binary(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    if call.inputs.len() != 2 {
        return Err(format!("{} of {} constants is not supported", call.op(), call.inputs.len()));
    }
    let (a, b) = (call.constant(0)?, call.constant(1)?);
    let (dims, [at_a, at_b]) = broadcast(&a.dims, &b.dims, builder)?;
    let data = match (a.data.take(&at_a), b.data.take(&at_b)) {
        (Data::F32(a), Data::F32(b)) => {
            let f: fn(f32, f32) -> f32 = match call.op() {
                "Add" => |a, b| a + b,
                "Sub" => |a, b| a - b,
                "Mul" => |a, b| a * b,
                "Div" => |a, b| a / b,
                "Min" => f32::min,
                _ => f32::max,
            };
            Data::F32(a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect())
        }
        (Data::I64(a), Data::I64(b)) => {
            let f: fn(i64, i64) -> Option<i64> = match call.op() {
                "Add" => i64::checked_add,
                "Sub" => i64::checked_sub,
                "Mul" => i64::checked_mul,
                "Div" => i64::checked_div,
                "Min" => |a, b| Some(a.min(b)),
                _ => |a, b| Some(a.max(b)),
            };
            let out: Option<Vec<i64>> = a.into_iter().zip(b).map(|(a, b)| f(a, b)).collect();
            Data::I64(out.ok_or("its integers overflow, or it divides by 0")?)
        }
        _ => return Err("it mixes integers and floats".into()),
    };
    // A weight that is scaled keeps its name.
    let name = if a.len() >= b.len() { a.name.clone() } else { b.name.clone() };
    Ok(Constant { name, dims, data })
}

/// `Neg`, `Abs`, `Floor`, `Ceil`, `Sqrt`.
pub(super) fn unary(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    builder.charge(x.len())?;
    let data = match (&x.data, call.op()) {
        (Data::I64(v), "Neg") => Data::I64(v.iter().map(|v| v.saturating_neg()).collect()),
        (Data::I64(v), "Abs") => Data::I64(v.iter().map(|v| v.saturating_abs()).collect()),
        (Data::I64(_), op) => return Err(format!("{op} of integers is not supported")),
        (Data::F32(v), op) => {
            let f: fn(f32) -> f32 = match op {
                "Neg" => |v| -v,
                "Abs" => f32::abs,
                "Floor" => f32::floor,
                "Ceil" => f32::ceil,
                _ => f32::sqrt,
            };
            Data::F32(v.iter().map(|&v| f(v)).collect())
        }
    };
    Ok(Constant { name: x.name.clone(), dims: x.dims.clone(), data })
}

/// `ReduceProd` of a vector of integers: the number of elements of a shape.
pub(super) fn product(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    builder.charge(x.len())?;
    if x.dims.len() > 1 {
        return Err(format!("it reduces {:?}; only vectors are supported", x.dims));
    }
    let product = x.ints()?.iter().try_fold(1i64, |n, &v| n.checked_mul(v)).ok_or("the product overflows")?;
    let dims = if call.int("keepdims", 1) != 0 { std::vec![1] } else { Vec::new() };
    Ok(Constant { dims, ..Constant::integers(std::vec![product]) })
}

/// `Range` of integers.
pub(super) fn range(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let mut bounds = [0; 3];
    for (input, bound) in bounds.iter_mut().enumerate() {
        let [value] = call.constant(input)?.ints()? else { return Err("a bound is not one value".into()) };
        *bound = *value;
    }
    let [start, limit, step] = bounds;
    let span = if step < 0 { start.checked_sub(limit) } else { limit.checked_sub(start) };
    let span = u64::try_from(span.ok_or("its bounds are too far apart")?).unwrap_or(0);
    let count = match step.unsigned_abs() {
        0 => return Err("its step is 0".into()),
        step => usize::try_from(span.div_ceil(step)).map_err(|_| "its bounds are too far apart")?,
    };
    builder.charge(count)?;
    Ok(Constant::integers((0..count as i64).map(|i| start.wrapping_add(i.wrapping_mul(step))).collect()))
}

/// `ConstantOfShape`: one value, 0 by default, everywhere.
pub(super) fn filled(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let dims: Option<Vec<usize>> =
        call.constant(0)?.ints()?.iter().map(|&d| usize::try_from(d).ok()).collect();
    let dims = dims.ok_or("an extent is negative")?;
    let count = elements(&dims).ok_or("it has too many elements")?;
    builder.charge(count)?;
    let data = match call.attribute("value").and_then(|a| a.t.clone()) {
        None => Data::F32(std::vec![0.0; count]),
        Some(value) => match tensor::inline(value)?.data {
            Data::F32(v) if v.len() == 1 => Data::F32(std::vec![v[0]; count]),
            Data::I64(v) if v.len() == 1 => Data::I64(std::vec![v[0]; count]),
            other => return Err(format!("its value has {} elements instead of one", other.len())),
        },
    };
    Ok(Constant { name: std::string::String::new(), dims, data })
}

//! Constant folding: nodes whose inputs are all known, and the shapes of those that are not.
//! Exporters leave the arithmetic of shapes in the graph.

mod arithmetic;
mod reorder;

use std::format;
use std::vec::Vec;

pub(super) use reorder::{permutation, slice_ranges};

use super::builder::Builder;
use super::constant::{Constant, Data, Reason, axis, elements, reshaped, squeezed, unsqueezed};
use super::node::{Call, Value};
use super::proto::data_type;

/// The value of a node that does not depend on the network's input, or `None` for others.
pub(super) fn fold(call: &Call<'_>, builder: &mut Builder) -> Option<Result<Constant, Reason>> {
    let op = call.op();
    let known = |v: &Option<Value>| matches!(v, Some(Value::Constant(_)) | None);
    let all_known = call.inputs.iter().all(known) && call.inputs.iter().any(Option::is_some);
    if !all_known && !matches!(op, "Shape" | "Size") {
        return None;
    }
    Some(match folder(op) {
        Some(fold) => fold(call, builder),
        None => Err("this operator is not supported for constants".into()),
    })
}

type Folder = fn(&Call<'_>, &mut Builder) -> Result<Constant, Reason>;

/// How an operator is folded.
pub(super) fn folder(op: &str) -> Option<Folder> {
    Some(match op {
        "Shape" | "Size" => shape,
        "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => reshape,
        "Cast" => cast,
        "Add" | "Sub" | "Mul" | "Div" | "Min" | "Max" => arithmetic::binary,
        "Neg" | "Abs" | "Floor" | "Ceil" | "Sqrt" => arithmetic::unary,
        "ReduceProd" => arithmetic::product,
        "Range" => arithmetic::range,
        "ConstantOfShape" => arithmetic::filled,
        "Transpose" => reorder::transpose,
        "Slice" => reorder::slice,
        "Gather" => reorder::gather,
        "Concat" => reorder::concat,
        "Expand" => reorder::expand,
        _ => return None,
    })
}

/// The extents of a node that keeps all elements in order.
pub(super) fn new_dims(call: &Call<'_>, dims: &[usize], batch: bool) -> Result<Vec<usize>, Reason> {
    match call.op() {
        "Flatten" => {
            let at = match call.int("axis", 1) {
                end if usize::try_from(end) == Ok(dims.len()) => dims.len(),
                at => axis(at, dims.len())?,
            };
            let (outer, inner) = dims.split_at(at);
            let (outer, inner) = elements(outer).zip(elements(inner)).ok_or("it has too many elements")?;
            Ok(std::vec![outer, inner])
        }
        "Reshape" => {
            let wanted = call.ints_of("shape", 1)?.ok_or("its shape is missing")?;
            reshaped(dims, wanted, call.flag("allowzero"))
        }
        // A batch is not known to be 1, so that it stays.
        "Squeeze" => squeezed(dims, call.ints_of("axes", 1)?, usize::from(batch)),
        "Unsqueeze" => unsqueezed(dims, call.ints_of("axes", 1)?.ok_or("its axes are missing")?),
        _ => Ok(dims.to_vec()),
    }
}

fn reshape(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    builder.charge(x.len())?;
    let dims = new_dims(call, &x.dims, false)?;
    Ok(Constant { name: x.name.clone(), dims, data: x.data.clone() })
}

fn cast(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    use data_type as t;
    let x = call.constant(0)?;
    builder.charge(x.len())?;
    let to = i32::try_from(call.int("to", 0)).unwrap_or(0);
    let data = match (to, &x.data) {
        (t::FLOAT | t::DOUBLE | t::FLOAT16 | t::BFLOAT16, Data::F32(v)) => Data::F32(v.clone()),
        (t::FLOAT | t::DOUBLE | t::FLOAT16 | t::BFLOAT16, Data::I64(v)) => {
            Data::F32(v.iter().map(|&v| v as f32).collect())
        }
        (t::INT64 | t::INT32, Data::F32(v)) => Data::I64(v.iter().map(|&v| v as i64).collect()),
        (t::INT64 | t::INT32, Data::I64(v)) => Data::I64(v.clone()),
        (t::BOOL, Data::I64(v)) => Data::I64(v.iter().map(|&v| i64::from(v != 0)).collect()),
        _ => return Err(format!("a cast to data type {to} is not supported")),
    };
    Ok(Constant { name: x.name.clone(), dims: x.dims.clone(), data })
}

/// `Shape`, from `start` to `end`, and `Size`.
fn shape(call: &Call<'_>, _: &mut Builder) -> Result<Constant, Reason> {
    let dims = match call.inputs.first() {
        Some(Some(Value::Feature(x))) => &x.dims,
        Some(Some(Value::Constant(x))) => &x.dims,
        _ => return Err("input 0 is missing".into()),
    };
    let dims: Option<Vec<i64>> = dims.iter().map(|&d| i64::try_from(d).ok()).collect();
    let dims = dims.ok_or("an extent is too large")?;
    if call.op() == "Size" {
        let size = dims.iter().try_fold(1i64, |n, &d| n.checked_mul(d)).ok_or("it has too many elements")?;
        return Ok(Constant { dims: Vec::new(), ..Constant::integers(std::vec![size]) });
    }
    let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
    let clamp = |v: i64| if v < 0 { v.saturating_add(rank) } else { v }.clamp(0, rank) as usize;
    let (start, end) = (clamp(call.int("start", 0)), clamp(call.int("end", rank)));
    Ok(Constant::integers(dims.get(start..end).unwrap_or_default().to_vec()))
}

//! Matrix products with a constant.

use std::format;
use std::rc::Rc;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Constant, Reason, elements};
use super::super::feature::{Feature, extents};
use super::super::node::Call;
use crate::network::TensorId;
use crate::op::{Dense, Op};

/// A constant matrix as it lies in the file.
struct Matrix<'a> {
    constant: &'a Rc<Constant>,
    /// It is `[out, in]` rather than `[in, out]`.
    out_first: bool,
    scale: f32,
}

/// `alpha x B + beta C`.
pub(super) fn gemm(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    if call.flag("transA") {
        return Err("transA is not supported".into());
    }
    if x.dims.len() != 2 {
        return Err(format!("its input {:?} is not a matrix", x.dims));
    }
    let matrix = Matrix {
        constant: call.constant(1)?,
        out_first: call.flag("transB"),
        scale: call.float("alpha", 1.0),
    };
    let bias = call.optional(2)?.map(|bias| (bias, call.float("beta", 1.0)));
    dense(call, x, &matrix, bias, builder)
}

/// `x B`; a bias follows as an `Add`.
pub(super) fn matmul(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call
        .feature(0)
        .map_err(|_| "a constant times a value is not supported, only a value times a constant")?;
    let rank = x.dims.len();
    if rank < 2 || x.dims[1..rank - 1].iter().any(|&d| d != 1) {
        return Err(format!("its input {:?} is not one vector a sample", x.dims));
    }
    let matrix = Matrix { constant: call.constant(1)?, out_first: false, scale: 1.0 };
    dense(call, x, &matrix, None, builder)
}

fn dense(
    call: &Call<'_>,
    x: &Feature,
    matrix: &Matrix<'_>,
    bias: Option<(&Rc<Constant>, f32)>,
    builder: &mut Builder,
) -> Result<Feature, Reason> {
    let constant = matrix.constant;
    let &[rows, columns] = &constant.dims[..] else {
        return Err(format!("`{}` of shape {:?} is not a matrix", constant.name, constant.dims));
    };
    let (out, inputs) = if matrix.out_first { (rows, columns) } else { (columns, rows) };
    if elements(&x.dims[1..]) != Some(inputs) {
        let name = &constant.name;
        return Err(format!("`{name}` of shape {:?} does not fit its input {:?}", constant.dims, x.dims));
    }
    let weight = weight(x, matrix, out, inputs, builder)?;
    let mut params = Vec::from([weight]);
    if let Some((bias, beta)) = bias {
        params.push(bias_tensor(bias, beta, out, builder)?);
    }
    let out_features = u32::try_from(out).map_err(|_| "it has too many outputs")?;
    let op = Op::Dense(Dense { out_features, transposed: false });
    let (id, shape) = builder.push(call.name.clone(), op, Vec::from([x.id]), params)?;
    let mut dims = x.dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = out;
    }
    Ok(Feature { dims, ..Feature::planes(id, shape, 1) })
}

/// The matrix as `[out, in]`, its columns in the order of channels, rows, columns.
fn weight(
    x: &Feature,
    matrix: &Matrix<'_>,
    out: usize,
    inputs: usize,
    builder: &mut Builder,
) -> Result<TensorId, Reason> {
    let constant = matrix.constant;
    if matrix.out_first && matrix.scale == 1.0 && x.is_chw() {
        return builder.tensor(constant, &[out, inputs]);
    }
    let values = constant.floats()?;
    builder.charge(values.len())?;
    let stride = if matrix.out_first { (inputs, 1) } else { (1, out) };
    let columns = columns(x, inputs);
    let row = |o: usize| columns.iter().map(move |&i| values[o * stride.0 + i * stride.1] * matrix.scale);
    let data = (0..out).flat_map(row).collect();
    builder.new_tensor(&constant.name, Vec::from([out, inputs]), data)
}

/// For each element in the order of channels, rows, columns: its place in the ONNX vector.
fn columns(x: &Feature, inputs: usize) -> Vec<usize> {
    let extents = extents(x.shape).map(|d| d as usize);
    let mut strides = [0; 3];
    let mut stride = 1;
    for &axis in x.order.iter().rev() {
        strides[axis] = stride;
        stride *= extents[axis];
    }
    let [_, h, w] = extents;
    let plane = |i: usize| [i / (h * w), i / w % h, i % w];
    (0..inputs).map(|i| plane(i).iter().zip(strides).map(|(at, stride)| at * stride).sum()).collect()
}

fn bias_tensor(
    bias: &Rc<Constant>,
    scale: f32,
    out: usize,
    builder: &mut Builder,
) -> Result<TensorId, Reason> {
    let values = bias.floats()?;
    let rows = bias.dims.split_last().map_or(1, |(_, rows)| rows.iter().product());
    if (values.len() != out && values.len() != 1) || rows != 1 {
        return Err(format!("bias `{}` has shape {:?}, expected [{out}]", bias.name, bias.dims));
    }
    if scale == 1.0 && values.len() == out {
        return builder.tensor(bias, &[out]);
    }
    builder.charge(out)?;
    let data = (0..out).map(|o| scale * values[if values.len() == 1 { 0 } else { o }]).collect();
    builder.new_tensor(&bias.name, Vec::from([out]), data)
}

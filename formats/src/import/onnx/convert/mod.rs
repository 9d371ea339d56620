//! From a node of ONNX to nodes of a network, one file for each family of operators.

mod activation;
mod channels;
mod dense;
mod hard_swish;
mod layout;
mod merge;
mod select;
mod window;

use std::format;

use super::builder::Builder;
use super::constant::Reason;
use super::feature::Feature;
use super::node::Call;
pub(super) use select::compute;

type Converter = fn(&Call<'_>, &mut Builder) -> Result<Feature, Reason>;

/// How an operator is converted.
pub(super) fn converter(op: &str) -> Option<Converter> {
    Some(match op {
        "Conv" => window::conv,
        "MaxPool" | "AveragePool" => window::pool,
        "GlobalAveragePool" | "GlobalMaxPool" => window::global,
        "ReduceMean" => window::reduce_mean,
        "Gemm" => dense::gemm,
        "MatMul" => dense::matmul,
        "BatchNormalization" => channels::batch_norm,
        "LRN" => channels::lrn,
        "Softmax" => channels::softmax,
        "Relu" | "LeakyRelu" | "PRelu" | "Sigmoid" | "HardSigmoid" | "HardSwish" | "Tanh" | "Clip" => {
            activation::activation
        }
        "Add" | "Sum" | "Sub" | "Mul" | "Div" => merge::arithmetic,
        "Concat" => merge::concat,
        "Slice" => select::slice,
        "Pad" => select::pad,
        "Identity" | "Dropout" | "Cast" => layout::identity,
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => layout::reshape,
        "Transpose" => layout::transpose,
        _ => return None,
    })
}

/// Converts a node.
pub(super) fn convert(call: &mut Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let converter = converter(call.op()).ok_or("this operator is not supported")?;
    // These may take over what is to be cut from, or put around, their input.
    if !matches!(
        call.op(),
        "Slice" | "Pad" | "Conv" | "MaxPool" | "AveragePool" | "Identity" | "Dropout" | "Cast"
    ) {
        select::compute_inputs(call, builder)?;
    }
    converter(call, builder)
}

/// A size that our ops store in 16 bits.
fn small(value: i64) -> Result<u16, Reason> {
    u16::try_from(value).map_err(|_| format!("{value} is not in 0..=65535"))
}

/// Two sizes, rows and columns; `default` if there is no such attribute.
fn pair(call: &Call<'_>, name: &str, default: u16) -> Result<[u16; 2], Reason> {
    match call.ints(name) {
        None | Some([]) => Ok([default; 2]),
        Some(&[rows, columns]) => Ok([small(rows)?, small(columns)?]),
        Some(other) => Err(format!("{name} {other:?}: only two dimensions are supported")),
    }
}

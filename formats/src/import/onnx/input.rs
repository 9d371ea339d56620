//! The network's input: its shape, and whether images have their channels last.

use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::error::OnnxError;
use super::feature::{CHW, Feature, extents};
use super::proto::{DimensionValue, GraphProto, ValueInfoProto, data_type};
use crate::op::Shape;

/// Rows, columns, channels.
const HWC: [usize; 3] = [1, 2, 0];

/// The input as the first value. `stated` replaces the shape of the file.
pub(super) fn feature(
    info: &ValueInfoProto,
    graph: &GraphProto,
    stated: Option<Shape>,
) -> Result<Feature, OnnxError> {
    let wrong = |reason: String| OnnxError::Value { name: info.name.clone(), reason };
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| wrong("it is not a tensor".into()))?;
    use data_type as t;
    if ![t::FLOAT, t::FLOAT16, t::BFLOAT16, t::DOUBLE].contains(&tensor.elem_type) {
        return Err(wrong(format!("its data type (number {}) is not a float", tensor.elem_type)));
    }
    let dims = tensor.shape.as_ref().map_or(&[][..], |s| &s.dim);
    // A symbol, or nothing, is a size that is not known.
    let known: Vec<Option<u32>> = dims
        .iter()
        .map(|d| match d.value {
            Some(DimensionValue::Value(n)) => u32::try_from(n).ok().filter(|&n| n > 0),
            _ => None,
        })
        .collect();
    let channels_last = known.len() == 4 && begins_with_transpose(graph, &info.name);
    let order = if channels_last { HWC } else { CHW };
    let Some((&batch, sizes)) = known.split_first().filter(|(_, sizes)| matches!(sizes.len(), 1 | 3)) else {
        return Err(wrong(format!(
            "it has {} dimensions; [N, C, H, W], [N, H, W, C] and [N, F] are supported",
            known.len()
        )));
    };
    let shape = match (stated, sizes) {
        (Some(shape), _) => shape,
        (None, &[Some(n)]) => Shape::vector(n),
        (None, &[Some(a), Some(b), Some(c)]) if channels_last => Shape::new(c, a, b),
        (None, &[Some(a), Some(b), Some(c)]) => Shape::new(a, b, c),
        _ => return Err(wrong("its size is not known; state it with --input".into())),
    };
    let elements = shape.elements().filter(|&n| n > 0);
    let elements =
        elements.ok_or_else(|| wrong(format!("its shape {shape} has too many elements, or none")))?;
    let sizes: Vec<usize> = match sizes {
        [_] => Vec::from([elements as usize]),
        _ => order.map(|axis| extents(shape)[axis] as usize).to_vec(),
    };
    let batch = batch.map_or(1, |n| n as usize);
    Ok(Feature { dims: [Vec::from([batch]), sizes].concat(), order, ..Feature::planes(0, shape, batch) })
}

/// Whether the input, perhaps scaled or shifted, is transposed from N, H, W, C to N, C, H, W.
fn begins_with_transpose(graph: &GraphProto, input: &str) -> bool {
    let mut same = BTreeSet::from([input]);
    for node in &graph.node {
        if !node.input.iter().any(|name| same.contains(name.as_str())) {
            continue;
        }
        match node.op_type.as_str() {
            "Transpose" => {
                return node.attribute.iter().any(|a| a.name == "perm" && a.ints == [0, 3, 1, 2]);
            }
            "Identity" | "Cast" | "Add" | "Sub" | "Mul" | "Div" => {
                same.extend(node.output.iter().map(String::as_str));
            }
            _ => {}
        }
    }
    false
}

//! Operators that move no element, or only say in which order elements are seen.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::Reason;
use super::super::feature::{CHW, Feature};
use super::super::fold::{new_dims, permutation};
use super::super::node::Call;
use super::super::proto::data_type as t;
use crate::op::{Op, Shape};

/// `Identity`, `Dropout` (at inference), `Cast` between floats.
pub(super) fn identity(call: &Call<'_>, _: &mut Builder) -> Result<Feature, Reason> {
    let to = call.int("to", t::FLOAT.into());
    if ![t::FLOAT, t::FLOAT16, t::BFLOAT16, t::DOUBLE].map(i64::from).contains(&to) {
        return Err("a cast to integers is not supported".into());
    }
    Ok(call.feature(0)?.clone())
}

/// `Flatten`, `Reshape`, `Squeeze`, `Unsqueeze`: other extents for the same elements.
pub(super) fn reshape(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let dims = new_dims(call, &x.dims, true)?;
    if dims.first() != x.dims.first() {
        return Err(format!("{:?} becomes {dims:?}: the first axis, the batch, must stay as it is", x.dims));
    }
    let mut out = Feature { dims, ..x.clone() };
    if let &[_, c, h, w] = &out.dims[..] {
        seen_as_planes(&mut out, [c, h, w], builder);
    }
    // Vectors in another order stay as they are: the layer that reads them is permuted instead.
    if out.dims.len() == 2 && !out.shape.is_vector() && out.is_chw() {
        let (id, shape) = builder.push(call.name.clone(), Op::Flatten, Vec::from([x.id]), Vec::new())?;
        out = Feature { dims: out.dims, ..Feature::planes(id, shape, 1) };
    }
    Ok(out)
}

/// The network's input may be declared as a vector, or as rows, columns and one channel, that the
/// first node makes an image.
fn seen_as_planes(out: &mut Feature, extents: [usize; 3], builder: &mut Builder) {
    if out.id != 0 || out.axes() == Some(CHW) || out.order != CHW {
        return;
    }
    let [a, b, c] = extents.map(|n| u32::try_from(n).unwrap_or(0));
    // With one channel last, N, H, W, C is N, C, H, W.
    let shape = if c == 1 { Shape::new(1, a, b) } else { Shape::new(a, b, c) };
    if builder.reshape_input(shape) {
        out.shape = shape;
    }
}

/// `Transpose`: the axes of the network's values stay, they are only read in another order.
pub(super) fn transpose(call: &Call<'_>, _: &mut Builder) -> Result<Feature, Reason> {
    let x = call.feature(0)?;
    let perm = permutation(call, x.dims.len())?;
    if perm.first() != Some(&0) {
        return Err(format!("its permutation {perm:?} moves the batch"));
    }
    let groups = x.groups().ok_or_else(|| {
        format!("it transposes {:?}, which is not made of channels, rows and columns", x.dims)
    })?;
    let mut order: Vec<usize> = perm[1..].iter().flat_map(|&p| groups[p - 1].iter().copied()).collect();
    order.extend(CHW.into_iter().filter(|a| !order.contains(a)).collect::<Vec<_>>());
    let order = order.try_into().map_err(|_| "its axes cannot be followed")?;
    Ok(Feature { dims: perm.iter().map(|&p| x.dims[p]).collect(), order, ..x.clone() })
}

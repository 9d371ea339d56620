//! Constants that are put together from the elements of others.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::{Constant, Data, Reason, axis, elements, ranges};
use super::super::node::Call;

/// Distance in elements between neighbours along each axis.
fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = std::vec![1isize; dims.len()];
    for at in (1..dims.len()).rev() {
        strides[at - 1] = strides[at].saturating_mul(isize::try_from(dims[at]).unwrap_or(isize::MAX));
    }
    strides
}

/// Positions of the elements of a strided view in C order.
fn positions(
    dims: &[usize],
    strides: &[isize],
    start: usize,
    builder: &mut Builder,
) -> Result<Vec<usize>, Reason> {
    let count = elements(dims).ok_or("it has too many elements")?;
    builder.charge(count)?;
    let mut out = Vec::with_capacity(count);
    let mut index = std::vec![0usize; dims.len()];
    let mut at = start as isize;
    while out.len() < count {
        out.push(at as usize);
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < dims[axis] {
                break;
            }
            at -= strides[axis] * dims[axis] as isize;
            index[axis] = 0;
        }
    }
    Ok(out)
}

/// Strides of `dims` seen as `wide`: 0 along the axes that are repeated.
fn repeated(dims: &[usize], wide: &[usize]) -> Option<Vec<isize>> {
    let missing = wide.len().checked_sub(dims.len())?;
    let mut out = std::vec![0; missing];
    for ((&d, &w), stride) in dims.iter().zip(&wide[missing..]).zip(strides(dims)) {
        out.push(match d {
            d if d == w => stride,
            1 => 0,
            _ => return None,
        });
    }
    Some(out)
}

/// Extents of two constants together, and the positions of their elements in it.
pub(super) fn broadcast(
    a: &[usize],
    b: &[usize],
    builder: &mut Builder,
) -> Result<(Vec<usize>, [Vec<usize>; 2]), Reason> {
    let rank = a.len().max(b.len());
    let extent = |dims: &[usize], at: usize| {
        (at + dims.len()).checked_sub(rank).and_then(|at| dims.get(at)).copied().unwrap_or(1)
    };
    let wide: Vec<usize> = (0..rank)
        .map(|at| match (extent(a, at), extent(b, at)) {
            (1, n) | (n, _) => n,
        })
        .collect();
    let fail = || format!("{a:?} and {b:?} do not broadcast");
    let (at_a, at_b) = (repeated(a, &wide).ok_or_else(fail)?, repeated(b, &wide).ok_or_else(fail)?);
    let positions = [positions(&wide, &at_a, 0, builder)?, positions(&wide, &at_b, 0, builder)?];
    Ok((wide, positions))
}

/// `Expand`.
pub(super) fn expand(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    let wanted: Option<Vec<usize>> =
        call.constant(1)?.ints()?.iter().map(|&d| usize::try_from(d).ok()).collect();
    let (dims, [at, _]) = broadcast(&x.dims, &wanted.ok_or("an extent is negative")?, builder)?;
    Ok(Constant { name: x.name.clone(), dims, data: x.data.take(&at) })
}

/// The permutation of a `Transpose`; by default it reverses the axes.
pub(in super::super) fn permutation(call: &Call<'_>, rank: usize) -> Result<Vec<usize>, Reason> {
    let Some(perm) = call.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let perm: Vec<usize> = perm.iter().map(|&p| axis(p, rank)).collect::<Result<_, _>>()?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..rank) {
        return Err(format!("{perm:?} is no permutation of {rank} axes"));
    }
    Ok(perm)
}

/// `Transpose`.
pub(super) fn transpose(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    let perm = permutation(call, x.dims.len())?;
    let old = strides(&x.dims);
    let dims: Vec<usize> = perm.iter().map(|&p| x.dims[p]).collect();
    let strides: Vec<isize> = perm.iter().map(|&p| old[p]).collect();
    let at = positions(&dims, &strides, 0, builder)?;
    Ok(Constant { name: x.name.clone(), dims, data: x.data.take(&at) })
}

/// `Slice`, with its ranges as inputs or, up to opset 9, as attributes.
pub(super) fn slice(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let x = call.constant(0)?;
    let mut dims = x.dims.clone();
    let mut strides = strides(&dims);
    let mut start = 0usize;
    for range in slice_ranges(call, &x.dims)? {
        start = start.saturating_add(range.start.saturating_mul(strides[range.axis].unsigned_abs()));
        dims[range.axis] = range.count;
        let step = isize::try_from(range.step).unwrap_or(isize::MAX);
        strides[range.axis] = if range.count > 1 { strides[range.axis].saturating_mul(step) } else { 0 };
    }
    let at = positions(&dims, &strides, start, builder)?;
    Ok(Constant { name: x.name.clone(), dims, data: x.data.take(&at) })
}

/// The ranges of a `Slice`; no axis is named twice.
pub(in super::super) fn slice_ranges(
    call: &Call<'_>,
    dims: &[usize],
) -> Result<Vec<super::super::constant::Range>, Reason> {
    let starts = call.ints_of("starts", 1)?.ok_or("its starts are missing")?;
    let ends = call.ints_of("ends", 2)?.ok_or("its ends are missing")?;
    let out = ranges(dims, starts, ends, call.ints_of("axes", 3)?, call.ints_of("steps", 4)?)?;
    if out.iter().enumerate().any(|(i, r)| out[..i].iter().any(|earlier| earlier.axis == r.axis)) {
        return Err("it cuts one axis twice".into());
    }
    Ok(out)
}

/// `Gather` along one axis; a scalar index removes it.
pub(super) fn gather(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let (x, indices) = (call.constant(0)?, call.constant(1)?);
    let at = axis(call.int("axis", 0), x.dims.len())?;
    let chosen: Vec<usize> =
        indices.ints()?.iter().map(|&i| axis(i, x.dims[at])).collect::<Result<_, _>>()?;
    let (outer, inner) = (elements(&x.dims[..at]), elements(&x.dims[at + 1..]));
    let (outer, inner) = outer.zip(inner).ok_or("it has too many elements")?;
    let count = outer.checked_mul(inner).and_then(|n| n.checked_mul(chosen.len()));
    let count = count.ok_or("it has too many elements")?;
    builder.charge(count)?;
    let mut positions = Vec::with_capacity(count);
    for o in 0..if count == 0 { 0 } else { outer } {
        for &index in &chosen {
            let start = (o * x.dims[at] + index) * inner;
            positions.extend(start..start + inner);
        }
    }
    let dims = [&x.dims[..at], &indices.dims, &x.dims[at + 1..]].concat();
    Ok(Constant { name: x.name.clone(), dims, data: x.data.take(&positions) })
}

/// `Concat`.
pub(super) fn concat(call: &Call<'_>, builder: &mut Builder) -> Result<Constant, Reason> {
    let parts = (0..call.inputs.len()).map(|i| call.constant(i)).collect::<Result<Vec<_>, _>>()?;
    let first = parts.first().ok_or("it has no inputs")?;
    let at = axis(call.int("axis", 0), first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[at] = 0;
    for part in &parts {
        let fits = part.dims.len() == dims.len()
            && part.dims.iter().zip(&dims).enumerate().all(|(i, (p, d))| i == at || p == d);
        if !fits {
            return Err(format!("{:?} and {:?} do not fit together", first.dims, part.dims));
        }
        dims[at] = dims[at].checked_add(part.dims[at]).ok_or("it has too many elements")?;
    }
    let total = parts.iter().try_fold(0usize, |n, p| n.checked_add(p.len()));
    let total = total.ok_or("it has too many elements")?;
    builder.charge(total)?;
    // Without elements there may be any number of rows of none.
    let outer = if total == 0 { 0 } else { elements(&dims[..at]).ok_or("it has too many elements")? };
    let data = match first.data {
        Data::F32(_) => Data::F32(joined(&parts, outer, |p| p.floats())?),
        Data::I64(_) => Data::I64(joined(&parts, outer, |p| p.ints())?),
    };
    Ok(Constant { name: first.name.clone(), dims, data })
}

fn joined<'p, T: Copy + 'p>(
    parts: &[&'p std::rc::Rc<Constant>],
    outer: usize,
    values: impl Fn(&'p Constant) -> Result<&'p [T], Reason>,
) -> Result<Vec<T>, Reason> {
    let parts = parts.iter().map(|&p| values(p)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Vec::new();
    for o in 0..outer {
        for part in &parts {
            let run = part.len() / outer;
            out.extend_from_slice(&part[o * run..(o + 1) * run]);
        }
    }
    Ok(out)
}

//! Tensors whose values are known at import: weights, and the shapes that exporters compute.

use std::format;
use std::string::String;
use std::vec::Vec;

/// What keeps a node from being imported, for the list of all of them.
pub(super) type Reason = String;

/// Most dimensions of a tensor.
pub(super) const MAX_RANK: usize = 8;

/// A tensor in C order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

/// Values; as many as the product of the extents.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// All kinds of floats.
    F32(Vec<f32>),
    /// All kinds of integers, and booleans.
    I64(Vec<i64>),
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::I64(v) => v.len(),
        }
    }

    /// The values at these positions, which are all in range.
    pub(super) fn take(&self, positions: &[usize]) -> Self {
        match self {
            Data::F32(v) => Data::F32(positions.iter().filter_map(|&p| v.get(p).copied()).collect()),
            Data::I64(v) => Data::I64(positions.iter().filter_map(|&p| v.get(p).copied()).collect()),
        }
    }
}

impl Constant {
    /// A vector of integers, such as a shape.
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self { name: String::new(), dims: std::vec![values.len()], data: Data::I64(values) }
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn floats(&self) -> Result<&[f32], Reason> {
        match &self.data {
            Data::F32(values) => Ok(values),
            Data::I64(_) => Err(format!("`{}` holds integers where floats are expected", self.name)),
        }
    }

    pub(super) fn ints(&self) -> Result<&[i64], Reason> {
        match &self.data {
            Data::I64(values) => Ok(values),
            Data::F32(_) => Err(format!("`{}` holds floats where integers are expected", self.name)),
        }
    }

    /// The only value.
    pub(super) fn float(&self) -> Result<f32, Reason> {
        match self.floats()? {
            [value] => Ok(*value),
            values => Err(format!("`{}` holds {} values where one is expected", self.name, values.len())),
        }
    }
}

/// Product of extents, if it fits.
pub(super) fn elements(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// An axis that may count from the end.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, Reason> {
    let signed = i64::try_from(rank).unwrap_or(i64::MAX);
    let at = if axis < 0 { axis.saturating_add(signed) } else { axis };
    match usize::try_from(at) {
        Ok(at) if at < rank => Ok(at),
        _ => Err(format!("axis {axis} is out of range for {rank} dimensions")),
    }
}

/// Extents of a reshaped tensor: 0 keeps an extent (unless `allow_zero`), -1 takes what is left.
pub(super) fn reshaped(dims: &[usize], wanted: &[i64], allow_zero: bool) -> Result<Vec<usize>, Reason> {
    let fail = || format!("{dims:?} cannot be reshaped to {wanted:?}");
    let mut out = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (at, &want) in wanted.iter().enumerate() {
        out.push(match want {
            0 if !allow_zero => *dims.get(at).ok_or_else(fail)?,
            -1 if rest.is_none() => {
                rest = Some(at);
                1
            }
            n => usize::try_from(n).map_err(|_| fail())?,
        });
    }
    let total = elements(dims).ok_or_else(fail)?;
    let known = elements(&out).ok_or_else(fail)?;
    if let Some(slot) = rest.and_then(|at| out.get_mut(at)) {
        if known == 0 || !total.is_multiple_of(known) {
            return Err(fail());
        }
        *slot = total / known;
    } else if known != total {
        return Err(fail());
    }
    Ok(out)
}

/// Extents without those of 1 at `axes`, or without all of them from axis `first` on.
pub(super) fn squeezed(dims: &[usize], axes: Option<&[i64]>, first: usize) -> Result<Vec<usize>, Reason> {
    let Some(axes) = axes else {
        let kept = dims.iter().enumerate().filter(|&(at, &d)| at < first || d != 1);
        return Ok(kept.map(|(_, &d)| d).collect());
    };
    let mut gone = std::vec![false; dims.len()];
    for &a in axes {
        let at = axis(a, dims.len())?;
        if dims[at] != 1 {
            return Err(format!("axis {a} of {dims:?} is not 1"));
        }
        gone[at] = true;
    }
    Ok(dims.iter().zip(gone).filter(|(_, gone)| !gone).map(|(&d, _)| d).collect())
}

/// Extents with a 1 at each of `axes` of the result.
pub(super) fn unsqueezed(dims: &[usize], axes: &[i64]) -> Result<Vec<usize>, Reason> {
    let rank = dims.len() + axes.len();
    let mut added = std::vec![false; rank];
    for &a in axes {
        let at = axis(a, rank)?;
        if std::mem::replace(&mut added[at], true) {
            return Err(format!("axis {a} is added twice"));
        }
    }
    let mut old = dims.iter();
    Ok(added.into_iter().map(|added| if added { 1 } else { old.next().copied().unwrap_or(1) }).collect())
}

/// A range of an axis, as `Slice` states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) axis: usize,
    pub(super) start: usize,
    pub(super) step: i64,
    pub(super) count: usize,
}

/// Ranges with negative and overlong bounds resolved (ONNX `Slice`).
pub(super) fn ranges(
    dims: &[usize],
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    steps: Option<&[i64]>,
) -> Result<Vec<Range>, Reason> {
    let n = starts.len();
    if ends.len() != n || axes.is_some_and(|a| a.len() != n) || steps.is_some_and(|s| s.len() != n) {
        return Err("starts, ends, axes and steps differ in length".into());
    }
    let mut out = Vec::with_capacity(n);
    for (i, (&start, &end)) in starts.iter().zip(ends).enumerate() {
        let at = match axes {
            Some(axes) => axis(axes[i], dims.len())?,
            None if i < dims.len() => i,
            None => return Err("more ranges than dimensions".into()),
        };
        let step = steps.map_or(1, |s| s[i]);
        let extent = i64::try_from(dims[at]).map_err(|_| "an extent is too large")?;
        let from_end = |v: i64| if v < 0 { v.saturating_add(extent) } else { v };
        let (start, end) = (from_end(start), from_end(end));
        let (start, span) = match step {
            0 => return Err("a step is 0".into()),
            1.. => {
                let start = start.clamp(0, extent);
                (start, end.clamp(0, extent) - start)
            }
            _ => {
                let start = start.clamp(-1, extent - 1);
                (start, start - end.clamp(-1, extent - 1))
            }
        };
        let count = if span <= 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) };
        let (start, count) = (usize::try_from(start.max(0)), usize::try_from(count));
        let (Ok(start), Ok(count)) = (start, count) else { return Err("a range is too large".into()) };
        out.push(Range { axis: at, start, step, count });
    }
    Ok(out)
}

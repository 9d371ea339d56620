//! `Slice` and `Pad`. Both are kept as a [`Selection`] until someone needs the value: a
//! convolution takes over zeros around its input. Whatever else there is to do is done by a
//! convolution whose weights are 0 and 1, exactly. So the shortcut of a CIFAR ResNet, every second
//! pixel with channels of zeros around, becomes one 1x1 convolution of stride 2.

use std::format;
use std::vec::Vec;

use super::super::builder::Builder;
use super::super::constant::Reason;
use super::super::feature::{Feature, Selection, Span, extents};
use super::super::fold::slice_ranges;
use super::super::node::{Call, Value};
use super::small;
use crate::op::{Conv2d, Op, Padding};

pub(super) fn slice(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let mut x = call.feature(0)?.clone();
    if x.selection.as_ref().is_some_and(|s| s.axes.iter().any(Span::is_padded)) {
        x = compute(&x, builder)?;
    }
    let ranges = slice_ranges(call, &x.dims)?;
    let groups = x.groups();
    let mut spans = spans(&x);
    let mut dims = x.dims.clone();
    for range in ranges {
        if (range.start, range.step, range.count) == (0, 1, x.dims[range.axis]) {
            continue;
        }
        let span = span(&mut spans, groups.as_deref(), range.axis)?;
        let sizes = (u32::try_from(range.start), u32::try_from(range.step), u32::try_from(range.count));
        let (Ok(start), Ok(step), Ok(count @ 1..)) = sizes else {
            return Err("a slice that is empty or goes backwards is not supported".into());
        };
        dims[range.axis] = range.count;
        let start = start.checked_mul(span.step).and_then(|s| s.checked_add(span.start));
        let step = step.checked_mul(span.step);
        let (start, step) = start.zip(step).ok_or("its steps are too large")?;
        *span = Span { start, step, count, ..*span };
    }
    let selection = Some(Selection { name: call.name.clone(), axes: spans });
    Ok(Feature { dims, selection, ..x })
}

pub(super) fn pad(call: &Call<'_>, builder: &mut Builder) -> Result<Feature, Reason> {
    let mut x = call.feature(0)?.clone();
    let mode = call.text("mode", "constant");
    let value = match call.optional(2)? {
        Some(value) => value.float()?,
        None => call.float("value", 0.0),
    };
    if mode != "constant" || value != 0.0 {
        return Err(format!("mode {mode:?} with value {value}: only zeros are supported"));
    }
    let pads = call.ints_of("pads", 1)?.ok_or("its pads are missing")?;
    let all: Vec<i64> = (0..x.dims.len() as i64).collect();
    let axes = call.ints_of("axes", 3)?.unwrap_or(&all);
    if pads.len() != axes.len().saturating_mul(2) {
        return Err(format!("it has {} pads for {} axes", pads.len(), axes.len()));
    }
    let (before, after) = pads.split_at(axes.len());
    let padded = axes.iter().zip(before).zip(after).filter(|((_, b), a)| (**b, **a) != (0, 0));
    let mut dims = x.dims.clone();
    // A selection that leaves out pixels at its ends cannot have zeros there in the same step.
    if spans(&x).iter().zip(extents(x.shape)).any(|(span, extent)| !span.reaches_ends(extent)) {
        x = compute(&x, builder)?;
    }
    let groups = x.groups();
    let mut spans = spans(&x);
    for ((&axis, &before), &after) in padded {
        let axis = super::super::constant::axis(axis, x.dims.len())?;
        let span = span(&mut spans, groups.as_deref(), axis)?;
        let more = |old: u32, new: i64| u32::try_from(new).ok().and_then(|new| old.checked_add(new));
        let sizes = more(span.before, before).zip(more(span.after, after));
        let (before, after) = sizes.ok_or_else(|| {
            format!("pads {pads:?} are negative or too large; negative ones are not supported")
        })?;
        let extent = before.checked_add(span.count).and_then(|n| n.checked_add(after));
        dims[axis] = extent.ok_or("its result is too large")? as usize;
        *span = Span { before, after, ..*span };
    }
    let selection = Some(Selection { name: call.name.clone(), axes: spans });
    Ok(Feature { dims, selection, ..x })
}

fn spans(x: &Feature) -> [Span; 3] {
    x.selection.as_ref().map_or_else(|| extents(x.shape).map(Span::all), |s| s.axes)
}

/// The span of an ONNX axis.
fn span<'s>(
    spans: &'s mut [Span; 3],
    groups: Option<&[Vec<usize>]>,
    axis: usize,
) -> Result<&'s mut Span, Reason> {
    let group = axis.checked_sub(1).and_then(|at| groups?.get(at)).map(Vec::as_slice);
    match group {
        Some(&[axis]) => Ok(&mut spans[axis]),
        _ => Err(format!("axis {axis} is not that of channels, rows or columns")),
    }
}

impl Span {
    /// Whether one more step to either side would leave the axis.
    fn reaches_ends(&self, extent: u32) -> bool {
        let end = u64::from(self.start) + u64::from(self.count) * u64::from(self.step);
        self.start < self.step && end >= u64::from(extent)
    }

    /// Kernel, tap, stride and padding of a convolution that selects this from `extent` elements:
    /// the tap skips `start`, the rest of the kernel what is left out at the end.
    fn window(&self, extent: u32) -> Result<Window, Reason> {
        let [start, step, count, extent] = [self.start, self.step, self.count, extent].map(i64::from);
        let [before, after] = [self.before, self.after].map(i64::from);
        let kernel = (start + 1).max(extent - count * step + 1);
        let missing = (count + after - 1) * step + kernel - extent;
        Ok(Window {
            kernel: small(kernel)?,
            tap: small(start)?,
            stride: small(step)?,
            before: small(before * step)?,
            after: small(missing.max(0))?,
        })
    }
}

struct Window {
    kernel: u16,
    tap: u16,
    stride: u16,
    before: u16,
    after: u16,
}

/// Computes the selections of all inputs.
pub(super) fn compute_inputs(call: &mut Call<'_>, builder: &mut Builder) -> Result<(), Reason> {
    for input in call.inputs.iter_mut().flatten() {
        if let Value::Feature(x) = input {
            *x = compute(x, builder)?;
        }
    }
    Ok(())
}

/// The value with its selection done.
pub(in super::super) fn compute(x: &Feature, builder: &mut Builder) -> Result<Feature, Reason> {
    let Some(Selection { name, axes }) = &x.selection else { return Ok(x.clone()) };
    let whole = axes.iter().zip(extents(x.shape)).all(|(s, extent)| s.is_whole(extent) && !s.is_padded());
    if whole {
        return Ok(Feature { selection: None, ..x.clone() });
    }
    if let Some(&(id, shape)) = builder.selected.get(&(x.id, *axes)) {
        return Ok(Feature { shared: x.shared, ..x.like(id, shape) });
    }
    let [channels, rows, columns] = axes;
    let (rows, columns) = (rows.window(x.shape.h)?, columns.window(x.shape.w)?);
    let out = channels.before.checked_add(channels.count).and_then(|n| n.checked_add(channels.after));
    let out_channels = out.ok_or("its result is too large")?;
    let same_channels = channels.is_whole(x.shape.c) && !channels.is_padded();
    let groups = if same_channels { x.shape.c } else { 1 };
    let shape =
        [out_channels, x.shape.c / groups, rows.kernel.into(), columns.kernel.into()].map(|n| n as usize);
    let count = super::super::constant::elements(&shape).ok_or("its result is too large")?;
    builder.charge(count)?;
    let mut weight = std::vec![0.0; count];
    let kernel = shape[2] * shape[3];
    let tap = usize::from(rows.tap) * shape[3] + usize::from(columns.tap);
    for i in 0..channels.count as usize {
        let (to, from) = if same_channels {
            (i, 0)
        } else {
            (channels.before as usize + i, channels.start as usize + i * channels.step as usize)
        };
        if let Some(value) = weight.get_mut((to * shape[1] + from) * kernel + tap) {
            *value = 1.0;
        }
    }
    let op = Op::Conv2d(Conv2d {
        out_channels,
        kernel: [rows.kernel, columns.kernel],
        stride: [rows.stride, columns.stride],
        dilation: [1; 2],
        pad: Padding { top: rows.before, left: columns.before, bottom: rows.after, right: columns.after },
        groups,
    });
    let weight = builder.new_tensor(&format!("{name}.weight"), shape.to_vec(), weight)?;
    let (id, shape) = builder.push(name.clone(), op, Vec::from([x.id]), Vec::from([weight]))?;
    builder.selected.insert((x.id, *axes), (id, shape));
    Ok(Feature { shared: x.shared, ..x.like(id, shape) })
}

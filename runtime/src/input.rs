//! A sample becomes the network's first value.

use tfc_formats::artifact::Header;
use tfc_formats::preprocess::{ChannelOrder, Layout as Order};

use crate::error::RunError;
use crate::tensor::TensorMut;

/// Writes a preprocessed sample in C, H, W order, each element as `convert` has it and the halo as
/// `zero`.
pub(crate) fn write<F, T: Copy>(
    input: &[F],
    to: TensorMut<'_, T>,
    zero: T,
    convert: impl Fn(&F) -> T,
) -> Result<(), RunError> {
    if to.at.is_packed() && to.data.len() == input.len() {
        to.data.iter_mut().zip(input).for_each(|(to, from)| *to = convert(from));
        return Ok(());
    }
    let (h, w) = (to.at.h, to.at.w);
    fill(input.len(), to, zero, |c, y, row| {
        let from = input.get((c * h + y) * w..).unwrap_or_default();
        row.iter_mut().zip(from).for_each(|(to, from)| *to = convert(from));
    })
}

/// Writes a raw sample: bytes in the order of axes, and with the order of channels, that the
/// file's preprocessing states.
pub(crate) fn write_raw(input: &[u8], header: &Header<'_>, to: TensorMut<'_>) -> Result<(), RunError> {
    raw(input, header, to, 0.0, |c| {
        let (factor, offset) = header.preprocess.affine(c);
        move |raw| f32::from(raw) * factor + offset
    })
}

/// As [`write_raw`], with the file's constants for i8.
pub(crate) fn write_raw_i8(
    input: &[u8],
    header: &Header<'_>,
    zero: i8,
    to: TensorMut<'_, i8>,
) -> Result<(), RunError> {
    raw(input, header, to, zero, |c| {
        // One at least is in every checked file on i8.
        let affine = header.quantize.get(c).or(header.quantize.first()).copied();
        move |raw| affine.map_or(zero, |affine| affine.apply(raw.into()).clamp(-128, 127) as i8)
    })
}

/// Writes each element as `convert(channel)` has it.
fn raw<T: Copy, C: Fn(u8) -> T>(
    input: &[u8],
    header: &Header<'_>,
    to: TensorMut<'_, T>,
    zero: T,
    convert: impl Fn(usize) -> C,
) -> Result<(), RunError> {
    let preprocess = &header.preprocess;
    let (channels, h, w) = (to.at.c, to.at.h, to.at.w);
    fill(input.len(), to, zero, |c, y, row| {
        let source = match preprocess.order {
            ChannelOrder::Rgb => c,
            ChannelOrder::Bgr => channels - 1 - c,
        };
        let (start, step) = match preprocess.layout {
            Order::Chw => ((source * h + y) * w, 1),
            Order::Hwc => (y * w * channels + source, channels),
        };
        let convert = convert(c);
        let raw = input.get(start..).unwrap_or_default().iter().step_by(step);
        row.iter_mut().zip(raw).for_each(|(x, raw)| *x = convert(*raw));
    })
}

/// Checks the length of the sample and writes its value with `fill(channel, row number, row)`.
fn fill<T: Copy>(
    given: usize,
    mut to: TensorMut<'_, T>,
    zero: T,
    fill: impl Fn(usize, usize, &mut [T]),
) -> Result<(), RunError> {
    let expected = to.at.elements();
    if given != expected {
        return Err(RunError::InputLen { expected, given });
    }
    to.clear_halo(zero);
    for c in 0..to.at.c {
        for y in 0..to.at.h {
            fill(c, y, to.row(c, y));
        }
    }
    Ok(())
}

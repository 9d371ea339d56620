//! A sample becomes the network's first value.

use tfc_formats::artifact::Header;
use tfc_formats::preprocess::{ChannelOrder, Layout as Order};

use crate::error::RunError;
use crate::ops;
use crate::tensor::TensorMut;

/// Writes a preprocessed sample in C, H, W order.
pub(crate) fn write(input: &[f32], to: TensorMut<'_>) -> Result<(), RunError> {
    let (h, w) = (to.at.h, to.at.w);
    fill(input.len(), to, |c, y, row| {
        if let Some(from) = input.get((c * h + y) * w..) {
            ops::copy(row, from);
        }
    })
}

/// Writes a raw sample: bytes in the order of axes, and with the order of channels, that the
/// file's preprocessing states.
pub(crate) fn write_raw(input: &[u8], header: &Header<'_>, to: TensorMut<'_>) -> Result<(), RunError> {
    let preprocess = &header.preprocess;
    let (channels, h, w) = (to.at.c, to.at.h, to.at.w);
    fill(input.len(), to, |c, y, row| {
        let source = match preprocess.order {
            ChannelOrder::Rgb => c,
            ChannelOrder::Bgr => channels - 1 - c,
        };
        let (start, step) = match preprocess.layout {
            Order::Chw => ((source * h + y) * w, 1),
            Order::Hwc => (y * w * channels + source, channels),
        };
        let (factor, offset) = preprocess.affine(c);
        let raw = input.get(start..).unwrap_or_default().iter().step_by(step);
        row.iter_mut().zip(raw).for_each(|(x, raw)| *x = f32::from(*raw) * factor + offset);
    })
}

/// Checks the length of the sample and writes its value with `fill(channel, row number, row)`.
fn fill(
    given: usize,
    mut to: TensorMut<'_>,
    fill: impl Fn(usize, usize, &mut [f32]),
) -> Result<(), RunError> {
    let expected = to.at.elements();
    if given != expected {
        return Err(RunError::InputLen { expected, given });
    }
    to.clear_halo();
    for c in 0..to.at.c {
        for y in 0..to.at.h {
            fill(c, y, to.row(c, y));
        }
    }
    Ok(())
}

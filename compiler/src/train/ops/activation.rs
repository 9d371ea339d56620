//! Element-wise non-linearities; the gradient comes from the output, or from the input where the
//! output does not tell the slope.

use tfc_formats::op::Activation;

use super::{Layer, Run, Values};
use crate::device::{Device, slope_needs_input};

impl<D: Device> Layer<D> for Activation {
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.activation(*self, x[0], y);
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        _params: &[&D::Buffer],
        values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        let at = if slope_needs_input(*self) { values.x[0] } else { values.y };
        run.device.activation_backward(*self, at, dy, dx);
    }
}

//! Element-wise non-linearities; the gradient comes from the output.

use tfc_formats::op::Activation;

use super::{Layer, Run, Values};
use crate::device::Device;

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
        run.device.activation_backward(*self, values.y, dy, dx);
    }
}

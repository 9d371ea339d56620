//! From planes `[C, B, H, W]` to vectors `[C * H * W, B]`.

use tfc_formats::op::Shape;

use super::{Layer, Run, Values, plane};
use crate::device::Device;

pub(super) struct Flatten {
    c: usize,
    plane: usize,
}

impl Flatten {
    pub(super) fn new(x: Shape) -> Self {
        Self { c: x.c as usize, plane: plane(x) }
    }
}

impl<D: Device> Layer<D> for Flatten {
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.flatten([self.c, run.batch, self.plane], false, x[0], y);
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        _params: &[&D::Buffer],
        _values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        run.device.flatten([self.c, run.batch, self.plane], true, dy, dx);
    }
}

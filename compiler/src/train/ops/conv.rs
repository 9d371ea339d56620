//! Convolution.

use tfc_formats::op::{Conv2d, Shape};

use super::{Layer, Run, Values};
use crate::device::{Convolution, Device, Window};

pub(super) fn geometry(conv: &Conv2d, x: Shape, y: Shape) -> Convolution {
    Convolution { window: Window::of(conv, x, y), groups: conv.groups as usize, out: y.c as usize }
}

impl<D: Device> Layer<D> for Convolution {
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.conv(self, run.batch, x[0], params[0], params.get(1).copied(), y);
    }

    fn param_gradient(
        &self,
        run: &mut Run<'_, D>,
        role: usize,
        x: &[&D::Buffer],
        dy: &D::Buffer,
        beta: f32,
        to: &mut D::Buffer,
    ) {
        if role == 1 {
            let pixels = run.batch * self.window.oh * self.window.ow;
            return run.device.row_sums([self.out, pixels], dy, beta, to);
        }
        run.device.conv_weight_gradient(self, run.batch, x[0], dy, beta, to);
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        params: &[&D::Buffer],
        _values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        run.device.conv_input_gradient(self, run.batch, params[0], dy, dx);
    }
}

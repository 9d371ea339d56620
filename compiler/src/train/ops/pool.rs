//! Maximum and mean of windows.

use tfc_formats::op::{Padding, Pool, Shape};

use super::{Layer, Run, Values};
use crate::device::{Device, Divisor, Window};

pub(super) struct Max {
    window: Window,
}

pub(super) struct Average {
    window: Window,
    divisor: Divisor,
}

fn window(pool: &Pool, x: Shape, y: Shape) -> Window {
    Window {
        c: x.c as usize,
        h: x.h as usize,
        w: x.w as usize,
        oh: y.h as usize,
        ow: y.w as usize,
        kernel: pool.kernel.map(usize::from),
        stride: pool.stride.map(usize::from),
        dilation: [1, 1],
        pad: pool.pad,
    }
}

impl Max {
    pub(super) fn new(pool: &Pool, x: Shape, y: Shape) -> Self {
        Self { window: window(pool, x, y) }
    }
}

impl Average {
    pub(super) fn new(pool: &Pool, x: Shape, y: Shape) -> Self {
        let divisor = if pool.count_include_pad { Divisor::Padded } else { Divisor::Valid };
        Self { window: window(pool, x, y), divisor }
    }

    /// One window over the whole plane.
    pub(super) fn global(x: Shape) -> Self {
        let (c, h, w) = (x.c as usize, x.h as usize, x.w as usize);
        let pad = Padding::same(0);
        let window = Window { c, h, w, oh: 1, ow: 1, kernel: [h, w], stride: [1, 1], dilation: [1, 1], pad };
        Self { window, divisor: Divisor::Valid }
    }
}

impl<D: Device> Layer<D> for Max {
    fn saved(&self, batch: usize) -> Vec<usize> {
        vec![self.window.c * self.window.oh * self.window.ow * batch]
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.max_pool(&self.window, run.batch, x[0], y, &mut run.saved[0]);
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
        run.device.max_pool_backward(&self.window, run.batch, &run.saved[0], dy, dx);
    }
}

impl<D: Device> Layer<D> for Average {
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.avg_pool(&self.window, self.divisor, run.batch, x[0], y);
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
        run.device.avg_pool_backward(&self.window, self.divisor, run.batch, dy, dx);
    }
}

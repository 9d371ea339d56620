//! Maximum over neighbouring channels (Goodfellow et al. 2013): channels are outermost, so that it is a
//! maximum pooling of planes whose rows are the pieces.

use tfc_formats::op::{Padding, Shape};

use super::{Layer, Run, Values, elements, plane};
use crate::device::{Device, Window};

pub(super) struct Maxout {
    /// Output channels, and channels of each.
    channels: usize,
    pieces: usize,
    plane: usize,
    outputs: usize,
}

impl Maxout {
    pub(super) fn new(pieces: u16, y: Shape) -> Self {
        Self { channels: y.c as usize, pieces: usize::from(pieces), plane: plane(y), outputs: elements(y) }
    }

    fn window(&self, batch: usize) -> Window {
        let (pieces, columns) = (self.pieces, batch * self.plane);
        Window {
            c: self.channels,
            h: pieces,
            w: columns,
            oh: 1,
            ow: columns,
            kernel: [pieces, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: Padding::same(0),
        }
    }
}

impl<D: Device> Layer<D> for Maxout {
    fn saved(&self, batch: usize) -> Vec<usize> {
        vec![self.outputs * batch]
    }

    /// Positions of maxima are f32, exact up to 2^24.
    fn max_batch(&self) -> usize {
        (1 << 24) / (self.pieces * self.plane)
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.max_pool(&self.window(run.batch), 1, x[0], y, &mut run.saved[0]);
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
        run.device.max_pool_backward(&self.window(run.batch), 1, &run.saved[0], dy, dx);
    }
}

//! Values one after the other along the channels, which are outermost, so that each part is contiguous.

use tfc_formats::op::Shape;

use super::{Layer, Run, Values, elements};
use crate::device::Device;

pub(super) struct Concat {
    /// Elements a sample of each input.
    parts: Vec<usize>,
}

impl Concat {
    pub(super) fn new(inputs: &[Shape]) -> Self {
        Self { parts: inputs.iter().map(|&s| elements(s)).collect() }
    }
}

impl<D: Device> Layer<D> for Concat {
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        let mut at = 0;
        for (x, part) in x.iter().zip(&self.parts) {
            let len = part * run.batch;
            run.device.copy(x, 0, y, at, len);
            at += len;
        }
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        which: usize,
        _params: &[&D::Buffer],
        _values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        let at = self.parts[..which].iter().sum::<usize>() * run.batch;
        run.device.copy(dy, at, dx, 0, self.parts[which] * run.batch);
    }
}

//! Local response normalization across channels.

use tfc_formats::op::Shape;

use super::{Layer, Run, Values, elements, plane};
use crate::device::{Device, Response};

pub(super) struct Lrn {
    /// For a batch of one.
    response: Response,
    elements: usize,
}

impl Lrn {
    /// Fields as in [`Op::Lrn`](tfc_formats::op::Op::Lrn).
    pub(super) fn new(size: u16, alpha: f32, beta: f32, bias: f32, x: Shape) -> Self {
        let scale = alpha / f32::from(size);
        let size = usize::from(size);
        // Where the size is even the window begins as ONNX has it.
        let before = (size - 1) / 2;
        let (channels, columns) = (x.c as usize, plane(x));
        Self {
            response: Response { channels, columns, size, before, scale, beta, bias },
            elements: elements(x),
        }
    }

    fn response(&self, batch: usize) -> Response {
        Response { columns: self.response.columns * batch, ..self.response }
    }
}

impl<D: Device> Layer<D> for Lrn {
    fn saved(&self, batch: usize) -> Vec<usize> {
        vec![self.elements * batch]
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        run.device.lrn(&self.response(run.batch), x[0], y, &mut run.saved[0]);
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
        let known = [values.x[0], values.y, &run.saved[0]];
        run.device.lrn_backward(&self.response(run.batch), known, dy, dx);
    }
}

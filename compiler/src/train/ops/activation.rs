//! Element-wise non-linearities; the gradient comes from the output, or from a copy of the input
//! where the output does not tell the slope.

use tfc_formats::op::{Activation, Shape};

use super::{Layer, Run, elements};
use crate::device::{Device, slope_needs_input};

pub(super) struct Elementwise {
    f: Activation,
    elements: usize,
}

impl Elementwise {
    pub(super) fn new(f: Activation, x: Shape) -> Self {
        Self { f, elements: elements(x) }
    }
}

impl<D: Device> Layer<D> for Elementwise {
    fn saved(&self) -> Vec<usize> {
        if slope_needs_input(self.f) { vec![self.elements] } else { Vec::new() }
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        if let [input] = run.saved {
            run.device.copy(x[0], 0, input, 0, self.elements * run.batch);
        }
        run.device.activation(self.f, x[0], y);
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        _params: &[&D::Buffer],
        y: &D::Buffer,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        let at = run.saved.first().unwrap_or(y);
        run.device.activation_backward(self.f, at, dy, dx);
    }
}

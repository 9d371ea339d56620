//! Inverted dropout (Srivastava et al. 2014): kept values are divided by the probability of keeping.

use rand::RngExt;
use tfc_formats::op::Shape;

use super::{Layer, Run, Values, elements};
use crate::device::Device;
use crate::train::random;

pub(super) struct Dropout {
    rate: f32,
    elements: usize,
}

impl Dropout {
    pub(super) fn new(rate: f32, x: Shape) -> Self {
        Self { rate: rate.clamp(0.0, 1.0), elements: elements(x) }
    }

    /// The factor of every element: the same for the same seed on any device.
    fn mask(&self, seed: u64, len: usize) -> Vec<f32> {
        let mut rng = random::rng(&[seed]);
        let scale = if self.rate < 1.0 { 1.0 / (1.0 - self.rate) } else { 0.0 };
        (0..len).map(|_| if rng.random::<f32>() < self.rate { 0.0 } else { scale }).collect()
    }
}

impl<D: Device> Layer<D> for Dropout {
    fn saved(&self, batch: usize) -> Vec<usize> {
        vec![self.elements * batch]
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], _: &[&D::Buffer], y: &mut D::Buffer) {
        let len = self.elements * run.batch;
        run.device.copy(x[0], 0, y, 0, len);
        if let Some(seed) = run.mode.dropout {
            run.device.write(&self.mask(seed, len), &mut run.saved[0]);
            run.device.mul(&run.saved[0], y);
        }
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
        run.device.copy(dy, 0, dx, 0, self.elements * run.batch);
        if run.mode.dropout.is_some() {
            run.device.mul(&run.saved[0], dx);
        }
    }
}

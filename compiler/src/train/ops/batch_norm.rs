//! Batch normalization (Ioffe & Szegedy 2015): with the batch's own statistics in a training that
//! updates them, with the running ones elsewhere.

use tfc_formats::op::Shape;

use super::{Layer, Run, Values, plane};
use crate::device::{Device, Norm};

pub(super) struct BatchNorm {
    channels: usize,
    plane: usize,
    eps: f32,
}

/// Positions in the layer's own buffers, all by channel.
const MEAN: usize = 0;
const VAR: usize = 1;

impl BatchNorm {
    pub(super) fn new(eps: f32, x: Shape) -> Self {
        Self { channels: x.c as usize, plane: plane(x), eps }
    }

    fn rows_cols(&self, batch: usize) -> [usize; 2] {
        [self.channels, batch * self.plane]
    }

    /// Share of this batch in the running statistics, or `None` where those are used. A single
    /// value has no variance: a batch of one vector is normalized as at inference.
    fn momentum<D: Device>(&self, run: &Run<'_, D>) -> Option<f32> {
        run.mode.momentum.filter(|_| run.batch * self.plane > 1)
    }

    fn norm<'a, B>(&self, params: &[&'a B], mean: &'a B, var: &'a B) -> Norm<'a, B> {
        Norm { gamma: params[0], beta: params[1], mean, var, eps: self.eps }
    }
}

impl<D: Device> Layer<D> for BatchNorm {
    /// Mean and variance of the batch, and the gradients of gamma and beta.
    fn saved(&self, _batch: usize) -> Vec<usize> {
        vec![self.channels; 4]
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer) {
        let rows_cols = self.rows_cols(run.batch);
        let norm = if self.momentum(run).is_some() {
            let [mean, var, ..] = &mut *run.saved else { unreachable!("four buffers are saved") };
            run.device.moments(rows_cols, x[0], mean, var);
            self.norm(params, mean, var)
        } else {
            self.norm(params, params[2], params[3])
        };
        run.device.batch_norm(rows_cols, norm, x[0], y);
    }

    fn update_statistics(&self, run: &mut Run<'_, D>, role: usize, to: &mut D::Buffer) {
        let Some(momentum) = self.momentum(run) else { return };
        let n = (run.batch * self.plane) as f32;
        match role {
            2 => run.device.axpby(momentum, &run.saved[MEAN], 1.0 - momentum, to),
            // Unbiased, as the running variance is in every framework's files.
            3 => run.device.axpby(momentum * n / (n - 1.0), &run.saved[VAR], 1.0 - momentum, to),
            _ => {}
        }
    }

    fn begin_backward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], dy: &D::Buffer) {
        let of_batch = self.momentum(run).is_some();
        let [mean, var, gamma, beta] = &mut *run.saved else { unreachable!("four buffers are saved") };
        let norm =
            if of_batch { self.norm(params, mean, var) } else { self.norm(params, params[2], params[3]) };
        run.device.batch_norm_sums(self.rows_cols(run.batch), norm, x[0], dy, [gamma, beta]);
    }

    fn param_gradient(
        &self,
        run: &mut Run<'_, D>,
        role: usize,
        _x: &[&D::Buffer],
        _dy: &D::Buffer,
        beta: f32,
        to: &mut D::Buffer,
    ) {
        run.device.axpby(1.0, &run.saved[2 + role], beta, to);
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        params: &[&D::Buffer],
        values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        let of_batch = self.momentum(run).is_some();
        let [mean, var, gamma, beta] = &*run.saved else { unreachable!("four buffers are saved") };
        let (norm, sums) = if of_batch {
            (self.norm(params, mean, var), Some([gamma, beta]))
        } else {
            (self.norm(params, params[2], params[3]), None)
        };
        run.device.batch_norm_backward(self.rows_cols(run.batch), norm, values.x[0], dy, sums, dx);
    }
}

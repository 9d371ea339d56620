//! Forward and backward of each op over a [`Device`]: one file an op, one line in [`layer`].
//!
//! Layers are geometry only. What one keeps between forward and backward lives in buffers that
//! the executor allocates after [`Layer::saved`] and hands over with each [`Run`].

mod activation;
mod add;
mod concat;
mod conv;
mod dense;
mod dropout;
mod flatten;
mod pool;

use tfc_formats::op::{Op, Shape};

use crate::device::Device;

/// What the layers work with during one pass over one batch.
pub(super) struct Run<'r, D: Device> {
    pub(super) device: &'r D,
    /// Samples in this batch; buffers may have room for more.
    pub(super) batch: usize,
    /// Seed of this layer's dropout mask in this step; `None` at inference.
    pub(super) dropout: Option<u64>,
    /// This layer's own buffers.
    pub(super) saved: &'r mut [D::Buffer],
}

/// Forward and backward of one node. For one batch the executor calls `forward`, then
/// `param_gradient` of every parameter, then `input_gradient` of every input that needs one.
pub(super) trait Layer<D: Device> {
    /// Elements a sample of each buffer that the layer keeps.
    fn saved(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Computes the output.
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer);

    /// `to = gradient + beta to` for the parameter with this role.
    fn param_gradient(
        &self,
        _run: &mut Run<'_, D>,
        _role: usize,
        _x: &[&D::Buffer],
        _dy: &D::Buffer,
        _beta: f32,
        _to: &mut D::Buffer,
    ) {
    }

    /// Overwrites `dx` with the gradient of input number `which`.
    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        which: usize,
        params: &[&D::Buffer],
        y: &D::Buffer,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    );
}

/// The layer of an op, or `None` where it has no backward pass yet.
pub(super) fn layer<D: Device>(op: &Op, inputs: &[Shape], output: Shape) -> Option<Box<dyn Layer<D>>> {
    let x = inputs[0];
    Some(match op {
        Op::Conv2d(conv) => Box::new(conv::geometry(conv, x, output)),
        Op::Dense(dense) => Box::new(dense::Dense::new(dense, x)),
        Op::MaxPool(pool) => Box::new(pool::Max::new(pool, x, output)),
        Op::AvgPool(pool) => Box::new(pool::Average::new(pool, x, output)),
        Op::GlobalAvgPool => Box::new(pool::Average::global(x)),
        Op::Activation(f) => Box::new(*f),
        Op::Add => Box::new(add::Add::new(x)),
        Op::Concat => Box::new(concat::Concat::new(inputs)),
        Op::Flatten => Box::new(flatten::Flatten::new(x)),
        Op::Dropout { rate } => Box::new(dropout::Dropout::new(*rate, x)),
        Op::BatchNorm { .. } | Op::Lrn { .. } | Op::Maxout { .. } | Op::Softmax => return None,
    })
}

/// Elements of one sample.
pub(super) fn elements(shape: Shape) -> usize {
    shape.c as usize * plane(shape)
}

/// Elements of one channel of one sample.
pub(super) fn plane(shape: Shape) -> usize {
    shape.h as usize * shape.w as usize
}

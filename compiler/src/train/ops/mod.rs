//! Forward and backward of each op over a [`Device`]: one file an op, one line in [`layer`].
//!
//! Layers are geometry only. What one keeps between forward and backward lives in buffers that
//! the executor allocates after [`Layer::saved`] and hands over with each [`Run`].

mod activation;
mod add;
mod batch_norm;
mod concat;
mod conv;
mod dense;
mod dropout;
mod flatten;
mod lrn;
mod maxout;
mod pool;

use tfc_formats::op::{Op, Shape};

use crate::device::Device;

/// How the layers behave that are not the same in training and at inference.
#[derive(Clone, Copy, Default)]
pub(super) struct Mode {
    /// Seed of the dropout masks of this step; without one nothing is dropped.
    pub(super) dropout: Option<u64>,
    /// Batch normalizations take the batch's own statistics, and the running ones move towards
    /// these by this share; without one they take the running statistics.
    pub(super) momentum: Option<f32>,
}

impl Mode {
    pub(super) const INFERENCE: Self = Self { dropout: None, momentum: None };
}

/// What a node read and computed.
pub(super) struct Values<'v, B> {
    pub(super) x: &'v [&'v B],
    pub(super) y: &'v B,
}

/// What the layers work with during one pass over one batch.
pub(super) struct Run<'r, D: Device> {
    pub(super) device: &'r D,
    /// Samples in this batch; buffers may have room for more.
    pub(super) batch: usize,
    /// With the seed of this layer's own dropout mask.
    pub(super) mode: Mode,
    /// This layer's own buffers.
    pub(super) saved: &'r mut [D::Buffer],
}

/// Forward and backward of one node. For one batch the executor calls `forward`,
/// `update_statistics` of every parameter, `begin_backward`, `param_gradient` of every parameter that
/// learns, and `input_gradient` of every input that needs one.
pub(super) trait Layer<D: Device> {
    /// Elements of each buffer that the layer keeps for batches of this size.
    fn saved(&self, _batch: usize) -> Vec<usize> {
        Vec::new()
    }

    /// Most samples that it takes at once.
    fn max_batch(&self) -> usize {
        usize::MAX
    }

    /// Computes the output.
    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer);

    /// Changes the parameter with this role where it is a running statistic.
    fn update_statistics(&self, _run: &mut Run<'_, D>, _role: usize, _to: &mut D::Buffer) {}

    /// What the gradients of parameters and inputs both need.
    fn begin_backward(
        &self,
        _run: &mut Run<'_, D>,
        _x: &[&D::Buffer],
        _params: &[&D::Buffer],
        _dy: &D::Buffer,
    ) {
    }

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
        values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    );
}

/// The layer of an op, or `None` where it has no backward pass.
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
        Op::BatchNorm { eps } => Box::new(batch_norm::BatchNorm::new(*eps, x)),
        Op::Lrn { size, alpha, beta, bias } => Box::new(lrn::Lrn::new(*size, *alpha, *beta, *bias, x)),
        Op::Maxout { pieces } => Box::new(maxout::Maxout::new(*pieces, output)),
        Op::Softmax => return None,
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

//! What each op computes, one file an op.
//!
//! Ops with weights are dispatched to [`kernels`](crate::kernels); all others are one pass over
//! their input and have their only implementation here.

pub(crate) mod activation;
mod add;
mod concat;
mod conv;
mod dense;
pub(crate) mod flatten;
mod maxout;
mod norm;
pub(crate) mod pool;
mod softmax;

use tfc_formats::artifact::{Artifact, Step};
use tfc_formats::op::Op;

use crate::kernels::Kernels;
use crate::tensor::{Tensor, TensorMut};

/// Everything that a step reads and writes.
pub(crate) struct Work<'a> {
    pub(crate) artifact: &'a Artifact<'a>,
    pub(crate) kernels: Kernels,
    pub(crate) inputs: Inputs<'a>,
    pub(crate) out: TensorMut<'a>,
    pub(crate) scratch: &'a mut [f32],
}

/// Values that a step reads.
pub(crate) type Inputs<'a> = heapless::Vec<Tensor<'a>, { tfc_formats::artifact::MAX_INPUTS }>;

/// Runs one step. `None` only for a record that the checks of `Model::new` exclude.
pub(crate) fn run(step: &Step<'_>, mut work: Work<'_>) -> Option<()> {
    work.out.clear_halo();
    let x = *work.inputs.first()?;
    let out = &mut work.out;
    match step.op {
        Op::Conv2d(spec) => return conv::run(step, spec, work),
        Op::Dense(spec) => return dense::run(step, spec, work),
        Op::MaxPool(spec) => pool::max(spec, x, out),
        Op::AvgPool(spec) => pool::average(spec, x, out),
        Op::GlobalAvgPool => pool::global_average(x, out),
        Op::BatchNorm { .. } => norm::batch_norm(step, work.artifact, x, out)?,
        Op::Lrn { size, alpha, beta, bias } => norm::Lrn { size, alpha, beta, bias }.run(x, out),
        Op::Activation(op) => activation::run(op, x, out),
        Op::Maxout { pieces } => maxout::run(pieces.into(), x, out),
        Op::Add => add::run(&work.inputs, out),
        Op::Concat => concat::run(&work.inputs, out)?,
        Op::Flatten => flatten::run(x, out),
        Op::Softmax => softmax::run(x, out),
        Op::Dropout { .. } => out.zip_rows(&x, copy),
    }
    out.for_rows(|row| activation::apply(step.activation, row));
    Some(())
}

/// Copies the row of a value.
pub(crate) fn copy(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

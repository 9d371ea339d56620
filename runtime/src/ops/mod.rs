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

use crate::kernels::{Kernels, Requantizer};
use crate::tensor::{Layout, Tensor, TensorMut};

/// Everything that a step reads and writes.
pub(crate) struct Work<'a, T = f32> {
    pub(crate) artifact: &'a Artifact<'a>,
    pub(crate) kernels: Kernels,
    pub(crate) inputs: Inputs<'a, T>,
    /// Where the step's only input lies in `out.data`, if the step writes over it; `inputs` is empty then.
    pub(crate) in_place: Option<Layout>,
    /// What the step adds to its output, if that lies apart from the output.
    pub(crate) residual: Option<Tensor<'a, T>>,
    pub(crate) out: TensorMut<'a, T>,
    /// What stands for 0 in the output.
    pub(crate) zero: T,
    pub(crate) scratch: &'a mut [f32],
}

/// Values that a step reads.
pub(crate) type Inputs<'a, T = f32> = heapless::Vec<Tensor<'a, T>, { tfc_formats::artifact::MAX_INPUTS }>;

/// Runs one step. `None` only for a record that the checks of `Model::new` exclude.
pub(crate) fn run(step: &Step<'_>, mut work: Work<'_>) -> Option<()> {
    work.out.clear_halo(work.zero);
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

/// As [`run`], on i8.
pub(crate) fn run_i8(step: &Step<'_>, mut work: Work<'_, i8>) -> Option<()> {
    if let (Op::MaxPool(spec), Some(from)) = (step.op, work.in_place) {
        return pool::max_in_place(spec, from, &mut work.out);
    }
    work.out.clear_halo(work.zero);
    let x = *work.inputs.first()?;
    let out = &mut work.out;
    match step.op {
        Op::Conv2d(spec) => conv::run_i8(step, spec, work)?,
        Op::Dense(_) => dense::run_i8(step, work)?,
        Op::MaxPool(spec) => pool::max(spec, x, out),
        Op::AvgPool(spec) => {
            pool::average_i8(spec, x, step.inputs.first()?, &Requantizer::of(step, work.artifact)?, out)?;
        }
        Op::GlobalAvgPool => {
            pool::global_average_i8(x, step.inputs.first()?, &Requantizer::of(step, work.artifact)?, out)?;
        }
        Op::Activation(_) => activation::run_i8(work.artifact.i8s(*step.params.first()?)?, x, out),
        Op::Add => add::run_i8(step, work.artifact, &work.inputs, out)?,
        Op::Concat => concat::run(&work.inputs, out)?,
        Op::Flatten => flatten::run(x, out),
        Op::Softmax => softmax::run_i8(work.artifact.u32s(*step.params.first()?)?, x, out),
        Op::Dropout { .. } => out.zip_rows(&x, copy),
        Op::BatchNorm { .. } | Op::Lrn { .. } | Op::Maxout { .. } => return None,
    }
    Some(())
}

/// Copies the row of a value.
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

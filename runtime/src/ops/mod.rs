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

use tfc_formats::artifact::{Artifact, Needs, Step};
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

/// Runs one step. `None` only for a record that the checks of `Model::new` exclude. What is not
/// among `NEEDS` is not compiled.
pub(crate) fn run<const NEEDS: u32>(step: &Step<'_>, mut work: Work<'_>) -> Option<()> {
    let needs = |need| Needs::from_bits(NEEDS).contains(need);
    work.out.clear_halo(work.zero);
    let x = *work.inputs.first()?;
    let out = &mut work.out;
    match step.op {
        Op::Conv2d(spec) if needs(Needs::CONV) => return conv::run::<NEEDS>(step, spec, work),
        Op::Dense(spec) if needs(Needs::DENSE) => return dense::run::<NEEDS>(step, spec, work),
        Op::MaxPool(spec) if needs(Needs::MAX_POOL) => pool::max(spec, x, out),
        Op::AvgPool(spec) if needs(Needs::AVG_POOL) => pool::average(spec, x, out),
        Op::GlobalAvgPool if needs(Needs::GLOBAL_AVG_POOL) => pool::global_average(x, out),
        Op::BatchNorm { .. } if needs(Needs::BATCH_NORM) => norm::batch_norm(step, work.artifact, x, out)?,
        Op::Lrn { size, alpha, beta, bias } if needs(Needs::LRN) => {
            norm::Lrn { size, alpha, beta, bias }.run(x, out)
        }
        Op::Activation(op) if needs(Needs::ACTIVATION) => activation::run::<NEEDS>(op, x, out),
        Op::Maxout { pieces } if needs(Needs::MAXOUT) => maxout::run(pieces.into(), x, out),
        Op::Add if needs(Needs::ADD) => add::run(&work.inputs, out),
        Op::Concat if needs(Needs::CONCAT) => concat::run(&work.inputs, out)?,
        Op::Flatten if needs(Needs::FLATTEN) => flatten::run(x, out),
        Op::Softmax if needs(Needs::SOFTMAX) => softmax::run(x, out),
        Op::Dropout { .. } if needs(Needs::DROPOUT) => out.zip_rows(&x, copy),
        _ => return None,
    }
    out.for_rows(|row| activation::apply::<NEEDS>(step.activation, row));
    Some(())
}

/// As [`run`], on i8.
pub(crate) fn run_i8<const NEEDS: u32>(step: &Step<'_>, mut work: Work<'_, i8>) -> Option<()> {
    let needs = |need| Needs::from_bits(NEEDS).contains(need);
    if let (Op::MaxPool(spec), Some(from), true) = (step.op, work.in_place, needs(Needs::MAX_POOL)) {
        return pool::max_in_place(spec, from, &mut work.out);
    }
    work.out.clear_halo(work.zero);
    let x = *work.inputs.first()?;
    let out = &mut work.out;
    match step.op {
        Op::Conv2d(spec) if needs(Needs::CONV) => conv::run_i8::<NEEDS>(step, spec, work)?,
        Op::Dense(_) if needs(Needs::DENSE) => dense::run_i8::<NEEDS>(step, work)?,
        Op::MaxPool(spec) if needs(Needs::MAX_POOL) => pool::max(spec, x, out),
        Op::AvgPool(spec) if needs(Needs::AVG_POOL) => {
            pool::average_i8(spec, x, step.inputs.first()?, &Requantizer::of(step, work.artifact)?, out)?;
        }
        Op::GlobalAvgPool if needs(Needs::GLOBAL_AVG_POOL) => {
            pool::global_average_i8(x, step.inputs.first()?, &Requantizer::of(step, work.artifact)?, out)?;
        }
        Op::Activation(_) if needs(Needs::ACTIVATION) => {
            activation::run_i8(work.artifact.i8s(*step.params.first()?)?, x, out)
        }
        Op::Add if needs(Needs::ADD) => add::run_i8(step, work.artifact, &work.inputs, out)?,
        Op::Concat if needs(Needs::CONCAT) => concat::run(&work.inputs, out)?,
        Op::Flatten if needs(Needs::FLATTEN) => flatten::run(x, out),
        Op::Softmax if needs(Needs::SOFTMAX) => {
            softmax::run_i8(work.artifact.u32s(*step.params.first()?)?, x, out)
        }
        Op::Dropout { .. } if needs(Needs::DROPOUT) => out.zip_rows(&x, copy),
        _ => return None,
    }
    Some(())
}

/// Copies the row of a value.
pub(crate) fn copy<T: Copy>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

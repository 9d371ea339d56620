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

/// Runs one step. `None` only for a record that the checks of `Model::new` exclude. What is not
/// among `NEEDS` is not compiled.
pub(crate) fn run<const NEEDS: u32>(step: &Step<'_>, mut work: Work<'_>) -> Option<()> {
    let needs = |need| Needs::from_bits(NEEDS).contains(need);
    work.out.clear_halo();
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

/// Copies the row of a value.
pub(crate) fn copy(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}

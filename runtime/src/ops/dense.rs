use tfc_formats::artifact::Step;
use tfc_formats::op;

use super::Work;
use crate::kernels::{Dense, DenseI8, Weights, WeightsI8};

pub(super) fn run<const NEEDS: u32>(step: &Step<'_>, spec: op::Dense, work: Work<'_>) -> Option<()> {
    let Work { artifact, kernels, inputs, out, .. } = work;
    kernels.dense::<NEEDS>(Dense {
        transposed: spec.transposed,
        x: *inputs.first()?,
        weights: Weights::of(artifact, step)?,
        activation: step.activation,
        out,
    })
}

pub(super) fn run_i8<const NEEDS: u32>(step: &Step<'_>, work: Work<'_, i8>) -> Option<()> {
    let Work { artifact, kernels, inputs, residual, out, .. } = work;
    kernels.dense_i8::<NEEDS>(DenseI8 {
        x: *inputs.first()?,
        weights: WeightsI8::of(artifact, step, residual)?,
        out,
    })
}

use tfc_formats::artifact::Step;
use tfc_formats::op;

use super::Work;
use crate::kernels::{Dense, Weights};

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

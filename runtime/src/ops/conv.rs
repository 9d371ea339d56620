use tfc_formats::artifact::Step;
use tfc_formats::op::Conv2d;

use super::Work;
use crate::kernels::{Conv, Weights};

pub(super) fn run<const NEEDS: u32>(step: &Step<'_>, spec: Conv2d, work: Work<'_>) -> Option<()> {
    let Work { artifact, kernels, inputs, out, scratch } = work;
    let job = Conv {
        spec,
        x: *inputs.first()?,
        weights: Weights::of(artifact, step)?,
        activation: step.activation,
        out,
        scratch,
    };
    kernels.conv::<NEEDS>(job)
}

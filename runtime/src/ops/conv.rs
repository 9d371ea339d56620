use tfc_formats::artifact::Step;
use tfc_formats::op::Conv2d;

use super::Work;
use crate::kernels::{Conv, ConvI8, Weights, WeightsI8};

pub(super) fn run<const NEEDS: u32>(step: &Step<'_>, spec: Conv2d, work: Work<'_>) -> Option<()> {
    let Work { artifact, kernels, inputs, out, scratch, .. } = work;
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

pub(super) fn run_i8<const NEEDS: u32>(step: &Step<'_>, spec: Conv2d, work: Work<'_, i8>) -> Option<()> {
    let Work { artifact, kernels, inputs, residual, out, scratch, .. } = work;
    let job = ConvI8 {
        spec,
        x: *inputs.first()?,
        weights: WeightsI8::of(artifact, step, residual)?,
        out,
        scratch: bytemuck::try_cast_slice_mut(scratch).ok()?,
    };
    kernels.conv_i8::<NEEDS>(job)
}

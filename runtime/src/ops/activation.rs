use tfc_formats::artifact::Needs;
use tfc_formats::op::Activation;

use crate::model::EVERYTHING;
use crate::tensor::{Tensor, TensorMut};

pub(super) fn run<const NEEDS: u32>(op: Activation, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    out.zip_rows(&x, |to, from| {
        super::copy(to, from);
        apply::<NEEDS>(Some(op), to);
    });
}

/// Any activation on i8: `table` has an entry for each byte, from -128 on.
pub(super) fn run_i8(table: &[i8], x: Tensor<'_, i8>, out: &mut TensorMut<'_, i8>) {
    let of = |q: &i8| table.get((i16::from(*q) + 128) as usize).copied().unwrap_or_default();
    out.zip_rows(&x, |to, from| to.iter_mut().zip(from).for_each(|(to, from)| *to = of(from)));
}

/// Applies an activation to each element, exactly as a step does. NaN stays NaN.
pub fn activate(op: Activation, values: &mut [f32]) {
    apply::<EVERYTHING>(Some(op), values);
}

/// Applies the activation that is fused into a step to each element. NaN stays NaN.
#[inline(always)]
pub(crate) fn apply<const NEEDS: u32>(op: Option<Activation>, row: &mut [f32]) {
    let curved = Needs::from_bits(NEEDS).contains(Needs::CURVED);
    match op {
        None => {}
        Some(Activation::Relu) => map(row, |x| if x < 0.0 { 0.0 } else { x }),
        Some(Activation::Relu6) => map(row, |x| x.clamp(0.0, 6.0)),
        Some(Activation::LeakyRelu { alpha }) => map(row, |x| if x > 0.0 { x } else { alpha * x }),
        Some(Activation::Sigmoid) if curved => map(row, |x| 1.0 / (1.0 + libm::expf(-x))),
        Some(Activation::Tanh) if curved => map(row, libm::tanhf),
        Some(Activation::HardSigmoid { alpha }) => map(row, |x| (alpha * x + 0.5).clamp(0.0, 1.0)),
        Some(Activation::HardSwish) => map(row, |x| x * ((x + 3.0).clamp(0.0, 6.0) / 6.0)),
        // Not in this model.
        Some(Activation::Sigmoid | Activation::Tanh) => {}
    }
}

#[inline(always)]
fn map(row: &mut [f32], f: impl Fn(f32) -> f32) {
    row.iter_mut().for_each(|x| *x = f(*x));
}

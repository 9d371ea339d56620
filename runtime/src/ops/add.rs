use tfc_formats::artifact::{Artifact, Step};

use crate::kernels::Requantizer;
use crate::tensor::{Tensor, TensorMut};

pub(super) fn run(inputs: &[Tensor<'_>], out: &mut TensorMut<'_>) {
    let mut inputs = inputs.iter();
    if let Some(first) = inputs.next() {
        out.zip_rows(first, super::copy);
    }
    for x in inputs {
        out.zip_rows(x, |to, from| to.iter_mut().zip(from).for_each(|(to, from)| *to += from));
    }
}

/// Each input has a multiplier of its own.
pub(super) fn run_i8(
    step: &Step<'_>,
    artifact: &Artifact<'_>,
    inputs: &[Tensor<'_, i8>],
    out: &mut TensorMut<'_, i8>,
) -> Option<()> {
    let requantizer = Requantizer::of(step, artifact)?;
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            for (i, to) in out.row(c, y).iter_mut().enumerate() {
                let mut sum = 0i32;
                for (x, multiplier) in inputs.iter().zip(requantizer.multipliers) {
                    sum = sum.wrapping_add(i32::from(*x.row(c, y).get(i)?).wrapping_mul(*multiplier));
                }
                *to = requantizer.store(sum);
            }
        }
    }
    Some(())
}

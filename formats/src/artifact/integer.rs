//! What is checked of steps on i8, beside what is checked of all steps.

use super::check::{check_array, check_value, overlap};
use super::{Array, Artifact, Dtype, Element, Header, Requantization, Step, StepError};
use crate::op::Op;

/// Entries of tables that are indexed with an i8.
const TABLE: u32 = 256;

/// Whether the constants for raw samples are as the input's element needs them.
pub(super) fn quantizes(header: &Header<'_>) -> bool {
    let count = header.quantize.len() as u32;
    match header.input.element {
        Element::F32 => count == 0,
        Element::I8 { .. } => {
            (count == 1 || count == header.input.shape.c) && header.quantize.iter().all(|a| a.shift < 32)
        }
    }
}

/// Whether a step is a pooling that writes over its input: on i8, in order, without padding in front
/// or halo. No window reads what was written before it, since none begins before its output.
pub(super) fn pools_in_place(step: &Step<'_>) -> bool {
    let (Op::MaxPool(pool), [input]) = (step.op, step.inputs.as_slice()) else { return false };
    let (pad, output) = (pool.pad, &step.output);
    let is_packed = input.halo.is_zero() && output.halo.is_zero();
    output.element.is_i8() && input.offset == output.offset && is_packed && (pad.top, pad.left) == (0, 0)
}

/// Checks elements, constants and residual of a step on i8.
pub(super) fn check(artifact: &Artifact<'_>, step: &Step<'_>, budget: &mut u64) -> Result<(), StepError> {
    let sums = match step.op {
        Op::Dense(dense) if dense.transposed => return Err(StepError::NotInteger),
        Op::BatchNorm { .. } | Op::Lrn { .. } | Op::Maxout { .. } => return Err(StepError::NotInteger),
        Op::Conv2d(_) | Op::Dense(_) | Op::Add | Op::AvgPool(_) | Op::GlobalAvgPool => true,
        Op::MaxPool(_) | Op::Concat | Op::Flatten | Op::Dropout { .. } => {
            if step.inputs.iter().any(|input| input.element != step.output.element) {
                return Err(StepError::Element);
            }
            false
        }
        Op::Activation(_) | Op::Softmax => false,
    };
    if step.activation.is_some() {
        return Err(StepError::Requantization);
    }
    match &step.requantization {
        Some(requantization) if sums => check_requantization(artifact, step, requantization)?,
        None if !sums => {}
        _ => return Err(StepError::Requantization),
    }
    check_params(artifact, step, budget)
}

fn check_requantization(
    artifact: &Artifact<'_>,
    step: &Step<'_>,
    requantization: &Requantization,
) -> Result<(), StepError> {
    if requantization.left > 31 || requantization.right > 31 || requantization.lo > requantization.hi {
        return Err(StepError::Requantization);
    }
    let Some(residual) = &requantization.residual else { return Ok(()) };
    let (value, output) = (&residual.value, &step.output);
    if !matches!(step.op, Op::Conv2d(_) | Op::Dense(_)) {
        return Err(StepError::Requantization);
    }
    check_value(artifact.header(), value).map_err(StepError::Input)?;
    if value.shape != output.shape || !value.element.is_i8() {
        return Err(StepError::Element);
    }
    let in_place = (value.offset, value.halo) == (output.offset, output.halo);
    if overlap(value, output) && !in_place { Err(StepError::Overlap) } else { Ok(()) }
}

fn check_params(artifact: &Artifact<'_>, step: &Step<'_>, budget: &mut u64) -> Result<(), StepError> {
    let channels = step.output.shape.c;
    match (step.op, step.params.as_slice()) {
        (Op::Conv2d(_) | Op::Dense(_), [bias, multipliers]) => {
            check_array(artifact, *bias, &[Dtype::I32], channels)?;
            check_multipliers(artifact, *multipliers, channels, budget)
        }
        (Op::Add, [multipliers]) => {
            check_array(artifact, *multipliers, &[Dtype::I32], step.inputs.len() as u32)
        }
        (Op::AvgPool(pool), [multipliers]) => {
            let [rows, columns] = pool.kernel.map(u32::from);
            // Of 16 bits each, so the product fits.
            check_multipliers(artifact, *multipliers, rows * columns, budget)
        }
        (Op::GlobalAvgPool, [multipliers]) => check_multipliers(artifact, *multipliers, 1, budget),
        (Op::Activation(_), [table]) => check_array(artifact, *table, &[Dtype::I8], TABLE),
        (Op::Softmax, [table]) => check_array(artifact, *table, &[Dtype::U32], TABLE),
        (Op::MaxPool(_) | Op::Concat | Op::Flatten | Op::Dropout { .. }, []) => Ok(()),
        _ => Err(StepError::Params),
    }
}

/// Multipliers are even and not negative, so that they are halves of what doubling instructions take.
fn check_multipliers(
    artifact: &Artifact<'_>,
    array: Array,
    expected: u32,
    budget: &mut u64,
) -> Result<(), StepError> {
    check_array(artifact, array, &[Dtype::I32], expected)?;
    *budget = budget.checked_sub(array.len.into()).ok_or(StepError::Sharing)?;
    let multipliers = artifact.i32s(array).ok_or(StepError::Array)?;
    if multipliers.iter().any(|m| *m < 0 || m % 2 != 0) { Err(StepError::Multiplier) } else { Ok(()) }
}

//! Everything that is checked once, when a file is opened, and never again.

use super::csr::RowLens;
use super::layout::ALIGNMENT;
use super::{
    Array, Artifact, ArtifactError, BLOCKS, ColumnIndex, Dtype, Element, Header, MAX_INPUTS, Matrix, Needs,
    Step, StepError, Storage, Value, ValueError, integer, output_scratch_len, scratch_len,
};
use crate::op::{Op, Padding, Shape};

/// Rows and entries of sparse matrices that are checked, over all steps, per byte of the file.
/// Steps may share a matrix, so without a limit a file could make its own check take time
/// quadratic in its length.
const SHARING: u64 = 64;

/// Checks the manifest, step by step.
pub(super) fn check(artifact: &Artifact<'_>, file_len: u32) -> Result<(), ArtifactError> {
    let header = artifact.header();
    if !header.preprocess.is_valid(header.input.shape.c) {
        return Err(ArtifactError::Preprocess);
    }
    if !integer::quantizes(header) {
        return Err(ArtifactError::Quantize);
    }
    if header.scratch_len > header.arena_len {
        return Err(ArtifactError::Arena);
    }
    check_value(header, &header.input).map_err(ArtifactError::Input)?;
    check_value(header, &header.output).map_err(ArtifactError::Output)?;
    if !header.output.halo.is_zero() {
        return Err(ArtifactError::OutputHalo);
    }
    if output_scratch_len(&header.output).is_none_or(|needed| needed > header.scratch_len) {
        return Err(ArtifactError::OutputScratch);
    }

    let mut needs = Needs::NONE;
    let mut budget = u64::from(file_len) * SHARING;
    let mut steps = artifact.steps();
    for step in 0..header.steps {
        let failed = |error| ArtifactError::Step { step, error };
        // The count is the header's, so there is a record, or the bytes of one are missing.
        let record = steps.decode().ok().flatten().ok_or(failed(StepError::Decode))?;
        check_step(artifact, &record, &mut budget).map_err(failed)?;
        needs = needs.and(Needs::of_step(&record));
    }
    if steps.has_rest() {
        return Err(ArtifactError::ManifestEnd);
    }
    if needs != artifact.needs() {
        return Err(ArtifactError::Needs { stated: artifact.needs().bits(), found: needs.bits() });
    }
    Ok(())
}

pub(super) fn check_value(header: &Header<'_>, value: &Value) -> Result<(), ValueError> {
    if let Element::I8 { scale, .. } = value.element
        && !(scale.is_finite() && scale > 0.0)
    {
        return Err(ValueError::Scale);
    }
    if !value.offset.is_multiple_of(ALIGNMENT) {
        return Err(ValueError::Alignment);
    }
    let bytes = value.bytes().filter(|n| *n != 0).ok_or(ValueError::Extent)?;
    let end = value.offset.checked_add(bytes).ok_or(ValueError::Bounds)?;
    if value.offset < header.scratch_len || end > header.arena_len {
        return Err(ValueError::Bounds);
    }
    Ok(())
}

fn check_step(artifact: &Artifact<'_>, step: &Step<'_>, budget: &mut u64) -> Result<(), StepError> {
    let header = artifact.header();
    let mut shapes = heapless::Vec::<Shape, MAX_INPUTS>::new();
    for input in &step.inputs {
        check_value(header, input).map_err(StepError::Input)?;
        // As many as inputs, which have the same capacity.
        shapes.push(input.shape).map_err(|_| StepError::Decode)?;
    }
    check_value(header, &step.output).map_err(StepError::Output)?;
    let expected = step.op.output_shape(&shapes).map_err(StepError::Shape)?;
    if step.output.shape != expected {
        return Err(StepError::OutputShape { expected });
    }
    for input in &step.inputs {
        if input.element.is_i8() != step.output.element.is_i8() {
            return Err(StepError::Element);
        }
        if overlap(input, &step.output) && !integer::pools_in_place(step) {
            return Err(StepError::Overlap);
        }
        check_halo(&step.op, input.halo)?;
    }

    let input = *shapes.first().ok_or(StepError::Decode)?;
    let (longest_row, block) = match (step.op.weight_shape(input), &step.matrix) {
        (Some(shape), Some(matrix)) => check_matrix(artifact, matrix, shape, step.output.element, budget)?,
        (None, None) => (0, 1),
        _ => return Err(StepError::Matrix),
    };
    let scratch = scratch_len(&step.op, step.output.element, longest_row, block).ok_or(StepError::Scratch)?;
    if scratch > header.scratch_len {
        return Err(StepError::Scratch);
    }
    if step.output.element.is_i8() {
        return integer::check(artifact, step, budget);
    }
    check_params(artifact, step)
}

pub(super) fn overlap(a: &Value, b: &Value) -> bool {
    let end = |v: &Value| v.bytes().and_then(|n| v.offset.checked_add(n)).unwrap_or(u32::MAX);
    a.offset < end(b) && b.offset < end(a)
}

fn check_halo(op: &Op, halo: Padding) -> Result<(), StepError> {
    let fits = match op {
        Op::Conv2d(conv) => halo == halo.max(conv.pad),
        Op::Dense(_) => halo.is_zero(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(StepError::Halo) }
}

fn check_params(artifact: &Artifact<'_>, step: &Step<'_>) -> Result<(), StepError> {
    if step.requantization.is_some() {
        return Err(StepError::Requantization);
    }
    let counts = match step.op {
        Op::Conv2d(_) | Op::Dense(_) => 0..=1,
        Op::BatchNorm { .. } => 2..=2,
        _ => 0..=0,
    };
    if !counts.contains(&step.params.len()) {
        return Err(StepError::Params);
    }
    for param in &step.params {
        check_array(artifact, *param, &[Dtype::F32, Dtype::F16], step.output.shape.c)?;
    }
    Ok(())
}

pub(super) fn check_array(
    artifact: &Artifact<'_>,
    array: Array,
    dtypes: &[Dtype],
    expected: u32,
) -> Result<(), StepError> {
    if !dtypes.contains(&array.dtype) {
        return Err(StepError::ArrayDtype);
    }
    if array.len != expected {
        return Err(StepError::ArrayLen { expected, found: array.len });
    }
    artifact.bytes(array).map(|_| ()).ok_or(StepError::Array)
}

/// Number of entries of the longest block, and its rows.
fn check_matrix(
    artifact: &Artifact<'_>,
    matrix: &Matrix,
    shape: (u32, u32),
    element: Element,
    budget: &mut u64,
) -> Result<(u32, u8), StepError> {
    let (rows, cols) = shape;
    if (matrix.rows, matrix.cols) != shape {
        return Err(StepError::MatrixShape { rows, cols });
    }
    let dtypes: &[Dtype] = if element.is_i8() { &[Dtype::I8] } else { &[Dtype::F32, Dtype::F16] };
    match matrix.storage {
        Storage::Dense { values } => {
            let elements = rows.checked_mul(cols).ok_or(StepError::MatrixShape { rows, cols })?;
            check_array(artifact, values, dtypes, elements)?;
            Ok((cols, 1))
        }
        Storage::Csr { block, row_len, index, values } => {
            if !BLOCKS.contains(&block) {
                return Err(StepError::Block { found: block });
            }
            let (array, widths): (_, &[_]) = match index {
                ColumnIndex::Delta(array) => (array, &[Dtype::U8]),
                ColumnIndex::Absolute(array) => (array, &[Dtype::U16, Dtype::U32]),
            };
            let blocks = rows.div_ceil(block.into());
            check_array(artifact, row_len, &[Dtype::U8, Dtype::U16, Dtype::U32], blocks)?;
            check_array(artifact, array, widths, array.len)?;
            let stored = array.len.checked_mul(block.into()).ok_or(StepError::Array)?;
            check_array(artifact, values, dtypes, stored)?;
            let cost = u64::from(rows) + u64::from(values.len);
            *budget = budget.checked_sub(cost).ok_or(StepError::Sharing)?;
            let lens = artifact.row_lens(row_len).ok_or(StepError::Array)?;
            let longest = check_row_lens(lens, blocks, array.len)?;
            check_columns(artifact, matrix, block)?;
            Ok((longest, block))
        }
    }
}

fn check_row_lens(lens: RowLens<'_>, blocks: u32, entries: u32) -> Result<u32, StepError> {
    let (mut longest, mut sum) = (0, 0u64);
    for block in 0..blocks {
        let len = lens.get(block).ok_or(StepError::RowLen)?;
        longest = longest.max(len);
        sum += u64::from(len);
    }
    if sum == u64::from(entries) { Ok(longest) } else { Err(StepError::RowLen) }
}

fn check_columns(artifact: &Artifact<'_>, matrix: &Matrix, block: u8) -> Result<(), StepError> {
    // Rows of a block have the columns of its first.
    let rows = (0..).zip(artifact.rows(matrix).ok_or(StepError::Array)?);
    for (row, entries) in rows.step_by(block.into()) {
        let mut smallest = 0;
        for (column, _) in entries {
            if column < smallest || column >= matrix.cols {
                return Err(StepError::Column { row });
            }
            smallest = column + 1;
        }
    }
    Ok(())
}

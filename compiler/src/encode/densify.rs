//! The dense twin of an artifact: the same steps with every zero stored, to compare with.

use tfc_formats::artifact::{
    Array, Artifact, Dtype, Header, MAX_PARAMS, Matrix, Requantization, Residual, Step, Storage, Value,
    WriteError, Writer, scratch_len,
};

/// In place of a zero, so that nothing skips it: far below what rounding leaves of any sum, and no
/// subnormal, which would take longer.
const NEARLY_ZERO: f32 = 1e-30;

/// Writes the artifact again with all matrices dense and all weights f32, or i8 where they are, none of
/// them zero. Values move up in the arena where dense rows need more scratch.
pub fn densify(artifact: &Artifact<'_>) -> Result<Vec<u8>, WriteError> {
    let header = artifact.header();
    let longest = |step: &Step<'_>| {
        let cols = step.matrix.map_or(0, |matrix| matrix.cols);
        scratch_len(&step.op, step.output.element, cols, 1).unwrap_or(u32::MAX)
    };
    let scratch_len = artifact.steps().map(|step| longest(&step)).max().unwrap_or(0).max(header.scratch_len);
    let more = scratch_len.saturating_sub(header.scratch_len);
    let moved = |value: Value| Value { offset: value.offset.saturating_add(more), ..value };

    let mut writer = Writer::new();
    for step in artifact.steps() {
        let matrix = step.matrix.map(|matrix| dense(artifact, &matrix, &mut writer));
        let params = step.params.iter().map(|array| params(artifact, *array, &mut writer));
        let params: heapless::Vec<Array, MAX_PARAMS> = params.collect();
        let inputs = step.inputs.iter().map(|value| moved(*value)).collect();
        let requantization = step.requantization.map(|constants| {
            let residual = constants.residual.map(|r| Residual { value: moved(r.value), ..r });
            Requantization { residual, ..constants }
        });
        writer.step(&Step { inputs, output: moved(step.output), matrix, params, requantization, ..step });
    }
    writer.finish(Header {
        input: moved(header.input),
        output: moved(header.output),
        arena_len: header.arena_len.saturating_add(more),
        scratch_len: header.scratch_len + more,
        ..header.clone()
    })
}

fn dense(artifact: &Artifact<'_>, matrix: &Matrix, writer: &mut Writer) -> Matrix {
    let (Storage::Dense { values: stored } | Storage::Csr { values: stored, .. }) = matrix.storage;
    let values = dense_values(artifact, matrix).into_iter();
    let values = match stored.dtype {
        Dtype::I8 => writer.i8s(&values.map(|v| if v == 0.0 { 1 } else { v as i8 }).collect::<Vec<_>>()),
        _ => writer.f32s(&values.map(|v| if v == 0.0 { NEARLY_ZERO } else { v }).collect::<Vec<_>>()),
    };
    Matrix { storage: Storage::Dense { values }, ..*matrix }
}

/// The elements of a matrix, zeros included, row by row.
pub(crate) fn dense_values(artifact: &Artifact<'_>, matrix: &Matrix) -> Vec<f32> {
    let cols = matrix.cols as usize;
    let mut values = vec![0.0; matrix.rows as usize * cols];
    let rows = artifact.rows(matrix).into_iter().flatten();
    for (row, to) in rows.zip(values.chunks_exact_mut(cols.max(1))) {
        row.for_each(|(column, value)| to[column as usize] = value);
    }
    values
}

/// Floats as f32, all else as it is.
fn params(artifact: &Artifact<'_>, array: Array, writer: &mut Writer) -> Array {
    match array.dtype {
        Dtype::I8 => return writer.i8s(artifact.i8s(array).unwrap_or_default()),
        Dtype::I32 => return writer.i32s(artifact.i32s(array).unwrap_or_default()),
        Dtype::U32 => return writer.u32s(artifact.u32s(array).unwrap_or_default()),
        _ => {}
    }
    let values = artifact.values(array);
    let wide: Vec<f32> = (0..array.len as usize).filter_map(|at| values.as_ref()?.get(at)).collect();
    writer.f32s(&wide)
}

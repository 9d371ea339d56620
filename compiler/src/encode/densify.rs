//! The dense f32 twin of an artifact: the same steps with every zero stored, to compare with.

use tfc_formats::artifact::{
    Array, Artifact, Header, MAX_PARAMS, Matrix, Step, Storage, Value, WriteError, Writer, scratch_len,
};

/// Writes the artifact again with all matrices dense and all weights f32. Values move up in the
/// arena where dense rows need more scratch.
pub fn densify(artifact: &Artifact<'_>) -> Result<Vec<u8>, WriteError> {
    let header = artifact.header();
    let longest = |step: &Step<'_>| {
        let cols = step.matrix.map_or(0, |matrix| matrix.cols);
        scratch_len(&step.op, cols, 1).unwrap_or(u32::MAX)
    };
    let scratch_len = artifact.steps().map(|step| longest(&step)).max().unwrap_or(0);
    let more = scratch_len.saturating_sub(header.scratch_len);
    let moved = |value: Value| Value { offset: value.offset.saturating_add(more), ..value };

    let mut writer = Writer::new();
    for step in artifact.steps() {
        let matrix = step.matrix.map(|matrix| dense(artifact, &matrix, &mut writer));
        let params = step.params.iter().map(|array| widen(artifact, *array, &mut writer));
        let params: heapless::Vec<Array, MAX_PARAMS> = params.collect();
        let inputs = step.inputs.iter().map(|value| moved(*value)).collect();
        writer.step(&Step { inputs, output: moved(step.output), matrix, params, ..step });
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
    let cols = matrix.cols as usize;
    let mut values = vec![0.0; matrix.rows as usize * cols];
    let rows = artifact.rows(matrix).into_iter().flatten();
    for (row, to) in rows.zip(values.chunks_exact_mut(cols.max(1))) {
        row.for_each(|(column, value)| to[column as usize] = value);
    }
    Matrix { storage: Storage::Dense { values: writer.f32s(&values) }, ..*matrix }
}

fn widen(artifact: &Artifact<'_>, array: Array, writer: &mut Writer) -> Array {
    let values = artifact.values(array);
    let wide: Vec<f32> = (0..array.len as usize).filter_map(|at| values.as_ref()?.get(at)).collect();
    writer.f32s(&wide)
}

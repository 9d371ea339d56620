//! Sums, in stages short enough for any device and always in the same order.

use super::{kernel::Kernel, memory::Buffer, recorder::Recorder, window::assert_holds};

/// Elements that one workgroup sums up; the shaders state it as well.
pub(super) const CHUNK: usize = 2048;

/// `sums[r] = beta sums[r] + sum x[r, :]`.
pub(super) fn row_sums(recorder: &Recorder, [rows, cols]: [usize; 2], x: &Buffer, beta: f32, sums: &Buffer) {
    assert_holds(x, rows * cols);
    assert_holds(sums, rows);
    sum_stages(recorder, [rows, cols], x, beta, sums, 0);
}

/// `result[at] = sum (x - y)^2`.
pub(super) fn squared_distance(recorder: &Recorder, x: &Buffer, y: &Buffer, result: &Buffer, at: usize) {
    assert_eq!(x.len(), y.len(), "buffers of an element-wise operation differ in length");
    assert_holds(result, at + 1);
    let chunks = x.len().div_ceil(CHUNK).max(1);
    let stage = |sums: &Buffer, at: usize| {
        let params = [chunks.into(), x.len().into(), at.into()];
        recorder.run_groups(Kernel::SquaredDistance, &[x, y, sums], [chunks, 1], &params);
    };
    if chunks == 1 {
        return stage(result, at);
    }
    let partial = recorder.scratch(chunks);
    stage(&partial, 0);
    sum_stages(recorder, [1, chunks], &partial, 0.0, result, at);
}

/// Row sums to `sums[at..]`, over as many stages as the length of the rows takes.
pub(super) fn sum_stages(
    recorder: &Recorder,
    [rows, cols]: [usize; 2],
    x: &Buffer,
    beta: f32,
    sums: &Buffer,
    at: usize,
) {
    let chunks = cols.div_ceil(CHUNK).max(1);
    let stage = |sums: &Buffer, at: usize, beta: f32| {
        let params = [(rows * chunks).into(), cols.into(), chunks.into(), at.into(), beta.into()];
        recorder.run_groups(Kernel::RowSums, &[x, sums], [rows * chunks, 1], &params);
    };
    if chunks == 1 {
        return stage(sums, at, beta);
    }
    let partial = recorder.scratch(rows * chunks);
    stage(&partial, 0, 0.0);
    sum_stages(recorder, [rows, chunks], &partial, beta, sums, at);
}

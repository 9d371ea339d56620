//! Batch normalization; its reductions in stages, as those of `reduce`.

use super::{
    kernel::Kernel,
    memory::Buffer,
    recorder::Recorder,
    reduce::{CHUNK, sum_stages},
    window::assert_holds,
};
use crate::device::Norm;

pub(super) fn moments(
    recorder: &Recorder,
    [rows, cols]: [usize; 2],
    x: &Buffer,
    mean: &Buffer,
    var: &Buffer,
) {
    assert!(cols > 0, "moments of no values");
    assert_holds(x, rows * cols);
    assert_holds(mean, rows);
    assert_holds(var, rows);
    let groups = rows * cols.div_ceil(CHUNK);
    let (means, squares) = (recorder.scratch(groups), recorder.scratch(groups));
    let chunks = cols.div_ceil(CHUNK).into();
    let params = [groups.into(), cols.into(), chunks];
    recorder.run_groups(Kernel::Moments, &[x, &means, &squares], [groups, 1], &params);
    let params = [rows.into(), cols.into(), chunks];
    recorder.run_groups(Kernel::MergeMoments, &[x, &means, &squares, mean, var], [rows, 1], &params);
}

impl Norm<'_, Buffer> {
    fn assert_holds(&self, rows: usize) {
        for buffer in [self.gamma, self.beta, self.mean, self.var] {
            assert_holds(buffer, rows);
        }
    }
}

pub(super) fn forward(
    recorder: &Recorder,
    [rows, cols]: [usize; 2],
    norm: Norm<'_, Buffer>,
    x: &Buffer,
    y: &Buffer,
) {
    let len = rows * cols;
    norm.assert_holds(rows);
    assert_holds(x, len);
    assert_holds(y, len);
    let buffers = [x, norm.mean, norm.var, norm.gamma, norm.beta, y];
    recorder.run(Kernel::BatchNorm, &buffers, len, &[len.into(), cols.into(), norm.eps.into()]);
}

pub(super) fn sums(
    recorder: &Recorder,
    [rows, cols]: [usize; 2],
    norm: Norm<'_, Buffer>,
    x: &Buffer,
    dy: &Buffer,
    gamma_beta: [&mut Buffer; 2],
) {
    norm.assert_holds(rows);
    for values in [x, dy] {
        assert_holds(values, rows * cols);
    }
    let chunks = cols.div_ceil(CHUNK);
    let groups = rows * chunks;
    let stage = |gamma: &Buffer, beta: &Buffer| {
        let params = [groups.into(), cols.into(), chunks.into(), norm.eps.into()];
        let buffers = [x, norm.mean, norm.var, dy, gamma, beta];
        recorder.run_groups(Kernel::BatchNormSums, &buffers, [groups, 1], &params);
    };
    let [gamma, beta] = gamma_beta;
    assert_holds(gamma, rows);
    assert_holds(beta, rows);
    if chunks == 1 {
        return stage(gamma, beta);
    }
    let partial = [recorder.scratch(groups), recorder.scratch(groups)];
    stage(&partial[0], &partial[1]);
    sum_stages(recorder, [rows, chunks], &partial[0], 0.0, gamma, 0);
    sum_stages(recorder, [rows, chunks], &partial[1], 0.0, beta, 0);
}

pub(super) fn backward(
    recorder: &Recorder,
    [rows, cols]: [usize; 2],
    norm: Norm<'_, Buffer>,
    x: &Buffer,
    dy: &Buffer,
    sums: Option<[&Buffer; 2]>,
    dx: &Buffer,
) {
    let len = rows * cols;
    norm.assert_holds(rows);
    for values in [x, dy, dx] {
        assert_holds(values, len);
    }
    // The shader binds something for sums that it does not read.
    let [gamma, beta] = sums.unwrap_or([norm.gamma, norm.beta]);
    assert_holds(gamma, rows);
    assert_holds(beta, rows);
    let params = [len.into(), cols.into(), norm.eps.into(), sums.is_some().into()];
    let buffers = [x, norm.mean, norm.var, dy, norm.gamma, gamma, beta, dx];
    recorder.run(Kernel::BatchNormBackward, &buffers, len, &params);
}

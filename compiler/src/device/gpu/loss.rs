//! Softmax cross-entropy.

use super::{kernel::Kernel, memory::Buffer, recorder::Recorder, reduce, window::assert_holds};
use crate::device::Targets;

pub(super) fn softmax_cross_entropy(
    recorder: &Recorder,
    [classes, batch]: [usize; 2],
    logits: &Buffer,
    targets: Targets<'_, Buffer>,
    grad: &Buffer,
    stats: &Buffer,
) {
    if classes * batch == 0 {
        return;
    }
    // Without a teacher its place is taken by anything that is only read.
    let (labels, teacher, distill, temperature, weight) = match targets {
        Targets::Labels(labels) => (labels, logits, false, 1.0, 0.0),
        Targets::Distill { labels, teacher, temperature, weight } => {
            (labels, teacher, true, temperature, weight)
        }
    };
    for buffer in [logits, teacher, grad] {
        assert_holds(buffer, classes * batch);
    }
    assert_holds(labels, batch);
    assert_holds(stats, 2);
    // Loss of each sample, then whether each is wrong.
    let samples = recorder.scratch(2 * batch);
    let params = [classes.into(), batch.into(), distill.into(), temperature.into(), weight.into()];
    let buffers = [logits, labels, teacher, grad, &samples];
    recorder.run_groups(Kernel::SoftmaxCrossEntropy, &buffers, [batch, 1], &params);
    reduce::row_sums(recorder, [2, batch], &samples, 1.0, stats);
}

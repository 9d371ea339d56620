//! Local response normalization.

use super::{
    kernel::{Kernel, Word},
    memory::Buffer,
    recorder::Recorder,
    window::assert_holds,
};
use crate::device::Response;

fn run(recorder: &Recorder, kernel: Kernel, response: &Response, buffers: &[&Buffer]) {
    let &Response { channels, columns, size, before, scale, beta, bias } = response;
    let len = channels * columns;
    for buffer in buffers {
        assert_holds(buffer, len);
    }
    let params: [Word; 8] = [
        len.into(),
        columns.into(),
        channels.into(),
        size.into(),
        before.into(),
        scale.into(),
        beta.into(),
        bias.into(),
    ];
    recorder.run(kernel, buffers, len, &params);
}

pub(super) fn forward(recorder: &Recorder, response: &Response, x: &Buffer, y: &Buffer, d: &Buffer) {
    run(recorder, Kernel::Lrn, response, &[x, y, d]);
}

pub(super) fn backward(
    recorder: &Recorder,
    response: &Response,
    [x, y, d]: [&Buffer; 3],
    dy: &Buffer,
    dx: &Buffer,
) {
    run(recorder, Kernel::LrnBackward, response, &[x, y, d, dy, dx]);
}

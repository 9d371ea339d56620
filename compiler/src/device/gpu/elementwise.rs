//! Element-wise operations, biases and the change of layout between planes and vectors.

use tfc_formats::op::Activation;

use super::{
    kernel::{Kernel, Word},
    memory::Buffer,
    recorder::Recorder,
    window::assert_holds,
};

/// One shader over all elements of some equally long buffers; its first parameter is their length.
pub(super) fn run(recorder: &Recorder, kernel: Kernel, buffers: &[&Buffer], params: &[Word]) {
    let len = buffers[0].len();
    for other in buffers {
        assert_eq!(other.len(), len, "buffers of an element-wise operation differ in length");
    }
    let params: Vec<Word> = [len.into()].into_iter().chain(params.iter().copied()).collect();
    recorder.run(kernel, buffers, len, &params);
}

/// Number and slope by which the activation shaders know a function.
pub(super) fn activation(f: Activation) -> [Word; 2] {
    let (kind, alpha) = match f {
        Activation::Relu => (0u32, 0.0f32),
        Activation::Relu6 => (1, 0.0),
        Activation::LeakyRelu { alpha } => (2, alpha),
        Activation::Sigmoid => (3, 0.0),
        Activation::Tanh => (4, 0.0),
        Activation::HardSigmoid { alpha } => (5, alpha),
        Activation::HardSwish => (6, 0.0),
    };
    [kind.into(), alpha.into()]
}

pub(super) fn add_bias(recorder: &Recorder, [rows, cols]: [usize; 2], bias: &Buffer, x: &Buffer) {
    assert_holds(bias, rows);
    assert_holds(x, rows * cols);
    recorder.run(Kernel::AddBias, &[bias, x], rows * cols, &[(rows * cols).into(), cols.into()]);
}

pub(super) fn flatten(
    recorder: &Recorder,
    [c, batch, hw]: [usize; 3],
    back: bool,
    from: &Buffer,
    to: &Buffer,
) {
    let len = c * batch * hw;
    assert_holds(from, len);
    assert_holds(to, len);
    let [rows, cols] = if back { [hw, batch] } else { [batch, hw] };
    recorder.run(Kernel::Flatten, &[from, to], len, &[len.into(), rows.into(), cols.into()]);
}

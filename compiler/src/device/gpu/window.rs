//! Sliding windows: patches, pooling and depthwise convolutions.

use super::{
    kernel::{Kernel, Word},
    memory::Buffer,
    recorder::Recorder,
};
use crate::device::{Divisor, Window};

/// Which images of a batch an operation works on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Images {
    /// Images in the buffer.
    pub(super) batch: usize,
    /// First one worked on.
    pub(super) first: usize,
    /// Number worked on.
    pub(super) count: usize,
}

/// Most loop iterations of an invocation: a software rasteriser (llvmpipe) ends one after
/// 65,535 without a word. Larger windows take several passes.
const MAX_ITERATIONS: usize = 16_384;

/// Loops of a shader that has none.
const ONCE: [usize; 2] = [1, 1];

/// What an operation works on.
pub(super) struct Sliding<'a> {
    recorder: &'a Recorder,
    window: Window,
    images: Images,
    padded: bool,
    fan_out: usize,
    beta: f32,
}

impl<'a> Sliding<'a> {
    pub(super) fn new(recorder: &'a Recorder, window: &Window, images: Images) -> Self {
        let Images { batch, first, count } = images;
        assert!(first + count <= batch, "images {first} to {} of {batch}", first + count);
        Self { recorder, window: *window, images, padded: false, fan_out: 1, beta: 0.0 }
    }

    pub(super) fn pooling(recorder: &'a Recorder, window: &Window, batch: usize) -> Self {
        Self::new(recorder, window, Images { batch, first: 0, count: batch })
    }

    pub(super) fn dividing_by(self, divisor: Divisor) -> Self {
        Self { padded: divisor == Divisor::Padded, ..self }
    }

    /// Of a depthwise convolution that gives so many outputs of each channel.
    pub(super) fn with_fan_out(self, fan_out: usize) -> Self {
        Self { fan_out, ..self }
    }

    /// Elements of all images' planes.
    fn inputs(&self) -> usize {
        self.window.c * self.images.batch * self.window.h * self.window.w
    }

    /// Elements of the worked-on images' planes.
    fn worked_on(&self) -> usize {
        self.window.c * self.images.count * self.window.h * self.window.w
    }

    /// Windows of the worked-on images.
    fn outputs(&self) -> usize {
        self.window.c * self.images.count * self.window.oh * self.window.ow
    }

    fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Weights of a depthwise convolution.
    fn weights(&self) -> usize {
        self.window.c * self.fan_out * self.taps()
    }

    /// One pass, or as many as the nested loops of an invocation take.
    fn run(&self, kernel: Kernel, buffers: &[&Buffer], items: usize, loops: [usize; 2]) {
        self.run_groups(kernel, buffers, items.div_ceil(256), loops);
    }

    /// [`run`](Self::run) of so many workgroups.
    fn run_groups(&self, kernel: Kernel, buffers: &[&Buffer], groups: usize, [outer, inner]: [usize; 2]) {
        if inner >= MAX_ITERATIONS {
            return self.recorder.fail(format!("a window of {inner} columns is too wide; use the CPU"));
        }
        let step = MAX_ITERATIONS / (inner + 1);
        for from in (0..outer).step_by(step) {
            let params: Vec<Word> = self.params().chain([from.into(), (from + step).into()]).collect();
            self.recorder.run_groups(kernel, buffers, [groups, 1], &params);
        }
    }

    fn params(&self) -> impl Iterator<Item = Word> {
        let Window { c, h, w, oh, ow, kernel, stride, dilation, pad } = self.window;
        let Images { batch, first, count } = self.images;
        [c, h, w, oh, ow]
            .into_iter()
            .chain([kernel, stride, dilation].into_iter().flatten())
            .chain([pad.top, pad.left, pad.bottom, pad.right].map(usize::from))
            .chain([batch, first, count, usize::from(self.padded), self.fan_out])
            .map(Word::from)
            .chain([self.beta.into()])
    }

    /// Loops over the taps of a window.
    fn over_taps(&self) -> [usize; 2] {
        self.window.kernel
    }

    /// Loops over the windows that an input element may lie in.
    fn over_windows(&self) -> [usize; 2] {
        let Window { oh, ow, kernel, stride, dilation, .. } = self.window;
        let axis =
            |outputs: usize, i: usize| outputs.min((kernel[i] - 1) * dilation[i] / stride[i] + 1).max(1);
        [axis(oh, 0), axis(ow, 1)]
    }

    pub(super) fn im2col(&self, x: &Buffer, cols: &Buffer) {
        let items = self.outputs() * self.taps();
        assert_holds(x, self.inputs());
        assert_holds(cols, items);
        self.run(Kernel::Im2col, &[x, cols], items, ONCE);
    }

    pub(super) fn col2im(&self, cols: &Buffer, dx: &Buffer) {
        assert_holds(cols, self.outputs() * self.taps());
        assert_holds(dx, self.inputs());
        self.run(Kernel::Col2im, &[cols, dx], self.worked_on(), self.over_windows());
    }

    pub(super) fn depthwise(&self, x: &Buffer, weight: &Buffer, y: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(weight, self.weights());
        assert_holds(y, self.outputs() * self.fan_out);
        let items = self.outputs() * self.fan_out;
        self.run(Kernel::Depthwise, &[x, weight, y], items, self.over_taps());
    }

    pub(super) fn depthwise_input_gradient(&self, weight: &Buffer, dy: &Buffer, dx: &Buffer) {
        assert_holds(weight, self.weights());
        assert_holds(dy, self.outputs() * self.fan_out);
        assert_holds(dx, self.inputs());
        let [rows, columns] = self.over_windows();
        let loops = [rows, columns * (self.fan_out + 1)];
        self.run(Kernel::DepthwiseInputGradient, &[weight, dy, dx], self.inputs(), loops);
    }

    pub(super) fn depthwise_weight_gradient(self, x: &Buffer, dy: &Buffer, beta: f32, dw: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(dy, self.outputs() * self.fan_out);
        assert_holds(dw, self.weights());
        let loops = [self.images.batch, (self.window.oh * self.window.ow).div_ceil(64)];
        let this = Self { beta, ..self };
        this.run_groups(Kernel::DepthwiseWeightGradient, &[x, dy, dw], this.weights(), loops);
    }

    pub(super) fn max_pool(&self, x: &Buffer, y: &Buffer, argmax: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(y, self.outputs());
        assert_holds(argmax, self.outputs());
        self.run(Kernel::MaxPool, &[x, y, argmax], self.outputs(), self.over_taps());
    }

    pub(super) fn max_pool_backward(&self, argmax: &Buffer, dy: &Buffer, dx: &Buffer) {
        assert_holds(argmax, self.outputs());
        assert_holds(dy, self.outputs());
        assert_holds(dx, self.inputs());
        self.run(Kernel::MaxPoolBackward, &[argmax, dy, dx], self.inputs(), self.over_windows());
    }

    pub(super) fn avg_pool(&self, x: &Buffer, y: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(y, self.outputs());
        self.run(Kernel::AvgPool, &[x, y], self.outputs(), self.over_taps());
    }

    pub(super) fn avg_pool_backward(&self, dy: &Buffer, dx: &Buffer) {
        assert_holds(dy, self.outputs());
        assert_holds(dx, self.inputs());
        self.run(Kernel::AvgPoolBackward, &[dy, dx], self.inputs(), self.over_windows());
    }
}

/// Panics unless a buffer has so many elements.
pub(super) fn assert_holds(buffer: &Buffer, len: usize) {
    assert!(buffer.len() >= len, "{len} elements in a buffer of {}", buffer.len());
}

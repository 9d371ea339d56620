//! Sliding windows: patches and pooling.

use super::{
    kernel::{Kernel, Word},
    memory::Buffer,
    recorder::Recorder,
};
use crate::device::{Divisor, Images, Window};

/// Most taps of a window: none of the shaders loops longer than a software rasteriser allows.
const MAX_TAPS: usize = 16_384;

/// What an operation works on.
pub(super) struct Sliding<'a> {
    recorder: &'a Recorder,
    window: Window,
    images: Images,
    padded: bool,
}

impl<'a> Sliding<'a> {
    pub(super) fn new(recorder: &'a Recorder, window: &Window, images: Images) -> Self {
        let Images { batch, first, count } = images;
        assert!(first + count <= batch, "images {first} to {} of {batch}", first + count);
        Self { recorder, window: *window, images, padded: false }
    }

    pub(super) fn pooling(recorder: &'a Recorder, window: &Window, batch: usize) -> Self {
        Self::new(recorder, window, Images { batch, first: 0, count: batch })
    }

    pub(super) fn dividing_by(self, divisor: Divisor) -> Self {
        Self { padded: divisor == Divisor::Padded, ..self }
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

    fn run(&self, kernel: Kernel, buffers: &[&Buffer], items: usize) {
        let Window { c, h, w, oh, ow, kernel: [kh, kw], stride, dilation, pad } = self.window;
        if (kw + 1) * kh > MAX_TAPS {
            return self.recorder.fail(format!("a window of {kh} x {kw} is too large; use the CPU"));
        }
        let [sides, taps] = [[c, h, w, oh, ow], [kh, kw, stride[0], stride[1], dilation[0]]];
        let mut params: Vec<Word> = sides.into_iter().chain(taps).map(Word::from).collect();
        params.push(dilation[1].into());
        params.extend([pad.top, pad.left, pad.bottom, pad.right].map(|n| Word::from(u32::from(n))));
        let Images { batch, first, count } = self.images;
        params.extend([batch, first, count].map(Word::from));
        params.push(self.padded.into());
        self.recorder.run(kernel, buffers, items, &params);
    }

    pub(super) fn im2col(&self, x: &Buffer, cols: &Buffer) {
        let items = self.outputs() * self.taps();
        assert_holds(x, self.inputs());
        assert_holds(cols, items);
        self.run(Kernel::Im2col, &[x, cols], items);
    }

    pub(super) fn col2im(&self, cols: &Buffer, dx: &Buffer) {
        assert_holds(cols, self.outputs() * self.taps());
        assert_holds(dx, self.inputs());
        self.run(Kernel::Col2im, &[cols, dx], self.worked_on());
    }

    pub(super) fn max_pool(&self, x: &Buffer, y: &Buffer, argmax: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(y, self.outputs());
        assert_holds(argmax, self.outputs());
        self.run(Kernel::MaxPool, &[x, y, argmax], self.outputs());
    }

    pub(super) fn max_pool_backward(&self, argmax: &Buffer, dy: &Buffer, dx: &Buffer) {
        assert_holds(argmax, self.outputs());
        assert_holds(dy, self.outputs());
        assert_holds(dx, self.inputs());
        self.run(Kernel::MaxPoolBackward, &[argmax, dy, dx], self.inputs());
    }

    pub(super) fn avg_pool(&self, x: &Buffer, y: &Buffer) {
        assert_holds(x, self.inputs());
        assert_holds(y, self.outputs());
        self.run(Kernel::AvgPool, &[x, y], self.outputs());
    }

    pub(super) fn avg_pool_backward(&self, dy: &Buffer, dx: &Buffer) {
        assert_holds(dy, self.outputs());
        assert_holds(dx, self.inputs());
        self.run(Kernel::AvgPoolBackward, &[dy, dx], self.inputs());
    }
}

/// Panics unless a buffer has so many elements.
pub(super) fn assert_holds(buffer: &Buffer, len: usize) {
    assert!(buffer.len() >= len, "{len} elements in a buffer of {}", buffer.len());
}

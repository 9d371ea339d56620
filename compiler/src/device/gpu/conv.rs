//! Convolutions as patches ([`Sliding`]) and matrix products, over as many images at a time as the
//! columns of a moderate buffer hold; those of one input channel a group directly.

use super::{
    elementwise::add_bias,
    gemm::gemm,
    memory::Buffer,
    recorder::Recorder,
    window::{Images, Sliding},
};
use crate::device::{Convolution, Mat, MatMut};

/// Most elements of the column buffer (32 MB), unless a single image takes more. Backward computes
/// the columns again: those of a whole network would fill the memory.
const MAX_COLUMNS: usize = 8 << 20;

/// What an operation works on.
pub(super) struct Conv<'a> {
    recorder: &'a Recorder,
    conv: &'a Convolution,
    batch: usize,
}

/// One group of a run of images.
struct Part {
    group: usize,
    /// Columns, which are as far apart as there are of them.
    n: usize,
    /// Offset of its columns.
    columns: usize,
    /// Offset of its outputs.
    output: usize,
    /// Elements from one output channel to the next.
    row_stride: usize,
}

impl<'a> Conv<'a> {
    pub(super) fn new(recorder: &'a Recorder, conv: &'a Convolution, batch: usize) -> Self {
        Self { recorder, conv, batch }
    }

    /// Whether every group has one input channel, so that a product would be a single row.
    fn is_depthwise(&self) -> bool {
        self.conv.inputs() == 1 && self.conv.groups > 1
    }

    /// Whether the columns are the input itself.
    fn is_pointwise(&self) -> bool {
        let window = &self.conv.window;
        window.kernel == [1, 1] && window.stride == [1, 1] && window.pad.is_zero()
    }

    fn direct(&self) -> Sliding<'a> {
        let fan_out = self.conv.outputs();
        Sliding::pooling(self.recorder, &self.conv.window, self.batch).with_fan_out(fan_out)
    }

    fn sliding(&self, images: Images) -> Sliding<'a> {
        Sliding::new(self.recorder, &self.conv.window, images)
    }

    /// Output pixels of an image.
    fn pixels(&self) -> usize {
        self.conv.window.oh * self.conv.window.ow
    }

    /// Column elements of an image.
    fn columns(&self) -> usize {
        self.conv.groups * self.conv.filter() * self.pixels()
    }

    /// Runs of images that are worked on together.
    fn chunks(&self) -> impl Iterator<Item = Images> + use<> {
        let (batch, fit) = (self.batch, MAX_COLUMNS / self.columns().max(1));
        let step = if self.is_pointwise() { batch.max(1) } else { fit.clamp(1, batch.max(1)) };
        (0..batch).step_by(step).map(move |first| Images { batch, first, count: step.min(batch - first) })
    }

    /// A buffer for the columns of the longest chunk, if they are not the input.
    fn buffer(&self) -> Option<Buffer> {
        let images = self.chunks().map(|images| images.count).max()?;
        (!self.is_pointwise()).then(|| self.recorder.scratch(images * self.columns()))
    }

    fn weight<'b>(&self, buffer: &'b Buffer, group: usize, transposed: bool) -> Mat<'b, Buffer> {
        let filter = self.conv.filter();
        Mat { buffer, offset: group * self.conv.outputs() * filter, row_stride: filter, transposed }
    }

    /// Where each group lies in the columns and the outputs of these images.
    fn parts(&self, images: Images) -> impl Iterator<Item = Part> {
        let n = images.count * self.pixels();
        let row_stride = images.batch * self.pixels();
        let (columns, outputs) = (self.conv.filter() * n, self.conv.outputs() * row_stride);
        let first = images.first * self.pixels();
        let part = move |group| Part {
            group,
            n,
            columns: group * columns,
            output: group * outputs + first,
            row_stride,
        };
        (0..self.conv.groups).map(part)
    }

    pub(super) fn forward(&self, x: &Buffer, weight: &Buffer, bias: Option<&Buffer>, y: &mut Buffer) {
        if self.is_depthwise() {
            self.direct().depthwise(x, weight, y);
        } else {
            let columns = self.buffer();
            for images in self.chunks() {
                if let Some(columns) = &columns {
                    self.sliding(images).im2col(x, columns);
                }
                for Part { group, n, columns: offset, output: at, row_stride } in self.parts(images) {
                    gemm(
                        self.recorder,
                        [self.conv.outputs(), n, self.conv.filter()],
                        1.0,
                        self.weight(weight, group, false),
                        Mat {
                            buffer: columns.as_ref().unwrap_or(x),
                            offset,
                            row_stride: n,
                            transposed: false,
                        },
                        0.0,
                        MatMut { buffer: &mut *y, offset: at, row_stride },
                    );
                }
            }
        }
        if let Some(bias) = bias {
            add_bias(self.recorder, [self.conv.out, self.batch * self.pixels()], bias, y);
        }
    }

    pub(super) fn weight_gradient(&self, x: &Buffer, dy: &Buffer, beta: f32, dw: &mut Buffer) {
        if self.is_depthwise() {
            return self.direct().depthwise_weight_gradient(x, dy, beta, dw);
        }
        let columns = self.buffer();
        for images in self.chunks() {
            if let Some(columns) = &columns {
                self.sliding(images).im2col(x, columns);
            }
            for Part { group, n, columns: offset, output: at, row_stride } in self.parts(images) {
                let to = self.weight(&*dw, group, false).offset;
                gemm(
                    self.recorder,
                    [self.conv.outputs(), self.conv.filter(), n],
                    1.0,
                    Mat { buffer: dy, offset: at, row_stride, transposed: false },
                    Mat { buffer: columns.as_ref().unwrap_or(x), offset, row_stride: n, transposed: true },
                    if images.first == 0 { beta } else { 1.0 },
                    MatMut { buffer: &mut *dw, offset: to, row_stride: self.conv.filter() },
                );
            }
        }
    }

    pub(super) fn input_gradient(&self, weight: &Buffer, dy: &Buffer, dx: &mut Buffer) {
        if self.is_depthwise() {
            return self.direct().depthwise_input_gradient(weight, dy, dx);
        }
        let mut columns = self.buffer();
        for images in self.chunks() {
            for Part { group, n, columns: offset, output: at, row_stride } in self.parts(images) {
                gemm(
                    self.recorder,
                    [self.conv.filter(), n, self.conv.outputs()],
                    1.0,
                    self.weight(weight, group, true),
                    Mat { buffer: dy, offset: at, row_stride, transposed: false },
                    0.0,
                    MatMut { buffer: columns.as_mut().unwrap_or(&mut *dx), offset, row_stride: n },
                );
            }
            if let Some(columns) = &columns {
                self.sliding(images).col2im(columns, dx);
            }
        }
    }
}

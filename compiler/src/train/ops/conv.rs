//! Convolution as im2col and matrix products, over as many images at a time as the shared column
//! buffer holds. Backward computes the columns again: they would fill the memory otherwise.

use tfc_formats::op::{Conv2d, Shape};

use super::{Layer, Run, Values, elements};
use crate::device::{Device, Images, Mat, MatMut, Window};

/// Most elements of the column buffer (8 MB), unless a single image takes more; few in tests, so
/// that they see several chunks.
const MAX_COLUMNS: usize = if cfg!(test) { 1 << 10 } else { 2 << 20 };

pub(super) struct Conv {
    window: Window,
    groups: usize,
    /// Output channels of a group.
    rows: usize,
    /// Length of a filter.
    filter: usize,
    /// Output pixels of an image.
    pixels: usize,
    /// Elements of an input image.
    image: usize,
    /// The columns are the input itself.
    pointwise: bool,
}

impl Conv {
    pub(super) fn new(conv: &Conv2d, x: Shape, y: Shape) -> Self {
        let window = Window {
            c: x.c as usize,
            h: x.h as usize,
            w: x.w as usize,
            oh: y.h as usize,
            ow: y.w as usize,
            kernel: conv.kernel.map(usize::from),
            stride: conv.stride.map(usize::from),
            dilation: conv.dilation.map(usize::from),
            pad: conv.pad,
        };
        let groups = conv.groups as usize;
        Self {
            window,
            groups,
            rows: y.c as usize / groups,
            filter: window.c / groups * window.kernel[0] * window.kernel[1],
            pixels: window.oh * window.ow,
            image: elements(x),
            pointwise: conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.pad.is_zero(),
        }
    }

    /// Images whose columns fit the column buffer.
    fn chunk(&self) -> usize {
        (MAX_COLUMNS / (self.groups * self.filter * self.pixels)).max(1)
    }

    /// Runs of images that are worked on together.
    fn chunks(&self, batch: usize) -> impl Iterator<Item = Images> + use<> {
        let step = if self.pointwise { batch } else { self.chunk() };
        (0..batch).step_by(step).map(move |first| Images { batch, first, count: step.min(batch - first) })
    }

    fn weight<'a, B>(&self, buffer: &'a B, group: usize, transposed: bool) -> Mat<'a, B> {
        Mat { buffer, offset: group * self.rows * self.filter, row_stride: self.filter, transposed }
    }

    /// Offset and row stride of a group's columns.
    fn columns_at(&self, group: usize, images: Images) -> (usize, usize) {
        let n = images.count * self.pixels;
        (group * self.filter * n, n)
    }

    /// Offset and row stride of a group's output for these images.
    fn output_at(&self, group: usize, images: Images) -> (usize, usize) {
        let row_stride = images.batch * self.pixels;
        (group * self.rows * row_stride + images.first * self.pixels, row_stride)
    }
}

impl<D: Device> Layer<D> for Conv {
    fn columns(&self, batch: usize) -> usize {
        if self.pointwise {
            return 0;
        }
        self.chunk().min(batch) * self.groups * self.filter * self.pixels
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer) {
        for images in self.chunks(run.batch) {
            if !self.pointwise {
                run.device.im2col(&self.window, images, x[0], run.columns);
            }
            let columns = if self.pointwise { x[0] } else { &*run.columns };
            for group in 0..self.groups {
                let (offset, n) = self.columns_at(group, images);
                let (at, row_stride) = self.output_at(group, images);
                run.device.gemm(
                    [self.rows, n, self.filter],
                    1.0,
                    self.weight(params[0], group, false),
                    Mat { buffer: columns, offset, row_stride: n, transposed: false },
                    0.0,
                    MatMut { buffer: &mut *y, offset: at, row_stride },
                );
            }
        }
        if let Some(bias) = params.get(1) {
            run.device.add_bias([self.groups * self.rows, run.batch * self.pixels], bias, y);
        }
    }

    fn param_gradient(
        &self,
        run: &mut Run<'_, D>,
        role: usize,
        x: &[&D::Buffer],
        dy: &D::Buffer,
        beta: f32,
        to: &mut D::Buffer,
    ) {
        if role == 1 {
            let rows_cols = [self.groups * self.rows, run.batch * self.pixels];
            return run.device.row_sums(rows_cols, dy, beta, to);
        }
        for images in self.chunks(run.batch) {
            if !self.pointwise {
                run.device.im2col(&self.window, images, x[0], run.columns);
            }
            let columns = if self.pointwise { x[0] } else { &*run.columns };
            for group in 0..self.groups {
                let (offset, n) = self.columns_at(group, images);
                let (at, row_stride) = self.output_at(group, images);
                let filters = self.weight(&*to, group, false).offset;
                run.device.gemm(
                    [self.rows, self.filter, n],
                    1.0,
                    Mat { buffer: dy, offset: at, row_stride, transposed: false },
                    Mat { buffer: columns, offset, row_stride: n, transposed: true },
                    if images.first == 0 { beta } else { 1.0 },
                    MatMut { buffer: &mut *to, offset: filters, row_stride: self.filter },
                );
            }
        }
    }

    fn input_gradient(
        &self,
        run: &mut Run<'_, D>,
        _which: usize,
        params: &[&D::Buffer],
        _values: Values<'_, D::Buffer>,
        dy: &D::Buffer,
        dx: &mut D::Buffer,
    ) {
        if !self.pointwise {
            run.device.copy(run.zeros, 0, dx, 0, self.image * run.batch);
        }
        for images in self.chunks(run.batch) {
            let columns = if self.pointwise { &mut *dx } else { &mut *run.columns };
            for group in 0..self.groups {
                let (offset, n) = self.columns_at(group, images);
                let (at, row_stride) = self.output_at(group, images);
                run.device.gemm(
                    [self.filter, n, self.rows],
                    1.0,
                    self.weight(params[0], group, true),
                    Mat { buffer: dy, offset: at, row_stride, transposed: false },
                    0.0,
                    MatMut { buffer: &mut *columns, offset, row_stride: n },
                );
            }
            if !self.pointwise {
                run.device.col2im(&self.window, images, run.columns, dx);
            }
        }
    }
}

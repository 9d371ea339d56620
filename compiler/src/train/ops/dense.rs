//! Fully connected layers: one matrix product with the batch as columns.

use tfc_formats::op::{self, Shape};

use super::{Layer, Run, Values, elements, plane};
use crate::device::{Device, Mat, MatMut};

pub(super) struct Dense {
    rows: usize,
    cols: usize,
    /// The weight is stored as `[cols, rows]`.
    transposed: bool,
    /// Channels and plane of an input that has yet to be flattened.
    planes: Option<(usize, usize)>,
}

impl Dense {
    pub(super) fn new(dense: &op::Dense, x: Shape) -> Self {
        Self {
            rows: dense.out_features as usize,
            cols: elements(x),
            transposed: dense.transposed,
            planes: (!x.is_vector()).then_some((x.c as usize, plane(x))),
        }
    }

    fn weight<'a, B>(&self, buffer: &'a B, transposed: bool) -> Mat<'a, B> {
        let row_stride = if self.transposed { self.rows } else { self.cols };
        Mat { buffer, offset: 0, row_stride, transposed: transposed != self.transposed }
    }
}

impl<D: Device> Layer<D> for Dense {
    fn saved(&self, batch: usize) -> Vec<usize> {
        self.planes.map(|_| self.cols * batch).into_iter().collect()
    }

    fn forward(&self, run: &mut Run<'_, D>, x: &[&D::Buffer], params: &[&D::Buffer], y: &mut D::Buffer) {
        let n = run.batch;
        let x = match self.planes {
            Some((c, plane)) => {
                run.device.flatten([c, n, plane], false, x[0], &mut run.saved[0]);
                &run.saved[0]
            }
            None => x[0],
        };
        run.device.gemm(
            [self.rows, n, self.cols],
            1.0,
            self.weight(params[0], false),
            Mat { buffer: x, offset: 0, row_stride: n, transposed: false },
            0.0,
            MatMut { buffer: y, offset: 0, row_stride: n },
        );
        if let Some(bias) = params.get(1) {
            run.device.add_bias([self.rows, n], bias, y);
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
        let n = run.batch;
        if role == 1 {
            return run.device.row_sums([self.rows, n], dy, beta, to);
        }
        let x = if self.planes.is_some() { &run.saved[0] } else { x[0] };
        // dW = dy x^T, and its transpose x dy^T where the weight is stored transposed.
        let (m, k, left, right) =
            if self.transposed { (self.cols, self.rows, x, dy) } else { (self.rows, self.cols, dy, x) };
        run.device.gemm(
            [m, k, n],
            1.0,
            Mat { buffer: left, offset: 0, row_stride: n, transposed: false },
            Mat { buffer: right, offset: 0, row_stride: n, transposed: true },
            beta,
            MatMut { buffer: to, offset: 0, row_stride: k },
        );
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
        let n = run.batch;
        // The flattened input has served its purpose: its buffer takes the flattened gradient.
        let flat = if self.planes.is_some() { &mut run.saved[0] } else { &mut *dx };
        run.device.gemm(
            [self.cols, n, self.rows],
            1.0,
            self.weight(params[0], true),
            Mat { buffer: dy, offset: 0, row_stride: n, transposed: false },
            0.0,
            MatMut { buffer: flat, offset: 0, row_stride: n },
        );
        if let Some((c, plane)) = self.planes {
            run.device.flatten([c, n, plane], true, &run.saved[0], dx);
        }
    }
}

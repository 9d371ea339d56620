//! The processor as a [`Device`]: `faer` for matrix products, `pulp`'s vectors for convolutions,
//! rayon for everything else.
//!
//! Results do not depend on the number of threads: work is cut into pieces of a fixed size, and
//! the partial results of a reduction are added in a fixed order.

mod conv;
mod elementwise;
mod gemm;
mod loss;
mod lrn;
mod norm;
mod optimizer;
mod parallel;
mod pool;
mod reduce;
mod window;

use tfc_formats::op::Activation;

use super::{
    Convolution, Device, DeviceError, Divisor, Mat, MatMut, Norm, Response, Targets, Update, Window,
};

/// The processor. Work runs on rayon's current thread pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu;

impl Device for Cpu {
    type Buffer = Vec<f32>;

    fn name(&self) -> String {
        format!("CPU, {} threads", rayon::current_num_threads())
    }

    fn zeros(&self, len: usize) -> Vec<f32> {
        vec![0.0; len]
    }

    fn upload(&self, data: &[f32]) -> Vec<f32> {
        data.to_vec()
    }

    fn write(&self, data: &[f32], to: &mut Vec<f32>) {
        to[..data.len()].copy_from_slice(data);
    }

    fn download(&self, from: &Vec<f32>) -> Result<Vec<f32>, DeviceError> {
        Ok(from.clone())
    }

    fn len(&self, buffer: &Vec<f32>) -> usize {
        buffer.len()
    }

    fn copy(&self, from: &Vec<f32>, from_at: usize, to: &mut Vec<f32>, to_at: usize, len: usize) {
        to[to_at..to_at + len].copy_from_slice(&from[from_at..from_at + len]);
    }

    fn gemm(
        &self,
        mnk: [usize; 3],
        alpha: f32,
        a: Mat<'_, Vec<f32>>,
        b: Mat<'_, Vec<f32>>,
        beta: f32,
        c: MatMut<'_, Vec<f32>>,
    ) {
        gemm::gemm(mnk, alpha, a, b, beta, c);
    }

    fn conv(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Vec<f32>,
        weight: &Vec<f32>,
        bias: Option<&Vec<f32>>,
        y: &mut Vec<f32>,
    ) {
        conv::conv(conv, batch, x, weight, bias.map(Vec::as_slice), y);
    }

    fn conv_weight_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Vec<f32>,
        dy: &Vec<f32>,
        beta: f32,
        dw: &mut Vec<f32>,
    ) {
        conv::weight_gradient(conv, batch, x, dy, beta, dw);
    }

    fn conv_input_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        weight: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) {
        conv::input_gradient(conv, batch, weight, dy, dx);
    }

    fn flatten(&self, c_batch_hw: [usize; 3], back: bool, from: &Vec<f32>, to: &mut Vec<f32>) {
        elementwise::flatten(c_batch_hw, back, from, to);
    }

    fn add_bias(&self, rows_cols: [usize; 2], bias: &Vec<f32>, x: &mut Vec<f32>) {
        elementwise::add_bias(rows_cols, bias, x);
    }

    fn row_sums(&self, rows_cols: [usize; 2], x: &Vec<f32>, beta: f32, sums: &mut Vec<f32>) {
        reduce::row_sums(rows_cols, x, beta, sums);
    }

    fn activation(&self, f: Activation, x: &Vec<f32>, y: &mut Vec<f32>) {
        elementwise::activation(f, x, y);
    }

    fn activation_backward(&self, f: Activation, y: &Vec<f32>, dy: &Vec<f32>, dx: &mut Vec<f32>) {
        elementwise::activation_backward(f, y, dy, dx);
    }

    fn max_pool(&self, window: &Window, batch: usize, x: &Vec<f32>, y: &mut Vec<f32>, argmax: &mut Vec<f32>) {
        pool::max_pool(window, batch, x, y, argmax);
    }

    fn max_pool_backward(
        &self,
        window: &Window,
        batch: usize,
        argmax: &Vec<f32>,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) {
        pool::max_pool_backward(window, batch, argmax, dy, dx);
    }

    fn avg_pool(&self, window: &Window, divisor: Divisor, batch: usize, x: &Vec<f32>, y: &mut Vec<f32>) {
        pool::avg_pool(window, divisor, batch, x, y);
    }

    fn avg_pool_backward(
        &self,
        window: &Window,
        divisor: Divisor,
        batch: usize,
        dy: &Vec<f32>,
        dx: &mut Vec<f32>,
    ) {
        pool::avg_pool_backward(window, divisor, batch, dy, dx);
    }

    fn moments(&self, rows_cols: [usize; 2], x: &Vec<f32>, mean: &mut Vec<f32>, var: &mut Vec<f32>) {
        norm::moments(rows_cols, x, mean, var);
    }

    fn batch_norm(&self, rows_cols: [usize; 2], norm: Norm<'_, Vec<f32>>, x: &Vec<f32>, y: &mut Vec<f32>) {
        norm::forward(rows_cols, norm, x, y);
    }

    fn batch_norm_sums(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Vec<f32>>,
        x: &Vec<f32>,
        dy: &Vec<f32>,
        gamma_beta: [&mut Vec<f32>; 2],
    ) {
        norm::sums(rows_cols, norm, x, dy, gamma_beta);
    }

    fn batch_norm_backward(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Vec<f32>>,
        x: &Vec<f32>,
        dy: &Vec<f32>,
        sums: Option<[&Vec<f32>; 2]>,
        dx: &mut Vec<f32>,
    ) {
        norm::backward(rows_cols, norm, x, dy, sums, dx);
    }

    fn lrn(&self, response: &Response, x: &Vec<f32>, y: &mut Vec<f32>, d: &mut Vec<f32>) {
        lrn::forward(response, x, y, d);
    }

    fn lrn_backward(&self, response: &Response, x_y_d: [&Vec<f32>; 3], dy: &Vec<f32>, dx: &mut Vec<f32>) {
        lrn::backward(response, x_y_d, dy, dx);
    }

    fn axpby(&self, alpha: f32, x: &Vec<f32>, beta: f32, y: &mut Vec<f32>) {
        elementwise::axpby(alpha, x, beta, y);
    }

    fn mul(&self, x: &Vec<f32>, y: &mut Vec<f32>) {
        elementwise::mul(x, y);
    }

    fn softmax_cross_entropy(
        &self,
        classes_batch: [usize; 2],
        logits: &Vec<f32>,
        targets: Targets<'_, Vec<f32>>,
        grad: &mut Vec<f32>,
        stats: &mut Vec<f32>,
    ) {
        loss::softmax_cross_entropy(classes_batch, logits, targets, grad, stats);
    }

    fn update(
        &self,
        rule: Update,
        gradient: &Vec<f32>,
        mask: Option<&Vec<f32>>,
        state: &mut [Vec<f32>],
        weight: &mut Vec<f32>,
    ) {
        optimizer::update(rule, gradient, mask.map(Vec::as_slice), state, weight);
    }

    fn add_signed_parts(&self, x: &Vec<f32>, pos: &mut Vec<f32>, neg: &mut Vec<f32>) {
        elementwise::add_signed_parts(x, pos, neg);
    }

    fn multiplicative_update(&self, n: &Vec<f32>, d: &Vec<f32>, eps: f32, g: &mut Vec<f32>) {
        elementwise::multiplicative_update(n, d, eps, g);
    }

    fn squared_distance(&self, x: &Vec<f32>, y: &Vec<f32>, result: &mut Vec<f32>, at: usize) {
        result[at] = reduce::squared_distance(x, y) as f32;
    }
}

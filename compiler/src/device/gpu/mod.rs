//! GPUs as a [`Device`], through wgpu (Vulkan, Metal, DirectX 12) and shaders in WGSL.
//!
//! Operations only record dispatches; many share one submission (`recorder`), and buffers
//! return to a free list when dropped (`memory`). Nothing uses atomics, so that the same work
//! on the same device gives the same bytes. No invocation loops more than some thousand
//! times: software rasterisers stop one that does without saying so.
//!
//! A tensor is one storage buffer: one larger than the adapter's limit (128 MiB on some, mostly 2
//! to 4 GiB) is a failure that the next download reports.

mod adapter;
mod conv;
mod elementwise;
mod gemm;
mod kernel;
mod loss;
mod lrn;
mod memory;
mod norm;
mod optimizer;
mod recorder;
mod reduce;
mod window;

use tfc_formats::op::Activation;

pub use adapter::{Adapter, Selection, list};
pub use memory::Buffer;

use self::{conv::Conv, kernel::Kernel, recorder::Recorder, window::Sliding};
use super::{
    Convolution, Device, DeviceError, Divisor, Mat, MatMut, Norm, Response, Targets, Update, Window,
};

/// An open GPU.
#[derive(Debug)]
pub struct Gpu {
    recorder: Box<Recorder>,
}

impl Gpu {
    /// Opens the best adapter of that kind. Needs no display.
    pub fn new(selection: Selection) -> Result<Self, DeviceError> {
        let adapter = adapter::choose(selection)?;
        let info = adapter.get_info();
        let name = format!("{} ({})", info.name, info.backend.to_str());
        let descriptor = wgpu::DeviceDescriptor {
            label: None,
            required_features: wgpu::Features::IMMEDIATES,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))
            .map_err(|e| DeviceError::Failed { device: name.clone(), reason: e.to_string() })?;
        Ok(Self { recorder: Box::new(Recorder::new(name, device, queue)) })
    }
}

impl Device for Gpu {
    type Buffer = Buffer;

    fn name(&self) -> String {
        self.recorder.name().to_owned()
    }

    fn zeros(&self, len: usize) -> Buffer {
        self.recorder.zeros(len)
    }

    fn upload(&self, data: &[f32]) -> Buffer {
        let buffer = self.recorder.scratch(data.len());
        self.recorder.write(data, &buffer);
        buffer
    }

    fn write(&self, data: &[f32], to: &mut Buffer) {
        self.recorder.write(data, to);
    }

    fn download(&self, from: &Buffer) -> Result<Vec<f32>, DeviceError> {
        self.recorder.download(from)
    }

    fn len(&self, buffer: &Buffer) -> usize {
        buffer.len()
    }

    fn copy(&self, from: &Buffer, from_at: usize, to: &mut Buffer, to_at: usize, len: usize) {
        self.recorder.copy(from, from_at, to, to_at, len);
    }

    fn gemm(
        &self,
        mnk: [usize; 3],
        alpha: f32,
        a: Mat<'_, Buffer>,
        b: Mat<'_, Buffer>,
        beta: f32,
        c: MatMut<'_, Buffer>,
    ) {
        gemm::gemm(&self.recorder, mnk, alpha, a, b, beta, c);
    }

    fn conv(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Buffer,
        weight: &Buffer,
        bias: Option<&Buffer>,
        y: &mut Buffer,
    ) {
        Conv::new(&self.recorder, conv, batch).forward(x, weight, bias, y);
    }

    fn conv_weight_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Buffer,
        dy: &Buffer,
        beta: f32,
        dw: &mut Buffer,
    ) {
        Conv::new(&self.recorder, conv, batch).weight_gradient(x, dy, beta, dw);
    }

    fn conv_input_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        weight: &Buffer,
        dy: &Buffer,
        dx: &mut Buffer,
    ) {
        Conv::new(&self.recorder, conv, batch).input_gradient(weight, dy, dx);
    }

    fn flatten(&self, c_batch_hw: [usize; 3], back: bool, from: &Buffer, to: &mut Buffer) {
        elementwise::flatten(&self.recorder, c_batch_hw, back, from, to);
    }

    fn add_bias(&self, rows_cols: [usize; 2], bias: &Buffer, x: &mut Buffer) {
        elementwise::add_bias(&self.recorder, rows_cols, bias, x);
    }

    fn row_sums(&self, rows_cols: [usize; 2], x: &Buffer, beta: f32, sums: &mut Buffer) {
        reduce::row_sums(&self.recorder, rows_cols, x, beta, sums);
    }

    fn activation(&self, f: Activation, x: &Buffer, y: &mut Buffer) {
        elementwise::run(&self.recorder, Kernel::Activation, &[x, y], &elementwise::activation(f));
    }

    fn activation_backward(&self, f: Activation, y: &Buffer, dy: &Buffer, dx: &mut Buffer) {
        let params = elementwise::activation(f);
        elementwise::run(&self.recorder, Kernel::ActivationBackward, &[y, dy, dx], &params);
    }

    fn max_pool(&self, window: &Window, batch: usize, x: &Buffer, y: &mut Buffer, argmax: &mut Buffer) {
        Sliding::pooling(&self.recorder, window, batch).max_pool(x, y, argmax);
    }

    fn max_pool_backward(
        &self,
        window: &Window,
        batch: usize,
        argmax: &Buffer,
        dy: &Buffer,
        dx: &mut Buffer,
    ) {
        Sliding::pooling(&self.recorder, window, batch).max_pool_backward(argmax, dy, dx);
    }

    fn avg_pool(&self, window: &Window, divisor: Divisor, batch: usize, x: &Buffer, y: &mut Buffer) {
        Sliding::pooling(&self.recorder, window, batch).dividing_by(divisor).avg_pool(x, y);
    }

    fn avg_pool_backward(
        &self,
        window: &Window,
        divisor: Divisor,
        batch: usize,
        dy: &Buffer,
        dx: &mut Buffer,
    ) {
        Sliding::pooling(&self.recorder, window, batch).dividing_by(divisor).avg_pool_backward(dy, dx);
    }

    fn moments(&self, rows_cols: [usize; 2], x: &Buffer, mean: &mut Buffer, var: &mut Buffer) {
        norm::moments(&self.recorder, rows_cols, x, mean, var);
    }

    fn batch_norm(&self, rows_cols: [usize; 2], norm: Norm<'_, Buffer>, x: &Buffer, y: &mut Buffer) {
        norm::forward(&self.recorder, rows_cols, norm, x, y);
    }

    fn batch_norm_sums(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Buffer>,
        x: &Buffer,
        dy: &Buffer,
        gamma_beta: [&mut Buffer; 2],
    ) {
        norm::sums(&self.recorder, rows_cols, norm, x, dy, gamma_beta);
    }

    fn batch_norm_backward(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Buffer>,
        x: &Buffer,
        dy: &Buffer,
        sums: Option<[&Buffer; 2]>,
        dx: &mut Buffer,
    ) {
        norm::backward(&self.recorder, rows_cols, norm, x, dy, sums, dx);
    }

    fn lrn(&self, response: &Response, x: &Buffer, y: &mut Buffer, d: &mut Buffer) {
        lrn::forward(&self.recorder, response, x, y, d);
    }

    fn lrn_backward(&self, response: &Response, x_y_d: [&Buffer; 3], dy: &Buffer, dx: &mut Buffer) {
        lrn::backward(&self.recorder, response, x_y_d, dy, dx);
    }

    fn axpby(&self, alpha: f32, x: &Buffer, beta: f32, y: &mut Buffer) {
        elementwise::run(&self.recorder, Kernel::Axpby, &[x, y], &[alpha.into(), beta.into()]);
    }

    fn mul(&self, x: &Buffer, y: &mut Buffer) {
        elementwise::run(&self.recorder, Kernel::Mul, &[x, y], &[]);
    }

    fn softmax_cross_entropy(
        &self,
        classes_batch: [usize; 2],
        logits: &Buffer,
        targets: Targets<'_, Buffer>,
        grad: &mut Buffer,
        stats: &mut Buffer,
    ) {
        loss::softmax_cross_entropy(&self.recorder, classes_batch, logits, targets, grad, stats);
    }

    fn update(
        &self,
        rule: Update,
        gradient: &Buffer,
        mask: Option<&Buffer>,
        state: &mut [Buffer],
        weight: &mut Buffer,
    ) {
        optimizer::update(&self.recorder, rule, gradient, mask, state, weight);
    }

    fn add_signed_parts(&self, x: &Buffer, pos: &mut Buffer, neg: &mut Buffer) {
        elementwise::run(&self.recorder, Kernel::AddSignedParts, &[x, pos, neg], &[]);
    }

    fn multiplicative_update(&self, n: &Buffer, d: &Buffer, eps: f32, g: &mut Buffer) {
        elementwise::run(&self.recorder, Kernel::MultiplicativeUpdate, &[n, d, g], &[eps.into()]);
    }

    fn squared_distance(&self, x: &Buffer, y: &Buffer, result: &mut Buffer, at: usize) {
        reduce::squared_distance(&self.recorder, x, y, result, at);
    }
}

#[cfg(test)]
mod tests;

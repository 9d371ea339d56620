//! The small set of tensor operations that training and factorization are written in, and its
//! two backends: `gpu` (wgpu and WGSL) and `cpu` (`faer` and rayon).
//!
//! All tensors are f32 and live in flat buffers. Activations are channel-major: `[C, B, H, W]`
//! for planes and `[C, B]` for vectors, so that a convolution is one matrix product and
//! everything per channel is contiguous. Matrices are row-major.
//!
//! Operations only record work where the backend works asynchronously; what went wrong on the
//! device is reported by the next [`Device::download`].

pub mod cpu;
pub mod gpu;
pub mod select;
mod types;

pub use types::*;

use tfc_formats::op::Activation;

/// Tensor operations of a backend. Lengths and offsets out of range are bugs of the caller and
/// panic on either backend.
pub trait Device {
    /// A run of f32 on the device.
    type Buffer;

    /// Name of the adapter for reports.
    fn name(&self) -> String;

    /// A buffer of `len` zeros.
    fn zeros(&self, len: usize) -> Self::Buffer;
    /// A buffer with these values.
    fn upload(&self, data: &[f32]) -> Self::Buffer;
    /// Overwrites the start of a buffer.
    fn write(&self, data: &[f32], to: &mut Self::Buffer);
    /// Waits for all recorded work and reads a buffer back, or says what failed.
    fn download(&self, from: &Self::Buffer) -> Result<Vec<f32>, DeviceError>;
    /// Number of elements.
    fn len(&self, buffer: &Self::Buffer) -> usize;
    /// `to[to_at..to_at + len] = from[from_at..from_at + len]`.
    fn copy(&self, from: &Self::Buffer, from_at: usize, to: &mut Self::Buffer, to_at: usize, len: usize);

    /// `c = alpha a b + beta c` with `c` of `m x n` and inner extent `k`; where `beta` is 0,
    /// what `c` held before (NaN, say) does not matter.
    #[allow(clippy::too_many_arguments)]
    fn gemm(
        &self,
        mnk: [usize; 3],
        alpha: f32,
        a: Mat<'_, Self::Buffer>,
        b: Mat<'_, Self::Buffer>,
        beta: f32,
        c: MatMut<'_, Self::Buffer>,
    );

    /// Convolution of `x [C, batch, h, w]` to `y [out, batch, oh, ow]`, plus a bias by output
    /// channel.
    fn conv(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Self::Buffer,
        weight: &Self::Buffer,
        bias: Option<&Self::Buffer>,
        y: &mut Self::Buffer,
    );
    /// `dw = gradient + beta dw` for the weights of [`conv`](Device::conv); where `beta` is 0, what
    /// `dw` held before does not matter.
    fn conv_weight_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        beta: f32,
        dw: &mut Self::Buffer,
    );
    /// `dx` (overwritten) of [`conv`](Device::conv).
    fn conv_input_gradient(
        &self,
        conv: &Convolution,
        batch: usize,
        weight: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    );
    /// `[C, B, HW]` to `[C * HW, B]`, or back: what `Flatten` means for channel-major batches.
    fn flatten(&self, c_batch_hw: [usize; 3], back: bool, from: &Self::Buffer, to: &mut Self::Buffer);

    /// `x[r, :] += bias[r]` for `x` of `rows x cols`.
    fn add_bias(&self, rows_cols: [usize; 2], bias: &Self::Buffer, x: &mut Self::Buffer);
    /// `sums[r] = beta sums[r] + sum x[r, :]`.
    fn row_sums(&self, rows_cols: [usize; 2], x: &Self::Buffer, beta: f32, sums: &mut Self::Buffer);

    /// `y = f(x)`.
    fn activation(&self, f: Activation, x: &Self::Buffer, y: &mut Self::Buffer);
    /// `dx = dy f'(x)`, from the *output* `at = f(x)`; from the input `at = x` of a function
    /// whose [slope its output does not tell](slope_needs_input).
    fn activation_backward(&self, f: Activation, at: &Self::Buffer, dy: &Self::Buffer, dx: &mut Self::Buffer);

    /// Maximum of each window; `argmax` gets the index in the plane, as f32, of the first one.
    fn max_pool(
        &self,
        window: &Window,
        batch: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
        argmax: &mut Self::Buffer,
    );
    /// `dx` (overwritten) from where each maximum was found.
    fn max_pool_backward(
        &self,
        window: &Window,
        batch: usize,
        argmax: &Self::Buffer,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    );
    /// Mean of each window.
    fn avg_pool(
        &self,
        window: &Window,
        divisor: Divisor,
        batch: usize,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    );
    /// `dx` (overwritten) of [`avg_pool`](Device::avg_pool).
    fn avg_pool_backward(
        &self,
        window: &Window,
        divisor: Divisor,
        batch: usize,
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    );

    /// Mean and biased variance of each row of `x`, the variance from differences to the mean
    /// of short pieces, so that it is sound whatever the mean (Chan, Golub & LeVeque 1983).
    fn moments(
        &self,
        rows_cols: [usize; 2],
        x: &Self::Buffer,
        mean: &mut Self::Buffer,
        var: &mut Self::Buffer,
    );
    /// The normalized `y`.
    fn batch_norm(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Self::Buffer>,
        x: &Self::Buffer,
        y: &mut Self::Buffer,
    );
    /// Gradients of gamma, `sum dy (x - mean) / sqrt(var + eps)` of each row, and of beta, `sum dy`.
    fn batch_norm_sums(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Self::Buffer>,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        gamma_beta: [&mut Self::Buffer; 2],
    );
    /// `dx` (overwritten). Mean and variance are those of `x` where there are
    /// [`sums`](Device::batch_norm_sums), and constants where there are none.
    fn batch_norm_backward(
        &self,
        rows_cols: [usize; 2],
        norm: Norm<'_, Self::Buffer>,
        x: &Self::Buffer,
        dy: &Self::Buffer,
        sums: Option<[&Self::Buffer; 2]>,
        dx: &mut Self::Buffer,
    );
    /// The normalized `y`, and the `d` that it divides by a power of.
    fn lrn(&self, response: &Response, x: &Self::Buffer, y: &mut Self::Buffer, d: &mut Self::Buffer);
    /// `dx` (overwritten) of [`lrn`](Device::lrn), from its input, output and `d`.
    fn lrn_backward(
        &self,
        response: &Response,
        x_y_d: [&Self::Buffer; 3],
        dy: &Self::Buffer,
        dx: &mut Self::Buffer,
    );

    /// `y = alpha x + beta y`.
    fn axpby(&self, alpha: f32, x: &Self::Buffer, beta: f32, y: &mut Self::Buffer);
    /// `y *= x`, element by element: masks, dropout.
    fn mul(&self, x: &Self::Buffer, y: &mut Self::Buffer);

    /// Softmax cross-entropy of `logits [K, B]`: `grad [K, B]` is the gradient of the batch's
    /// *mean* loss; `stats[0]` grows by the sum of the losses, `stats[1]` by the number of
    /// samples whose first largest logit is not the label.
    fn softmax_cross_entropy(
        &self,
        classes_batch: [usize; 2],
        logits: &Self::Buffer,
        targets: Targets<'_, Self::Buffer>,
        grad: &mut Self::Buffer,
        stats: &mut Self::Buffer,
    );

    /// One optimizer step, then `w *= mask` where there is one, and the state's as well, so that a
    /// pruned weight stays 0. `state` holds [`Update::states`] buffers.
    fn update(
        &self,
        rule: Update,
        gradient: &Self::Buffer,
        mask: Option<&Self::Buffer>,
        state: &mut [Self::Buffer],
        weight: &mut Self::Buffer,
    );

    /// Adds the positive parts of `x` to `pos` and the magnitudes of its negative parts to
    /// `neg`: `pos += max(x, 0)`, `neg += max(-x, 0)`.
    fn add_signed_parts(&self, x: &Self::Buffer, pos: &mut Self::Buffer, neg: &mut Self::Buffer);
    /// Multiplicative rule of the tri-factorization: `g *= sqrt(n / max(d, eps))`.
    fn multiplicative_update(&self, n: &Self::Buffer, d: &Self::Buffer, eps: f32, g: &mut Self::Buffer);
    /// `result[at] = sum (x - y)^2`, accurate to f32 for any length.
    fn squared_distance(&self, x: &Self::Buffer, y: &Self::Buffer, result: &mut Self::Buffer, at: usize);
}

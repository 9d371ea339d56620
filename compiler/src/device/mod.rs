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

use tfc_formats::op::{Activation, Padding};

/// A batch normalization (Ioffe & Szegedy 2015) of `x [R, N]`, row by row:
/// `gamma (x - mean) / sqrt(var + eps) + beta`.
#[derive(Debug)]
pub struct Norm<'a, B> {
    /// Scale of each row.
    pub gamma: &'a B,
    /// Shift of each row.
    pub beta: &'a B,
    /// Mean of each row.
    pub mean: &'a B,
    /// Variance of each row.
    pub var: &'a B,
    /// Added to the variance.
    pub eps: f32,
}

/// A local response normalization (Krizhevsky et al. 2012) of `x [C, N]`:
/// `y = x d^-beta` with `d[c] = bias + scale * sum of x^2` over the channels
/// `c - before .. c - before + size`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// Channels.
    pub channels: usize,
    /// Values of a channel, `N`.
    pub columns: usize,
    /// Channels of a window.
    pub size: usize,
    /// Those before the channel itself; fewer than `size`.
    pub before: usize,
    /// Factor of the sum.
    pub scale: f32,
    /// Exponent.
    pub beta: f32,
    /// Additive constant.
    pub bias: f32,
}

/// A matrix inside a buffer: element `(i, j)` of the *stored* matrix is at
/// `offset + i * row_stride + j`; the product uses its transpose where `transposed`.
#[derive(Debug)]
pub struct Mat<'a, B> {
    /// Buffer that holds it.
    pub buffer: &'a B,
    /// Index of its first element.
    pub offset: usize,
    /// Elements from one stored row to the next.
    pub row_stride: usize,
    /// Whether the product takes its transpose.
    pub transposed: bool,
}

/// The destination of a matrix product.
#[derive(Debug)]
pub struct MatMut<'a, B> {
    /// Buffer that holds it.
    pub buffer: &'a mut B,
    /// Index of its first element.
    pub offset: usize,
    /// Elements from one row to the next.
    pub row_stride: usize,
}

/// Geometry of a sliding window over planes of `h x w`, giving planes of `oh x ow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Channels.
    pub c: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output rows.
    pub oh: usize,
    /// Output columns.
    pub ow: usize,
    /// Window rows and columns.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Vertical and horizontal distance between taps.
    pub dilation: [usize; 2],
    /// Padding of the input.
    pub pad: Padding,
}

/// A convolution: input and output channels are split into `groups` independent ones. Weights
/// are `[out, C / groups, kh, kw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Geometry, with the input channels of all groups.
    pub window: Window,
    /// Number of groups; divides both numbers of channels.
    pub groups: usize,
    /// Output channels of all groups.
    pub out: usize,
}

impl Convolution {
    /// Input channels of a group.
    pub const fn inputs(&self) -> usize {
        self.window.c / self.groups
    }

    /// Output channels of a group.
    pub const fn outputs(&self) -> usize {
        self.out / self.groups
    }

    /// Weights of an output channel.
    pub const fn filter(&self) -> usize {
        self.inputs() * self.window.kernel[0] * self.window.kernel[1]
    }
}

/// How an average pooling divides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    /// By the taps that lie on the input.
    Valid,
    /// By the taps that lie on the input or its padding.
    Padded,
}

/// One update rule, with the numbers of this step. Gradients are means over the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// `v = momentum v + g + decay w; w -= rate v`. One state buffer.
    Sgd {
        /// Learning rate.
        rate: f32,
        /// Momentum.
        momentum: f32,
        /// L2 penalty.
        decay: f32,
    },
    /// Adam (Kingma & Ba 2015) with decoupled decay (Loshchilov & Hutter 2019). Two state buffers.
    Adam {
        /// Learning rate.
        rate: f32,
        /// Decay of the first moment.
        beta1: f32,
        /// Decay of the second moment.
        beta2: f32,
        /// Added to the root of the second moment.
        eps: f32,
        /// Decoupled weight decay.
        decay: f32,
        /// Number of this step, from 1, for the bias correction.
        step: u32,
    },
    /// RMSprop with decoupled decay, since `s` is 0 where a unit is dead:
    /// `s = rho s + (1 - rho) g^2; w -= rate (g / (sqrt(s) + eps) + decay w)`. One state buffer.
    RmsProp {
        /// Learning rate.
        rate: f32,
        /// Decay of the mean square.
        rho: f32,
        /// Added to the root.
        eps: f32,
        /// Decoupled weight decay.
        decay: f32,
    },
}

impl Update {
    /// Number of state buffers, each as long as the weight, zero at first.
    pub const fn states(&self) -> usize {
        match self {
            Update::Adam { .. } => 2,
            Update::Sgd { .. } | Update::RmsProp { .. } => 1,
        }
    }
}

/// Targets of a classification batch.
#[derive(Debug)]
pub enum Targets<'a, B> {
    /// Class index of each sample, stored as f32: `[B]`.
    Labels(&'a B),
    /// Labels mixed with a teacher's logits `[K, B]`, after Hinton et al. 2015: the loss is
    /// `(1 - weight) CE(labels) + weight T^2 KL(softmax(teacher / T) || softmax(logits / T))`.
    Distill {
        /// Class index of each sample: `[B]`.
        labels: &'a B,
        /// The teacher's logits: `[K, B]`.
        teacher: &'a B,
        /// Temperature `T`.
        temperature: f32,
        /// Share of the teacher, 0 to 1.
        weight: f32,
    },
}

/// Whether the slope of a function does not follow from its output: hard swish falls before it
/// rises.
pub const fn slope_needs_input(f: Activation) -> bool {
    matches!(f, Activation::HardSwish)
}

/// What went wrong on a device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No adapter of the kind asked for.
    #[error("{0}")]
    NoAdapter(String),
    /// The device was lost, ran out of memory or rejected an operation.
    #[error("device `{device}`: {reason}")]
    Failed {
        /// Adapter's name.
        device: String,
        /// What the driver said.
        reason: String,
    },
}

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

//! What operations of a device are told, and what they fail with.

use tfc_formats::op::{Activation, Conv2d, Padding, Shape};

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

impl Window {
    /// The window of a convolution from `x` to `y`.
    pub fn of(conv: &Conv2d, x: Shape, y: Shape) -> Self {
        Self {
            c: x.c as usize,
            h: x.h as usize,
            w: x.w as usize,
            oh: y.h as usize,
            ow: y.w as usize,
            kernel: conv.kernel.map(usize::from),
            stride: conv.stride.map(usize::from),
            dilation: conv.dilation.map(usize::from),
            pad: conv.pad,
        }
    }
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

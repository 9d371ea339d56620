//! What a layer computes. Shared, to the letter, by `network` and [`artifact`](crate::artifact).
//!
//! Variants are only ever appended: their position is their number in `.tfc` files.

use serde::{Deserialize, Serialize};

/// Extent of one sample of a value: channels, rows, columns. A vector of `n` is `n x 1 x 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Channels, or the length of a vector.
    pub c: u32,
    /// Rows.
    pub h: u32,
    /// Columns.
    pub w: u32,
}

impl Shape {
    /// `c x h x w`.
    pub const fn new(c: u32, h: u32, w: u32) -> Self {
        Self { c, h, w }
    }

    /// A vector of `n` elements.
    pub const fn vector(n: u32) -> Self {
        Self { c: n, h: 1, w: 1 }
    }

    /// Number of elements, or `None` if it does not fit 32 bits.
    pub const fn elements(self) -> Option<u32> {
        match self.c.checked_mul(self.h) {
            Some(ch) => ch.checked_mul(self.w),
            None => None,
        }
    }

    /// Whether both spatial extents are 1.
    pub const fn is_vector(self) -> bool {
        self.h == 1 && self.w == 1
    }
}

impl core::fmt::Display for Shape {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_vector() { write!(f, "{}", self.c) } else { write!(f, "{}x{}x{}", self.c, self.h, self.w) }
    }
}

/// Rows and columns added around a plane; each side on its own, as TensorFlow's SAME needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Padding {
    /// Rows above.
    pub top: u16,
    /// Columns to the left.
    pub left: u16,
    /// Rows below.
    pub bottom: u16,
    /// Columns to the right.
    pub right: u16,
}

impl Padding {
    /// The same on all four sides.
    pub const fn same(n: u16) -> Self {
        Self { top: n, left: n, bottom: n, right: n }
    }

    /// Whether nothing is added.
    pub const fn is_zero(self) -> bool {
        self.top == 0 && self.left == 0 && self.bottom == 0 && self.right == 0
    }

    /// The larger of both, side by side.
    pub fn max(self, other: Self) -> Self {
        Self {
            top: self.top.max(other.top),
            left: self.left.max(other.left),
            bottom: self.bottom.max(other.bottom),
            right: self.right.max(other.right),
        }
    }
}

/// Two-dimensional cross-correlation with zero padding. Weight `[out, in / groups, kh, kw]`,
/// bias `[out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Output channels.
    pub out_channels: u32,
    /// Kernel rows and columns.
    pub kernel: [u16; 2],
    /// Vertical and horizontal step.
    pub stride: [u16; 2],
    /// Vertical and horizontal distance between taps.
    pub dilation: [u16; 2],
    /// Zeros around the input.
    pub pad: Padding,
    /// Input and output channels are split into this many independent groups.
    pub groups: u32,
}

/// Matrix-vector product. Weight `[out, in]`, or `[in, out]` where `transposed`; bias `[out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dense {
    /// Length of the output.
    pub out_features: u32,
    /// The stored matrix is the transpose of the one that is applied: neighbouring layers
    /// share one tri-factor `G`, applied once as `G` and once as its transpose.
    pub transposed: bool,
}

/// Window of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Window rows and columns.
    pub kernel: [u16; 2],
    /// Vertical and horizontal step.
    pub stride: [u16; 2],
    /// Padding; never the maximum, and counted in an average only if `count_include_pad`.
    pub pad: Padding,
    /// Round output extents up (a last window may hang over the edge) instead of down.
    pub ceil: bool,
    /// Whether an average divides by the whole window, padding included (never by what
    /// `ceil` lets hang over the padded edge).
    pub count_include_pad: bool,
}

/// Element-wise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` where positive, else `alpha x`.
    LeakyRelu {
        /// Slope for negative inputs.
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `min(max(alpha x + 1/2, 0), 1)` (Courbariaux et al. 2015).
    HardSigmoid {
        /// Slope between the bounds: 1/6 in PyTorch, 0.2 in Keras and by default in ONNX.
        alpha: f32,
    },
    /// `x min(max(x + 3, 0), 6) / 6` (Howard et al. 2019, MobileNetV3).
    HardSwish,
}

/// One operation of a network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Convolution.
    Conv2d(Conv2d),
    /// Fully connected layer; its input is taken as a vector in C, H, W order.
    Dense(Dense),
    /// Maximum of a window.
    MaxPool(Pool),
    /// Mean of a window.
    AvgPool(Pool),
    /// Mean of each channel.
    GlobalAvgPool,
    /// `gamma (x - mean) / sqrt(var + eps) + beta`, per channel.
    BatchNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Local response normalization across channels (Krizhevsky 2012):
    /// `x / (bias + alpha / size * sum of squares over size channels)^beta`.
    Lrn {
        /// Number of neighbouring channels, centred.
        size: u16,
        /// Scale of the sum.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Additive constant (`k` in the paper).
        bias: f32,
    },
    /// Element-wise non-linearity.
    Activation(Activation),
    /// Maximum over `pieces` neighbouring channels (Goodfellow 2013): `c` channels become
    /// `c / pieces`.
    Maxout {
        /// Channels per output channel.
        pieces: u16,
    },
    /// Sum of two or more values of one shape.
    Add,
    /// Inputs one after the other along the channels.
    Concat,
    /// `c x h x w` to a vector in C, H, W order.
    Flatten,
    /// `exp(x) / sum exp(x)` over the channels.
    Softmax,
    /// Identity at inference.
    Dropout {
        /// Probability of a zero while training.
        rate: f32,
    },
}

impl Op {
    /// One of each operation, with the commonest settings, for tables of what is supported.
    pub const EXAMPLES: [Op; 20] = {
        let pool = Pool {
            kernel: [2, 2],
            stride: [2, 2],
            pad: Padding::same(0),
            ceil: false,
            count_include_pad: false,
        };
        [
            Op::Conv2d(Conv2d {
                out_channels: 4,
                kernel: [3, 3],
                stride: [1, 1],
                dilation: [1, 1],
                pad: Padding::same(1),
                groups: 1,
            }),
            Op::Dense(Dense { out_features: 4, transposed: false }),
            Op::MaxPool(pool),
            Op::AvgPool(pool),
            Op::GlobalAvgPool,
            Op::BatchNorm { eps: 1e-5 },
            Op::Lrn { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 },
            Op::Activation(Activation::Relu),
            Op::Activation(Activation::Relu6),
            Op::Activation(Activation::LeakyRelu { alpha: 0.01 }),
            Op::Activation(Activation::Sigmoid),
            Op::Activation(Activation::Tanh),
            Op::Activation(Activation::HardSigmoid { alpha: 1.0 / 6.0 }),
            Op::Activation(Activation::HardSwish),
            Op::Maxout { pieces: 2 },
            Op::Add,
            Op::Concat,
            Op::Flatten,
            Op::Softmax,
            Op::Dropout { rate: 0.5 },
        ]
    };

    /// Name in messages, tables and graph descriptions.
    pub const fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "conv2d",
            Op::Dense(_) => "dense",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::BatchNorm { .. } => "batch_norm",
            Op::Lrn { .. } => "lrn",
            Op::Activation(a) => a.name(),
            Op::Maxout { .. } => "maxout",
            Op::Add => "add",
            Op::Concat => "concat",
            Op::Flatten => "flatten",
            Op::Softmax => "softmax",
            Op::Dropout { .. } => "dropout",
        }
    }

    /// Whether the op takes more than one input.
    pub const fn is_variadic(&self) -> bool {
        matches!(self, Op::Add | Op::Concat)
    }

    /// Shape of the output for these inputs.
    pub fn output_shape(&self, inputs: &[Shape]) -> Result<Shape, ShapeError> {
        let x = *inputs.first().ok_or(ShapeError::InputCount)?;
        if inputs.len() != 1 && !self.is_variadic() {
            return Err(ShapeError::InputCount);
        }
        if x.elements().is_none_or(|n| n == 0) {
            return Err(ShapeError::Empty);
        }
        let out = match self {
            Op::Conv2d(conv) => conv.output_shape(x)?,
            Op::Dense(dense) => Shape::vector(dense.out_features),
            Op::MaxPool(pool) | Op::AvgPool(pool) => pool.output_shape(x)?,
            Op::GlobalAvgPool => Shape::vector(x.c),
            Op::Maxout { pieces } => {
                if *pieces == 0 || !x.c.is_multiple_of(u32::from(*pieces)) {
                    return Err(ShapeError::Channels);
                }
                Shape { c: x.c / u32::from(*pieces), ..x }
            }
            Op::Add => {
                if inputs.iter().any(|s| *s != x) {
                    return Err(ShapeError::Mismatch);
                }
                x
            }
            Op::Concat => {
                let mut c = 0u32;
                for s in inputs {
                    if (s.h, s.w) != (x.h, x.w) {
                        return Err(ShapeError::Mismatch);
                    }
                    c = c.checked_add(s.c).ok_or(ShapeError::Empty)?;
                }
                Shape { c, ..x }
            }
            Op::Flatten => Shape::vector(x.elements().ok_or(ShapeError::Empty)?),
            Op::Lrn { size, .. } if *size == 0 => return Err(ShapeError::Window),
            Op::BatchNorm { .. } | Op::Lrn { .. } | Op::Activation(_) | Op::Softmax | Op::Dropout { .. } => x,
        };
        if out.elements().is_none_or(|n| n == 0) {
            return Err(ShapeError::Empty);
        }
        Ok(out)
    }

    /// Rows and columns of the weight matrix as it is stored, or `None` for ops without one.
    /// A convolution's is `[out, in / groups * kh * kw]`.
    pub fn weight_shape(&self, input: Shape) -> Option<(u32, u32)> {
        match self {
            Op::Conv2d(conv) => {
                let taps = u32::from(conv.kernel[0]) * u32::from(conv.kernel[1]);
                let cols = (input.c.checked_div(conv.groups)?).checked_mul(taps)?;
                Some((conv.out_channels, cols))
            }
            Op::Dense(dense) => {
                let n = input.elements()?;
                Some(if dense.transposed { (n, dense.out_features) } else { (dense.out_features, n) })
            }
            _ => None,
        }
    }

    /// Multiply-accumulates of one sample if no weight is zero; 0 for ops without weights.
    pub fn dense_macs(&self, input: Shape, output: Shape) -> u64 {
        let Some((rows, cols)) = self.weight_shape(input) else { return 0 };
        let positions = u64::from(output.h) * u64::from(output.w);
        u64::from(rows) * u64::from(cols) * positions
    }
}

impl Activation {
    /// Name in messages, tables and graph descriptions.
    pub const fn name(&self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::HardSigmoid { .. } => "hard_sigmoid",
            Activation::HardSwish => "hard_swish",
        }
    }
}

impl Conv2d {
    /// Shape of the output; errors where the kernel is larger than the padded input, a field
    /// is zero, or groups do not divide the channels.
    pub fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        let g = self.groups;
        if g == 0 || !x.c.is_multiple_of(g) || !self.out_channels.is_multiple_of(g) {
            return Err(ShapeError::Channels);
        }
        let p = self.pad;
        let h = windows(x.h, p.top, p.bottom, self.kernel[0], self.stride[0], self.dilation[0], false)?;
        let w = windows(x.w, p.left, p.right, self.kernel[1], self.stride[1], self.dilation[1], false)?;
        Ok(Shape { c: self.out_channels, h, w })
    }
}

impl Conv2d {
    /// The channel offset of a convolution without bias that only moves its input's `channels`:
    /// 1x1, without groups, output channel `offset + c` is input channel `c` and all others are
    /// zero. `nonzeros` are row, column and value of its weight's, row by row.
    pub fn selection(
        &self,
        channels: usize,
        nonzeros: impl IntoIterator<Item = (usize, usize, f32)>,
    ) -> Option<u32> {
        if self.kernel != [1, 1] || self.groups != 1 {
            return None;
        }
        let (mut offset, mut moved) = (None, 0);
        for (row, column, value) in nonzeros {
            let first = *offset.get_or_insert(row);
            if (row.checked_sub(first), column, value) != (Some(moved), moved, 1.0) {
                return None;
            }
            moved += 1;
        }
        offset.filter(|_| moved == channels).and_then(|offset| u32::try_from(offset).ok())
    }
}

impl Pool {
    /// Shape of the output; errors where the window is larger than the padded input, a field
    /// is zero, or the padding is not smaller than the window.
    pub fn output_shape(&self, x: Shape) -> Result<Shape, ShapeError> {
        let p = self.pad;
        let [kh, kw] = self.kernel;
        if p.top.max(p.bottom) >= kh || p.left.max(p.right) >= kw {
            return Err(ShapeError::Window);
        }
        let h = windows(x.h, p.top, p.bottom, kh, self.stride[0], 1, self.ceil)?;
        let w = windows(x.w, p.left, p.right, kw, self.stride[1], 1, self.ceil)?;
        Ok(Shape { c: x.c, h, w })
    }
}

/// Number of window positions along one axis. With `ceil`, a last window that would start in
/// the trailing padding is dropped, as Caffe, PyTorch and ONNX do.
fn windows(
    n: u32,
    before: u16,
    after: u16,
    kernel: u16,
    stride: u16,
    dilation: u16,
    ceil: bool,
) -> Result<u32, ShapeError> {
    if kernel == 0 || stride == 0 || dilation == 0 {
        return Err(ShapeError::Window);
    }
    let (before, after, stride) = (u32::from(before), u32::from(after), u32::from(stride));
    let padded = n.checked_add(before + after).ok_or(ShapeError::Empty)?;
    let extent = (u32::from(kernel) - 1) * u32::from(dilation) + 1;
    let room = padded.checked_sub(extent).ok_or(ShapeError::Window)?;
    if !ceil {
        return Ok(room / stride + 1);
    }
    let count = room.div_ceil(stride) + 1;
    let last_start = u64::from(count - 1) * u64::from(stride);
    Ok(if last_start >= u64::from(n + before) { count - 1 } else { count })
}

/// Why an op cannot be applied to its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// Wrong number of inputs.
    InputCount,
    /// A value without elements, or with more than fit 32 bits.
    Empty,
    /// A window field is zero, larger than the padded input, or not larger than its padding.
    Window,
    /// Channels are not divisible by groups or pieces.
    Channels,
    /// Inputs that must have one shape differ.
    Mismatch,
}

impl core::fmt::Display for ShapeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ShapeError::InputCount => "wrong number of inputs",
            ShapeError::Empty => "a value has no elements or more than 2^32",
            ShapeError::Window => {
                "the window is empty, larger than the padded input or not larger than its padding"
            }
            ShapeError::Channels => "channels are not divisible by groups or pieces",
            ShapeError::Mismatch => "inputs differ in shape",
        })
    }
}

impl core::error::Error for ShapeError {}

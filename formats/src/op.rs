//! What a layer computes. Shared, to the letter, by `network` and [`artifact`](crate::artifact).
//!
//! Variants are only ever appended: their position is their number in `.tfc` files.

mod window;

use serde::{Deserialize, Serialize};

pub use window::{Conv2d, Dense, Padding, Pool};

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

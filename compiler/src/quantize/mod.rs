//! Integers instead of floats: what range each value has, and the constants of integer arithmetic
//! that follow. FORMAT.md says what is computed with them.
//!
//! Weights are symmetric, with a scale an output channel; activations are asymmetric, with a scale and
//! a zero point a value (Jacob et al., "Quantization and training of neural networks for efficient
//! integer-arithmetic-only inference", CVPR 2018).

mod fixed;
mod observe;
mod range;

pub(crate) use fixed::{Layer, add, affine, average, lookup, softmax};
pub use observe::{Ranges, calibrate};
pub use range::{Method, Range};

#[cfg(test)]
mod tests;

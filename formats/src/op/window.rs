//! Operations with a window or a weight matrix: their fields and the shapes that they give.

use serde::{Deserialize, Serialize};

use super::{Shape, ShapeError};

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

//! Inputs of a layer as columns of a matrix.

use rayon::prelude::*;
use tfc_formats::op::{Op, Padding, Shape};

use crate::device::Window;

/// Where a layer's weights meet its inputs. A dense layer is one of 1 x 1 planes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) window: Window,
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) rows: usize,
    /// Inputs of an output channel.
    pub(super) inputs: usize,
}

impl Geometry {
    /// Of a convolution, or of a dense layer whose matrix is applied as it is stored.
    pub(super) fn new(op: &Op, x: Shape, y: Shape) -> Option<Self> {
        let single = Window {
            c: 0,
            h: 1,
            w: 1,
            oh: 1,
            ow: 1,
            kernel: [1; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: Padding::default(),
        };
        let (window, groups) = match op {
            Op::Conv2d(conv) => (Window::of(conv, x, y), conv.groups as usize),
            Op::Dense(dense) if !dense.transposed => (Window { c: x.elements()? as usize, ..single }, 1),
            _ => return None,
        };
        let inputs = window.c / groups * window.kernel[0] * window.kernel[1];
        Some(Self { window, groups, rows: y.c as usize / groups, inputs })
    }

    /// Rows of the patches of all groups.
    pub(super) fn patch(&self) -> usize {
        self.groups * self.inputs
    }

    /// Positions of one image.
    pub(super) fn positions(&self) -> usize {
        self.window.oh * self.window.ow
    }

    /// Patches of images, each `[c, h, w]`: `[c * kh * kw, images * oh * ow]`.
    pub(super) fn patches(&self, images: &[Vec<f32>]) -> Vec<f32> {
        let Window { h, w, oh, ow, kernel: [kh, kw], stride, dilation, pad, .. } = self.window;
        let mut patches = vec![0.0; self.patch() * images.len() * oh * ow];
        patches.par_chunks_mut((images.len() * oh * ow).max(1)).enumerate().for_each(|(row, to)| {
            let (channel, ky, kx) = (row / (kh * kw), row / kw % kh, row % kw);
            for (image, to) in images.iter().zip(to.chunks_exact_mut(oh * ow)) {
                let plane = &image[channel * h * w..][..h * w];
                for (oy, to) in to.chunks_exact_mut(ow).enumerate() {
                    let y = (oy * stride[0] + ky * dilation[0]).checked_sub(usize::from(pad.top));
                    let Some(line) = y.filter(|y| *y < h).map(|y| &plane[y * w..][..w]) else { continue };
                    for (ox, to) in to.iter_mut().enumerate() {
                        let x = (ox * stride[1] + kx * dilation[1]).checked_sub(usize::from(pad.left));
                        *to = x.and_then(|x| line.get(x)).copied().unwrap_or(0.0);
                    }
                }
            }
        });
        patches
    }
}

use core::ops::Range;

use tfc_formats::op::Pool;

use crate::tensor::{Tensor, TensorMut};

pub(super) fn max(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for_windows(spec, x, out, f32::NEG_INFINITY, |sum, x| if x > sum { x } else { sum });
}

pub(super) fn average(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for_windows(spec, x, out, 0.0, |sum, x| sum + x);
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let pad = spec.pad;
    let rows = Axis { n: x.at.h, before: pad.top.into(), after: pad.bottom.into(), kernel: kh, stride: sh };
    let cols = Axis { n: x.at.w, before: pad.left.into(), after: pad.right.into(), kernel: kw, stride: sw };
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            let height = rows.divisor(y, spec.count_include_pad);
            for (i, sum) in out.row(c, y).iter_mut().enumerate() {
                *sum /= (height * cols.divisor(i, spec.count_include_pad)) as f32;
            }
        }
    }
}

pub(super) fn global_average(x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for c in 0..x.at.c {
        let sum: f32 = (0..x.at.h).map(|y| x.row(c, y).iter().sum::<f32>()).sum();
        out.row(c, 0).fill(sum / (x.at.h * x.at.w) as f32);
    }
}

/// One axis of a pooling.
struct Axis {
    n: usize,
    before: usize,
    after: usize,
    kernel: usize,
    stride: usize,
}

impl Axis {
    /// What an average over window `i` divides by along this axis: the part of the window that is
    /// inside the input, or inside the padded input.
    fn divisor(&self, i: usize, padded: bool) -> usize {
        let start = i * self.stride;
        let (first, end) =
            if padded { (0, self.before + self.n + self.after) } else { (self.before, self.before + self.n) };
        (start + self.kernel).min(end).saturating_sub(start.max(first)).max(1)
    }

    /// The windows whose tap `tap` is inside the input, of `count`.
    fn inside(&self, tap: usize, count: usize) -> Range<usize> {
        let first = self.before.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.n + self.before).saturating_sub(tap).div_ceil(self.stride).min(count);
        first.min(end)..end
    }
}

/// Folds every window, one tap at a time over a whole row of outputs; taps outside of the input
/// are left out.
fn for_windows(
    spec: Pool,
    x: Tensor<'_>,
    out: &mut TensorMut<'_>,
    start: f32,
    fold: impl Fn(f32, f32) -> f32,
) {
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let (top, left) = (usize::from(spec.pad.top), usize::from(spec.pad.left));
    let cols = Axis { n: x.at.w, before: left, after: 0, kernel: kw, stride: sw };
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            let count = out.at.w;
            let to = out.row(c, y);
            to.fill(start);
            for ky in 0..kh {
                let Some(from) = (y * sh + ky).checked_sub(top).filter(|&y| y < x.at.h) else { continue };
                let from = x.row(c, from);
                for kx in 0..kw {
                    let inside = cols.inside(kx, count);
                    let Some(from) = from.get((inside.start * sw + kx).wrapping_sub(left)..) else { continue };
                    let Some(to) = to.get_mut(inside) else { continue };
                    match sw {
                        // Strides that are known when this is compiled are vectorised.
                        1 => to.iter_mut().zip(from).for_each(|(to, x)| *to = fold(*to, *x)),
                        2 => to.iter_mut().zip(from.iter().step_by(2)).for_each(|(to, x)| *to = fold(*to, *x)),
                        _ => to.iter_mut().zip(from.iter().step_by(sw)).for_each(|(to, x)| *to = fold(*to, *x)),
                    }
                }
            }
        }
    }
}

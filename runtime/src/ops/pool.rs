use core::ops::Range;

use tfc_formats::op::Pool;

use crate::tensor::{Tensor, TensorMut};

pub(super) fn max(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for_windows(spec, x, out, f32::NEG_INFINITY, |sum, x| if x > sum { x } else { sum });
}

pub(super) fn average(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for_windows(spec, x, out, 0.0, |sum, x| sum + x);
    let [rows, cols] = axes(spec, x);
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
        (start + self.kernel).min(end).saturating_sub(start.max(first))
    }

    /// The windows, of `count`, that are wholly inside the input.
    fn whole(&self, count: usize) -> Range<usize> {
        let first = self.before.div_ceil(self.stride).min(count);
        let room = (self.before + self.n).checked_sub(self.kernel);
        let end = room.map_or(0, |room| room / self.stride + 1).min(count);
        first..end.max(first)
    }
}

/// Rows and columns of a pooling of `x`.
fn axes(spec: Pool, x: Tensor<'_>) -> [Axis; 2] {
    let ([kh, kw], [sh, sw]) = (spec.kernel.map(usize::from), spec.stride.map(usize::from));
    let (pad, at) = (spec.pad, x.at);
    [
        Axis { n: at.h, before: pad.top.into(), after: pad.bottom.into(), kernel: kh, stride: sh },
        Axis { n: at.w, before: pad.left.into(), after: pad.right.into(), kernel: kw, stride: sw },
    ]
}

/// Folds the part of every window that is inside the input, one row of the input at a time.
fn for_windows(
    spec: Pool,
    x: Tensor<'_>,
    out: &mut TensorMut<'_>,
    start: f32,
    fold: impl Fn(f32, f32) -> f32 + Copy,
) {
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let [rows, cols] = axes(spec, x);
    let whole = cols.whole(out.at.w);
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            let to = out.row(c, y);
            to.fill(start);
            for ky in 0..kh {
                let Some(from) = (y * sh + ky).checked_sub(rows.before).filter(|y| *y < rows.n) else {
                    continue;
                };
                let from = x.row(c, from);
                let edges = (0..whole.start).chain(whole.end..to.len());
                for i in edges {
                    let taps = (0..kw).filter_map(|kx| from.get((i * sw + kx).checked_sub(cols.before)?));
                    if let Some(to) = to.get_mut(i) {
                        *to = taps.fold(*to, |sum, x| fold(sum, *x));
                    }
                }
                if let (Some(to), Some(from)) =
                    (to.get_mut(whole.clone()), from.get((whole.start * sw).wrapping_sub(cols.before)..))
                {
                    fold_row(to, from, kw, sw, fold);
                }
            }
        }
    }
}

/// Folds `kernel` elements of `from` into each of `to`, windows `stride` apart.
fn fold_row(
    to: &mut [f32],
    from: &[f32],
    kernel: usize,
    stride: usize,
    fold: impl Fn(f32, f32) -> f32 + Copy,
) {
    if (kernel, stride) == (2, 2) {
        // By far the most frequent, and in this form compilers vectorise it.
        let (windows, _) = from.as_chunks::<2>();
        to.iter_mut().zip(windows).for_each(|(to, [a, b])| *to = fold(fold(*to, *a), *b));
    } else {
        let windows = from.windows(kernel).step_by(stride);
        to.iter_mut()
            .zip(windows)
            .for_each(|(to, window)| *to = window.iter().fold(*to, |sum, x| fold(sum, *x)));
    }
}

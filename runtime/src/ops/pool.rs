use core::ops::Range;

use tfc_formats::artifact::Value;
use tfc_formats::op::Pool;

use crate::kernels::Requantizer;
use crate::tensor::{Layout, Number, Tensor, TensorMut};

pub(super) fn max<T: Number + PartialOrd>(spec: Pool, x: Tensor<'_, T>, out: &mut TensorMut<'_, T>) {
    for_windows(spec, x, out, T::LEAST, |sum, x| if x > sum { x } else { sum });
}

pub(super) fn average(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    for_windows(spec, x, out, 0.0, |sum, x| sum + x);
    divide(spec, x, out);
}

/// Sums of windows become their means.
pub(crate) fn divide(spec: Pool, x: Tensor<'_>, out: &mut TensorMut<'_>) {
    let [rows, cols] = axes(spec, x.at);
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

/// As [`max`], where the output lies over its input, which `from` says where it is in `out.data`. Each
/// window is read before its maximum is written, and no later window begins before that.
pub(super) fn max_in_place(spec: Pool, from: Layout, out: &mut TensorMut<'_, i8>) -> Option<()> {
    let [rows, cols] = axes(spec, from);
    let halves = (spec.kernel, spec.stride) == ([2, 2], [2, 2]) && from.is_packed() && out.at.is_packed();
    if halves && 2 * out.at.w <= from.w && 2 * out.at.h <= from.h {
        return max_halves_in_place(from, out);
    }
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            for i in 0..out.at.w {
                let mut largest = i8::MIN;
                for row in rows.inside(y) {
                    let x = Tensor { data: &*out.data, at: from };
                    largest = x.row(c, row).get(cols.inside(i))?.iter().copied().fold(largest, i8::max);
                }
                *out.row(c, y).get_mut(i)? = largest;
            }
        }
    }
    Some(())
}

/// Windows of two by two.
fn max_halves_in_place(from: Layout, out: &mut TensorMut<'_, i8>) -> Option<()> {
    for (row, to) in (0..out.at.c * out.at.h).map(|row| (row, row * out.at.w)) {
        let above = (row / out.at.h * from.h + row % out.at.h * 2) * from.w;
        for i in 0..out.at.w {
            let [a, b] = *out.data.get(above + 2 * i..)?.first_chunk()?;
            let [c, d] = *out.data.get(above + from.w + 2 * i..)?.first_chunk()?;
            *out.data.get_mut(to + i)? = a.max(b).max(c.max(d));
        }
    }
    Some(())
}

/// Sums of what the bytes of a window stand for, in units of the input's scale; the multiplier for a
/// divisor `n` is the `n`-th.
pub(super) fn average_i8(
    spec: Pool,
    x: Tensor<'_, i8>,
    input: &Value,
    requantizer: &Requantizer<'_>,
    out: &mut TensorMut<'_, i8>,
) -> Option<()> {
    let [rows, cols] = axes(spec, x.at);
    let zero = i32::from(i8::zero(input.element));
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            let height = rows.divisor(y, spec.count_include_pad);
            for (i, to) in out.row(c, y).iter_mut().enumerate() {
                let mut sum = 0i32;
                for row in rows.inside(y) {
                    for q in x.row(c, row).get(cols.inside(i))? {
                        sum = sum.wrapping_add(i32::from(*q) - zero);
                    }
                }
                let divisor = height * cols.divisor(i, spec.count_include_pad);
                *to = requantizer.scale(sum, divisor.checked_sub(1)?)?;
            }
        }
    }
    Some(())
}

pub(super) fn global_average_i8(
    x: Tensor<'_, i8>,
    input: &Value,
    requantizer: &Requantizer<'_>,
    out: &mut TensorMut<'_, i8>,
) -> Option<()> {
    let zero = i32::from(i8::zero(input.element));
    for c in 0..x.at.c {
        let elements = (0..x.at.h).flat_map(|y| x.row(c, y));
        let sum = elements.fold(0i32, |sum, q| sum.wrapping_add(i32::from(*q) - zero));
        out.row(c, 0).fill(requantizer.scale(sum, 0)?);
    }
    Some(())
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

    /// The part of window `i` that is inside the input.
    fn inside(&self, i: usize) -> Range<usize> {
        let start = (i * self.stride).max(self.before);
        let end = (i * self.stride + self.kernel).min(self.before + self.n);
        start - self.before..end.max(start) - self.before
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
fn axes(spec: Pool, at: Layout) -> [Axis; 2] {
    let ([kh, kw], [sh, sw]) = (spec.kernel.map(usize::from), spec.stride.map(usize::from));
    let pad = spec.pad;
    [
        Axis { n: at.h, before: pad.top.into(), after: pad.bottom.into(), kernel: kh, stride: sh },
        Axis { n: at.w, before: pad.left.into(), after: pad.right.into(), kernel: kw, stride: sw },
    ]
}

/// Folds the part of every window that is inside the input, one row of the input at a time.
fn for_windows<T: Number>(
    spec: Pool,
    x: Tensor<'_, T>,
    out: &mut TensorMut<'_, T>,
    start: T,
    fold: impl Fn(T, T) -> T + Copy,
) {
    let [kh, kw] = spec.kernel.map(usize::from);
    let [sh, sw] = spec.stride.map(usize::from);
    let [rows, cols] = axes(spec, x.at);
    let whole = cols.whole(out.at.w);
    // By far the most frequent, and compilers vectorise it if it is written out.
    let halves =
        (spec.kernel, spec.stride) == ([2, 2], [2, 2]) && spec.pad.is_zero() && whole.len() == out.at.w;
    if halves && x.at.is_packed() && out.at.is_packed() && rows.n == 2 * out.at.h && cols.n == 2 * out.at.w {
        for (to, from) in out.data.chunks_exact_mut(out.at.w).zip(x.data.chunks_exact(2 * x.at.w)) {
            let (above, below) = from.split_at_checked(x.at.w).unwrap_or_default();
            fold_halves(above, below, to, fold);
        }
        return;
    }
    for c in 0..out.at.c {
        for y in 0..out.at.h {
            let to = out.row(c, y);
            if halves && 2 * y + 1 < rows.n {
                fold_halves(x.row(c, 2 * y), x.row(c, 2 * y + 1), to, fold);
                continue;
            }
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
                let from = from.get((whole.start * sw).wrapping_sub(cols.before)..).unwrap_or_default();
                let to = to.get_mut(whole.clone()).unwrap_or_default();
                for (to, window) in to.iter_mut().zip(from.windows(kw).step_by(sw)) {
                    *to = window.iter().fold(*to, |sum, x| fold(sum, *x));
                }
            }
        }
    }
}

/// Windows of two by two from two rows: first the rows, then pairs of neighbours.
#[inline(always)]
fn fold_halves<T: Copy>(above: &[T], below: &[T], to: &mut [T], fold: impl Fn(T, T) -> T + Copy) {
    const N: usize = 4;
    let (to, to_tail) = to.as_chunks_mut::<N>();
    let (above, above_tail) = above.as_chunks::<{ 2 * N }>();
    let (below, below_tail) = below.as_chunks::<{ 2 * N }>();
    for ((to, above), below) in to.iter_mut().zip(above).zip(below) {
        let rows: [T; 2 * N] = core::array::from_fn(|i| fold(above[i], below[i]));
        *to = core::array::from_fn(|i| fold(rows[2 * i], rows[2 * i + 1]));
    }
    let pairs = above_tail.as_chunks().0.iter().zip(below_tail.as_chunks().0);
    for (to, ([a, b], [c, d])) in to_tail.iter_mut().zip(pairs) {
        *to = fold(fold(*a, *c), fold(*b, *d));
    }
}

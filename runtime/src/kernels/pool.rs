//! Pooling of planes: first the rows of a window, then its columns.

use tfc_formats::op::Pool;

use super::Kernels;
use super::arch::{Kernel, Vector, load, store};
use crate::tensor::{LINE, Tensor, TensorMut};

/// What a window becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Its maximum.
    Max,
    /// Its sum.
    Sum,
}

/// A pooling over windows.
pub(crate) struct Windows<'a, 'o> {
    pub(crate) fold: Fold,
    pub(crate) spec: Pool,
    pub(crate) x: Tensor<'a>,
    pub(crate) out: &'a mut TensorMut<'o>,
    /// [`scratch_len`] elements.
    pub(crate) scratch: &'a mut [f32],
}

/// Elements of scratch of a pooling of rows of `w` elements to rows of `out`.
pub(crate) fn scratch_len(spec: &Pool, w: usize, out: usize) -> usize {
    let [stride, kernel] = [spec.stride[1], spec.kernel[1]].map(usize::from);
    (usize::from(spec.pad.left) + w).max(out.next_multiple_of(LINE) * stride + kernel) + 3 * LINE
}

impl Windows<'_, '_> {
    /// `None` if the scratch is too short.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

impl Kernel for Windows<'_, '_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        match self.fold {
            Fold::Max => self.fold::<V>(f32::NEG_INFINITY, |a, b| b.max(a), |a, b| if b > a { b } else { a }),
            Fold::Sum => self.fold::<V>(0.0, |a, b| a.add(b), |a, b| a + b),
        }
    }
}

impl Windows<'_, '_> {
    #[inline(always)]
    fn fold<V: Vector>(self, start: f32, vectors: impl Fn(V, V) -> V, one: impl Fn(f32, f32) -> f32) -> Option<()> {
        let Self { spec, x, out, scratch, .. } = self;
        let [kh, kw] = spec.kernel.map(usize::from);
        let [sh, sw] = spec.stride.map(usize::from);
        let (top, left) = (usize::from(spec.pad.top), usize::from(spec.pad.left));
        scratch.fill(start);
        for c in 0..out.at.c {
            for y in 0..out.at.h {
                // Rows of the window that are inside; the columns around them stay at the start.
                let first = (y * sh).saturating_sub(top);
                let end = (y * sh + kh).saturating_sub(top).min(x.at.h);
                let row = scratch.get_mut(left..left + x.at.w)?;
                let from = |y: usize| {
                    let start = c * x.at.plane + y * x.at.row;
                    x.data.get(start..start + x.at.w)
                };
                let (mut whole, tail) = (0, x.at.w % V::LANES);
                while whole + V::LANES <= x.at.w {
                    let mut sums = V::splat(start);
                    for y in first..end {
                        let [x] = load::<V, 1>(from(y)?.get(whole..)?)?;
                        sums = vectors(sums, x);
                    }
                    store([sums], row.get_mut(whole..)?)?;
                    whole += V::LANES;
                }
                for (i, to) in row.iter_mut().enumerate().skip(x.at.w - tail) {
                    *to = start;
                    for y in first..end {
                        *to = one(*to, *from(y)?.get(i)?);
                    }
                }
                // Columns; the last vector may reach beyond the row, into what is written later.
                let place = c * out.at.plane + y * out.at.row;
                let to = out.data.get_mut(place..)?;
                let mut at = 0;
                while at < out.at.w {
                    let columns = scratch.get(at * sw..)?;
                    let mut sums = V::splat(start);
                    for kx in 0..kw {
                        let x = match sw {
                            1 => load::<V, 1>(columns.get(kx..)?)?[0],
                            2 => {
                                let [a, b] = load::<V, 2>(columns.get(kx..)?)?;
                                a.evens(b)
                            }
                            _ => {
                                let mut apart = [0.0; LINE];
                                let from = columns.get(kx..)?.iter().step_by(sw);
                                apart.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
                                load::<V, 1>(&apart)?[0]
                            }
                        };
                        sums = vectors(sums, x);
                    }
                    let to = to.get_mut(at..)?;
                    if to.len() >= V::LANES {
                        store([sums], to)?;
                    } else {
                        let mut last = [0.0; LINE];
                        store([sums], &mut last)?;
                        crate::ops::copy(to, &last);
                    }
                    at += V::LANES;
                }
            }
        }
        Some(())
    }
}

/// Sums of the planes of a value, each divided by its elements.
pub(crate) struct Means<'a, 'o> {
    pub(crate) x: Tensor<'a>,
    pub(crate) out: &'a mut TensorMut<'o>,
}

impl Means<'_, '_> {
    /// `None` if the lengths contradict each other.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

impl Kernel for Means<'_, '_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let n = self.x.at.h * self.x.at.w;
        for c in 0..self.x.at.c {
            let plane = self.x.data.get(c * self.x.at.plane..)?.get(..n)?;
            let mut sums = V::splat(0.0);
            let vectors = plane.chunks_exact(V::LANES);
            let tail: f32 = vectors.remainder().iter().sum();
            for x in vectors {
                sums = sums.add(load::<V, 1>(x)?[0]);
            }
            let mut lanes = [0.0; LINE];
            store([sums], &mut lanes)?;
            *self.out.data.get_mut(c * self.out.at.plane)? = (lanes.iter().sum::<f32>() + tail) / n as f32;
        }
        Some(())
    }
}

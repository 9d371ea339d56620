//! Pooling of planes, a vector of windows at a time.

use alloc::vec::Vec;
use core::ops::Range;

use tfc_formats::op::Pool;

use super::Kernels;
use super::arch::{Kernel, Vector, load, store};
use super::team::Team;
use crate::tensor::{LINE, Layout, Tensor, TensorMut};

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
}

impl Windows<'_, '_> {
    /// `None` if the lengths contradict each other.
    pub(crate) fn run(self, kernels: Kernels, team: Team) -> Option<()> {
        let Self { fold, spec, x, out } = self;
        let at = out.at;
        let window = usize::from(spec.kernel[0]) * usize::from(spec.kernel[1]);
        // A window takes two loads and more for each element.
        let parts = team.parts(4 * at.len() * window / kernels.lanes());
        let channel = |part: usize| at.c * part / parts;
        let starts: Vec<usize> = (0..parts).map(|part| channel(part) * at.plane).collect();
        team.each(out.data, &starts, |part, data| {
            let channels = channel(part)..channel(part + 1);
            let x = Tensor { data: x.data.get(channels.start * x.at.plane..)?, at: x.at };
            let at = Layout { c: channels.len(), ..at };
            kernels.dispatch(Windows { fold, spec, x, out: &mut TensorMut { data, at } })
        })
    }
}

impl Kernel for Windows<'_, '_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let max = |a: f32, b: f32| if b > a { b } else { a };
        match (self.fold, self.spec.stride[1]) {
            (Fold::Max, 1) => self.fold::<V, 1>(f32::NEG_INFINITY, |a, b| b.max(a), max),
            (Fold::Max, 2) => self.fold::<V, 2>(f32::NEG_INFINITY, |a, b| b.max(a), max),
            (Fold::Max, _) => self.fold::<V, 0>(f32::NEG_INFINITY, |a, b| b.max(a), max),
            (Fold::Sum, 1) => self.fold::<V, 1>(0.0, |a, b| a.add(b), |a, b| a + b),
            (Fold::Sum, 2) => self.fold::<V, 2>(0.0, |a, b| a.add(b), |a, b| a + b),
            (Fold::Sum, _) => self.fold::<V, 0>(0.0, |a, b| a.add(b), |a, b| a + b),
        }
    }
}

impl Windows<'_, '_> {
    /// `S` is the horizontal stride, where vectors are loaded for it, or 0.
    #[inline(always)]
    fn fold<V: Vector, const S: usize>(
        self,
        start: f32,
        fold: impl Fn(V, V) -> V,
        one: impl Fn(f32, f32) -> f32,
    ) -> Option<()> {
        let Self { spec, x, out, .. } = self;
        let ([kh, kw], [sh, sw]) = (spec.kernel.map(usize::from), spec.stride.map(usize::from));
        let (top, left) = (usize::from(spec.pad.top), usize::from(spec.pad.left));
        // Columns of the output whose windows are inside the input.
        let whole = if S == 0 { 0..0 } else { whole(out.at.w, x.at.w, left, kw, sw) };
        for c in 0..out.at.c {
            for y in 0..out.at.h {
                let window = (y * sh).saturating_sub(top)..(y * sh + kh).saturating_sub(top).min(x.at.h);
                let rows = x.data.get(c * x.at.plane + window.start * x.at.row..)?;
                let place = c * out.at.plane + y * out.at.row;
                // The last vector may reach beyond the row, into what is written later.
                for at in whole.clone().step_by(V::LANES) {
                    let mut sums = V::splat(start);
                    for kx in 0..kw {
                        let from = rows.get(at * sw + kx - left..)?;
                        sums = fold(sums, column::<V, S>(from, window.len(), x.at.row, &fold)?);
                    }
                    let to = out.data.get_mut(place + at..)?;
                    if to.len() >= V::LANES {
                        store([sums], to)?;
                    } else {
                        let mut last = [0.0; LINE];
                        store([sums], &mut last)?;
                        crate::ops::copy(to, &last);
                    }
                }
                let to = out.data.get_mut(place..place + out.at.w)?;
                for at in (0..whole.start).chain(whole.end..out.at.w) {
                    let mut sum = start;
                    for from in rows.chunks(x.at.row).take(window.len()) {
                        let inside =
                            (at * sw).saturating_sub(left)..(at * sw + kw).saturating_sub(left).min(x.at.w);
                        sum = from.get(inside)?.iter().fold(sum, |sum, x| one(sum, *x));
                    }
                    *to.get_mut(at)? = sum;
                }
            }
        }
        Some(())
    }
}

/// The windows of `count` that are wholly inside a row of `w` elements.
fn whole(count: usize, w: usize, left: usize, kernel: usize, stride: usize) -> Range<usize> {
    let first = left.div_ceil(stride).min(count);
    let end = (left + w).checked_sub(kernel).map_or(0, |room| room / stride + 1).min(count);
    first..end.max(first)
}

/// Folds a column of every window of a vector: `n` rows, `row` elements apart.
#[inline(always)]
fn column<V: Vector, const S: usize>(
    from: &[f32],
    n: usize,
    row: usize,
    fold: &impl Fn(V, V) -> V,
) -> Option<V> {
    let reach = S * V::LANES;
    // Nearly always, and then nothing is left to check.
    if n > 0 && from.len() >= (n - 1) * row + reach {
        let mut rows = from.get(..(n - 1) * row + reach)?;
        let mut sums: [V; S] = load(rows)?;
        for _ in 1..n {
            rows = rows.get(row..)?;
            let next: [V; S] = load(rows)?;
            for s in 0..S {
                sums[s] = fold(sums[s], next[s]);
            }
        }
        return Some(if S == 2 { sums[0].evens(sums[S - 1]) } else { sums[0] });
    }
    // The end of all planes.
    let mut lanes = [0.0; LINE];
    lanes.iter_mut().zip(from.iter().step_by(S)).for_each(|(to, x)| *to = *x);
    let mut sums = load::<V, 1>(&lanes)?[0];
    for y in 1..n {
        let from = from.get(y * row..).unwrap_or_default();
        lanes.iter_mut().zip(from.iter().step_by(S)).for_each(|(to, x)| *to = *x);
        sums = fold(sums, load::<V, 1>(&lanes)?[0]);
    }
    Some(sums)
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

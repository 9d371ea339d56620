//! Pooling of planes, a vector of windows at a time.

use alloc::vec::Vec;
use core::ops::Range;

use tfc_formats::op::Pool;

use super::Kernels;
use super::arch::{Kernel, Vector, load, store};
use super::planes::Spread;
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

/// Maxima of the windows of a grid's planes, which become a grid with the same lanes. What is outside of
/// a plane is as good as 0.
pub(crate) struct GridMaxima<'a> {
    pub(crate) spec: Pool,
    pub(crate) x: &'a [f32],
    pub(crate) from: Spread,
    pub(crate) out: &'a mut [f32],
    pub(crate) to: Spread,
    /// Rows and columns of vectors of the output.
    pub(crate) extent: [usize; 2],
}

impl GridMaxima<'_> {
    /// `None` if a length contradicts another.
    pub(crate) fn run(self, kernels: Kernels, team: Team) -> Option<()> {
        let Self { spec, x, from, out, to, extent } = self;
        let channels = out.len() / to.plane;
        let window = usize::from(spec.kernel[0]) * usize::from(spec.kernel[1]);
        let parts = team.parts(2 * channels * extent[0] * extent[1] * window);
        let channel = |part: usize| channels * part / parts;
        let starts: Vec<usize> = (0..parts).map(|part| channel(part) * to.plane).collect();
        team.each(out, &starts, |part, out| {
            let x = x.get(channel(part) * from.plane..)?;
            kernels.dispatch(GridMaxima { spec, x, from, out, to, extent })
        })
    }
}

impl Kernel for GridMaxima<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let Self { spec, x, from, out, to, extent: [rows, cols] } = self;
        let ([kh, kw], [sh, sw]) = (spec.kernel.map(usize::from), spec.stride.map(usize::from));
        let before = usize::from(spec.pad.top) * from.row + usize::from(spec.pad.left) * V::LANES;
        for (x, out) in x.chunks_exact(from.plane).zip(out.chunks_exact_mut(to.plane)) {
            for i in 0..rows {
                let window = x.get((from.first + i * sh * from.row).checked_sub(before)?..)?;
                let to = out.get_mut(to.first + i * to.row..)?.get_mut(..cols * V::LANES)?;
                for (j, to) in to.chunks_exact_mut(V::LANES).enumerate() {
                    let mut most = V::splat(f32::NEG_INFINITY);
                    for ky in 0..kh {
                        let row = ky * from.row + j * sw * V::LANES;
                        for x in window.get(row..row + kw * V::LANES)?.chunks_exact(V::LANES) {
                            most = load::<V, 1>(x)?[0].max(most);
                        }
                    }
                    store([most], to)?;
                }
            }
        }
        Some(())
    }
}

/// Sums of the channels of a grid, each divided by its elements.
pub(crate) struct GridMeans<'a> {
    pub(crate) x: &'a [f32],
    pub(crate) from: Spread,
    /// Columns of vectors.
    pub(crate) cols: usize,
    /// What of each vector is summed.
    pub(crate) own: &'a [[u32; LINE]],
    /// Elements of a channel.
    pub(crate) elements: usize,
    /// One a channel.
    pub(crate) out: &'a mut [f32],
}

impl GridMeans<'_> {
    /// `None` if a length contradicts the grid.
    pub(crate) fn run(self, kernels: Kernels) -> Option<()> {
        kernels.dispatch(self)
    }
}

impl Kernel for GridMeans<'_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let Self { x, from, cols, own, elements, out } = self;
        for (x, to) in x.chunks_exact(from.plane).zip(out) {
            let mut sums = V::splat(0.0);
            for (i, own) in own.chunks(cols).enumerate() {
                let row = x.get(from.first + i * from.row..)?;
                for (vector, own) in row.chunks_exact(V::LANES).zip(own) {
                    sums = sums.add(load::<V, 1>(vector)?[0].permute(own));
                }
            }
            *to = sums.sum() / elements as f32;
        }
        Some(())
    }
}

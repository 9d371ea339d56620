//! The inner loops, for whatever vectors the processor has.

use pulp::{Arch, Simd, WithSimd};

/// `out[r, j] = initial[r] + sum over k of weights[r, k] planes[offsets[k] + j]`: products of
/// weights and the shifted planes.
pub(super) struct Correlate<'a> {
    /// As [`pack`] arranges them.
    pub(super) weights: &'a [f32],
    pub(super) offsets: &'a [usize],
    pub(super) planes: &'a [f32],
    /// By row; zeros if empty.
    pub(super) initial: &'a [f32],
    /// Rows of `len` elements, a multiple of 16.
    pub(super) out: &'a mut [f32],
    pub(super) len: usize,
}

/// `out[r, k] += sum over j of dy[r, j] planes[offsets[k] + j]`, where rows of `dy` are `stride`
/// apart and `len` is a multiple of 16.
pub(super) struct Accumulate<'a> {
    pub(super) dy: &'a [f32],
    pub(super) stride: usize,
    pub(super) offsets: &'a [usize],
    pub(super) planes: &'a [f32],
    pub(super) len: usize,
    pub(super) out: &'a mut [f32],
}

impl Correlate<'_> {
    pub(super) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl Accumulate<'_> {
    pub(super) fn run(self) {
        Arch::new().dispatch(self);
    }
}

/// Rows are worked on in blocks of 8, 4, 2 and 1: first row and height of each.
fn blocks(rows: usize, highest: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut row = 0;
    core::iter::from_fn(move || {
        let height = (rows - row).checked_ilog2().map(|log| highest.min(1 << log))?;
        row += height;
        Some((row - height, height))
    })
}

const HIGHEST: usize = 8;

/// Arranges `rows x inner` weights for [`Correlate`]: by block, the weights of all its rows for
/// one `k` after the other.
pub(super) fn pack(rows: usize, inner: usize, to: &mut [f32], weight: impl Fn(usize, usize) -> f32) {
    for (row, height) in blocks(rows, HIGHEST) {
        let block = &mut to[row * inner..][..height * inner];
        for (k, to) in block.chunks_exact_mut(height).enumerate() {
            for (r, to) in to.iter_mut().enumerate() {
                *to = weight(row + r, k);
            }
        }
    }
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let inner = self.offsets.len();
        let rows = self.out.len() / self.len;
        for (row, height) in blocks(rows, HIGHEST) {
            let block = Block {
                weights: &self.weights[row * inner..][..height * inner],
                offsets: self.offsets,
                planes: self.planes,
                initial: if self.initial.is_empty() { &[] } else { &self.initial[row..][..height] },
                out: &mut self.out[row * self.len..][..height * self.len],
                len: self.len,
            };
            // As many accumulators as there are registers, less those of the operands.
            match (height, S::REGISTER_COUNT >= 32) {
                (8, true) => block.rows::<S, 8, 3>(simd),
                (8, false) => block.rows::<S, 8, 1>(simd),
                (4, true) => block.rows::<S, 4, 6>(simd),
                (4, false) => block.rows::<S, 4, 2>(simd),
                (2, _) => block.rows::<S, 2, 4>(simd),
                _ => block.rows::<S, 1, 8>(simd),
            }
        }
    }
}

/// A [`Correlate`] of one block of rows.
struct Block<'a> {
    weights: &'a [f32],
    offsets: &'a [usize],
    planes: &'a [f32],
    initial: &'a [f32],
    out: &'a mut [f32],
    len: usize,
}

impl Block<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const V: usize>(mut self, simd: S) {
        let wide = V * S::F32_LANES;
        let mut at = 0;
        while at + wide <= self.len {
            self.tile::<S, R, V>(simd, at);
            at += wide;
        }
        while at < self.len {
            self.tile::<S, R, 1>(simd, at);
            at += S::F32_LANES;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(&mut self, simd: S, at: usize) {
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        for (sums, &initial) in sums.iter_mut().zip(self.initial) {
            *sums = [simd.splat_f32s(initial); V];
        }
        let (weights, _) = self.weights.as_chunks::<R>();
        for (weights, &offset) in weights.iter().zip(self.offsets) {
            let (x, _) = S::as_simd_f32s(&self.planes[offset + at..][..V * S::F32_LANES]);
            for (sums, &weight) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(weight);
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_e_f32s(weight, x, *sum);
                }
            }
        }
        for (out, sums) in self.out.chunks_exact_mut(self.len).zip(sums) {
            let (out, _) = S::as_mut_simd_f32s(&mut out[at..][..V * S::F32_LANES]);
            out.copy_from_slice(&sums);
        }
    }
}

impl WithSimd for Accumulate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let many = S::REGISTER_COUNT >= 32;
        let rows = self.out.len() / self.offsets.len();
        for (row, height) in blocks(rows, if many { 8 } else { 4 }) {
            match height {
                8 => self.rows::<S, 8>(simd, row),
                4 => self.rows::<S, 4>(simd, row),
                2 => self.rows::<S, 2>(simd, row),
                _ => self.rows::<S, 1>(simd, row),
            }
        }
    }
}

impl Accumulate<'_> {
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let inner = self.offsets.len();
        let mut k = 0;
        while k + 3 <= inner {
            self.tile::<S, R, 3>(simd, row, k);
            k += 3;
        }
        while k < inner {
            self.tile::<S, R, 1>(simd, row, k);
            k += 1;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const K: usize>(&mut self, simd: S, row: usize, k: usize) {
        let vectors = self.len / S::F32_LANES;
        let empty: &[S::f32s] = &[];
        let (mut dy, mut x) = ([empty; R], [empty; K]);
        for (r, dy) in dy.iter_mut().enumerate() {
            *dy = &S::as_simd_f32s(&self.dy[(row + r) * self.stride..][..self.len]).0[..vectors];
        }
        for (x, &offset) in x.iter_mut().zip(&self.offsets[k..]) {
            *x = &S::as_simd_f32s(&self.planes[offset..][..self.len]).0[..vectors];
        }
        let mut sums = [[simd.splat_f32s(0.0); K]; R];
        for i in 0..vectors {
            let mut at = [simd.splat_f32s(0.0); K];
            for (at, x) in at.iter_mut().zip(x) {
                *at = x[i];
            }
            for (sums, dy) in sums.iter_mut().zip(dy) {
                for (sum, &x) in sums.iter_mut().zip(&at) {
                    *sum = simd.mul_add_e_f32s(dy[i], x, *sum);
                }
            }
        }
        let inner = self.offsets.len();
        for (r, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[(row + r) * inner + k..][..K];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out += simd.reduce_sum_f32s(sum);
            }
        }
    }
}

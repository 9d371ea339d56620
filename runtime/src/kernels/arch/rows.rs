//! The innermost loops of a dense matrix-vector product, over rows of stored values.
#![allow(unsafe_code)]

use half::f16;

use super::vector::Vector;
use crate::kernels::weights::Value;

/// Element type of stored values that vectors are loaded from.
pub(in crate::kernels) trait Element: Value {
    /// The nearest value.
    fn from_f32(x: f32) -> Self;

    /// `V::LANES` elements from `from`.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn load<V: Vector>(from: *const Self) -> V;
}

impl Element for f32 {
    fn from_f32(x: f32) -> Self {
        x
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's.
        unsafe { V::load(from) }
    }
}

impl Element for f16 {
    fn from_f32(x: f32) -> Self {
        f16::from_f32(x)
    }

    #[inline(always)]
    unsafe fn load<V: Vector>(from: *const Self) -> V {
        // SAFETY: the caller's.
        unsafe { V::load_f16(from) }
    }
}

/// The bits of a vector that are kept, those of its last lanes, are loaded from here: 16 lanes of
/// none before 16 of all.
static MASK: [u32; 32] = {
    let mut mask = [0; 32];
    let mut i = 16;
    while i < 32 {
        mask[i] = u32::MAX;
        i += 1;
    }
    mask
};

/// All bits of the last `n` lanes.
#[inline(always)]
fn last<V: Vector>(n: usize) -> V {
    let start = 16 - V::LANES + n.min(V::LANES);
    // SAFETY: no vector has more than 16 lanes.
    unsafe { V::load(MASK.as_ptr().cast::<f32>().wrapping_add(start)) }
}

/// Products of `R` consecutive rows with `x`. `None` if `rows` are not `R` rows as long as `x`, or
/// shorter than a vector.
#[inline(always)]
pub(in crate::kernels) fn dots<V: Vector, W: Element, const R: usize>(
    rows: &[W],
    x: &[f32],
) -> Option<[f32; R]> {
    /// Vectors of a row at once.
    const N: usize = 2;
    let cols = x.len();
    if rows.len() != cols.checked_mul(R)? || cols < V::LANES {
        return None;
    }
    let mut sums = [[V::splat(0.0); N]; R];
    let row = |r: usize, at: usize| rows.as_ptr().wrapping_add(r * cols + at);
    let mut at = 0;
    while at + N * V::LANES <= cols {
        for n in 0..N {
            let at = at + n * V::LANES;
            // SAFETY: a vector from `at` ends inside `x` and inside each row.
            let x = unsafe { V::load(x.as_ptr().wrapping_add(at)) };
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                sums[n] = unsafe { W::load::<V>(row(r, at)) }.mul_add(x, sums[n]);
            }
        }
        at += N * V::LANES;
    }
    // What is left, in vectors that end with the rows.
    while at < cols {
        let n = V::LANES.min(cols - at);
        let (start, mask) = (at + n - V::LANES, last::<V>(n));
        // SAFETY: a vector from `start` ends inside `x` and inside each row; `start` is no less
        // than 0, since rows are no shorter than a vector.
        let x = unsafe { V::load(x.as_ptr().wrapping_add(start)) }.and(mask);
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: as above.
            let w = unsafe { W::load::<V>(row(r, start)) }.and(mask);
            sums[0] = w.mul_add(x, sums[0]);
        }
        at += n;
    }
    // No closure: it would be compiled without the instructions of `V`.
    let mut totals = [0.0; R];
    for (total, [a, b]) in totals.iter_mut().zip(sums) {
        *total = a.add(b).sum();
    }
    Some(totals)
}

/// Adds `R` rows, each scaled, to `out`. `None` if a row is of another length or shorter than a
/// vector.
#[inline(always)]
pub(in crate::kernels) fn add_scaled<V: Vector, W: Element, const R: usize>(
    out: &mut [f32],
    scales: [f32; R],
    rows: [&[W]; R],
) -> Option<()> {
    let len = out.len();
    if len < V::LANES || rows.iter().any(|row| row.len() != len) {
        return None;
    }
    let mut by = [V::splat(0.0); R];
    for (by, scale) in by.iter_mut().zip(scales) {
        *by = V::splat(scale);
    }
    let to = out.as_mut_ptr();
    let mut at = 0;
    while at + V::LANES <= len {
        // SAFETY: a vector from `at` ends inside `out` and each row.
        unsafe {
            let mut sum = V::load(to.wrapping_add(at));
            for r in 0..R {
                sum = W::load::<V>(rows[r].as_ptr().wrapping_add(at)).mul_add(by[r], sum);
            }
            sum.store(to.wrapping_add(at));
        }
        at += V::LANES;
    }
    if at < len {
        let (start, mask) = (len - V::LANES, last::<V>(len - at));
        let mut sum = V::splat(0.0);
        // SAFETY: as above, for a vector from `start`.
        unsafe {
            for r in 0..R {
                sum = W::load::<V>(rows[r].as_ptr().wrapping_add(start)).mul_add(by[r], sum);
            }
            V::load(to.wrapping_add(start)).add(sum.and(mask)).store(to.wrapping_add(start));
        }
    }
    Some(())
}

//! Matrix products.

use super::{kernel::Kernel, memory::Buffer, recorder::Recorder};
use crate::device::{Mat, MatMut};

/// Longest inner extent of one invocation. A software rasteriser (llvmpipe) ends an invocation
/// after 65,535 loop iterations without a word, so long ones are split; so do GPUs want it.
const MAX_CHUNK: usize = 4096;
/// Shortest inner extent worth a split of its own.
const MIN_CHUNK: usize = 256;
/// Workgroups that keep a GPU busy.
const BUSY: usize = 64;
/// Steps of the inner extent that a workgroup takes at a time (`DEEP` in the shader).
const DEEP: usize = 8;

/// How a product is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// Rows and columns of the block of one workgroup.
    tile: usize,
    /// Inner extent of one split.
    chunk: usize,
    /// Number of splits.
    splits: usize,
}

impl Plan {
    fn new([m, n, k]: [usize; 3]) -> Self {
        let tiles = |tile: usize| m.div_ceil(tile) * n.div_ceil(tile);
        let tile = if m.min(n) >= 128 && tiles(128) >= BUSY { 128 } else { 64 };
        let wanted = BUSY.div_ceil(tiles(tile)).min(k / MIN_CHUNK);
        let splits = wanted.max(k.div_ceil(MAX_CHUNK)).max(1);
        let chunk = k.div_ceil(splits).next_multiple_of(DEEP).max(DEEP);
        Self { tile, chunk, splits: k.div_ceil(chunk).max(1) }
    }
}

pub(super) fn gemm(
    recorder: &Recorder,
    mnk: [usize; 3],
    alpha: f32,
    a: Mat<'_, Buffer>,
    b: Mat<'_, Buffer>,
    beta: f32,
    c: MatMut<'_, Buffer>,
) {
    let [m, n, k] = mnk;
    if m * n == 0 {
        return;
    }
    assert_within(a.buffer, a.offset, a.row_stride, if a.transposed { [k, m] } else { [m, k] });
    assert_within(b.buffer, b.offset, b.row_stride, if b.transposed { [n, k] } else { [k, n] });
    assert_within(c.buffer, c.offset, c.row_stride, [m, n]);

    let Plan { tile, chunk, splits } = Plan::new(mnk);
    let [tiles_m, tiles_n] = [m.div_ceil(tile), n.div_ceil(tile)];
    let kernel = Kernel::Gemm { tile: tile as u32, a_transposed: a.transposed, b_transposed: b.transposed };
    let product = |to: &Buffer, at: usize, stride: usize, alpha: f32, beta: f32| {
        let params = [
            m.into(),
            n.into(),
            k.into(),
            a.offset.into(),
            a.row_stride.into(),
            b.offset.into(),
            b.row_stride.into(),
            at.into(),
            stride.into(),
            (m * n).into(),
            chunk.into(),
            (tiles_m * tiles_n).into(),
            tiles_n.into(),
            alpha.into(),
            beta.into(),
        ];
        recorder.run_groups(kernel, &[a.buffer, b.buffer, to], [tiles_m * tiles_n, splits], &params);
    };
    if splits == 1 {
        return product(c.buffer, c.offset, c.row_stride, alpha, beta);
    }
    let partials = recorder.scratch(splits * m * n);
    product(&partials, 0, n, 1.0, 0.0);
    let params = [
        (m * n).into(),
        n.into(),
        splits.into(),
        c.offset.into(),
        c.row_stride.into(),
        alpha.into(),
        beta.into(),
    ];
    recorder.run(Kernel::GemmReduce, &[&partials, c.buffer], m * n, &params);
}

/// Panics unless a matrix lies in its buffer.
fn assert_within(buffer: &Buffer, offset: usize, row_stride: usize, [rows, cols]: [usize; 2]) {
    if rows * cols > 0 {
        let end = offset + (rows - 1) * row_stride + cols;
        assert!(end <= buffer.len(), "a {rows} x {cols} matrix ends at {end} of {}", buffer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_cover_the_inner_extent_and_stay_short() {
        for mnk in [
            [1, 1, 0],
            [1, 1, 1],
            [64, 64, 255],
            [20, 500, 36_864],
            [10, 64, 500],
            [64, 576, 65_536],
            [4096, 4096, 9216],
            [128, 128, 4097],
            [1, 1, 10_000_000],
        ] {
            let Plan { tile, chunk, splits } = Plan::new(mnk);
            let k = mnk[2];
            assert!(tile == 64 || tile == 128);
            assert!(chunk <= MAX_CHUNK && chunk.is_multiple_of(DEEP), "{mnk:?}: {chunk}");
            assert!(splits * chunk >= k && splits.saturating_sub(1) * chunk <= k, "{mnk:?}: {splits}");
        }
    }

    #[test]
    fn small_results_with_a_long_inner_extent_use_the_whole_device() {
        assert!(Plan::new([20, 25, 36_864]).splits >= BUSY / 2);
        assert_eq!(Plan::new([4096, 4096, 4096]), Plan { tile: 128, chunk: 4096, splits: 1 });
    }
}

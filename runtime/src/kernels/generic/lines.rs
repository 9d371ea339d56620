//! Where the outputs of a convolution lie in its input.

use tfc_formats::op::Conv2d;

use crate::tensor::Layout;

/// Runs of output positions whose inputs are one horizontal stride apart.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) count: usize,
    /// Positions in a line.
    pub(super) len: usize,
    /// From the input of one line to that of the next.
    pub(super) step: usize,
    /// Positions in a row of outputs, those that are not stored included.
    pub(super) row: usize,
}

impl Lines {
    /// One line of all positions of the flattened input, where the stride is 1; otherwise
    /// [`rows`](Self::rows).
    pub(super) fn of(spec: &Conv2d, x: Layout, out: Layout) -> Option<Self> {
        if spec.stride != [1, 1] {
            return Self::rows(spec, x, out);
        }
        let len = out.h.checked_sub(1)? * x.row + out.w;
        Self { count: 1, len, step: 0, row: x.row }.padded(spec, x)
    }

    /// A line for each row of outputs.
    pub(super) fn rows(spec: &Conv2d, x: Layout, out: Layout) -> Option<Self> {
        let step = usize::from(spec.stride[0]) * x.row;
        Self { count: out.h, len: out.w, step, row: out.w }.padded(spec, x)
    }

    /// `None` if the input's halo is smaller than the padding.
    fn padded(self, spec: &Conv2d, x: Layout) -> Option<Self> {
        (usize::from(spec.pad.top) <= x.top && usize::from(spec.pad.left) <= x.left).then_some(self)
    }

    /// Length of a tile, of these: the one that computes least.
    pub(super) fn tile(&self, tiles: &[usize]) -> Option<usize> {
        tiles.iter().copied().min_by_key(|tile| self.cost(*tile))
    }

    /// Positions that tiles compute, a tile counting as so many more.
    pub(super) fn cost(&self, tile: usize) -> usize {
        const OVERHEAD: usize = 16;
        self.count * self.len.div_ceil(tile) * (tile + OVERHEAD)
    }
}

//! A convolution laid out for [`kernels::planes`](crate::kernels::planes).

use alloc::vec::Vec;

use tfc_formats::op::{Activation, Conv2d};

use super::plan::Place;
use super::strips::{At, Columns};
use crate::kernels::grid::Grid;
use crate::kernels::planes::{Blocks, Planes, SLACK, Spread};
use crate::kernels::team::Team;
use crate::kernels::{Kernels, Weights};
use crate::tensor::{Tensor, TensorMut};

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(super) struct ConvPlan {
    /// Of all groups, in the order of output channels.
    blocks: Blocks,
    bias: Vec<f32>,
    source: Source,
    to: Spread,
    residual: Option<Spread>,
    activation: Option<Activation>,
}

/// Where the taps read.
#[derive(Clone, Debug)]
enum Source {
    /// The planes of the input as they lie.
    Planes,
    /// Strips in the scratch.
    Strips(Columns),
    /// The input's grid: `stride` vectors from one output to the next.
    Grid { grid: Grid, stride: usize, extent: [usize; 2] },
}

/// Input channels of a chunk: as many as a first-level cache holds of what a tile reads of each
/// (`window` elements), as long as rows, of `taps` taps in all, do not become too short.
fn chunk(channels: usize, window: usize, taps: usize) -> usize {
    /// Elements.
    const CACHE: usize = 9 * 1024;
    /// Taps of a row and chunk, below which loading and storing its sums takes too long.
    const LEAST: usize = 12;
    let chunks = (channels * window).div_ceil(CACHE).min(taps / LEAST).max(1);
    channels.div_ceil(chunks).max(1)
}

impl Source {
    /// Elements of a channel that a tile of `out` reads, about.
    fn window(&self, out: &Place, lanes: usize) -> usize {
        let vectors = (out.at.h * out.at.w).div_ceil(lanes).min(16);
        match self {
            Self::Planes => vectors * lanes,
            // A strip is read from one row above to one below.
            Self::Strips(strips) => strips.each() * (vectors * lanes + 2 * out.at.w),
            Self::Grid { grid, stride, extent: [_, cols] } => {
                let cols = (*cols).min(vectors);
                let around = |n: usize| n * stride + 2;
                (around(vectors.div_ceil(cols)) * around(cols) * lanes).min(grid.spread().plane)
            }
        }
    }
}

impl ConvPlan {
    pub(super) fn new(
        spec: &Conv2d,
        weights: &Weights<'_>,
        activation: Option<Activation>,
        [x, out]: [&Place; 2],
        residual: Option<&Place>,
        kernels: Kernels,
    ) -> Option<Self> {
        let [kh, kw] = spec.kernel.map(usize::from);
        let groups = spec.groups as usize;
        let (group_in, group_out) = (x.at.c.checked_div(groups)?, out.at.c.checked_div(groups)?);
        let mut rows: Vec<Vec<(At, f32)>> = Vec::with_capacity(out.at.c);
        let mut uses = alloc::vec![0usize; x.at.c.checked_mul(kh * kw)?];
        for (o, row) in weights.rows().enumerate() {
            let first = o.checked_div(group_out)? * group_in;
            let mut taps = Vec::new();
            for (column, value) in row.filter(|(_, value)| *value != 0.0) {
                let column = column as usize;
                let channel = first + column / (kh * kw);
                taps.push((At { channel, ky: column / kw % kh, kx: column % kw }, value));
                *uses.get_mut(first * kh * kw + column)? += 1;
            }
            rows.push(taps);
        }
        let source = match (x.grid, out.grid) {
            (Some(grid), Some(out)) => {
                Source::Grid { grid, stride: spec.stride[0].into(), extent: out.extent() }
            }
            _ if x.at.plane > 1 && kh * kw == 1 && spec.stride == [1, 1] && spec.pad.is_zero() => {
                Source::Planes
            }
            _ => {
                let used = uses.iter().enumerate().filter(|(_, n)| **n > 0);
                let at = |i: usize| At { channel: i / (kh * kw), ky: i / kw % kh, kx: i % kw };
                let used: Vec<(At, usize)> = used.map(|(i, n)| (at(i), *n)).collect();
                Source::Strips(Columns::new(spec, x.at, out.at, &used, kernels.lanes())?)
            }
        };
        let offset = |at: At| match &source {
            Source::Planes => u32::try_from(at.channel.checked_mul(x.at.plane)?).ok(),
            Source::Strips(strips) => strips.offset(at),
            Source::Grid { grid, .. } => {
                let axis =
                    |k: usize, dilation: u16, pad: u16| (k * usize::from(dilation)) as isize - pad as isize;
                let row = axis(at.ky, spec.dilation[0], spec.pad.top);
                let column = axis(at.kx, spec.dilation[1], spec.pad.left);
                let spread = grid.spread();
                let start = at.channel * spread.plane + spread.first;
                u32::try_from(start.checked_add_signed(grid.offset([row, column]))?).ok()
            }
        };
        let mut rows: Vec<Vec<(u32, f32)>> = rows
            .iter()
            .map(|row| row.iter().map(|(at, value)| Some((offset(*at)?, *value))).collect())
            .collect::<Option<_>>()?;
        // Strips are in the order of columns of the kernel, and weights of its rows.
        rows.iter_mut().for_each(|row| row.sort_unstable_by_key(|(offset, _)| *offset));
        let size = Blocks::best(&rows);
        let lanes = kernels.lanes();
        // Blocks load too seldom for it to matter where from.
        let limits = if size == 1 && groups == 1 && x.at.plane > 1 && out.at.plane > 1 {
            let taps = rows.iter().map(Vec::len).sum::<usize>() / rows.len().max(1);
            let channels = chunk(x.at.c, source.window(out, lanes), taps);
            let start = |channel: usize| match &source {
                Source::Planes => u32::try_from(channel * x.at.plane).ok(),
                Source::Strips(strips) => strips.channel(channel),
                Source::Grid { grid, .. } => u32::try_from(channel * grid.spread().plane).ok(),
            };
            (channels..x.at.c).step_by(channels).filter_map(start).collect()
        } else {
            Vec::new()
        };
        let blocks = Blocks::new(&rows, size, &limits);
        let bias = (0..out.at.c).map(|o| weights.bias(o)).collect::<Option<_>>()?;
        let residual = residual.map(Place::spread);
        Some(Self { blocks, bias, source, to: out.spread(), residual, activation })
    }

    /// Elements of scratch.
    pub(super) fn scratch_len(&self) -> usize {
        match &self.source {
            Source::Strips(strips) => strips.len() + SLACK,
            _ => 0,
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let strips = if let Source::Strips(strips) = &self.source { strips.bytes() } else { 0 };
        self.blocks.bytes() + strips + size_of_val(self.bias.as_slice())
    }

    pub(super) fn run(
        &self,
        (kernels, team): (Kernels, Team),
        x: Tensor<'_>,
        residual: Option<Tensor<'_>>,
        out: TensorMut<'_>,
        scratch: &mut [f32],
    ) -> Option<()> {
        // Where planes are one run, they are one row of vectors.
        let run = |rows: usize| [1, (rows * out.at.w).div_ceil(kernels.lanes())];
        let whole = run(out.at.h);
        let mut planes = Planes {
            blocks: &self.blocks,
            first: 0,
            bias: &self.bias,
            source: x.data,
            source_row: 0,
            stride: 1,
            extent: whole,
            out: out.data,
            to: self.to,
            residual: residual.map(|residual| residual.data).zip(self.residual),
            activation: self.activation,
        };
        match &self.source {
            Source::Planes => planes.run(kernels, team),
            Source::Grid { grid, stride, extent } => {
                planes.source_row = stride * grid.spread().row;
                (planes.stride, planes.extent) = (*stride, *extent);
                planes.run(kernels, team)
            }
            Source::Strips(strips) => {
                for (band, copies) in strips.bands().iter().enumerate() {
                    copies.run(kernels, x, scratch)?;
                    let first = band * strips.band();
                    let start = first * out.at.w;
                    let moved = |spread: Spread| Spread { first: spread.first + start, ..spread };
                    Planes {
                        source: scratch,
                        extent: run(strips.band().min(out.at.h - first)),
                        out: &mut *planes.out,
                        to: moved(self.to),
                        residual: planes.residual.map(|(data, spread)| (data, moved(spread))),
                        ..planes
                    }
                    .run(kernels, team)?;
                }
                Some(())
            }
        }
    }
}

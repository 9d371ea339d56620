//! A convolution laid out for [`kernels::planes`](crate::kernels::planes).

use alloc::vec::Vec;

use tfc_formats::op::{Activation, Conv2d};

use super::strips::{At, Columns};
use crate::kernels::planes::{Blocks, Planes, SLACK};
use crate::kernels::{Kernels, Weights};
use crate::tensor::{Layout, Tensor, TensorMut};

/// A convolution with its weights.
#[derive(Clone, Debug)]
pub(super) struct ConvPlan {
    /// One for all groups, in the order of output channels.
    blocks: Blocks,
    bias: Vec<f32>,
    /// `None` where every tap reads the input's planes as they lie.
    strips: Option<Columns>,
    activation: Option<Activation>,
}

impl ConvPlan {
    pub(super) fn new(
        spec: &Conv2d,
        weights: &Weights<'_>,
        activation: Option<Activation>,
        x: Layout,
        out: Layout,
        kernels: Kernels,
    ) -> Option<Self> {
        let [kh, kw] = spec.kernel.map(usize::from);
        let groups = spec.groups as usize;
        let (group_in, group_out) = (x.c.checked_div(groups)?, out.c.checked_div(groups)?);
        let mut rows: Vec<Vec<(At, f32)>> = Vec::with_capacity(out.c);
        let mut uses = alloc::vec![0usize; x.c.checked_mul(kh * kw)?];
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
        let direct = x.plane > 1 && kh * kw == 1 && spec.stride == [1, 1] && spec.pad.is_zero();
        let strips = if direct {
            None
        } else {
            let used = uses.iter().enumerate().filter(|(_, n)| **n > 0);
            let at = |i: usize| At { channel: i / (kh * kw), ky: i / kw % kh, kx: i % kw };
            let used: Vec<(At, usize)> = used.map(|(i, n)| (at(i), *n)).collect();
            Some(Columns::new(spec, x, out, &used, kernels.lanes())?)
        };
        let offset = |at: At| match &strips {
            Some(strips) => strips.offset(at),
            None => u32::try_from(at.channel.checked_mul(x.plane)?).ok(),
        };
        let rows: Vec<Vec<(u32, f32)>> = rows
            .iter()
            .map(|row| row.iter().map(|(at, value)| Some((offset(*at)?, *value))).collect())
            .collect::<Option<_>>()?;
        let blocks = Blocks::new(&rows, Blocks::best(&rows));
        let bias = (0..out.c).map(|o| weights.bias(o)).collect::<Option<_>>()?;
        Some(Self { blocks, bias, strips, activation })
    }

    /// Elements of scratch.
    pub(super) fn scratch_len(&self) -> usize {
        self.strips.as_ref().map_or(0, |strips| strips.len() + SLACK)
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let strips = self.strips.as_ref().map_or(0, Columns::bytes);
        self.blocks.bytes() + strips + size_of_val(self.bias.as_slice())
    }

    pub(super) fn run(
        &self,
        kernels: Kernels,
        x: Tensor<'_>,
        residual: Option<Tensor<'_>>,
        out: TensorMut<'_>,
        scratch: &mut [f32],
    ) -> Option<()> {
        let Some(strips) = &self.strips else {
            return self.band(kernels, x.data, 0, out.at.h, residual, out);
        };
        for (band, copies) in strips.bands().iter().enumerate() {
            copies.run(kernels, x, scratch)?;
            let first = band * strips.band();
            let rows = strips.band().min(out.at.h - first);
            let out = TensorMut { data: out.data, at: out.at };
            self.band(kernels, scratch, first, rows, residual, out)?;
        }
        Some(())
    }

    /// Rows of the output.
    fn band(
        &self,
        kernels: Kernels,
        source: &[f32],
        first: usize,
        rows: usize,
        residual: Option<Tensor<'_>>,
        out: TensorMut<'_>,
    ) -> Option<()> {
        Planes {
            blocks: &self.blocks,
            bias: &self.bias,
            source,
            count: rows * out.at.w,
            start: first * out.at.w,
            plane: out.at.plane,
            out: out.data,
            residual: residual.map(|residual| residual.data),
            activation: self.activation,
        }
        .run(kernels)
    }
}

//! Convolutions without columns: the products of the weights with shifted flat planes ([`layout`]),
//! some images at a time, so that all operands stay in the innermost caches.

mod kernel;
mod layout;

use rayon::prelude::*;

use self::{
    kernel::{Accumulate, Correlate, pack},
    layout::{Flat, LANES, Lattice, Tap, taps},
};
use super::parallel::{CHUNK, min_pieces};
use crate::device::Convolution;

/// Output positions of the images that are worked on together: what makes up for the start and
/// the end of the inner loops, and fits the caches.
const POSITIONS: usize = 1 << 10;
/// Pieces of a batch, at least, as long as an image is not cut.
const PIECES: usize = 8;
/// Output positions that one pass over the weights gives.
const BLOCK: usize = 1 << 9;
/// Most partial gradients of a weight...
const PARTIALS: usize = 16;
/// ... and their elements, unless fewer than four.
const PARTIAL_ELEMENTS: usize = 1 << 24;

/// Images that are worked on together; does not depend on the number of threads.
fn images(flat: &Flat, groups: usize, batch: usize) -> usize {
    let fit = POSITIONS / (flat.rows * flat.pitch);
    fit.min(batch.div_ceil(PIECES.div_ceil(groups))).max(1)
}

/// Where the inputs of a convolution's taps lie.
struct Inputs {
    flat: Flat,
    /// Images that are worked on together.
    images: usize,
    /// Parts of each channel's plane; each has a flat plane.
    lattices: Vec<Lattice>,
    /// By input channel of a group and tap: where the flat planes are read for output 0.
    offsets: Vec<usize>,
}

impl Inputs {
    fn new(conv: &Convolution, batch: usize) -> Self {
        let window = &conv.window;
        let taps = taps(window);
        let mut phases: Vec<[usize; 2]> = Vec::new();
        for tap in &taps {
            if !phases.contains(&tap.phase) {
                phases.push(tap.phase);
            }
        }
        let lattice = |&phase| Lattice::phase([window.h, window.w], phase, window.stride);
        let lattices: Vec<_> = phases.iter().map(lattice).collect();
        let extent = [0, 1].map(|i| lattices.iter().map(|l| l.extent[i]).max().unwrap_or(0));
        let shifts: Vec<_> = taps.iter().map(|t| t.shift).collect();
        let flat = Flat::new(extent, [window.oh, window.ow], &shifts);
        let images = images(&flat, conv.groups, batch);
        let len = flat.len(images);
        let plane = |tap: &Tap| phases.iter().position(|p| *p == tap.phase).unwrap_or(0);
        let offsets = (0..conv.inputs())
            .flat_map(|c| taps.iter().map(move |tap| (c, tap)))
            .map(|(c, tap)| (c * phases.len() + plane(tap)) * len + flat.offset(tap.shift))
            .collect();
        Self { flat, images, lattices, offsets }
    }
}

/// The flat planes of some channels, with room for `images` images.
fn load<'x, 's>(
    flat: &Flat,
    lattices: &[Lattice],
    images: usize,
    channels: impl ExactSizeIterator<Item = &'x [f32]>,
    planes: &'s mut Vec<f32>,
) -> &'s [f32] {
    let len = flat.len(images);
    planes.clear();
    planes.resize(channels.len() * lattices.len() * len, 0.0);
    for (x, planes) in channels.zip(planes.chunks_exact_mut(lattices.len() * len)) {
        for (lattice, plane) in lattices.iter().zip(planes.chunks_exact_mut(len)) {
            flat.load(lattice, x, plane);
        }
    }
    planes
}

/// Some of the outputs of a [`Correlation`].
struct Outputs {
    lattice: Lattice,
    /// Where each product's plane is read for output 0.
    offsets: Vec<usize>,
    /// By group, as [`pack`] arranges them.
    weights: Vec<f32>,
}

/// Output channels as sums over input channels and taps.
struct Correlation {
    groups: usize,
    /// Input and output channels of a group.
    channels: [usize; 2],
    /// Images that are worked on together.
    images: usize,
    flat: Flat,
    /// Parts of each input channel's plane; each has a flat plane.
    inputs: Vec<Lattice>,
    /// Parts of each output channel's plane.
    outputs: Vec<Outputs>,
}

/// What threads reuse from one piece of work to the next.
#[derive(Default)]
struct Scratch {
    planes: Vec<f32>,
    out: Vec<f32>,
}

impl Correlation {
    /// From `x [C, batch, plane]` to `y` likewise, which it overwrites.
    fn run(&self, batch: usize, x: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let [ins, outs] = self.channels;
        let (in_plane, out_plane) = (self.inputs[0].plane(), self.outputs[0].lattice.plane());
        // By group and run of images: the planes of each output channel.
        let pieces = batch.div_ceil(self.images);
        let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
        tasks.resize_with(self.groups * pieces, || Vec::with_capacity(outs));
        let rows = y[..self.groups * outs * batch * out_plane].chunks_mut(batch * out_plane);
        for (channel, row) in rows.enumerate() {
            for (piece, planes) in row.chunks_mut(self.images * out_plane).enumerate() {
                tasks[channel / outs * pieces + piece].push(planes);
            }
        }
        tasks.into_par_iter().enumerate().for_each_init(Scratch::default, |scratch, (task, mut y)| {
            let (group, first) = (task / pieces, task % pieces * self.images);
            let count = self.images.min(batch - first);
            let channels = (group * ins..(group + 1) * ins)
                .map(|c| &x[(c * batch + first) * in_plane..][..count * in_plane]);
            let planes = load(&self.flat, &self.inputs, self.images, channels, &mut scratch.planes);
            let bias = bias.map_or(&[][..], |bias| &bias[group * outs..][..outs]);
            for outputs in &self.outputs {
                self.outputs(outputs, group, count, planes, bias, &mut scratch.out, &mut y);
            }
        });
    }

    /// Some outputs of one group and some images.
    #[allow(clippy::too_many_arguments)]
    fn outputs(
        &self,
        outputs: &Outputs,
        group: usize,
        images: usize,
        planes: &[f32],
        initial: &[f32],
        out: &mut Vec<f32>,
        y: &mut [&mut [f32]],
    ) {
        let Flat { pitch, rows, .. } = self.flat;
        let weights = y.len() * outputs.offsets.len();
        let step = (BLOCK / pitch).max(1);
        for first in (0..images * rows).step_by(step) {
            let rows = first..(images * rows).min(first + step);
            let len = (rows.len() * pitch).next_multiple_of(LANES);
            out.resize(y.len() * len, 0.0);
            Correlate {
                weights: &outputs.weights[group * weights..][..weights],
                offsets: &outputs.offsets,
                planes: &planes[first * pitch..],
                initial,
                out,
                len,
            }
            .run();
            for (out, y) in out.chunks_exact(len).zip(&mut *y) {
                self.flat.store(&outputs.lattice, rows.clone(), out, y);
            }
        }
    }
}

pub(super) fn conv(
    conv: &Convolution,
    batch: usize,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    if batch == 0 {
        return;
    }
    let Inputs { flat, images, lattices, offsets } = Inputs::new(conv, batch);
    let (outs, filter) = (conv.outputs(), conv.filter());
    let weights = packed(conv.groups, outs, filter, |group, r, k| weight[(group * outs + r) * filter + k]);
    let lattice = Lattice::whole([conv.window.oh, conv.window.ow]);
    Correlation {
        groups: conv.groups,
        channels: [conv.inputs(), outs],
        images,
        flat,
        inputs: lattices,
        outputs: vec![Outputs { lattice, offsets, weights }],
    }
    .run(batch, x, bias, y);
}

/// A convolution of `dy` with the flipped filters, for each phase of the stride with those taps
/// that reach it.
pub(super) fn input_gradient(conv: &Convolution, batch: usize, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    if batch == 0 {
        return;
    }
    let window = &conv.window;
    let (input, output) = ([window.h, window.w], [window.oh, window.ow]);
    let (ins, outs, filter) = (conv.inputs(), conv.outputs(), conv.filter());
    let taps = taps(window);
    let shift = |tap: &Tap| tap.shift.map(|s| -s);
    let shifts: Vec<_> = taps.iter().map(shift).collect();
    let flat = Flat::new(output, Lattice::phase(input, [0, 0], window.stride).extent, &shifts);
    let images = images(&flat, conv.groups, batch);
    let len = flat.len(images);
    let [rows, columns] = [0, 1].map(|i| window.stride[i].min(input[i]));
    let outputs = (0..rows * columns).map(|phase| {
        let phase = [phase / columns, phase % columns];
        let reach: Vec<usize> = (0..taps.len()).filter(|&t| taps[t].phase == phase).collect();
        let offsets = (0..outs)
            .flat_map(|o| reach.iter().map(move |&t| (o, t)))
            .map(|(o, t)| o * len + flat.offset(shift(&taps[t])))
            .collect();
        let weights = packed(conv.groups, ins, outs * reach.len(), |group, c, k| {
            let (o, tap) = (k / reach.len(), reach[k % reach.len()]);
            weight[(group * outs + o) * filter + c * taps.len() + tap]
        });
        Outputs { lattice: Lattice::phase(input, phase, window.stride), offsets, weights }
    });
    Correlation {
        groups: conv.groups,
        channels: [outs, ins],
        images,
        flat,
        inputs: vec![Lattice::whole(output)],
        outputs: outputs.collect(),
    }
    .run(batch, dy, None, dx);
}

/// By group: the weights `weight(group, row, k)`, as [`pack`] arranges them.
fn packed(
    groups: usize,
    rows: usize,
    inner: usize,
    weight: impl Fn(usize, usize, usize) -> f32 + Sync,
) -> Vec<f32> {
    let mut weights = vec![0.0; groups * rows * inner];
    if inner > 0 {
        weights
            .par_chunks_mut(rows * inner)
            .enumerate()
            .with_min_len(min_pieces(rows * inner))
            .for_each(|(group, to)| pack(rows, inner, to, |r, k| weight(group, r, k)));
    }
    weights
}

pub(super) fn weight_gradient(
    conv: &Convolution,
    batch: usize,
    x: &[f32],
    dy: &[f32],
    beta: f32,
    dw: &mut [f32],
) {
    let Inputs { flat, images, lattices, offsets } = Inputs::new(conv, batch);
    let (ins, outs, filter) = (conv.inputs(), conv.outputs(), conv.filter());
    let (in_plane, out_plane) = (lattices[0].plane(), conv.window.oh * conv.window.ow);
    let (dy_flat, dy_lattice) = (flat.without_taps(), [Lattice::whole([conv.window.oh, conv.window.ow])]);
    let dy_len = dy_flat.len(images);

    // Each partial sum takes some runs of images, whatever the number of threads.
    let runs = batch.div_ceil(images);
    let most = (PARTIAL_ELEMENTS / (conv.groups * outs * filter)).clamp(4, PARTIALS);
    let runs_each = runs.div_ceil(most.div_ceil(conv.groups)).max(1);
    let partials = runs.div_ceil(runs_each);
    let mut partial = vec![0.0; conv.groups * partials * outs * filter];
    partial.par_chunks_mut(outs * filter).enumerate().for_each_init(
        Scratch::default,
        |scratch, (at, out)| {
            let (group, from) = (at / partials, at % partials * runs_each * images);
            for first in (from..batch.min(from + runs_each * images)).step_by(images) {
                let count = images.min(batch - first);
                let channels = (group * ins..(group + 1) * ins)
                    .map(|c| &x[(c * batch + first) * in_plane..][..count * in_plane]);
                let planes = load(&flat, &lattices, images, channels, &mut scratch.planes);
                let channels = (group * outs..(group + 1) * outs)
                    .map(|o| &dy[(o * batch + first) * out_plane..][..count * out_plane]);
                let dy = load(&dy_flat, &dy_lattice, images, channels, &mut scratch.out);
                let positions = flat.positions(count);
                for start in (0..positions).step_by(POSITIONS) {
                    Accumulate {
                        dy: &dy[start..],
                        stride: dy_len,
                        offsets: &offsets,
                        planes: &planes[start..],
                        len: POSITIONS.min(positions - start),
                        out,
                    }
                    .run();
                }
            }
        },
    );
    for (dw, partial) in dw[..conv.groups * outs * filter]
        .chunks_exact_mut(outs * filter)
        .zip(partial.chunks_exact(partials * outs * filter))
    {
        dw.par_iter_mut().enumerate().with_min_len(CHUNK).for_each(|(i, dw)| {
            let sum: f32 = partial[i..].iter().step_by(outs * filter).sum();
            *dw = if beta == 0.0 { sum } else { beta * *dw + sum };
        });
    }
}

//! Flat copies of planes, in which every tap of a window is a shift.
//!
//! A flat plane holds the rows of several images one after the other, with so many zeros between
//! rows and between images that a tap which leaves the image reads zeros. Output `(image, y, x)`
//! is at `(image * rows + y) * pitch + x`, and each of its taps lies a constant further, whatever
//! the output. Of a stride, each phase (inputs `p`, `p + stride`, `p + 2 stride`, ...) has a flat
//! plane of its own.

use core::ops::Range;

use super::super::window::gather;
use crate::device::Window;

/// Most elements of a vector of any instruction set.
pub(super) const LANES: usize = 16;

/// A tap of a window: output `o` reads element `o + shift` of a phase of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tap {
    pub(super) phase: [usize; 2],
    pub(super) shift: [isize; 2],
}

/// All taps of a window, row by row.
pub(super) fn taps(window: &Window) -> Vec<Tap> {
    let before = [window.pad.top, window.pad.left].map(usize::from);
    let axis = |i: usize, tap: usize| {
        let at = (tap * window.dilation[i]) as isize - before[i] as isize;
        let stride = window.stride[i] as isize;
        (at.rem_euclid(stride) as usize, at.div_euclid(stride))
    };
    let [kh, kw] = window.kernel;
    (0..kh * kw)
        .map(|tap| {
            let (y, x) = (axis(0, tap / kw), axis(1, tap % kw));
            Tap { phase: [y.0, x.0], shift: [y.1, x.1] }
        })
        .collect()
}

/// Some rows and columns of a plane: `first`, `first + step`, and so on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lattice {
    plane: [usize; 2],
    first: [usize; 2],
    step: [usize; 2],
    /// Number of rows and columns.
    pub(super) extent: [usize; 2],
}

impl Lattice {
    /// The whole plane.
    pub(super) fn whole(plane: [usize; 2]) -> Self {
        Self { plane, first: [0; 2], step: [1; 2], extent: plane }
    }

    pub(super) fn phase(plane: [usize; 2], first: [usize; 2], step: [usize; 2]) -> Self {
        let extent = [0, 1].map(|i| plane[i].saturating_sub(first[i]).div_ceil(step[i]));
        let extent = if extent.contains(&0) { [0; 2] } else { extent };
        Self { plane, first, step, extent }
    }

    /// Elements of the plane.
    pub(super) fn plane(&self) -> usize {
        self.plane[0] * self.plane[1]
    }

    /// Where a row starts in the plane.
    fn row(&self, y: usize) -> usize {
        (self.first[0] + y * self.step[0]) * self.plane[1] + self.first[1]
    }

    /// Copies a row out of the plane.
    fn load(&self, y: usize, plane: &[f32], to: &mut [f32]) {
        let (from, to) = (&plane[self.row(y)..], &mut to[..self.extent[1]]);
        match self.step[1] {
            1 => to.copy_from_slice(&from[..to.len()]),
            step => gather(to.len(), from, step, |i, x| to[i] = x),
        }
    }

    /// Copies a row into the plane.
    pub(super) fn store(&self, y: usize, from: &[f32], plane: &mut [f32]) {
        let (from, to) = (&from[..self.extent[1]], &mut plane[self.row(y)..]);
        match self.step[1] {
            1 => to[..from.len()].copy_from_slice(from),
            step => to.iter_mut().step_by(step).zip(from).for_each(|(to, from)| *to = *from),
        }
    }
}

/// Extents of flat planes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flat {
    /// Elements from one row to the next.
    pub(super) pitch: usize,
    /// Rows from one image to the next.
    pub(super) rows: usize,
    /// Zeros before the first image.
    margin: usize,
    /// Largest offset of a tap.
    reach: usize,
}

impl Flat {
    /// For inputs and outputs of up to these extents and taps of these shifts.
    pub(super) fn new(input: [usize; 2], output: [usize; 2], shifts: &[[isize; 2]]) -> Self {
        let [rows, pitch] = [0, 1].map(|i| {
            let least = shifts.iter().map(|s| s[i]).min().unwrap_or(0).min(0);
            let most = shifts.iter().map(|s| s[i]).max().unwrap_or(0).max(0);
            (input[i] + least.unsigned_abs()).max(output[i] + most.unsigned_abs())
        });
        let offsets = || shifts.iter().map(|[y, x]| y * pitch as isize + x);
        let margin = offsets().min().unwrap_or(0).min(0).unsigned_abs();
        let reach = offsets().max().unwrap_or(0).max(0).unsigned_abs();
        Self { pitch, rows, margin, reach }
    }

    /// For planes that are only read at the outputs themselves.
    pub(super) fn without_taps(self) -> Self {
        Self { margin: 0, reach: 0, ..self }
    }

    /// Output positions of so many images, those between rows and images included, in whole vectors.
    pub(super) fn positions(&self, images: usize) -> usize {
        (images * self.rows * self.pitch).next_multiple_of(LANES)
    }

    /// Elements of the flat plane of so many images; vectors may start at any position.
    pub(super) fn len(&self, images: usize) -> usize {
        self.margin + self.positions(images) + LANES + self.reach
    }

    /// Where the tap of output 0 lies in a flat plane.
    pub(super) fn offset(&self, [y, x]: [isize; 2]) -> usize {
        (self.margin as isize + y * self.pitch as isize + x) as usize
    }

    /// Copies the planes of some images into the flat plane `to`, which is zero between them.
    pub(super) fn load(&self, lattice: &Lattice, planes: &[f32], to: &mut [f32]) {
        for (image, plane) in planes.chunks_exact(lattice.plane()).enumerate() {
            for y in 0..lattice.extent[0] {
                let at = self.margin + (image * self.rows + y) * self.pitch;
                lattice.load(y, plane, &mut to[at..]);
            }
        }
    }

    /// Copies those of the rows `rows` that belong to an image from `from` into the planes.
    pub(super) fn store(&self, lattice: &Lattice, rows: Range<usize>, from: &[f32], planes: &mut [f32]) {
        for (row, from) in rows.zip(from.chunks(self.pitch)) {
            let (image, y) = (row / self.rows, row % self.rows);
            if y < lattice.extent[0] {
                lattice.store(y, from, &mut planes[image * lattice.plane()..]);
            }
        }
    }
}

//! Second moments of a layer's inputs and targets over the calibration inputs.

use faer::Mat;

use super::patches::Geometry;
use super::problem::Problem;
use super::rectify::Cut;
use crate::device::{Device, DeviceError, Mat as Operand, MatMut};

/// Ridge toward the dense weights, relative to the mean power of an input.
const DAMPING: f64 = 0.01;

/// Shares of a mean square that are rounding when sums of f32 lose their mean.
const ROUNDING: f64 = 1e-6;

/// Sums that grow batch by batch. Products are computed on the device, in f32.
pub(super) struct Moments<'d, D: Device> {
    device: &'d D,
    geometry: Geometry,
    dense: &'d [f32],
    weight: D::Buffer,
    /// Patches times patches: `[groups, inputs, inputs]`.
    hessian: D::Buffer,
    /// Targets times patches: `[groups * rows, inputs]`.
    moment: D::Buffer,
    /// Sum of each row of the patches.
    inputs: Vec<f64>,
    /// Sum of each target, and of its squares.
    targets: Vec<f64>,
    squares: Vec<f64>,
    positions: usize,
}

/// What is known of a layer once all inputs were seen.
pub(super) struct Seen {
    /// One a group.
    pub(super) problems: Vec<Problem>,
    /// Mean of each row of the patches.
    pub(super) inputs: Vec<f64>,
    /// Mean of each target.
    pub(super) targets: Vec<f64>,
}

impl<'d, D: Device> Moments<'d, D> {
    /// For a layer with these dense weights, `[groups * rows, inputs]`.
    pub(super) fn new(device: &'d D, geometry: Geometry, dense: &'d [f32]) -> Self {
        let Geometry { groups, rows, inputs, .. } = geometry;
        Self {
            device,
            geometry,
            dense,
            weight: device.upload(dense),
            hessian: device.zeros(groups * inputs * inputs),
            moment: device.zeros(dense.len()),
            inputs: vec![0.0; geometry.patch()],
            targets: vec![0.0; groups * rows],
            squares: vec![0.0; groups * rows],
            positions: 0,
        }
    }

    /// Adds images: what the layer reads now, what it read in the dense network, what its output is
    /// to make up for besides, `[groups * rows, images, oh, ow]`, and what is cut off behind it.
    pub(super) fn add(
        &mut self,
        now: &[Vec<f32>],
        dense: &[Vec<f32>],
        shift: Option<&[f32]>,
        cut: Option<&Cut>,
    ) -> Result<(), DeviceError> {
        let Geometry { groups, rows, inputs, .. } = self.geometry;
        let n = now.len() * self.geometry.positions();
        let device = self.device;
        let patches = {
            let patches = self.geometry.patches(now);
            add_sums(&patches, n, &mut self.inputs, |x| x);
            device.upload(&patches)
        };
        let before = device.upload(&self.geometry.patches(dense));
        let mut targets = match shift {
            Some(shift) => device.upload(shift),
            None => device.zeros(groups * rows * n),
        };
        self.products(&self.weight, &before, &mut targets, n);
        drop(before);
        if let Some(cut) = cut {
            let mut outputs = device.zeros(groups * rows * n);
            self.products(&device.upload(&cut.weights), &patches, &mut outputs, n);
            let mut aims = device.download(&targets)?;
            cut.aim(&mut aims, &device.download(&outputs)?, n);
            device.write(&aims, &mut targets);
        }
        let of = |buffer, offset, transposed| Operand { buffer, offset, row_stride: n, transposed };
        for group in 0..groups {
            let (inputs_at, rows_at) = (group * inputs * n, group * rows * n);
            device.gemm(
                [inputs, inputs, n],
                1.0,
                of(&patches, inputs_at, false),
                of(&patches, inputs_at, true),
                1.0,
                MatMut { buffer: &mut self.hessian, offset: group * inputs * inputs, row_stride: inputs },
            );
            device.gemm(
                [rows, inputs, n],
                1.0,
                of(&targets, rows_at, false),
                of(&patches, inputs_at, true),
                1.0,
                MatMut { buffer: &mut self.moment, offset: group * rows * inputs, row_stride: inputs },
            );
        }
        let targets = device.download(&targets)?;
        add_sums(&targets, n, &mut self.targets, |t| t);
        add_sums(&targets, n, &mut self.squares, |t| t * t);
        self.positions += n;
        Ok(())
    }

    /// Adds the outputs that weights give for patches of `n` positions.
    fn products(&self, weights: &D::Buffer, patches: &D::Buffer, outputs: &mut D::Buffer, n: usize) {
        let Geometry { groups, rows, inputs, .. } = self.geometry;
        let of = |buffer, offset, row_stride| Operand { buffer, offset, row_stride, transposed: false };
        for group in 0..groups {
            self.device.gemm(
                [rows, n, inputs],
                1.0,
                of(weights, group * rows * inputs, inputs),
                of(patches, group * inputs * n, n),
                1.0,
                MatMut { buffer: outputs, offset: group * rows * n, row_stride: n },
            );
        }
    }

    /// The problems of least squares, one a group. Where the layer has an `offset` of its own,
    /// which takes up any difference of means, they are about deviations from the means.
    pub(super) fn finish(self, offset: bool) -> Result<Seen, DeviceError> {
        let Geometry { groups, rows, inputs: d, .. } = self.geometry;
        let n = self.positions.max(1) as f64;
        let mean = |sums: &[f64]| -> Vec<f64> { sums.iter().map(|sum| sum / n).collect() };
        let (inputs, targets, squares) = (mean(&self.inputs), mean(&self.targets), mean(&self.squares));
        let hessian = self.device.download(&self.hessian)?;
        drop(self.hessian);
        let moment = self.device.download(&self.moment)?;
        let problems = (0..groups).map(|group| {
            let x = &inputs[group * d..][..d];
            let t = &targets[group * rows..][..rows];
            let means = |a: f64, b: f64| if offset { a * b } else { 0.0 };
            let at = |i: usize, j: usize| f64::from(hessian[(group * d + i) * d + j]) / n - means(x[i], x[j]);
            // Both halves alike, whatever the rounding of either.
            let mut hessian = Mat::from_fn(d, d, |i, j| 0.5 * (at(i, j) + at(j, i)));
            let power = (0..d).map(|i| hessian[(i, i)]).sum::<f64>() / d as f64;
            let square = (0..d).map(|i| hessian[(i, i)] + means(x[i], x[i])).sum::<f64>() / d as f64;
            // Inputs that hardly change leave rounding, and those that are zero nothing.
            let damping = (DAMPING * power).max(ROUNDING * square).max(f64::from(f32::MIN_POSITIVE));
            (0..d).for_each(|i| hessian[(i, i)] += damping);
            let dense = Mat::from_fn(d, rows, |i, row| f64::from(self.dense[(group * rows + row) * d + i]));
            let moment = Mat::from_fn(d, rows, |i, row| {
                f64::from(moment[(group * rows + row) * d + i]) / n - means(t[row], x[i])
                    + damping * dense[(i, row)]
            });
            let power = (0..rows).map(|row| {
                let (square, mean) = (squares[group * rows + row], means(t[row], t[row]));
                if square - mean <= ROUNDING * square { 0.0 } else { square - mean }
            });
            Problem { hessian, moment, dense, damping, power: power.collect() }
        });
        Ok(Seen { problems: problems.collect(), inputs, targets })
    }
}

/// Adds to each sum what `of` makes of a row of `n` values.
fn add_sums(values: &[f32], n: usize, sums: &mut [f64], of: impl Fn(f64) -> f64) {
    for (sum, row) in sums.iter_mut().zip(values.chunks_exact(n)) {
        *sum += row.iter().map(|&value| of(f64::from(value))).sum::<f64>();
    }
}

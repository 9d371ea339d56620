//! What a ReLU behind a layer cuts off does not matter.

use tfc_formats::network::TensorId;

use super::OneShotError;
use super::patches::Geometry;
use super::place::Place;
use super::run::Run;
use crate::device::Device;

/// Each brings the outputs closer; the first ones do most.
const ROUNDS: usize = 4;

/// What an output is to become where it is cut off.
pub(super) struct Cut {
    /// The layer's weights as they are, `[groups * rows, inputs]`.
    pub(super) weights: Vec<f32>,
    /// By row: what is added to the outputs of these weights.
    pub(super) offsets: Vec<f32>,
    /// By row: outputs up to here are cut off.
    pub(super) floors: Vec<f32>,
}

impl Cut {
    /// Where the target is cut off, the output is right wherever it is cut off too: least squares
    /// over such targets never make the error behind the ReLU larger (Zhang, Zou, He & Sun,
    /// "Accelerating Very Deep Convolutional Networks", 2015, in the form of a majorizer).
    pub(super) fn aim(&self, targets: &mut [f32], outputs: &[f32], n: usize) {
        let rows = targets.chunks_exact_mut(n).zip(outputs.chunks_exact(n));
        for ((targets, outputs), (offset, floor)) in rows.zip(self.offsets.iter().zip(&self.floors)) {
            for (target, output) in targets.iter_mut().zip(outputs) {
                if *target <= *floor {
                    *target = (output + offset).min(*floor);
                }
            }
        }
    }
}

impl<D: Device> Run<'_, D> {
    /// Solves for the weights of a layer again that are not zero, with the ReLU behind it in mind.
    pub(super) fn rectify(
        &mut self,
        node: usize,
        tensor: TensorId,
        geometry: Geometry,
        place: &Place,
        mut cut: Cut,
    ) -> Result<(), OneShotError> {
        let dense = &self.dense.tensors[tensor].data;
        let keep: Vec<Vec<bool>> = cut
            .weights
            .chunks_exact(geometry.inputs)
            .map(|row| row.iter().map(|w| *w != 0.0).collect())
            .collect();
        for _ in 0..ROUNDS {
            let seen = self.gather(node, geometry, dense, place, Some(&cut))?.finish(true)?;
            let problems = seen.problems.iter().zip(keep.chunks_exact(geometry.rows));
            let solved: Option<Vec<_>> = problems.map(|(problem, keep)| problem.solve_kept(keep)).collect();
            let Some(rows) = solved.map(|groups| groups.concat()) else { return Ok(()) };
            for (row, weights) in rows.iter().enumerate() {
                let x = &seen.inputs[row / geometry.rows * geometry.inputs..][..geometry.inputs];
                let mean: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
                let offset = seen.targets[row] - mean;
                place.offset.shift(&mut self.network, row, offset - f64::from(cut.offsets[row]));
                cut.offsets[row] = offset as f32;
            }
            cut.weights = rows.iter().flatten().map(|w| *w as f32).collect();
            if cut.weights.iter().any(|w| !w.is_finite()) {
                return Err(self.not_finite(node));
            }
            self.network.tensors[tensor].data.copy_from_slice(&cut.weights);
        }
        Ok(())
    }
}

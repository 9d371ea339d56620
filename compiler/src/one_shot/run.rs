//! One pass over the layers of a network, in the order of its graph.

use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, TensorId};

use super::layer::{self, Order};
use super::moments::{Moments, Seen};
use super::patches::Geometry;
use super::place::{Offset, Place};
use super::problem::Problem;
use super::rectify::Cut;
use super::sensitivity::Sensitivity;
use super::values::{Part, Values};
use super::{BATCH, Corrected, OneShotError};
use crate::device::Device;
use crate::prune::{Masks, rows_together};

/// Elements of the patches of samples that are worked on together (64 MiB), if they are several.
const MOST_PATCHES: usize = 1 << 24;

/// Most inputs of an output that are corrected: `H` has the square of it (512 MB).
const MOST_INPUTS: usize = 8192;

/// What gives an output the power of its target again, at most twice or half as much. Least squares
/// leave out what the kept inputs cannot explain, and so shrink outputs; a batch norm whose
/// statistics are estimated again makes up for that.
fn gain(target: f64, output: f64) -> f64 {
    if target > 0.0 && output > 0.0 { (target / output).sqrt().clamp(0.5, 2.0) } else { 1.0 }
}

pub(super) struct Run<'a, D> {
    pub(super) device: &'a D,
    pub(super) dense: &'a Network,
    pub(super) samples: &'a Samples,
    /// Rows whose weights at an input go together.
    block: u8,
    pub(super) network: Network,
    /// Values of the dense network.
    pub(super) before: Values<'a>,
    /// Values of the network as it is now.
    pub(super) now: Values<'a>,
    /// Whether any weight differs.
    pub(super) changed: bool,
    /// By node: whether it is a batch norm whose statistics the layer before it was corrected for.
    pub(super) kept_norms: Vec<bool>,
}

/// What is known of a layer that can be corrected.
struct Layer {
    geometry: Geometry,
    place: Place,
    seen: Seen,
    /// By row: the weights that were zero before.
    gone: Vec<Vec<bool>>,
    /// Factor of each row's squared error: the scale of its output, squared.
    importance: Vec<f64>,
}

impl<'a, D: Device> Run<'a, D> {
    /// With the nodes that have weights, in the order of the graph.
    pub(super) fn new(
        device: &'a D,
        dense: &'a Network,
        samples: &'a Samples,
        block: u8,
    ) -> Result<(Self, Vec<(usize, TensorId)>), OneShotError> {
        if samples.is_empty() {
            return Err(OneShotError::Empty);
        }
        let nodes = (0..dense.nodes.len())
            .filter(|&node| dense.selection(node).is_none())
            .filter_map(|node| Some((node, dense.weight(node)?)));
        let (before, now) = (Values::new(samples), Values::new(samples));
        let network = dense.clone();
        let kept_norms = vec![false; dense.nodes.len()];
        let run = Self { device, dense, samples, block, network, before, now, changed: false, kept_norms };
        Ok((run, nodes.collect()))
    }

    pub(super) fn not_finite(&self, node: usize) -> OneShotError {
        OneShotError::NotFinite(self.dense.nodes[node].name.clone())
    }

    /// Where a layer's weights meet its inputs, if it can be corrected.
    fn geometry(&self, node: usize, tensor: TensorId) -> Result<Option<Geometry>, OneShotError> {
        let shapes = self.dense.shapes()?;
        let input = self.dense.nodes[node].inputs[0];
        let geometry = Geometry::new(&self.dense.nodes[node].op, shapes[input], shapes[node + 1]);
        let shared = self.dense.nodes.iter().filter(|n| n.params.contains(&tensor)).count() > 1;
        Ok(geometry.filter(|geometry| !shared && geometry.inputs <= MOST_INPUTS))
    }

    /// Gathers what is to be known of a layer.
    fn study(&mut self, node: usize, tensor: TensorId, geometry: Geometry) -> Result<Layer, OneShotError> {
        let dense = &self.dense.tensors[tensor].data;
        let place = Place::new(self.dense, node);
        let seen = self.gather(node, geometry, dense, &place, None)?.finish(place.offset != Offset::None)?;
        let zeros = |row: &[f32]| row.iter().map(|w| *w == 0.0).collect();
        let gone = dense.chunks_exact(geometry.inputs).map(zeros).collect();
        let importance = place.scale.iter().map(|scale| f64::from(scale * scale)).collect();
        Ok(Layer { geometry, place, seen, gone, importance })
    }

    pub(super) fn scores(
        &mut self,
        node: usize,
        tensor: TensorId,
        sensitivity: &Sensitivity<'_>,
    ) -> Result<Vec<f32>, OneShotError> {
        let data = &self.dense.tensors[tensor].data;
        let Some(geometry) = self.geometry(node, tensor)? else {
            // As if all inputs had the same power and nothing in common.
            let power: f64 = data.iter().map(|w| f64::from(*w).powi(2)).sum();
            let power = power.max(f64::MIN_POSITIVE);
            let error = |noise: &[f64]| noise.iter().map(|n| n * n).sum::<f64>() / power;
            let harm = sensitivity.of(tensor, error, |_, _| ())?;
            return Ok(data.iter().map(|w| (harm * f64::from(*w).powi(2) / power) as f32).collect());
        };
        let Layer { geometry, place, seen, gone, importance } = self.study(node, tensor, geometry)?;
        let powers = seen.problems.iter().flat_map(|problem| &problem.power);
        let power: f64 = powers.zip(&importance).map(|(power, importance)| importance * power.max(0.0)).sum();
        let power = power.max(f64::MIN_POSITIVE);
        let error = |noise: &[f64]| {
            let rows = noise.chunks_exact(geometry.inputs).zip(&importance).enumerate();
            let of = |(row, (noise, importance)): (usize, (&[f64], &f64))| {
                let problem = &seen.problems[row / geometry.rows];
                importance * problem.output(row % geometry.rows, noise).0
            };
            rows.map(of).sum::<f64>() / power
        };
        let settle = |noise: &[f64], network: &mut Network| {
            for (row, noise) in noise.chunks_exact(geometry.inputs).enumerate() {
                let x = &seen.inputs[row / geometry.rows * geometry.inputs..][..geometry.inputs];
                place.offset.shift(network, row, -noise.iter().zip(x).map(|(n, x)| n * x).sum::<f64>());
            }
        };
        let harm = sensitivity.of(tensor, error, settle)?;
        if !harm.is_finite() {
            return Err(self.not_finite(node));
        }
        let block = usize::from(rows_together(self.dense, tensor, self.block));
        let costs = layer::costs(&seen.problems, &gone, &importance, block);
        let costs = costs.ok_or_else(|| self.not_finite(node))?;
        let score = |cost: &f64| (cost * harm / power).min(f64::from(f32::MAX)) as f32;
        Ok(costs.iter().flatten().map(score).collect())
    }

    pub(super) fn layer(
        &mut self,
        node: usize,
        tensor: TensorId,
        masks: &Masks,
    ) -> Result<Corrected, OneShotError> {
        let name = &self.dense.nodes[node].name;
        let dense = &self.dense.tensors[tensor].data;
        let keep = masks.get(tensor);
        let count = keep.map_or(0, |keep| keep.iter().filter(|keep| !**keep).count());
        let mut corrected = Corrected {
            layer: name.clone(),
            order: Order::Scores,
            zeros: count,
            weights: dense.len(),
            output_error: None,
        };
        let Some(geometry) = self.geometry(node, tensor)? else {
            self.mask(tensor, masks);
            return Ok(corrected);
        };
        let zeros = dense.len() - self.dense.tensors[tensor].nonzeros();
        if !self.changed && count <= zeros {
            corrected.zeros = zeros;
            corrected.order = Order::Exact;
            corrected.output_error = Some(0.0);
            return Ok(corrected);
        }

        let Layer { geometry, place, seen, gone, importance } = self.study(node, tensor, geometry)?;
        let block = usize::from(rows_together(self.dense, tensor, self.block));
        let removed = layer::remove(&seen.problems, &gone, &importance, block, count.max(zeros));
        let Some((order, mut rows)) = removed else {
            // Inputs without information are no reason to stop.
            if !seen.problems.iter().all(Problem::is_finite) {
                return Err(self.not_finite(node));
            }
            self.mask(tensor, masks);
            return Ok(corrected);
        };

        let (mut error, mut power) = (0.0, 0.0);
        let mut offsets = Vec::with_capacity(rows.len());
        for (row, weights) in rows.iter_mut().enumerate() {
            let (group, row_of_group) = (row / geometry.rows, row % geometry.rows);
            let problem = &seen.problems[group];
            let target = problem.power[row_of_group].max(0.0);
            let (output, common) = problem.output(row_of_group, weights);
            let gain = if place.norm.is_some() { gain(target, output) } else { 1.0 };
            weights.iter_mut().for_each(|w| *w *= gain);
            error += importance[row] * (target - 2.0 * gain * common + gain * gain * output).max(0.0);
            power += importance[row] * target;
            let x = &seen.inputs[group * geometry.inputs..][..geometry.inputs];
            let mean: f64 = weights.iter().zip(x).map(|(w, x)| w * x).sum();
            place.offset.shift(&mut self.network, row, seen.targets[row] - mean);
            offsets.push((seen.targets[row] - mean) as f32);
        }
        let data = &mut self.network.tensors[tensor].data;
        data.iter_mut().zip(rows.iter().flatten()).for_each(|(to, w)| *to = *w as f32);
        if data.iter().any(|w| !w.is_finite()) {
            return Err(self.not_finite(node));
        }
        self.changed = true;
        place.norm.into_iter().for_each(|norm| self.kept_norms[norm] = true);
        if let (Order::Exact, Some(floors)) = (order, place.floors(self.dense, node)) {
            let weights = data.clone();
            self.rectify(node, tensor, geometry, &place, Cut { weights, offsets, floors })?;
        }
        let data = &self.network.tensors[tensor].data;
        corrected.zeros = data.iter().filter(|w| **w == 0.0).count();
        corrected.order = order;
        corrected.output_error = Some(if power > 0.0 { error / power } else { 0.0 });
        Ok(corrected)
    }

    /// Removes what the masks say, and leaves the others as they are.
    fn mask(&mut self, tensor: TensorId, masks: &Masks) {
        let Some(keep) = masks.get(tensor) else { return };
        let data = self.network.tensors[tensor].data.iter_mut();
        data.zip(keep).filter(|(_, keep)| !**keep).for_each(|(value, _)| *value = 0.0);
        self.changed |= keep.contains(&false);
    }

    /// Moments of the layer over all samples.
    pub(super) fn gather<'d>(
        &mut self,
        node: usize,
        geometry: Geometry,
        dense: &'d [f32],
        place: &Place,
        cut: Option<&Cut>,
    ) -> Result<Moments<'d, D>, OneShotError>
    where
        Self: 'd,
    {
        self.before.advance(self.dense, node)?;
        if self.changed {
            self.now.advance(&self.network, node)?;
        }
        let input = self.dense.nodes[node].inputs[0];
        let parts = |value| -> Result<_, OneShotError> {
            let now = self.changed.then(|| self.now.part(&self.network, value)).transpose()?;
            Ok((self.before.part(self.dense, value)?, now))
        };
        let inputs = parts(input)?;
        let others = place.others.iter().map(|&value| parts(value)).collect::<Result<Vec<_>, _>>()?;
        let mut moments = Moments::new(self.device, geometry, dense);
        let batch = (MOST_PATCHES / (geometry.patch() * geometry.positions()).max(1)).clamp(1, BATCH);
        for first in (0..self.samples.len()).step_by(batch) {
            let range = first..self.samples.len().min(first + batch);
            let both = |(before, now): &(Part, Option<Part>)| -> Result<_, OneShotError> {
                let before = self.before.of(before, range.clone())?;
                let now = now.as_ref().map(|now| self.now.of(now, range.clone())).transpose()?;
                let now = now.unwrap_or_else(|| before.clone());
                Ok((before, now))
            };
            let (before, now) = both(&inputs)?;
            let mut shift = None;
            for other in &others {
                let (before, now) = both(other)?;
                let shift = shift.get_or_insert_with(|| vec![0.0; before.len() * before[0].len()]);
                place.add_shift(shift, &before, &now);
            }
            moments.add(&now, &before, shift.as_deref(), cut)?;
        }
        Ok(moments)
    }
}

//! Values of a network for the calibration inputs, from the runtime.

use std::ops::Range;

use tfc_formats::dataset::Samples;
use tfc_formats::network::{Network, Node, ValueId};
use tfc_formats::preprocess::Preprocess;

use super::{BATCH, OneShotError};
use crate::encode::{Precision, encode};
use crate::execute;

/// Most elements of the values that are kept (512 MiB, 1 GiB for both networks); beyond, more is
/// computed again.
const MOST_KEPT: usize = 1 << 27;

/// Computes values from the last one that was kept for all inputs, which all later ones depend on.
pub(super) struct Values<'s> {
    samples: &'s Samples,
    base: ValueId,
    /// The base for each input; the inputs themselves while it is value 0.
    kept: Vec<Vec<f32>>,
}

/// A part of a network that gives one value.
pub(super) struct Part {
    /// The artifact, or `None` where the value is the base.
    bytes: Option<Vec<u8>>,
    preprocess: Preprocess,
    elements: usize,
}

impl<'s> Values<'s> {
    /// Nothing is kept yet.
    pub(super) fn new(samples: &'s Samples) -> Self {
        Self { samples, base: 0, kept: Vec::new() }
    }

    /// The part between the base and a value that is not before it.
    pub(super) fn part(&self, network: &Network, value: ValueId) -> Result<Part, OneShotError> {
        let shapes = network.shapes()?;
        let elements = shapes[self.base].elements().unwrap_or(0) as usize;
        let preprocess = network.preprocess.clone();
        if value == self.base {
            return Ok(Part { bytes: None, preprocess, elements });
        }
        let mut needed = vec![false; value + 1];
        needed[value] = true;
        for v in (self.base + 1..=value).rev().filter(|&v| v > 0) {
            if needed[v] {
                network.nodes[v - 1].inputs.iter().for_each(|&input| needed[input] = true);
            }
        }
        let mut renumbered = vec![0; value + 1];
        let mut nodes = Vec::new();
        for v in (self.base + 1..=value).filter(|&v| needed[v]) {
            let node = &network.nodes[v - 1];
            let inputs = node.inputs.iter().map(|&input| renumbered[input]).collect();
            nodes.push(Node { inputs, ..node.clone() });
            renumbered[v] = nodes.len();
        }
        let part = Network {
            name: network.name.clone(),
            input: shapes[self.base],
            preprocess: Preprocess::identity(),
            output: nodes.len(),
            nodes,
            tensors: network.tensors.clone(),
        };
        let bytes = encode(&part, &vec![Precision::F32; part.tensors.len()])?.bytes;
        Ok(Part { bytes: Some(bytes), preprocess, elements })
    }

    /// What a part gives for some of the inputs, each in C, H, W order.
    pub(super) fn of(&self, part: &Part, inputs: Range<usize>) -> Result<Vec<Vec<f32>>, OneShotError> {
        let base = |at: usize, out: &mut [f32]| match self.base {
            0 => self.samples.input(inputs.start + at, &part.preprocess, out),
            _ => out.copy_from_slice(&self.kept[inputs.start + at]),
        };
        if let Some(bytes) = &part.bytes {
            return Ok(execute::outputs(bytes, inputs.len(), base)?);
        }
        let mut values = vec![vec![0.0; part.elements]; inputs.len()];
        values.iter_mut().enumerate().for_each(|(at, out)| base(at, out));
        Ok(values)
    }

    /// Moves the base up to the last value, at most `to`, that all nodes behind it depend on alone,
    /// if there is room for it.
    pub(super) fn advance(&mut self, network: &Network, to: ValueId) -> Result<(), OneShotError> {
        let shapes = network.shapes()?;
        let kept =
            |v: usize| self.samples.len() * shapes[v].elements().unwrap_or(u32::MAX) as usize <= MOST_KEPT;
        let alone =
            |v: usize| network.nodes[v..].iter().flat_map(|node| &node.inputs).all(|&input| input >= v);
        let found = (self.base + 1..=to).rev().find(|&v| v <= network.output && kept(v) && alone(v));
        if let Some(base) = found {
            let part = self.part(network, base)?;
            // Some inputs at a time, so that old and new values are not held together.
            self.kept.resize(self.samples.len(), Vec::new());
            for first in (0..self.samples.len()).step_by(BATCH) {
                let values = self.of(&part, first..self.samples.len().min(first + BATCH))?;
                self.kept[first..].iter_mut().zip(values).for_each(|(kept, value)| *kept = value);
            }
            self.base = base;
        }
        Ok(())
    }
}

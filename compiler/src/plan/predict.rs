//! What an artifact costs on a target.

use serde::Serialize;
use tfc_formats::artifact::{Array, Artifact, ColumnIndex, Dtype, Step, Storage};

use super::{Layer, Stored, StoredBlocks, Target, Weights};
use crate::encode::dense_values;

/// Predicted cost of one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// All steps, and writing the input.
    pub total: f64,
    /// Each step, in order.
    pub steps: Vec<StepCost>,
}

/// Predicted cost of one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepCost {
    /// Name of the step.
    pub name: String,
    /// In the target's unit.
    pub cost: f64,
}

/// What one sample costs on a target.
pub fn predict(target: &Target, artifact: &Artifact<'_>) -> Prediction {
    let cost =
        |step: Step<'_>| StepCost { name: step.name.to_owned(), cost: step_cost(target, artifact, &step) };
    let steps: Vec<StepCost> = artifact.steps().map(cost).collect();
    let input = target.input_counts(artifact.header().input.shape).dot(target.costs);
    Prediction { total: input + steps.iter().map(|step| step.cost).sum::<f64>(), steps }
}

fn step_cost(target: &Target, artifact: &Artifact<'_>, step: &Step<'_>) -> f64 {
    let values = step.matrix.map_or_else(Vec::new, |matrix| dense_values(artifact, &matrix));
    let weights = step.matrix.map(|matrix| Weights {
        values: &values,
        cols: matrix.cols as usize,
        stored: stored(&matrix.storage),
    });
    let x = step.inputs.first().map_or(step.output.shape, |value| value.shape);
    target.cost(&Layer { op: step.op, x, out: step.output.shape, weights })
}

fn stored(storage: &Storage) -> Stored {
    let half = |values: &Array| values.dtype == Dtype::F16;
    match storage {
        Storage::Dense { values } => Stored { blocks: None, half: half(values) },
        Storage::Csr {
            block,
            index: ColumnIndex::Delta(index) | ColumnIndex::Absolute(index),
            values,
            ..
        } => {
            let blocks = StoredBlocks { rows: *block, entries: index.len as usize };
            Stored { blocks: Some(blocks), half: half(values) }
        }
    }
}

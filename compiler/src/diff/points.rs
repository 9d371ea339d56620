//! Where two artifacts can be compared: the output of a layer behind what is folded or fused into it.
//!
//! The steps of one network differ with how it was lowered: a batch norm is a step of its own or
//! part of the convolution before it, an activation is fused or, where somebody reads its input
//! as well, is not. So a layer is taken together with the batch norm and the activation that
//! alone read it, under the layer's name, and its value is the last one: that is the same value
//! in either form. Copies, flattening and dropout, which change no element, are no layers.

use std::collections::HashMap;

use tfc_formats::artifact::{Artifact, Step};
use tfc_formats::op::{Op, Shape};

/// A value to compare.
#[derive(Clone, Debug)]
pub(super) struct Point<'a> {
    /// Name of the layer's first step.
    pub(super) name: &'a str,
    /// What the layer computes, e.g. `conv2d+batch_norm+relu`.
    pub(super) op: String,
    /// Shape of the value.
    pub(super) shape: Shape,
    /// The step that writes it.
    pub(super) step: usize,
    /// Whether a batch norm behind it could be folded into its weights.
    folds: bool,
}

/// The values of an artifact in the order in which they are computed.
pub(super) fn points<'a>(artifact: &Artifact<'a>) -> Vec<Point<'a>> {
    let steps: Vec<Step<'a>> = artifact.steps().collect();
    let (sources, readers) = links(artifact, &steps);
    let mut points: Vec<Point<'a>> = Vec::new();
    let mut point_of: HashMap<usize, usize> = HashMap::new();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| !is_copy(step)) {
        // The layer that only this step reads.
        let before = match sources[index][..] {
            [Some(source)] if readers[source] == 1 => point_of.get(&source).copied(),
            _ => None,
        };
        let joins = before.filter(|&at| match step.op {
            Op::Activation(_) => true,
            Op::BatchNorm { .. } => points[at].folds,
            _ => false,
        });
        let linear = step.activation.is_none()
            && matches!(step.op, Op::Conv2d(_) | Op::Dense(_) | Op::BatchNorm { .. });
        let op = match step.activation {
            Some(activation) => format!("{}+{}", step.op.name(), activation.name()),
            None => step.op.name().to_owned(),
        };
        let at = if let Some(at) = joins {
            let point = &mut points[at];
            (point.op, point.step, point.folds) = (format!("{}+{op}", point.op), index, linear);
            at
        } else {
            points.push(Point { name: step.name, op, shape: step.output.shape, step: index, folds: linear });
            points.len() - 1
        };
        point_of.insert(index, at);
    }
    points
}

/// By step: the steps that compute its inputs, copies looked through (`None` for the network's
/// input), and how many steps read its output, the network's result being one more reader.
fn links(artifact: &Artifact<'_>, steps: &[Step<'_>]) -> (Vec<Vec<Option<usize>>>, Vec<usize>) {
    // A value is in its place until its last reader is done, so the last writer is the right one.
    let mut writer: HashMap<u32, Option<usize>> = HashMap::from([(artifact.header().input.offset, None)]);
    let mut readers = vec![0; steps.len()];
    let mut sources = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let inputs: Vec<Option<usize>> =
            step.inputs.iter().map(|value| writer.get(&value.offset).copied().flatten()).collect();
        if is_copy(step) {
            writer.insert(step.output.offset, inputs.first().copied().flatten());
        } else {
            inputs.iter().flatten().for_each(|&source| readers[source] += 1);
            writer.insert(step.output.offset, Some(index));
        }
        sources.push(inputs);
    }
    if let Some(&Some(last)) = writer.get(&artifact.header().output.offset) {
        readers[last] += 1;
    }
    (sources, readers)
}

/// Whether a step hands its input on as it is.
fn is_copy(step: &Step<'_>) -> bool {
    let renames = matches!(step.op, Op::Flatten | Op::Dropout { .. });
    step.activation.is_none() && (renames || matches!(step.op, Op::Concat) && step.inputs.len() == 1)
}

/// Pairs of points that are the same layer of both networks, by index, in the order of `a`: those
/// of one name; or, where the networks share no name, one by one if they have the same layers in
/// the same order.
pub(super) fn pairs(a: &[Point<'_>], b: &[Point<'_>]) -> Vec<(usize, usize)> {
    let mut by_name: HashMap<&str, usize> =
        b.iter().enumerate().map(|(at, point)| (point.name, at)).collect();
    let named: Vec<(usize, usize)> =
        a.iter().enumerate().filter_map(|(at, point)| Some((at, by_name.remove(point.name)?))).collect();
    let kind = |point: &Point<'_>| (point.op.split('+').next().map(str::to_owned), point.shape);
    if named.is_empty() && a.iter().map(kind).eq(b.iter().map(kind)) {
        return (0..a.len()).map(|at| (at, at)).collect();
    }
    named
}

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
        // The layer that only this step reads, and as it is: nothing is folded through a copy, nor
        // through a flattening that took no step.
        let before = match sources[index][..] {
            [Some(Source { step, copied: false })] if readers[step] == 1 => point_of.get(&step).copied(),
            _ => None,
        };
        let before = before.filter(|&at| points[at].shape == step.output.shape);
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

/// Where an input of a step comes from.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// The step that computes it.
    step: usize,
    /// Whether copies lie between.
    copied: bool,
}

/// By step: where its inputs come from, copies looked through (`None` for the network's input), and
/// how many steps read its output, the network's result being one more reader.
fn links(artifact: &Artifact<'_>, steps: &[Step<'_>]) -> (Vec<Vec<Option<Source>>>, Vec<usize>) {
    // A value is in its place until its last reader is done, so the last writer is the right one.
    let mut writer: HashMap<u32, Option<Source>> = HashMap::from([(artifact.header().input.offset, None)]);
    let mut readers = vec![0; steps.len()];
    let mut sources = Vec::with_capacity(steps.len());
    for (step, of) in steps.iter().enumerate() {
        let inputs: Vec<Option<Source>> =
            of.inputs.iter().map(|value| writer.get(&value.offset).copied().flatten()).collect();
        if is_copy(of) {
            let source = inputs.first().copied().flatten();
            writer.insert(of.output.offset, source.map(|source| Source { copied: true, ..source }));
        } else {
            inputs.iter().flatten().for_each(|source| readers[source.step] += 1);
            writer.insert(of.output.offset, Some(Source { step, copied: false }));
        }
        sources.push(inputs);
    }
    if let Some(&Some(last)) = writer.get(&artifact.header().output.offset) {
        readers[last.step] += 1;
    }
    (sources, readers)
}

/// Whether a step hands its input on as it is.
fn is_copy(step: &Step<'_>) -> bool {
    let renames = matches!(step.op, Op::Flatten | Op::Dropout { .. });
    step.activation.is_none() && (renames || matches!(step.op, Op::Concat) && step.inputs.len() == 1)
}

/// Most comparisons of layers that pairing without names takes.
const MOST_COMPARISONS: usize = 1 << 24;

/// Pairs of points that are the same layer of both networks, by index, in the order of `a`: those
/// of one name; or, where the networks share no name, a [longest common subsequence](in_order) of
/// operations and shapes.
pub(super) fn pairs(a: &[Point<'_>], b: &[Point<'_>]) -> Vec<(usize, usize)> {
    let mut by_name: HashMap<&str, usize> =
        b.iter().enumerate().map(|(at, point)| (point.name, at)).collect();
    let named: Vec<(usize, usize)> =
        a.iter().enumerate().filter_map(|(at, point)| Some((at, by_name.remove(point.name)?))).collect();
    if !named.is_empty() {
        return named;
    }
    let kinds = |points: &[Point<'_>]| -> Vec<(String, Shape)> {
        points
            .iter()
            .map(|point| (point.op.split('+').next().unwrap_or("").to_owned(), point.shape))
            .collect()
    };
    in_order(&kinds(a), &kinds(b))
}

/// A longest common subsequence, as pairs of positions. Where that takes too long, only what both
/// begin with.
fn in_order<T: PartialEq>(a: &[T], b: &[T]) -> Vec<(usize, usize)> {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let mut pairs: Vec<(usize, usize)> = (0..same).map(|at| (at, at)).collect();
    let (rest_a, rest_b) = (&a[same..], &b[same..]);
    let width = rest_b.len() + 1;
    if rest_a.len().saturating_mul(width) > MOST_COMPARISONS {
        return pairs;
    }
    // `longest[i * width + j]` is that of the ends from `i` and `j` on.
    let mut longest = vec![0u32; (rest_a.len() + 1) * width];
    for i in (0..rest_a.len()).rev() {
        for j in (0..rest_b.len()).rev() {
            longest[i * width + j] = if rest_a[i] == rest_b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rest_a.len() && j < rest_b.len() {
        if rest_a[i] == rest_b[j] {
            pairs.push((same + i, same + j));
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_has_more_is_left_out() {
        let pairs = |a: &str, b: &str| in_order(a.as_bytes(), b.as_bytes());
        assert_eq!(pairs("abc", "abc"), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(pairs("abcd", "acd"), [(0, 0), (2, 1), (3, 2)]);
        assert_eq!(pairs("acd", "abcxd"), [(0, 0), (1, 2), (2, 4)]);
        assert_eq!(pairs("xab", "yabz"), [(1, 1), (2, 2)]);
        assert_eq!(pairs("ab", "cd"), []);
        assert_eq!(pairs("", "a"), []);
        let long = "ab".repeat(3000);
        assert_eq!(pairs(&long, &("c".to_owned() + &long)), [], "too many comparisons");
    }
}

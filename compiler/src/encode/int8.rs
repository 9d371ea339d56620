//! A network as steps on i8.

use std::collections::BTreeMap;

use tfc_formats::artifact::{
    Array, Element, Header, MAX_PARAMS, Matrix, Requantization, Residual, Step, Writer, output_scratch_len,
    scratch_len,
};
use tfc_formats::network::{Network, Tensor};
use tfc_formats::op::{Op, Pool, Shape};

use super::lower::{Fusion, Lowered, LoweredStep, Param, lower};
use super::matrix::write_matrix;
use super::{Candidate, EncodeError, Encoded, PRODUCER, Precision, arena, encode_floats, in_place};
use crate::quantize::{self, Layer, Ranges};

/// What a softmax gives: parts in 256.
const PARTS: Element = Element::I8 { scale: 1.0 / 256.0, zero: -128 };

/// Encodes a checked network on f32 with the steps that it has on i8, to observe their values.
pub fn encode_observed(network: &Network) -> Result<Vec<u8>, EncodeError> {
    let precisions = vec![Precision::F32; network.tensors.len()];
    Ok(encode_floats(network, &precisions, &lower(network, Fusion::Bounds)?, None)?.bytes)
}

/// Encodes a checked network on i8. `ranges` are those that [`calibrate`](quantize::calibrate) found
/// for this network.
///
/// # Errors
/// [`EncodeError::NotInteger`] with all nodes that have no form on i8.
pub fn encode_int8(network: &Network, ranges: &Ranges) -> Result<Encoded, EncodeError> {
    let too_large = || EncodeError::ArenaTooLarge(network.name.clone());
    let mut graph = lower(network, Fusion::Bounds)?;
    check(&graph)?;
    assign(&mut graph, ranges);
    in_place::add(&mut graph);
    in_place::pool(&mut graph);

    let mut writer = Writer::new();
    let mut candidates = BTreeMap::new();
    let mut steps = Vec::with_capacity(graph.steps.len());
    let mut scratch = 0;
    for lowered in &graph.steps {
        let written = constants(network, lowered, &mut writer, &mut candidates)?;
        let needed = scratch_len(&lowered.op, lowered.output.element, written.longest_row, 1);
        scratch = scratch.max(needed.ok_or_else(too_large)?);
        steps.push((lowered, written));
    }
    let placed = |scratch| arena::place(&graph, PARTS.size(), scratch).ok_or_else(too_large);
    let output = placed(0)?.value(&graph, graph.output);
    let placed = placed(scratch.max(output_scratch_len(&output).ok_or_else(too_large)?))?;
    for (lowered, written) in steps {
        let residual = lowered.residual.zip(written.residual);
        let residual =
            residual.map(|(slot, multiplier)| Residual { value: placed.value(&graph, slot), multiplier });
        writer.step(&Step {
            name: lowered.name,
            op: lowered.op,
            inputs: lowered.inputs.iter().map(|&v| placed.value(&graph, v)).collect(),
            output: placed.value(&graph, lowered.output),
            matrix: written.matrix,
            params: written.params,
            activation: None,
            requantization: written.requantization.map(|constants| Requantization { residual, ..constants }),
        });
    }
    let scratch_len = scratch.max(output_scratch_len(&output).ok_or_else(too_large)?);
    let header = Header {
        name: &network.name,
        producer: PRODUCER,
        preprocess: network.preprocess.clone(),
        quantize: raw(network, graph.input.element)?,
        input: placed.value(&graph, graph.input),
        output: placed.value(&graph, graph.output),
        arena_len: placed.arena_len,
        scratch_len,
        steps: 0,
    };
    Ok(Encoded { bytes: writer.finish(header)?, candidates })
}

/// Refuses ops that have no form on i8, and a softmax whose output another op computes with.
fn check(graph: &Lowered<'_>) -> Result<(), EncodeError> {
    let reads = |storage: usize| graph.steps.iter().any(|s| s.inputs.iter().any(|i| i.storage == storage));
    let refused = graph.steps.iter().filter(|step| match step.op {
        Op::BatchNorm { .. } | Op::Lrn { .. } | Op::Maxout { .. } => true,
        Op::Softmax => reads(step.output.storage),
        _ => false,
    });
    let refused: Vec<String> = refused.map(|step| format!("`{}` ({})", step.name, step.op.name())).collect();
    if refused.is_empty() { Ok(()) } else { Err(EncodeError::NotInteger(refused)) }
}

/// Gives every value its element. Values that are only moved have the one of what they come from.
fn assign(graph: &mut Lowered<'_>, ranges: &Ranges) {
    let mut groups: Vec<usize> = (0..graph.storages.len()).collect();
    for step in &graph.steps {
        if let Op::MaxPool(_) | Op::Concat | Op::Flatten = step.op {
            for input in &step.inputs {
                let (from, to) = (groups[input.storage], groups[step.output.storage]);
                groups.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
            }
        }
    }
    let mut of_group = vec![quantize::Range::EMPTY; graph.storages.len()];
    let mut join = |storage: usize, range| {
        let group: usize = groups[storage];
        of_group[group] = of_group[group].with(range);
    };
    join(graph.input.storage, ranges.input);
    for (step, range) in graph.steps.iter().zip(&ranges.steps) {
        join(step.output.storage, *range);
    }
    let mut elements: Vec<Element> = groups.iter().map(|&group| of_group[group].element()).collect();
    for step in graph.steps.iter().filter(|step| step.op == Op::Softmax) {
        elements[step.output.storage] = PARTS;
    }
    let slots = graph.steps.iter_mut().flat_map(|step| step.inputs.iter_mut().chain([&mut step.output]));
    for slot in slots.chain([&mut graph.input, &mut graph.output]) {
        slot.element = elements[slot.storage];
    }
}

/// What a step has beside its values.
#[derive(Default)]
struct Written {
    matrix: Option<Matrix>,
    longest_row: u32,
    params: heapless::Vec<Array, MAX_PARAMS>,
    requantization: Option<Requantization>,
    /// Multiplier of the residual.
    residual: Option<i32>,
}

fn constants(
    network: &Network,
    step: &LoweredStep<'_>,
    writer: &mut Writer,
    candidates: &mut BTreeMap<usize, Vec<Candidate>>,
) -> Result<Written, EncodeError> {
    let overflow = || EncodeError::Overflow(step.name.to_owned());
    let (input, output) = (step.inputs[0], step.output);
    let elements = [input.element, output.element];
    let with = |(multipliers, requantization): (Vec<i32>, _), writer: &mut Writer| Written {
        params: [writer.i32s(&multipliers)].into_iter().collect(),
        requantization: Some(requantization),
        ..Written::default()
    };
    Ok(match step.op {
        Op::Conv2d(_) | Op::Dense(_) => {
            let Some(id) = step.weight else { return Ok(Written::default()) };
            let matrix = rows(&network.tensors[id], step.op);
            let rows = output.shape.c as usize;
            let bias = step.params.first().map(|bias| match bias {
                Param::Tensor(id) => &network.tensors[*id].data,
                Param::Computed(values) => values,
            });
            let residual = step.residual.map(|residual| residual.element);
            let bias = bias.map(Vec::as_slice);
            let layer = Layer::new(&matrix, rows, bias, elements, residual, step.activation);
            let layer = layer.ok_or_else(overflow)?;
            let cols = matrix.len() / rows;
            let (written, weighed) =
                write_matrix(writer, rows, cols, &layer.weights, Precision::I8, |_| None);
            candidates.insert(id, weighed);
            Written {
                matrix: Some(written.record),
                longest_row: written.longest_row,
                params: [&layer.bias, &layer.multipliers].map(|v| writer.i32s(v)).into_iter().collect(),
                requantization: Some(layer.constants),
                residual: layer.residual,
            }
        }
        Op::Add => {
            let inputs: Vec<Element> = step.inputs.iter().map(|input| input.element).collect();
            let constants = quantize::add(&inputs, output.element, step.activation);
            with(constants.ok_or_else(overflow)?, writer)
        }
        Op::AvgPool(Pool { kernel: [rows, columns], .. }) => {
            let most = u32::from(rows) * u32::from(columns);
            let constants = quantize::average(most, true, elements, step.activation);
            with(constants.ok_or_else(overflow)?, writer)
        }
        Op::GlobalAvgPool => {
            let Shape { h, w, .. } = input.shape;
            let constants = quantize::average(h * w, false, elements, step.activation);
            with(constants.ok_or_else(overflow)?, writer)
        }
        Op::Activation(activation) => Written {
            params: [writer.i8s(&quantize::lookup(activation, elements))].into_iter().collect(),
            ..Written::default()
        },
        Op::Softmax => Written {
            params: [writer.u32s(&quantize::softmax(input.element, input.shape.c))].into_iter().collect(),
            ..Written::default()
        },
        _ => Written::default(),
    })
}

/// A weight with a row an output.
fn rows(tensor: &Tensor, op: Op) -> Vec<f32> {
    match op {
        Op::Dense(dense) if dense.transposed => {
            let columns = dense.out_features as usize;
            (0..columns).flat_map(|j| tensor.data.iter().skip(j).step_by(columns)).copied().collect()
        }
        _ => tensor.data.clone(),
    }
}

/// Constants for raw samples.
fn raw(
    network: &Network,
    input: Element,
) -> Result<
    heapless::Vec<tfc_formats::artifact::Affine, { tfc_formats::preprocess::MAX_CHANNELS }>,
    EncodeError,
> {
    let preprocess = &network.preprocess;
    let one = preprocess.mean.len() <= 1 && preprocess.std.len() <= 1;
    let channels = if one { 1 } else { network.input.c as usize };
    let overflow = || EncodeError::Overflow("input".to_owned());
    (0..channels)
        .map(|c| {
            let (factor, offset) = preprocess.affine(c);
            quantize::affine(factor, offset, input).ok_or_else(overflow)
        })
        .collect()
}

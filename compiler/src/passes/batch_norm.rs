//! Batch norms become part of the convolution, dense layer or batch norm before them, if nobody
//! else reads that, or else of the layers after them (Jacob et al. 2018, section 3.2).
//!
//! With the scale `s = gamma / sqrt(var + eps)` and the shift `t = beta - mean s` of each channel,
//! `s (W x + b) + t = (s W) x + (s b + t)` and `W (s x + t) + b = (W s) x + (W t + b)`. The second
//! is exact for a convolution only if it has no padding, since zeros around the input stay zeros,
//! or if all shifts are zero.

use tfc_formats::network::{Network, NetworkError};
use tfc_formats::op::Op;

use super::Changes;
use super::edit::{Joins, bias, bypass, is_read_once, narrow, set_param};

pub(super) fn run(network: &mut Network) -> Result<Changes, NetworkError> {
    let mut changes = Changes::default();
    let mut index = 0;
    while index < network.nodes.len() {
        if let Some(affine) = Affine::of(network, index)
            && (into_layer_before(network, index, &affine)? || into_layers_after(network, index, &affine)?)
        {
            let source = network.nodes[index].inputs[0];
            bypass(network, index, source);
            changes.batch_norms_folded += 1;
        } else {
            index += 1;
        }
    }
    Ok(changes)
}

/// `scale x + shift`, per channel.
#[derive(Debug)]
pub(super) struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Affine {
    /// What a batch norm computes; `None` for other nodes, and where it is not finite.
    pub(super) fn of(network: &Network, node: usize) -> Option<Self> {
        let node = &network.nodes[node];
        let (Op::BatchNorm { eps }, [gamma, beta, mean, var]) = (node.op, &node.params[..]) else {
            return None;
        };
        let [gamma, beta, mean, var] = [gamma, beta, mean, var].map(|&id| &network.tensors[id].data);
        let scale =
            gamma.iter().zip(var).map(|(&gamma, &var)| f64::from(gamma) / f64::from(var + eps).sqrt());
        let scale: Vec<f64> = scale.collect();
        let shift = beta.iter().zip(mean).zip(&scale);
        let shift: Vec<f64> =
            shift.map(|((&beta, &mean), scale)| f64::from(beta) - f64::from(mean) * scale).collect();
        scale.iter().chain(&shift).all(|v| (*v as f32).is_finite()).then_some(Self { scale, shift })
    }

    /// The result for a channel that is the same everywhere; for any channel if its scale is 0.
    pub(super) fn constant(&self, channel: usize, x: Option<f32>) -> Option<f64> {
        let (scale, shift) = (self.scale[channel], self.shift[channel]);
        if scale == 0.0 { Some(shift) } else { Some(scale * f64::from(x?) + shift) }
    }

    /// Whether it changes nothing.
    pub(super) fn is_identity(&self) -> bool {
        self.scale.iter().all(|v| *v == 1.0) && self.shift.iter().all(|v| *v == 0.0)
    }
}

/// Whether the affine map is now part of the node that computes the input of node `index`.
fn into_layer_before(network: &mut Network, index: usize, affine: &Affine) -> Result<bool, NetworkError> {
    let value = network.nodes[index].inputs[0];
    let Some(before) = value.checked_sub(1).filter(|_| is_read_once(network, value)) else {
        return Ok(false);
    };
    if let Some(first) = Affine::of(network, before) {
        let scale = narrow(first.scale.iter().zip(&affine.scale).map(|(a, b)| a * b));
        let shift = first.shift.iter().zip(&affine.scale).zip(&affine.shift).map(|((t, a), b)| t * a + b);
        let Some((scale, shift)) = scale.zip(narrow(shift)) else { return Ok(false) };
        let channels = scale.len();
        network.nodes[before].op = Op::BatchNorm { eps: 0.0 };
        for (role, data) in [scale, shift, vec![0.0; channels], vec![1.0; channels]].into_iter().enumerate() {
            set_param(network, before, role, [channels], data);
        }
        return Ok(true);
    }
    let shapes = network.shapes()?;
    let node = &network.nodes[before];
    let Some(joins) = Joins::of(&node.op, shapes[node.inputs[0]]) else { return Ok(false) };
    let weight = &network.tensors[node.params[0]];
    let shape = weight.shape.clone();
    let scaled = weight.data.iter().enumerate().map(|(at, &w)| f64::from(w) * affine.scale[joins.at(at).0]);
    let moved = bias(network, before, &joins).into_iter().zip(&affine.scale).zip(&affine.shift);
    let moved = moved.map(|((b, scale), shift)| b * scale + shift);
    let Some((weight, bias)) = narrow(scaled).zip(narrow(moved)) else { return Ok(false) };
    set_layer(network, before, shape, weight, bias);
    Ok(true)
}

/// Whether the affine map of node `index` is now part of all its readers.
fn into_layers_after(network: &mut Network, index: usize, affine: &Affine) -> Result<bool, NetworkError> {
    let value = index + 1;
    let readers: Vec<usize> = network.consumers(value).collect();
    if network.output == value || readers.is_empty() {
        return Ok(false);
    }
    let x = network.shapes()?[value];
    let mut layers = Vec::with_capacity(readers.len());
    for &reader in &readers {
        let node = &network.nodes[reader];
        let Some(joins) = Joins::of(&node.op, x) else { return Ok(false) };
        if let Op::Conv2d(conv) = node.op
            && !conv.pad.is_zero()
            && affine.shift.iter().any(|shift| *shift != 0.0)
        {
            return Ok(false);
        }
        let weight = &network.tensors[node.params[0]];
        let scaled =
            weight.data.iter().enumerate().map(|(at, &w)| f64::from(w) * affine.scale[joins.at(at).1]);
        let mut moved = bias(network, reader, &joins);
        for (at, &w) in weight.data.iter().enumerate() {
            let (output, input) = joins.at(at);
            moved[output] += f64::from(w) * affine.shift[input];
        }
        let Some(layer) = narrow(scaled).zip(narrow(moved.into_iter())) else { return Ok(false) };
        layers.push((weight.shape.clone(), layer));
    }
    for (reader, (shape, (weight, bias))) in readers.into_iter().zip(layers) {
        set_layer(network, reader, shape, weight, bias);
    }
    Ok(true)
}

/// Sets weight and bias of a convolution or dense node. It gets no bias of zeros if it has none.
fn set_layer(network: &mut Network, node: usize, shape: Vec<usize>, weight: Vec<f32>, bias: Vec<f32>) {
    set_param(network, node, 0, shape, weight);
    if network.nodes[node].params.len() > 1 || bias.iter().any(|v| *v != 0.0) {
        set_param(network, node, 1, [bias.len()], bias);
    }
}

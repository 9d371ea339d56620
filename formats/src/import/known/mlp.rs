//! Multilayer perceptrons of any depth.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::Family;
use crate::import::graph::Graph;
use crate::import::tensors::{Layer, Tensors};
use crate::op::{Activation, Dense, Op, Shape};

pub(super) const FAMILY: Family = Family {
    name: "multilayer perceptron",
    description: "NAME.weight [out, in] and perhaps NAME.bias [out], layers in natural order of NAME, \
                  ReLU between layers, none after the last",
    standard: "lenet_300_100",
    mean_image: None,
    build: |tensors, input| {
        tensors.map_or_else(|| Some(lenet_300_100()), |tensors| recognise(tensors, input))
    },
};

/// LeNet-300-100 (LeCun, Bottou, Bengio, Haffner 1998).
fn lenet_300_100() -> Graph {
    let layers = [("fc1", 300), ("fc2", 100), ("fc3", 10)].map(|(name, out_features)| DenseLayer {
        name,
        out_features,
        params: ["weight", "bias"].map(|p| format!("{name}.{p}")).to_vec(),
    });
    graph(Shape::new(1, 28, 28), &layers)
}

fn recognise(tensors: &Tensors<'_>, input: Option<Shape>) -> Option<Graph> {
    let layers = tensors.layers();
    let first = layers.first()?.param("weight")?;
    let input = match input {
        Some(shape) => shape,
        None => Shape::vector(u32::try_from(*first.shape.get(1)?).ok()?),
    };
    Some(graph(input, &layers.iter().map(DenseLayer::of).collect::<Option<Vec<_>>>()?))
}

struct DenseLayer<'a> {
    name: &'a str,
    out_features: u32,
    params: Vec<String>,
}

impl<'a> DenseLayer<'a> {
    fn of(layer: &Layer<'a, '_>) -> Option<Self> {
        let weight = layer.param("weight")?;
        let &[out, _] = &weight.shape[..] else { return None };
        let mut params = Vec::from([weight.name.clone()]);
        if let Some(bias) = layer.param("bias").filter(|b| b.shape.len() == 1) {
            params.push(bias.name.clone());
        }
        let all_used = params.len() == layer.params.len();
        all_used.then_some(Self { name: layer.name, out_features: u32::try_from(out).ok()?, params })
    }
}

fn graph(input: Shape, layers: &[DenseLayer<'_>]) -> Graph {
    let mut graph = Graph::new(input);
    if !input.is_vector() {
        graph.push("flatten", Op::Flatten, Vec::new());
    }
    for (index, layer) in layers.iter().enumerate() {
        let dense = Dense { out_features: layer.out_features, transposed: false };
        graph.push(layer.name, Op::Dense(dense), layer.params.clone());
        if index + 1 < layers.len() {
            graph.push(&format!("{}.relu", layer.name), Op::Activation(Activation::Relu), Vec::new());
        }
    }
    graph
}

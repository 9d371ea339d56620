//! LeNet-5 as Caffe's MNIST example has it (`examples/mnist/lenet.prototxt`).

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::Family;
use crate::import::graph::Graph;
use crate::import::tensors::Tensors;
use crate::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};

pub(super) const FAMILY: Family = Family {
    name: "LeNet-5 (Caffe)",
    description: "conv1.weight [c1, c, 5, 5], conv2.weight [c2, c1, 5, 5], fc1.weight, fc2.weight \
                  (or ip1, ip2) and their biases; 2x2 maximum after each convolution, ReLU after fc1 only",
    standard: "lenet5",
    mean_image: None,
    build: |tensors, input| tensors.map_or_else(|| Some(lenet5()), |tensors| recognise(tensors, input)),
};

const KERNEL: u16 = 5;

/// conv1, conv2, fc1 and fc2 of PyTorch's basic MNIST example. Its names and kernels are those of
/// Caffe's, but it has a ReLU after every layer, so it is not of this family.
const PYTORCH_EXAMPLE: [u32; 4] = [10, 20, 50, 10];

fn lenet5() -> Graph {
    let layers = ["conv1", "conv2", "fc1", "fc2"]
        .map(|name| FoundLayer { name, params: ["weight", "bias"].map(|p| format!("{name}.{p}")).to_vec() });
    graph(Shape::new(1, 28, 28), [20, 50, 500, 10], layers)
}

fn recognise(tensors: &Tensors<'_>, input: Option<Shape>) -> Option<Graph> {
    let layers = tensors.layers();
    let [conv1, conv2, fc1, fc2] = &layers[..] else { return None };
    let names = [conv1, conv2, fc1, fc2].map(|l| l.name);
    if !matches!(names, ["conv1", "conv2", "fc1", "fc2"] | ["conv1", "conv2", "ip1", "ip2"]) {
        return None;
    }
    let mut found = Vec::with_capacity(4);
    let mut outs = [0; 4];
    for (layer, out) in layers.iter().zip(&mut outs) {
        let (weight, bias) = (layer.param("weight")?, layer.param("bias")?);
        let convolution = layer.name.starts_with("conv");
        let fits = match weight.shape[..] {
            [_, _, rows, columns] => convolution && [rows, columns] == [usize::from(KERNEL); 2],
            [_, _] => !convolution,
            _ => false,
        };
        if !fits || bias.shape.len() != 1 || layer.params.len() != 2 {
            return None;
        }
        *out = u32::try_from(weight.shape[0]).ok()?;
        let params = [weight, bias].map(|p| p.name.to_string()).to_vec();
        found.push(FoundLayer { name: layer.name, params });
    }
    if outs == PYTORCH_EXAMPLE {
        return None;
    }
    let input = match input {
        Some(shape) => shape,
        None => {
            let channels = u32::try_from(conv1.param("weight")?.shape[1]).ok()?;
            let columns = u32::try_from(fc1.param("weight")?.shape[1]).ok()?;
            let extent = input_extent(columns, outs[1])?;
            Shape::new(channels, extent, extent)
        }
    };
    Some(graph(input, outs, found.try_into().ok()?))
}

/// Rows and columns of the square input that leaves `columns` values in `channels` planes after
/// two 5x5 convolutions, each halved.
fn input_extent(columns: u32, channels: u32) -> Option<u32> {
    let plane = columns.checked_div(channels)?;
    let side = plane.isqrt();
    if side == 0 || side * side != plane || !columns.is_multiple_of(channels) {
        return None;
    }
    let before = |n: u32| n.checked_mul(2)?.checked_add(u32::from(KERNEL) - 1);
    before(before(side)?)
}

struct FoundLayer<'a> {
    name: &'a str,
    params: Vec<String>,
}

fn graph(input: Shape, outs: [u32; 4], layers: [FoundLayer<'_>; 4]) -> Graph {
    let conv = |out_channels| {
        Op::Conv2d(Conv2d {
            out_channels,
            kernel: [KERNEL; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad: Padding::default(),
            groups: 1,
        })
    };
    let halve = Op::MaxPool(Pool {
        kernel: [2; 2],
        stride: [2; 2],
        pad: Padding::default(),
        ceil: false,
        count_include_pad: false,
    });
    let dense = |out_features| Op::Dense(Dense { out_features, transposed: false });
    let [conv1, conv2, fc1, fc2] = layers;
    let relu = format!("{}.relu", fc1.name);
    let mut graph = Graph::new(input);
    graph.push(conv1.name, conv(outs[0]), conv1.params);
    graph.push("pool1", halve, Vec::new());
    graph.push(conv2.name, conv(outs[1]), conv2.params);
    graph.push("pool2", halve, Vec::new());
    graph.push("flatten", Op::Flatten, Vec::new());
    graph.push(fc1.name, dense(outs[2]), fc1.params);
    graph.push(&relu, Op::Activation(Activation::Relu), Vec::new());
    graph.push(fc2.name, dense(outs[3]), fc2.params);
    graph
}

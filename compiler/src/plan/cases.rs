//! Layers whose times tell what each kind of work costs.

use tfc_formats::artifact::AlignedBytes;
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;

use super::{Layer, Stored, Target, Terms, Weights};
use crate::encode::{EncodeError, Precision, encode};

/// Names of nodes that are timed begin so.
pub(super) const LAYER: &str = "layer";

/// A network of one layer, or of the same one twice where it reads what it writes.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) network: Network,
    half: bool,
}

impl Case {
    fn new(name: String, input: Shape, op: Op, weight: Option<(Vec<usize>, Zeros)>, half: bool) -> Self {
        let tensors: Vec<Tensor> = weight
            .into_iter()
            .map(|(shape, zeros)| Tensor { name: "weight".into(), data: zeros.values(&shape), shape })
            .collect();
        let params = (0..tensors.len()).collect();
        let network = Network {
            name: name.clone(),
            input,
            preprocess: Preprocess::identity(),
            nodes: vec![Node { name: LAYER.into(), op, inputs: vec![0], params }],
            tensors,
            output: 1,
        };
        let mut case = Self { name, network, half };
        if matches!(op, Op::Conv2d(_)) && case.output() == input {
            let again =
                Node { name: format!("{LAYER} again"), inputs: vec![1], ..case.network.nodes[0].clone() };
            case.network.nodes.push(again);
            case.network.output = 2;
        }
        case
    }

    /// The artifact.
    pub(super) fn file(&self) -> Result<AlignedBytes, EncodeError> {
        let precision = if self.half { Precision::F16 } else { Precision::F32 };
        let encoded = encode(&self.network, &vec![precision; self.network.tensors.len()])?;
        Ok(AlignedBytes::from(encoded.bytes.as_slice()))
    }

    fn output(&self) -> Shape {
        self.network.shapes().map_or(self.network.input, |shapes| shapes[1])
    }

    /// What its layers do. Who writes a grid writes the halo: that of the input is not theirs.
    pub(super) fn counts(&self, target: &Target) -> Terms {
        let Network { input, nodes, tensors, .. } = &self.network;
        let weights = tensors.first().map(|tensor| Weights {
            values: &tensor.data,
            cols: tensor.data.len() / tensor.shape[0],
            stored: Stored { blocks: None, half: self.half },
        });
        let (op, out) = (nodes[0].op, self.output());
        let layer = target.counts(&Layer { op, x: *input, out, weights });
        let mut counts = layer;
        if matches!(op, Op::Conv2d(conv) if target.halo(&conv, *input, out).is_some()) {
            counts.copy = 0.0;
        }
        if nodes.len() > 1 {
            counts += layer;
        }
        counts
    }
}

/// Where a weight is not zero: in one of so many columns, alike in so many rows.
#[derive(Clone, Copy)]
struct Zeros {
    one_in: u32,
    block: usize,
}

impl Zeros {
    fn values(self, shape: &[usize]) -> Vec<f32> {
        let (rows, cols) = (shape[0], shape[1..].iter().product::<usize>());
        let value = |row: usize, column: usize| {
            let place = (row / self.block * cols + column) as u32;
            // Scattered by the golden ratio, as in Fibonacci hashing (Knuth).
            let hash = (place ^ place >> 7).wrapping_mul(2_654_435_769) >> 16;
            if hash.is_multiple_of(self.one_in) { 0.01 + (hash % 89) as f32 / 100.0 } else { 0.0 }
        };
        (0..rows).flat_map(|row| (0..cols).map(move |column| value(row, column))).collect()
    }

    fn name(self) -> String {
        match self {
            Self { one_in: 1, .. } => "dense".into(),
            Self { one_in, block: 1 } => format!("1/{one_in} not zero"),
            Self { one_in, block } => format!("1/{one_in} not zero in blocks of {block}"),
        }
    }
}

/// Layers of the sizes that networks have, few enough to be measured in seconds.
pub(super) fn cases() -> Vec<Case> {
    let full = Zeros { one_in: 1, block: 1 };
    let one_in = |one_in| Zeros { one_in, block: 1 };
    let blocks = |block, one_in| Zeros { one_in, block };
    let mut cases = Vec::new();

    for (channels, plane) in [(16, 32), (32, 16), (64, 8)] {
        for zeros in [full, one_in(4), one_in(10), one_in(20), blocks(2, 8), blocks(4, 10)] {
            cases.push(conv(channels, channels, plane, [3, 1, 1], zeros));
        }
    }
    for (inputs, outputs, plane, [kernel, stride, pad], zeros) in [
        (16, 32, 32, [3, 2, 1], full),
        (16, 32, 32, [3, 2, 1], one_in(10)),
        (32, 64, 16, [3, 2, 1], one_in(10)),
        (3, 64, 67, [3, 2, 0], full),
        (16, 64, 55, [3, 1, 1], one_in(5)),
        (48, 96, 13, [3, 1, 1], one_in(5)),
        (1, 20, 28, [5, 1, 0], full),
        (20, 50, 12, [5, 1, 0], one_in(20)),
        (3, 16, 32, [3, 1, 1], full),
        (64, 64, 16, [1, 1, 0], full),
        (64, 64, 16, [1, 1, 0], one_in(5)),
        (128, 128, 8, [1, 1, 0], one_in(5)),
        (128, 128, 8, [1, 1, 0], full),
        (128, 32, 27, [1, 1, 0], one_in(5)),
        (256, 256, 4, [1, 1, 0], one_in(5)),
    ] {
        cases.push(conv(inputs, outputs, plane, [kernel, stride, pad], zeros));
    }
    for (channels, plane, stride) in [(64, 16, 1), (64, 16, 2), (16, 48, 1), (128, 8, 1), (256, 4, 1)] {
        cases.push(window(channels, channels, plane, [3, stride, 1], full, channels));
    }
    for (inputs, outputs, zeros, half) in [
        (16, 10, full, false),
        (300, 100, full, false),
        (784, 300, full, false),
        (784, 300, full, true),
        (300, 100, full, true),
        (784, 300, one_in(10), false),
        (300, 100, one_in(10), true),
        (800, 500, one_in(20), true),
        (784, 300, blocks(2, 10), true),
        (784, 300, blocks(4, 10), true),
    ] {
        cases.push(dense(inputs, outputs, zeros, half));
    }
    for (channels, plane, kernel) in [(16, 32, 2), (64, 27, 3), (20, 24, 2)] {
        let pool = Pool {
            kernel: [kernel; 2],
            stride: [2, 2],
            pad: Padding::default(),
            ceil: false,
            count_include_pad: false,
        };
        let name = format!("max pool {kernel}x{kernel}, {channels}x{plane}x{plane}");
        cases.push(Case::new(name, Shape::new(channels, plane, plane), Op::MaxPool(pool), None, false));
    }
    for (channels, plane) in [(64, 8), (8, 32)] {
        let input = Shape::new(channels, plane, plane);
        cases.push(Case::new(format!("mean, {input}"), input, Op::GlobalAvgPool, None, false));
        let relu = Op::Activation(Activation::Relu);
        cases.push(Case::new(format!("relu, {input}"), input, relu, None, false));
    }
    cases
}

fn conv(inputs: u32, outputs: u32, plane: u32, window: [u16; 3], zeros: Zeros) -> Case {
    self::window(inputs, outputs, plane, window, zeros, 1)
}

fn window(
    inputs: u32,
    outputs: u32,
    plane: u32,
    [kernel, stride, pad]: [u16; 3],
    zeros: Zeros,
    groups: u32,
) -> Case {
    let spec = Conv2d {
        out_channels: outputs,
        kernel: [kernel; 2],
        stride: [stride; 2],
        dilation: [1, 1],
        pad: Padding::same(pad),
        groups,
    };
    let side = usize::from(kernel);
    let shape = vec![outputs as usize, (inputs / groups) as usize, side, side];
    let input = Shape::new(inputs, plane, plane);
    let grouped = if groups > 1 { format!(" in {groups} groups") } else { String::new() };
    let name = format!("conv {kernel}x{kernel} /{stride}{grouped}, {input} to {outputs}, {}", zeros.name());
    Case::new(name, input, Op::Conv2d(spec), Some((shape, zeros)), false)
}

fn dense(inputs: u32, outputs: u32, zeros: Zeros, half: bool) -> Case {
    let op = Op::Dense(Dense { out_features: outputs, transposed: false });
    let shape = vec![outputs as usize, inputs as usize];
    let name = format!("product {inputs} to {outputs}, {}, f{}", zeros.name(), if half { 16 } else { 32 });
    Case::new(name, Shape::vector(inputs), op, Some((shape, zeros)), half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_do_all_work_of_a_target_that_prepares() {
        let target = Target::find("x86-64-v4").unwrap();
        let mut sum = Terms::default();
        for case in cases() {
            case.network.check().unwrap_or_else(|error| panic!("{}: {error}", case.name));
            sum += case.counts(&target);
        }
        let missing = Terms::ABOUT.iter().zip(sum.to_array()).filter(|(_, count)| *count == 0.0);
        let missing: Vec<&str> = missing.map(|((name, _), _)| *name).collect();
        // These are of matrices that are read as they are stored.
        assert_eq!(missing, ["unpack", "sparse_2", "sparse_4"]);
    }

    #[test]
    fn as_many_weights_are_zero_as_asked_for() {
        let values = Zeros { one_in: 10, block: 4 }.values(&[64, 32, 3, 3]);
        let kept = values.iter().filter(|value| **value != 0.0).count() as f64 / values.len() as f64;
        assert!((kept - 0.1).abs() < 0.01, "{kept}");
        for column in 0..288 {
            let zeros = |row: usize| values[row * 288 + column] == 0.0;
            assert!((0..4).all(|row| zeros(row) == zeros(0)));
        }
    }
}

//! Small networks for tests.

use rand::RngExt;
use rand_pcg::Pcg64;
use tfc_formats::import::{ImportOptions, untrained};
use tfc_formats::network::{Network, Node, Tensor, TensorId, ValueId};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Pool, Shape};
use tfc_formats::preprocess::Preprocess;

/// A network under construction; weights are uniform in [-1, 1).
pub(crate) struct Sketch {
    pub(crate) network: Network,
    rng: Pcg64,
}

impl Sketch {
    pub(crate) fn new(input: Shape) -> Self {
        let network = Network {
            name: "sketch".into(),
            input,
            preprocess: Preprocess::default(),
            nodes: Vec::new(),
            tensors: Vec::new(),
            output: 0,
        };
        Self { network, rng: Pcg64::new(7, 7) }
    }

    fn node(&mut self, name: &str, op: Op, inputs: &[ValueId], params: Vec<TensorId>) -> ValueId {
        self.network.nodes.push(Node { name: name.into(), op, inputs: inputs.into(), params });
        self.network.output = self.network.nodes.len();
        self.network.output
    }

    pub(crate) fn op(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> ValueId {
        self.node(name, op, inputs, Vec::new())
    }

    pub(crate) fn relu(&mut self, name: &str, input: ValueId) -> ValueId {
        self.op(name, Op::Activation(Activation::Relu), &[input])
    }

    pub(crate) fn max_pool(&mut self, name: &str, input: ValueId) -> ValueId {
        let pool = Pool {
            kernel: [2, 2],
            stride: [2, 2],
            pad: Padding::default(),
            ceil: false,
            count_include_pad: false,
        };
        self.op(name, Op::MaxPool(pool), &[input])
    }

    fn weight(&mut self, name: &str, shape: Vec<usize>) -> TensorId {
        let len = shape.iter().product();
        let data = (0..len).map(|_| self.rng.random_range(-1.0..1.0)).collect();
        self.network.tensors.push(Tensor { name: format!("{name}.weight"), shape, data });
        self.network.tensors.len() - 1
    }

    /// A convolution that keeps the planes' extents, with an odd kernel.
    pub(crate) fn conv(&mut self, name: &str, input: ValueId, out: u32, k: u16, groups: u32) -> ValueId {
        let c = self.network.shapes().unwrap()[input].c;
        let op = Op::Conv2d(Conv2d {
            out_channels: out,
            kernel: [k, k],
            stride: [1, 1],
            dilation: [1, 1],
            pad: Padding::same(k / 2),
            groups,
        });
        let shape = vec![out as usize, (c / groups) as usize, k.into(), k.into()];
        let weight = self.weight(name, shape);
        self.node(name, op, &[input], vec![weight])
    }

    pub(crate) fn dense(&mut self, name: &str, input: ValueId, out: u32) -> ValueId {
        let n = self.network.shapes().unwrap()[input].elements().unwrap();
        let weight = self.weight(name, vec![out as usize, n as usize]);
        self.dense_with(name, input, out, weight, false)
    }

    pub(crate) fn dense_with(
        &mut self,
        name: &str,
        input: ValueId,
        out: u32,
        weight: TensorId,
        transposed: bool,
    ) -> ValueId {
        self.node(name, Op::Dense(Dense { out_features: out, transposed }), &[input], vec![weight])
    }

    pub(crate) fn finish(self) -> Network {
        self.network.check().unwrap();
        self.network
    }
}

/// Two convolutions and two dense layers, with ten classes.
pub(crate) fn small_lenet() -> Network {
    let mut s = Sketch::new(Shape::new(1, 8, 8));
    let v = s.conv("conv1", 0, 4, 3, 1);
    let v = s.max_pool("pool1", v);
    let v = s.conv("conv2", v, 6, 3, 1);
    let v = s.max_pool("pool2", v);
    let v = s.op("flatten", Op::Flatten, &[v]);
    let v = s.dense("fc1", v, 20);
    let v = s.relu("relu", v);
    let v = s.op("dropout", Op::Dropout { rate: 0.5 }, &[v]);
    s.dense("fc2", v, 10);
    s.finish()
}

/// The standard member of a known family with a share of its channels; weights are uniform in
/// [-1, 1), and so are all parameters of batch norms but variances, which are 1.
pub(crate) fn narrow(family: &str, divisor: u32) -> Network {
    let mut network = untrained(family, &ImportOptions::default()).unwrap();
    let mut rng = Pcg64::new(11, 11);
    let mut extents = vec![network.input];
    for index in 0..network.nodes.len() {
        let selected = network.selection(index);
        let node = &mut network.nodes[index];
        let inputs: Vec<Shape> = node.inputs.iter().map(|&v| extents[v]).collect();
        let input = inputs[0];
        let shapes: Vec<Vec<usize>> = match &mut node.op {
            Op::Conv2d(conv) => {
                conv.out_channels = conv.out_channels.div_ceil(divisor);
                conv.groups = if conv.groups == 1 { 1 } else { input.c };
                let [kh, kw] = conv.kernel.map(usize::from);
                let out = conv.out_channels as usize;
                vec![vec![out, (input.c / conv.groups) as usize, kh, kw], vec![out]]
            }
            Op::Dense(dense) => {
                let out = dense.out_features as usize;
                vec![vec![out, input.elements().unwrap() as usize], vec![out]]
            }
            _ => vec![vec![input.c as usize]; 4],
        };
        for ((role, &id), shape) in node.params.iter().enumerate().zip(shapes) {
            let tensor = &mut network.tensors[id];
            let len = shape.iter().product();
            tensor.data = match (selected, role) {
                (Some(offset), _) => {
                    let first = (offset / divisor) as usize;
                    (0..len).map(|i| f32::from(u8::from(i / shape[1] == first + i % shape[1]))).collect()
                }
                (None, 3) => vec![1.0; len],
                (None, _) => (0..len).map(|_| rng.random_range(-1.0..1.0)).collect(),
            };
            tensor.shape = shape;
        }
        extents.push(node.op.output_shape(&inputs).unwrap());
    }
    network.check().unwrap();
    network
}

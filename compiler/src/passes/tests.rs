//! Each pass on small graphs, with numbers that f32 holds exactly.

mod batch_norm;
mod dead_channels;
mod identity;

use tfc_formats::network::{Network, Node, Tensor, ValueId};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

use super::{Changes, fold, run};

/// A network under construction; node `i` is named `ni`, its tensors `ni.0`, `ni.1`...
struct Graph(Network);

impl Graph {
    fn new(input: Shape) -> Self {
        Self(Network {
            name: "graph".into(),
            input,
            preprocess: Preprocess::identity(),
            nodes: Vec::new(),
            tensors: Vec::new(),
            output: 0,
        })
    }

    /// Adds a node, which becomes the output.
    fn node<const N: usize>(
        &mut self,
        op: Op,
        inputs: &[ValueId],
        params: [(&[usize], &[f32]); N],
    ) -> ValueId {
        let Self(network) = self;
        let name = format!("n{}", network.nodes.len());
        let params = params.iter().enumerate().map(|(role, (shape, data))| {
            let tensor =
                Tensor { name: format!("{name}.{role}"), shape: shape.to_vec(), data: data.to_vec() };
            network.tensors.push(tensor);
            network.tensors.len() - 1
        });
        let params = params.collect();
        network.nodes.push(Node { name, op, inputs: inputs.into(), params });
        network.output = network.nodes.len();
        network.output
    }

    /// A 1 x 1 convolution with these filters.
    fn pointwise(&mut self, input: ValueId, out: usize, weight: &[f32], bias: &[f32]) -> ValueId {
        let op = conv(out, 1, Padding::default(), 1);
        self.node(op, &[input], [(&[out, weight.len() / out, 1, 1], weight), (&[out], bias)])
    }

    fn dense(&mut self, input: ValueId, out: usize, weight: &[f32], bias: &[f32]) -> ValueId {
        let op = Op::Dense(Dense { out_features: out as u32, transposed: false });
        self.node(op, &[input], [(&[out, weight.len() / out], weight), (&[out], bias)])
    }

    /// A batch norm with a variance of 4 and no epsilon: `gamma / 2 (x - mean) + beta`.
    fn norm(&mut self, input: ValueId, gamma: &[f32], beta: &[f32], mean: &[f32]) -> ValueId {
        let n = [gamma.len()];
        let var = vec![4.0; gamma.len()];
        self.node(Op::BatchNorm { eps: 0.0 }, &[input], [(&n, gamma), (&n, beta), (&n, mean), (&n, &var)])
    }

    fn relu(&mut self, input: ValueId) -> ValueId {
        self.node(Op::Activation(Activation::Relu), &[input], [])
    }

    fn plain(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.node(op, inputs, [])
    }

    fn finish(self) -> Network {
        self.0.check().unwrap();
        self.0
    }
}

fn conv(out: usize, kernel: u16, pad: Padding, groups: u32) -> Op {
    Op::Conv2d(Conv2d {
        out_channels: out as u32,
        kernel: [kernel; 2],
        stride: [1, 1],
        dilation: [1, 1],
        pad,
        groups,
    })
}

/// Names of the nodes that are left.
fn names(network: &Network) -> Vec<&str> {
    network.nodes.iter().map(|node| node.name.as_str()).collect()
}

/// Parameters of a node: shape and values.
fn params<'n>(network: &'n Network, name: &str) -> Vec<(&'n [usize], &'n [f32])> {
    let node = network.nodes.iter().find(|node| node.name == name).unwrap();
    let tensor = |&id: &usize| (&network.tensors[id].shape[..], &network.tensors[id].data[..]);
    node.params.iter().map(tensor).collect()
}

/// Runs all passes, twice: the second time nothing is left to do.
fn passed(network: &Network) -> (Network, Changes) {
    let (passed, changes) = run(network, 1).unwrap();
    assert_eq!(run(&passed, 1).unwrap(), (passed.clone(), Changes::default()));
    (passed, changes)
}

#[test]
fn changes_read_as_a_line() {
    let changes = Changes { batch_norms_folded: 19, nodes_removed: 0, channels_removed: 1 };
    assert_eq!(changes.to_string(), "19 batch norms folded, 1 channel removed");
    assert_eq!(Changes::default().to_string(), "nothing to change");
}

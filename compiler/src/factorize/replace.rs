//! Replacing a layer by a chain of thinner ones: what a factorization is for.

use tfc_formats::network::{Network, Node, Tensor, TensorId};
use tfc_formats::op::{Dense, Op};

/// One link of the chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Appended to the layer's name to name the node; empty for the last link.
    pub suffix: &'static str,
    /// The weight, already among the network's tensors.
    pub tensor: TensorId,
    /// How it is applied.
    pub op: Op,
}

impl Link {
    /// A matrix that is applied as it is stored, or transposed.
    pub fn dense(network: &Network, suffix: &'static str, tensor: TensorId, transposed: bool) -> Self {
        let out = network.tensors[tensor].shape[usize::from(transposed)] as u32;
        Self { suffix, tensor, op: Op::Dense(Dense { out_features: out, transposed }) }
    }
}

/// `name`, or with primes as many as it takes to be new.
fn unused(mut name: String, is_used: impl Fn(&str) -> bool) -> String {
    while is_used(&name) {
        name.push('\'');
    }
    name
}

/// Adds a tensor and returns its index. A name that is taken is primed.
pub fn add_tensor(network: &mut Network, name: String, shape: &[usize], data: Vec<f32>) -> TensorId {
    let name = unused(name, |name| network.tensors.iter().any(|tensor| tensor.name == name));
    network.tensors.push(Tensor { name, shape: shape.to_vec(), data });
    network.tensors.len() - 1
}

/// Replaces the dense layer or convolution `index` by `links`, applied first to last; the last one
/// keeps the node's name and bias. The old weight stays among the tensors until [`sweep`].
pub fn replace_layer(network: &mut Network, index: usize, links: &[Link]) {
    let old = network.nodes[index].clone();
    let added = links.len() - 1;
    let mut chain = Vec::with_capacity(links.len());
    let mut input = old.inputs[0];
    for (position, link) in links.iter().enumerate() {
        let mut params = vec![link.tensor];
        if position == added {
            params.extend(old.params.get(1));
        }
        let name = format!("{}{}", old.name, link.suffix);
        let taken = |name: &str| name != old.name && network.nodes.iter().any(|node| node.name == name);
        chain.push(Node { name: unused(name, taken), op: link.op, inputs: vec![input], params });
        input = index + position + 1;
    }
    // Values behind the layer move up by the nodes that came in.
    let moved = |value: usize| if value > index { value + added } else { value };
    for node in &mut network.nodes[index + 1..] {
        node.inputs.iter_mut().for_each(|value| *value = moved(*value));
    }
    network.output = moved(network.output);
    network.nodes.splice(index..=index, chain);
}

/// Removes the tensors that no node uses.
pub fn sweep(network: &mut Network) {
    let mut used = vec![false; network.tensors.len()];
    network.nodes.iter().flat_map(|node| &node.params).for_each(|&id| used[id] = true);
    let mut next = 0;
    let renumbered: Vec<TensorId> = used
        .iter()
        .map(|&kept| {
            next += usize::from(kept);
            next - usize::from(kept)
        })
        .collect();
    for node in &mut network.nodes {
        node.params.iter_mut().for_each(|id| *id = renumbered[*id]);
    }
    let mut kept = used.into_iter();
    network.tensors.retain(|_| kept.next().unwrap_or(true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tfc_formats::op::{Activation, Shape};
    use tfc_formats::preprocess::Preprocess;

    fn two_layers() -> Network {
        let dense = |n| Op::Dense(Dense { out_features: n, transposed: false });
        let tensor = |name: &str, shape: &[usize]| Tensor {
            name: name.into(),
            shape: shape.to_vec(),
            data: vec![0.5; shape.iter().product()],
        };
        let network = Network {
            name: "two".into(),
            input: Shape::vector(4),
            preprocess: Preprocess::identity(),
            nodes: vec![
                Node { name: "a".into(), op: dense(3), inputs: vec![0], params: vec![0, 1] },
                Node {
                    name: "r".into(),
                    op: Op::Activation(Activation::Relu),
                    inputs: vec![1],
                    params: vec![],
                },
                Node { name: "b".into(), op: dense(2), inputs: vec![2], params: vec![2] },
            ],
            tensors: vec![tensor("a.w", &[3, 4]), tensor("a.b", &[3]), tensor("b.w", &[2, 3])],
            output: 3,
        };
        network.check().unwrap();
        network
    }

    #[test]
    fn a_chain_takes_the_place_of_a_layer() {
        let mut network = two_layers();
        let v = add_tensor(&mut network, "a.v".into(), [4, 1], vec![1.0; 4]);
        let u = add_tensor(&mut network, "a.u".into(), [3, 1], vec![1.0; 3]);
        let links = [Link::dense(&network, ".v", v, true), Link::dense(&network, "", u, false)];
        replace_layer(&mut network, 0, &links);
        sweep(&mut network);
        network.check().unwrap();
        let names: Vec<&str> = network.nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["a.v", "a", "r", "b"]);
        assert_eq!(network.output, 4);
        assert_eq!(network.nodes[3].inputs, [3]);
        let tensors: Vec<&str> = network.tensors.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(tensors, ["a.b", "b.w", "a.v", "a.u"]);
        assert_eq!(network.nodes[1].params, [3, 0]);
    }
}

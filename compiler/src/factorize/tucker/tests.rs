use rand::RngExt;
use rand_pcg::Pcg64;
use tfc_formats::op::Shape;

use super::*;
use crate::device::cpu::Cpu;
use crate::encode::{Precision, encode};
use crate::execute;
use crate::factorize::fixtures::{Sketch, narrow};
use crate::factorize::{GroupKind, Options, Rank, factorize, groups, sweep};

/// The factors of all convolutions.
fn factors(network: &Network, rank: Rank) -> Factors {
    let group = groups(network).unwrap().into_iter().find(|g| g.kind == GroupKind::Conv).unwrap();
    let options = Options { rank, iterations: 5, ..Options::default() };
    factorize(&Cpu, network, group, &options, &mut |_| {}).unwrap()
}

/// Replaces what becomes smaller and faster, and checks that the network then computes what it
/// does with the reconstructions of these weights.
fn replaced(network: &Network, factors: &Factors) -> (Network, Vec<String>) {
    let mut chains = network.clone();
    let names = replace_convolutions(&mut chains, factors).unwrap();
    sweep(&mut chains);
    chains.check().unwrap();
    let mut whole = network.clone();
    for name in &names {
        let node = whole.nodes.iter().position(|n| n.name == *name).unwrap();
        let tensor = whole.nodes[node].params[0];
        whole.tensors[tensor].data = factors.reconstruction(network, tensor).unwrap();
    }
    let [found, expected] = [&chains, &whole].map(outputs);
    let range = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-4 * range, "{found} is not {expected}, of {range}");
    }
    (chains, names)
}

fn outputs(network: &Network) -> Vec<f32> {
    let encoded = encode(network, &vec![Precision::F32; network.tensors.len()]).unwrap();
    let input = |_: usize, sample: &mut [f32]| {
        let mut rng = Pcg64::new(3, 3);
        sample.fill_with(|| rng.random_range(-1.0..1.0));
    };
    execute::outputs(&encoded.bytes, 1, input).unwrap().remove(0)
}

fn values(network: &Network) -> usize {
    network.tensors.iter().map(|t| t.data.len()).sum()
}

fn macs(network: &Network) -> u64 {
    let shapes = network.shapes().unwrap();
    let nodes = network.nodes.iter().enumerate();
    nodes.map(|(index, node)| node.op.dense_macs(shapes[node.inputs[0]], shapes[index + 1])).sum()
}

fn weight_of<'a>(network: &'a Network, name: &str) -> &'a str {
    let node = network.nodes.iter().find(|n| n.name == name).unwrap();
    &network.tensors[node.params[0]].name
}

#[test]
fn a_residual_network_of_chains() {
    let network = narrow("resnet20", 2);
    let factors = factors(&network, Rank::Fraction(0.25));
    let (chains, names) = replaced(&network, &factors);
    assert_eq!(names.len(), 19);
    assert!(values(&chains) < values(&network) && macs(&chains) < macs(&network));
    // Every reader of a stream shares the transpose of its factor, every writer the factor.
    for block in ["layer1.0", "layer1.1", "layer1.2", "layer2.0"] {
        assert_eq!(weight_of(&chains, &format!("{block}.conv1.in")), "conv1.gt");
    }
    for block in ["layer1.0", "layer1.1", "layer1.2"] {
        assert_eq!(weight_of(&chains, &format!("{block}.conv2")), "conv1.g");
    }
    // A wider stream has the factor of the narrower one between its own.
    let stream = weight_of(&chains, "layer2.2.conv2");
    assert_eq!(stream, weight_of(&chains, "layer2.0.conv2"));
    let g = chains.tensors.iter().find(|t| t.name == stream).unwrap();
    assert_eq!((g.shape.as_slice(), g.nonzeros() <= 4 + 16 + 4), ([16, 4, 1, 1].as_slice(), true));
}

#[test]
fn fire_modules_of_chains() {
    let network = narrow("squeezenet1_1", 8);
    let (chains, names) = replaced(&network, &factors(&network, Rank::Fraction(0.25)));
    assert!(names.iter().any(|name| name.ends_with("expand3x3")), "{names:?}");
    assert!(values(&chains) < values(&network) && macs(&chains) < macs(&network));
}

#[test]
fn strides_dilations_pads_and_biases_stay() {
    let mut s = Sketch::new(Shape::new(3, 12, 12));
    let a = s.conv("a", 0, 12, 3, 1);
    let b = s.conv("b", a, 12, 3, 1);
    s.conv("c", b, 12, 3, 1);
    let mut network = s.finish();
    for node in &mut network.nodes[1..] {
        let Op::Conv2d(conv) = &mut node.op else { panic!() };
        conv.stride = [2, 1];
        conv.dilation = [1, 2];
        conv.pad = Padding { top: 2, left: 1, bottom: 0, right: 3 };
    }
    let bias = add_tensor(&mut network, "b.bias".into(), [12], (0..12).map(|i| i as f32).collect());
    network.nodes[1].params.push(bias);
    network.check().unwrap();
    let (_, names) = replaced(&network, &factors(&network, Rank::Fixed(3)));
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_value_beside_itself_is_read_as_one_type_twice() {
    let mut s = Sketch::new(Shape::new(3, 6, 6));
    let a = s.conv("a", 0, 10, 3, 1);
    let b = s.conv("b", 0, 8, 3, 1);
    let v = s.op("concat", Op::Concat, &[a, b, a]);
    s.conv("c", v, 12, 3, 1);
    let network = s.finish();
    let (chains, names) = replaced(&network, &factors(&network, Rank::Fixed(2)));
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(chains.tensors.iter().find(|t| t.name == "a.gt").unwrap().shape, [6, 28, 1, 1]);
}

#[test]
fn what_does_not_become_smaller_and_faster_stays() {
    let mut s = Sketch::new(Shape::new(8, 6, 6));
    let a = s.conv("a", 0, 8, 3, 1);
    let b = s.conv("grouped", a, 8, 3, 2);
    let c = s.conv("depthwise", b, 8, 3, 8);
    s.conv("pointwise", c, 8, 1, 1);
    let network = s.finish();
    let (_, names) = replaced(&network, &factors(&network, Rank::Fixed(4)));
    assert_eq!(names, ["a"]);
    let (same, names) = replaced(&network, &factors(&network, Rank::Fraction(1.0)));
    assert!(names.is_empty() && same == network);
}

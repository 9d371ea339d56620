//! Multilayer perceptrons and LeNet-5.

use super::*;
use crate::network::NetworkError;

fn ops(network: &Network) -> Vec<(&str, &'static str)> {
    network.nodes.iter().map(|n| (n.name.as_str(), n.op.name())).collect()
}

const LENET: [(&str, &[usize]); 8] = [
    ("conv1.weight", &[2, 1, 5, 5]),
    ("conv1.bias", &[2]),
    ("conv2.weight", &[3, 2, 5, 5]),
    ("conv2.bias", &[3]),
    ("fc1.weight", &[6, 48]),
    ("fc1.bias", &[6]),
    ("fc2.weight", &[4, 6]),
    ("fc2.bias", &[4]),
];

#[test]
fn perceptrons_of_any_depth() {
    let layers: [(&str, &[usize]); 4] = [
        ("layers.10.weight", &[2, 5]),
        ("layers.0.weight", &[3, 4]),
        ("layers.2.weight", &[5, 3]),
        ("layers.2.bias", &[5]),
    ];
    let network = load(&layers, None).unwrap();
    assert_eq!(network.input, Shape::vector(4));
    let expected = [
        ("layers.0", "dense"),
        ("layers.0.relu", "relu"),
        ("layers.2", "dense"),
        ("layers.2.relu", "relu"),
        ("layers.10", "dense"),
    ];
    assert_eq!(ops(&network), expected);
    assert_eq!(network.nodes[2].params.len(), 2);

    let image = load(&layers, Some(Shape::new(1, 2, 2))).unwrap();
    assert_eq!(ops(&image)[..2], [("flatten", "flatten"), ("layers.0", "dense")]);
    assert_eq!(ops(&load(&[("a.weight", &[2, 3])], None).unwrap()), [("a", "dense")]);
}

#[test]
fn perceptrons_that_do_not_chain() {
    let shapes: [(&str, &[usize]); 2] = [("fc1.weight", &[3, 4]), ("fc2.weight", &[5, 2])];
    let Err(ImportError::Family { error, .. }) = load(&shapes, None) else { panic!() };
    let expected = NetworkError::TensorShape {
        tensor: "fc2.weight".into(),
        node: "fc2".into(),
        found: Vec::from([5, 2]),
        expected: Vec::from([5, 3]),
    };
    assert_eq!(*error, expected);
}

#[test]
fn lenet5_of_any_size() {
    let network = load(&LENET, None).unwrap();
    let expected = [
        ("conv1", "conv2d"),
        ("pool1", "max_pool"),
        ("conv2", "conv2d"),
        ("pool2", "max_pool"),
        ("flatten", "flatten"),
        ("fc1", "dense"),
        ("fc1.relu", "relu"),
        ("fc2", "dense"),
    ];
    assert_eq!(ops(&network), expected);
    assert_eq!(network.input, Shape::new(1, 28, 28));

    let caffe = LENET.map(|(name, shape)| (name.replace("fc", "ip"), shape));
    let caffe: Vec<_> = caffe.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    assert_eq!(ops(&load(&caffe, None).unwrap())[7], ("ip2", "dense"));

    let mut larger = LENET;
    larger[4].1 = &[6, 75];
    assert_eq!(load(&larger, None).unwrap().input, Shape::new(1, 32, 32));
}

#[test]
fn what_resembles_lenet5_is_not_taken_for_it() {
    let unknown = |shapes: &[(&str, &[usize])]| {
        assert!(matches!(load(shapes, None), Err(ImportError::UnknownArchitecture { .. })), "{shapes:?}");
    };
    unknown(&LENET[..7]);
    unknown(&[&LENET[..], &[("fc3.weight", &[4, 4])]].concat());
    let change = |at: usize, shape: &'static [usize]| {
        let mut shapes = LENET;
        shapes[at].1 = shape;
        shapes
    };
    unknown(&change(0, &[2, 1, 3, 3]));
    unknown(&change(4, &[6, 50]));
    unknown(&change(4, &[6, 0]));
    unknown(&[
        ("conv1.weight", &[10, 1, 5, 5]),
        ("conv1.bias", &[10]),
        ("conv2.weight", &[20, 10, 5, 5]),
        ("conv2.bias", &[20]),
        ("fc1.weight", &[50, 320]),
        ("fc1.bias", &[50]),
        ("fc2.weight", &[10, 50]),
        ("fc2.bias", &[10]),
    ]);
    let chain = load(&change(2, &[3, 1, 5, 5]), None);
    assert!(matches!(chain, Err(ImportError::Family { family: "LeNet-5 (Caffe)", .. })));
}

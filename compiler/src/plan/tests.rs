use tfc_formats::artifact::{AlignedBytes, Artifact};
use tfc_formats::network::{Network, Node, Tensor};
use tfc_formats::op::{Conv2d, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::Preprocess;

use super::{Target, Unit, predict};
use crate::encode::{Candidate, Encoded, Precision, encode_for};

/// A convolution 3x3 of 16 channels of 16x16, with these weights.
fn conv(nonzero: impl Fn(usize, usize) -> bool) -> Network {
    let spec = Conv2d {
        out_channels: 16,
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(1),
        groups: 1,
    };
    one(Shape::new(16, 16, 16), Op::Conv2d(spec), vec![16, 16, 3, 3], nonzero)
}

fn dense(nonzero: impl Fn(usize, usize) -> bool) -> Network {
    let op = Op::Dense(Dense { out_features: 100, transposed: false });
    one(Shape::vector(200), op, vec![100, 200], nonzero)
}

fn one(input: Shape, op: Op, shape: Vec<usize>, nonzero: impl Fn(usize, usize) -> bool) -> Network {
    let cols: usize = shape[1..].iter().product();
    let data = (0..shape[0] * cols).map(|at| if nonzero(at / cols, at % cols) { 0.5 } else { 0.0 }).collect();
    let network = Network {
        name: "one".into(),
        input,
        preprocess: Preprocess::identity(),
        nodes: vec![Node { name: "layer".into(), op, inputs: vec![0], params: vec![0] }],
        tensors: vec![Tensor { name: "w".into(), shape, data }],
        output: 1,
    };
    network.check().unwrap();
    network
}

fn encoded(network: &Network, target: &Target) -> Encoded {
    encode_for(network, &[Precision::F32], Some(target)).unwrap()
}

fn weighed(network: &Network, target: &Target) -> Vec<Candidate> {
    encoded(network, target).candidates[&0].clone()
}

/// Every n-th weight, scattered.
fn one_in(n: usize) -> impl Fn(usize, usize) -> bool {
    move |row, column| (row * 37 + column * 11 + row * column) % n == 0
}

#[test]
fn clear_cases_are_chosen_as_expected() {
    for target in Target::built_in() {
        let chosen = |network: &Network| weighed(network, &target)[0].encoding.clone();
        let name = &target.name;
        assert_eq!(chosen(&conv(|_, _| true)), "dense", "{name}");
        assert_eq!(chosen(&dense(|_, _| true)), "dense", "{name}");
        assert_eq!(chosen(&conv(one_in(20))), "csr-u8", "{name}");
        assert_eq!(chosen(&dense(one_in(20))), "csr-u8", "{name}");
        let in_fours = |row: usize, column: usize| one_in(10)(row / 4, column);
        assert_eq!(chosen(&conv(in_fours)), "csr-u8 x4", "{name}");
        assert_eq!(chosen(&dense(in_fours)), "csr-u8 x4", "{name}");
    }
}

#[test]
fn nothing_chosen_is_slower_than_dense() {
    for target in Target::built_in() {
        for network in [1, 2, 3, 4, 6, 10].into_iter().flat_map(|n| [conv(one_in(n)), dense(one_in(n))]) {
            let weighed = weighed(&network, &target);
            let least = weighed.iter().filter_map(|c| c.cost).fold(f64::INFINITY, f64::min);
            let dense = weighed.iter().find(|c| c.encoding == "dense").unwrap();
            assert!(weighed[0].cost <= dense.cost, "{}: {weighed:?}", target.name);
            assert!(weighed[0].cost.unwrap() <= 1.05 * least, "{}: {weighed:?}", target.name);
        }
    }
}

#[test]
fn zeros_stored_in_a_file_take_time_where_it_is_read_in_place() {
    let target = Target::find("cortex-m4").unwrap();
    // Three of four weights: sparse rows are smaller, but dense ones faster.
    let network = conv(|row, column| (row + column) % 4 > 0);
    assert_eq!(weighed(&network, &target)[0].encoding, "dense");
    let dense = weighed(&conv(|_, _| true), &target)[0].cost;
    assert_eq!(weighed(&network, &target)[0].cost, dense);
    // What prepares leaves them out, however they are stored.
    let target = Target::find("x86-64-v4").unwrap();
    let weighed = weighed(&network, &target);
    assert!(weighed.iter().all(|candidate| candidate.cost == weighed[0].cost), "{weighed:?}");
}

#[test]
fn an_artifact_costs_what_its_encodings_were_chosen_by() {
    for target in Target::built_in() {
        for network in [conv(one_in(10)), conv(|_, _| true), dense(one_in(10))] {
            let encoded = encoded(&network, &target);
            let bytes = AlignedBytes::from(encoded.bytes.as_slice());
            let predicted = predict(&target, &Artifact::parse(&bytes).unwrap());
            assert_eq!(Some(predicted.steps[0].cost), encoded.candidates[&0][0].cost, "{}", target.name);
            assert!(predicted.total > predicted.steps[0].cost);
        }
    }
}

#[test]
fn hosts_count_time_and_microcontrollers_instructions() {
    for target in Target::built_in() {
        let is_small = target.name.starts_with("cortex-m");
        assert_eq!(target.unit == Unit::Instructions, is_small, "{}", target.name);
        assert_eq!(target.prepares, !is_small, "{}", target.name);
    }
}

use tfc_formats::artifact::{AlignedBytes, Artifact, Element, Header};
use tfc_formats::import::{ImportOptions, untrained};
use tfc_formats::network::{Network, Node};
use tfc_formats::op::{Activation, Op};
use tfc_runtime::Model;

use super::range::Histogram;
use super::{Method, Range, calibrate};
use crate::encode::{EncodeError, Precision, encode, encode_int8};
use crate::execute::{Inputs, arg_max, outputs_for};
use crate::passes;
use crate::train::init;

const INPUTS: Inputs<'_> = Inputs::Random { count: 6, seed: 3 };

fn network(name: &str) -> Network {
    let mut network = untrained(name, &ImportOptions::default()).unwrap();
    init(&mut network, 1);
    passes::run(&network, 1).unwrap().0
}

fn quantized(network: &Network, method: Method) -> Vec<u8> {
    encode_int8(network, &calibrate(network, &INPUTS, method).unwrap()).unwrap().bytes
}

/// Largest difference of outputs on i8 and f32, as a share of the largest output.
fn difference(network: &Network, bytes: &[u8]) -> f32 {
    let exact = encode(network, &vec![Precision::F32; network.tensors.len()]).unwrap();
    let [exact, rounded] = [&exact.bytes, bytes].map(|bytes| outputs_for(bytes, &INPUTS).unwrap().concat());
    let largest = exact.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

fn header<T>(bytes: &[u8], of: impl FnOnce(&Header<'_>) -> T) -> T {
    of(Artifact::parse(&AlignedBytes::from(bytes)).unwrap().header())
}

#[test]
fn outputs_are_those_of_floats_but_for_rounding() {
    for (name, most) in [("lenet_300_100", 0.03), ("lenet5", 0.03), ("resnet8", 0.08)] {
        let network = network(name);
        for method in Method::ALL {
            let bytes = quantized(&network, method);
            let found = difference(&network, &bytes);
            assert!(found < most, "{name}, {method}: {found}");
            assert_eq!(bytes, quantized(&network, method), "the same bytes each time");
        }
    }
}

#[test]
fn sums_and_poolings_take_no_memory_of_their_own() {
    let arena = |name| {
        let bytes = AlignedBytes::from(&*quantized(&network(name), Method::MinMax));
        let model = Model::new(&bytes).unwrap();
        let sums = model.artifact().steps().filter(|step| step.op == Op::Add).count();
        let fused = model.artifact().steps().filter_map(|step| step.requantization?.residual);
        (sums, fused.count(), model.arena_len() - model.header().scratch_len as usize)
    };
    // What the second block reads, both of its branches: 16 x 34 x 34, 32 x 18 x 18, 32 x 17 x 17.
    assert_eq!(arena("resnet8"), (0, 3, 18_496 + 10_368 + 9_248));
    // 20 x 24 x 24, whose place the pooled value keeps, beside 50 x 8 x 8.
    assert_eq!(arena("lenet5"), (0, 0, 11_520 + 3_200));
}

#[test]
fn bytes_of_one_scale_stay_as_they_are() {
    let bytes = quantized(&network("resnet8"), Method::Mse);
    let raw = header(&bytes, |header| header.quantize[0]);
    assert!((0..=255).all(|raw_byte| raw.apply(raw_byte) == raw_byte - 128));
}

#[test]
fn activations_are_bounds_or_tables() {
    for activation in [Activation::Relu6, Activation::Sigmoid, Activation::HardSwish, Activation::Tanh] {
        let mut network = network("lenet_300_100");
        for node in &mut network.nodes {
            if let Op::Activation(of) = &mut node.op {
                *of = activation;
            }
        }
        let found = difference(&network, &quantized(&network, Method::MinMax));
        assert!(found < 0.05, "{activation:?}: {found}");
    }
}

#[test]
fn a_softmax_at_the_end_gives_parts_in_256() {
    let mut network = network("lenet5");
    network.nodes.push(Node {
        name: "p".into(),
        op: Op::Softmax,
        inputs: vec![network.output],
        params: Vec::new(),
    });
    network.output = network.nodes.len();
    let bytes = quantized(&network, Method::MinMax);
    let element = header(&bytes, |header| header.output.element);
    assert_eq!(element, Element::I8 { scale: 1.0 / 256.0, zero: -128 });
    assert!(difference(&network, &bytes) < 0.05);
}

#[test]
fn all_nodes_without_a_form_on_i8_are_named() {
    let mut network = network("lenet_300_100");
    let lrn = Op::Lrn { size: 1, alpha: 1.0, beta: 1.0, bias: 1.0 };
    for (name, op) in [("soft", Op::Softmax), ("norm", lrn), ("last", Op::Softmax)] {
        let inputs = vec![network.nodes.len()];
        network.nodes.push(Node { name: name.into(), op, inputs, params: Vec::new() });
    }
    network.output = network.nodes.len();
    network.check().unwrap();
    let ranges = calibrate(&network, &INPUTS, Method::MinMax).unwrap();
    match encode_int8(&network, &ranges) {
        Err(EncodeError::NotInteger(nodes)) => assert_eq!(nodes, ["`soft` (softmax)", "`norm` (lrn)"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn few_large_numbers_are_cut_off() {
    let mut histogram = Histogram::new(Range { lo: 0.0, hi: 100.0 });
    histogram.add((0..1_000_000).map(|i| i as f32 / 1e6));
    histogram.add([100.0].into_iter());
    assert_eq!(histogram.choose(Method::MinMax), Range { lo: 0.0, hi: 100.0 });
    let percentile = histogram.choose(Method::Percentile);
    assert!(percentile.lo == 0.0 && (0.9..1.1).contains(&percentile.hi), "{percentile:?}");
    let mse = histogram.choose(Method::Mse);
    assert!(mse.lo == 0.0 && mse.hi < 100.0, "{mse:?}");
}

#[test]
fn a_range_holds_zero_exactly() {
    for (lo, hi) in [(0.0, 6.0), (-3.0, 1.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0), (1e-45, 1e-45)] {
        let Element::I8 { scale, zero } = (Range { lo, hi }).element() else { panic!("floats") };
        let of = |q: i32| scale * (q - i32::from(zero)) as f32;
        assert!(scale > 0.0);
        assert!(
            of(-128) <= lo.min(0.0) + scale && of(127) >= hi.max(0.0) - scale,
            "{lo} {hi}: {scale} {zero}"
        );
    }
    assert_eq!((Range { lo: 0.0, hi: 255.0 }).element(), Element::I8 { scale: 1.0, zero: -128 });
}

#[test]
fn predictions_stay() {
    let network = network("lenet5");
    let exact = encode(&network, &vec![Precision::F32; network.tensors.len()]).unwrap();
    let rounded = quantized(&network, Method::default());
    let [exact, rounded] = [&exact.bytes, &rounded].map(|bytes| outputs_for(bytes, &INPUTS).unwrap());
    let same = exact.iter().zip(&rounded).filter(|(a, b)| arg_max(a) == arg_max(b)).count();
    assert!(same >= 5, "{same} of 6");
}

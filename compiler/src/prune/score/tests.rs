use super::*;
use crate::device::cpu::Cpu;
use crate::factorize::fixtures::{Sketch, narrow, small_lenet};
use tfc_formats::op::Shape;

fn of(network: &Network, method: Method, options: &Options) -> Scores {
    scores(&Cpu, network, method, options, &mut |_| {}).unwrap()
}

#[test]
fn every_method_scores_every_weight_and_repeats() {
    let network = small_lenet();
    let options = Options { iterations: 5, ..Options::default() };
    for method in Method::ALL {
        let found = of(&network, method, &options);
        for (tensor, t) in network.tensors.iter().enumerate() {
            let scores = found.get(tensor).unwrap();
            assert_eq!(scores.len(), t.data.len(), "{method}");
            assert!(scores.iter().all(|s| s.is_finite()), "{method}");
        }
        assert_eq!(found, of(&network, method, &options), "{method}");
    }
}

#[test]
fn every_weight_of_graphs_has_a_finite_score() {
    let options = Options { iterations: 5, ..Options::default() };
    for (family, divisor) in [("resnet20", 8), ("squeezenet1_1", 16), ("mobilenet_v1_vww", 8)] {
        let mut network = narrow(family, divisor);
        // A layer without a nonzero weight, as pruning may leave.
        let first = network.weight(0).unwrap();
        network.tensors[first].data.fill(0.0);
        for method in Method::ALL {
            let found = of(&network, method, &options);
            for (tensor, _) in weights(&network) {
                let scores = found.get(tensor).unwrap();
                assert_eq!(scores.len(), network.tensors[tensor].data.len(), "{family} {method}");
                assert!(scores.iter().all(|s| s.is_finite()), "{family} {method}");
            }
        }
    }
}

#[test]
fn scores_are_what_the_table_says() {
    let (w, a) = (-3.0, 0.5);
    assert_eq!(mfbp::score(w, a), -2.5);
    assert_eq!(mfbp_inflate::score(w, a), 2.5);
    assert_eq!(tri::score(w, a), 1.5);
    assert_eq!(magnitude::score(w), 3.0);
}

#[test]
fn relative_scores() {
    // The mean of what is expected is 0.2, a negative expectation is none.
    let found = tri_relative::scores(&[0.5, 0.5, 0.0, 0.1], &[0.79, 0.015, -0.01, -0.005]);
    let floor = 0.05 * 0.20125f32;
    let expected = [0.5 / (0.79 + floor).sqrt(), 0.5 / (0.015 + floor).sqrt(), 0.0, 0.1 / floor.sqrt()];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * expected, "{found} is not {expected}");
    }
    assert!(tri_relative::scores(&[0.0, 1.0], &[0.0, 0.0]).iter().all(|s| s.is_finite()));
}

#[test]
fn relative_scores_do_not_depend_on_the_scale_of_a_layer() {
    let mut network = small_lenet();
    let options = Options { iterations: 5, ..Options::default() };
    let before = of(&network, Method::TriRelative, &options);
    network.tensors[1].data.iter_mut().for_each(|w| *w *= -8.0);
    assert_eq!(of(&network, Method::TriRelative, &options), before);
}

#[test]
fn the_two_readings_of_the_draft_are_opposite() {
    let network = small_lenet();
    let options = Options { iterations: 5, ..Options::default() };
    let (printed, code) = (of(&network, Method::Mfbp, &options), of(&network, Method::MfbpInflate, &options));
    for tensor in 0..network.tensors.len() {
        let (printed, code) = (printed.get(tensor).unwrap(), code.get(tensor).unwrap());
        assert!(printed.iter().zip(code).all(|(a, b)| *a == -b));
    }
}

#[test]
fn seeds_matter_to_random_scores() {
    let network = small_lenet();
    let seeded = |seed| of(&network, Method::Random, &Options { seed, ..Options::default() });
    assert_ne!(seeded(1), seeded(2));
}

#[test]
fn only_methods_with_factors_refuse_a_graph() {
    let mut s = Sketch::new(Shape::new(2, 4, 4));
    let v = s.conv("a", 0, 4, 3, 1);
    s.conv("b", v, 4, 3, 2);
    let mut network = s.finish();
    network.nodes[1].params = vec![0];
    for method in Method::ALL {
        let found = scores(&Cpu, &network, method, &Options::default(), &mut |_| {});
        match found {
            Ok(_) => assert!(!method.needs_factors(), "{method}"),
            Err(error) => {
                assert!(method.needs_factors(), "{method}");
                assert!(matches!(error, FactorizeError::Unsupported(_)), "{error}");
            }
        }
    }
}

#[test]
fn names_parse_back() {
    for method in Method::ALL {
        assert_eq!(method.to_string().parse(), Ok(method));
    }
    let error = "magic".parse::<Method>().unwrap_err();
    assert!(error.contains("`magic`") && error.contains("mfbp-inflate"), "{error}");
}

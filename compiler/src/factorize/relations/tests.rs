use tfc_formats::op::{Op, Shape};

use super::*;
use crate::factorize::fixtures::{Sketch, narrow, small_lenet};

/// `row name (size) - column name (size)` of each distinct pair of a group.
fn pairs(group: &Group) -> Vec<String> {
    let name = |of: usize| format!("{} ({})", group.types[of].name, group.types[of].size);
    let mut pairs: Vec<String> =
        group.relations.iter().map(|r| format!("{} - {}", name(r.row), name(r.col))).collect();
    pairs.dedup();
    pairs
}

/// Every weight of convolutions and dense layers lies in exactly one relation, but for
/// selections, and nothing else does.
fn assert_partition(network: &Network, groups: &[Group]) {
    let mut expected = vec![0; network.tensors.len()];
    for node in (0..network.nodes.len()).filter(|&n| network.selection(n).is_none()) {
        network.weight(node).into_iter().for_each(|tensor| expected[tensor] = 1);
    }
    let mut seen: Vec<Vec<u32>> = network.tensors.iter().map(|t| vec![0; t.data.len()]).collect();
    for group in groups {
        for relation in &group.relations {
            group.positions(relation).for_each(|at| seen[relation.tensor][at] += 1);
        }
    }
    for ((tensor, seen), expected) in network.tensors.iter().zip(seen).zip(expected) {
        assert!(seen.iter().all(|&n| n == expected), "{}", tensor.name);
    }
}

#[test]
fn a_chain_shares_every_boundary_but_the_flattened_one() {
    let network = small_lenet();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    let [conv, dense] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((conv.kind, dense.kind), (GroupKind::Conv, GroupKind::Dense));
    assert_eq!(pairs(conv), ["conv1 (4) - input (1)", "conv2 (6) - conv1 (4)"]);
    assert_eq!(conv.relations.len(), 18);
    assert_eq!(pairs(dense), ["fc1 (20) - input of flatten (24)", "fc2 (10) - fc1 (20)"]);
}

#[test]
fn a_tap_is_a_slice_of_the_tensor() {
    let network = small_lenet();
    let group = &groups(&network).unwrap()[0];
    // conv2 is [6, 4, 3, 3]; its tap (1, 2) is relation 9 + 5.
    let relation = group.relations[14];
    let weight = &network.tensors[relation.tensor];
    let mut expected = Vec::new();
    for o in 0..6 {
        for i in 0..4 {
            expected.push(weight.data[((o * 4 + i) * 3 + 1) * 3 + 2]);
        }
    }
    assert_eq!(group.values(&network, &relation), expected);
}

#[test]
fn residual_addition_unites_types() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let stem = s.conv("stem", 0, 8, 3, 1);
    let a = s.conv("a", stem, 5, 3, 1);
    let a = s.relu("relu", a);
    let b = s.conv("b", a, 8, 3, 1);
    let sum = s.op("sum", Op::Add, &[b, stem]);
    let pooled = s.op("gap", Op::GlobalAvgPool, &[sum]);
    s.dense("fc", pooled, 10);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(pairs(&groups[0]), ["stem (8) - input (3)", "a (5) - stem (8)", "stem (8) - a (5)"]);
    assert_eq!(groups[0].types.len(), 3);
    assert_eq!(pairs(&groups[1]), ["fc (10) - stem (8)"]);
}

#[test]
fn a_concatenation_is_a_row_of_types() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let a = s.conv("a", 0, 4, 1, 1);
    let b = s.conv("b", 0, 5, 3, 1);
    let both = s.op("concat", Op::Concat, &[a, b]);
    s.conv("c", both, 6, 3, 1);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(
        pairs(&groups[0]),
        ["a (4) - input (3)", "b (5) - input (3)", "c (6) - a (4)", "c (6) - b (5)"]
    );
    // The first tap of `c` with `b`: columns 4 to 8 of 9.
    let relation = groups[0].relations.iter().find(|r| r.tensor == 2 && r.col == 2).unwrap();
    assert_eq!((relation.offset, relation.row_stride, relation.col_stride), (4 * 9, 9 * 9, 9));
}

#[test]
fn depthwise_channels_keep_their_type() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let v = s.conv("a", 0, 4, 1, 1);
    let v = s.conv("depthwise", v, 4, 3, 4);
    s.conv("pointwise", v, 6, 1, 1);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    let expected = ["a (4) - input (3)", "a (4) - depthwise taps (9)", "pointwise (6) - a (4)"];
    assert_eq!(pairs(&groups[0]), expected);
}

#[test]
fn a_tensor_that_serves_twice_is_one_relation() {
    let mut s = Sketch::new(Shape::vector(6));
    let v = s.dense("encode", 0, 4);
    let v = s.relu("relu", v);
    // Stored [4, 6]: applied as its transpose, from 4 back to 6.
    s.dense_with("decode", v, 6, 0, true);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(groups[0].types.len(), 2);
    assert_eq!(pairs(&groups[0]), ["encode (4) - input (6)"]);
}

#[test]
fn a_selection_makes_channels_the_same() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let narrow = s.conv("narrow", 0, 2, 1, 1);
    let wide = s.conv("wide", narrow, 6, 3, 1);
    let moved = s.conv("select", narrow, 6, 1, 1);
    let sum = s.op("sum", Op::Add, &[wide, moved]);
    s.conv("next", sum, 4, 1, 1);
    let mut network = s.finish();
    // Channels 0 and 1 become 3 and 4 of 6.
    network.tensors[2].data = (0..12).map(|i| f32::from(u8::from(i == 6 || i == 9))).collect();
    assert_eq!(network.selection(2), Some(3));
    let group = &groups(&network).unwrap()[0];
    assert!(group.relations.iter().all(|r| r.tensor != 2));
    assert_eq!(
        pairs(group),
        [
            "narrow (2) - input (3)",
            "wide[0..3] (3) - narrow (2)",
            "narrow (2) - narrow (2)",
            "wide[5..6] (1) - narrow (2)",
            "next (4) - wide[0..3] (3)",
            "next (4) - narrow (2)",
            "next (4) - wide[5..6] (1)",
        ]
    );
    assert_eq!(group.types.len(), 5);
}

#[test]
fn groups_of_a_convolution_are_blocks() {
    let mut s = Sketch::new(Shape::new(4, 4, 4));
    let v = s.conv("grouped", 0, 6, 3, 2);
    s.conv("next", v, 5, 1, 1);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(
        pairs(&groups[0]),
        [
            "grouped[0..3] (3) - input[0..2] (2)",
            "grouped[3..6] (3) - input[2..4] (2)",
            "next (5) - grouped[0..3] (3)",
            "next (5) - grouped[3..6] (3)",
        ]
    );
    // The second group begins in the middle of [6, 2, 3, 3].
    assert_eq!((groups[0].relations[9].offset, groups[0].relations[9].row_stride), (3 * 18, 18));
}

#[test]
fn a_depthwise_multiplier_makes_channels() {
    let mut s = Sketch::new(Shape::new(2, 4, 4));
    let v = s.conv("depthwise", 0, 4, 3, 2);
    s.conv("pointwise", v, 3, 1, 1);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(pairs(&groups[0]), ["depthwise (4) - depthwise taps (9)", "pointwise (3) - depthwise (4)"]);
}

#[test]
fn an_addition_of_other_concatenations_splits_types() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let [a, b, c, d] = [("a", 4), ("b", 2), ("c", 1), ("d", 5)].map(|(name, n)| s.conv(name, 0, n, 1, 1));
    let ab = s.op("ab", Op::Concat, &[a, b]);
    let cd = s.op("cd", Op::Concat, &[c, d]);
    s.op("sum", Op::Add, &[ab, cd]);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(
        pairs(&groups[0]),
        [
            "a[0..1] (1) - input (3)",
            "a[1..4] (3) - input (3)",
            "b (2) - input (3)",
            // `c` and `d` have the same channels as `a` and `b`.
            "a[0..1] (1) - input (3)",
            "a[1..4] (3) - input (3)",
            "b (2) - input (3)",
        ]
    );
}

#[test]
fn a_value_beside_itself_is_one_type_twice() {
    let mut s = Sketch::new(Shape::new(3, 4, 4));
    let a = s.conv("a", 0, 4, 1, 1);
    let twice = s.op("twice", Op::Concat, &[a, a]);
    s.conv("b", twice, 2, 1, 1);
    let network = s.finish();
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    assert_eq!(groups[0].types.len(), 3);
    assert_eq!(pairs(&groups[0]), ["a (4) - input (3)", "b (2) - a (4)"]);
    assert_eq!(groups[0].relations.len(), 3);
}

#[test]
fn residual_network_of_20_layers() {
    let network = narrow("resnet20", 4);
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    let [conv, dense] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!(pairs(dense), ["linear (10) - layer3.0.conv2 (16)"]);
    // The input, the stream of the first stage, which goes on inside of the wider ones between
    // channels that are new there, and a type within each block.
    let names: Vec<String> = conv.types.iter().map(|t| format!("{} {}", t.name, t.size)).collect();
    let expected = [
        "input 3",
        "conv1 4",
        "layer1.0.conv1 4",
        "layer1.1.conv1 4",
        "layer1.2.conv1 4",
        "layer2.0.conv1 8",
        "layer2.0.conv2[0..2] 2",
        "layer2.0.conv2[6..8] 2",
        "layer2.1.conv1 8",
        "layer2.2.conv1 8",
        "layer3.0.conv1 16",
        "layer3.0.conv2[0..4] 4",
        "layer3.0.conv2[12..16] 4",
        "layer3.1.conv1 16",
        "layer3.2.conv1 16",
    ];
    assert_eq!(names, expected);
    assert_eq!(conv.relations.len(), 9 * (7 + 16 + 28));
    let selections = (0..network.nodes.len()).filter(|&n| network.selection(n).is_some()).count();
    assert_eq!(selections, 2);
}

#[test]
fn fire_modules() {
    let network = narrow("squeezenet1_1", 8);
    let groups = groups(&network).unwrap();
    assert_partition(&network, &groups);
    let [conv] = &groups[..] else { panic!("{groups:?}") };
    // The input, conv1, three types a module and the classes.
    assert_eq!(conv.types.len(), 2 + 3 * 8 + 1);
    // A squeeze reads one type in the first module and two in others; its taps and those of both
    // expansions are 1, 1 and 9.
    assert_eq!(conv.relations.len(), 9 + (1 + 1 + 9) + 7 * (2 + 1 + 9) + 2);
    assert_eq!(
        pairs(conv)[..8],
        [
            "conv1 (8) - input (3)",
            "fire2.squeeze1x1 (2) - conv1 (8)",
            "fire2.expand1x1 (8) - fire2.squeeze1x1 (2)",
            "fire2.expand3x3 (8) - fire2.squeeze1x1 (2)",
            "fire3.squeeze1x1 (2) - fire2.expand1x1 (8)",
            "fire3.squeeze1x1 (2) - fire2.expand3x3 (8)",
            "fire3.expand1x1 (8) - fire3.squeeze1x1 (2)",
            "fire3.expand3x3 (8) - fire3.squeeze1x1 (2)",
        ]
    );
}

#[test]
fn every_weight_of_known_families_is_in_one_relation() {
    for family in ["lenet5", "resnet8", "mobilenet_v1_vww", "mobilenet_v2", "autoencoder"] {
        let network = narrow(family, 8);
        assert_partition(&network, &groups(&network).unwrap());
    }
}

#[test]
fn a_tensor_of_other_groups_is_refused() {
    let mut s = Sketch::new(Shape::new(2, 4, 4));
    let a = s.conv("a", 0, 4, 3, 1);
    s.conv("b", a, 4, 3, 2);
    let mut network = s.finish();
    network.nodes[1].params = vec![0];
    network.check().unwrap();
    let error = groups(&network).unwrap_err();
    let FactorizeError::Unsupported(nodes) = &error else { panic!("{error}") };
    assert_eq!(nodes, &["`b` (other groups than another reader of `a.weight`)"]);
}

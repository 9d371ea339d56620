use tfc_formats::op::{Op, Shape};

use super::*;
use crate::factorize::fixtures::{Sketch, small_lenet};

/// `row name (size) - column name (size)` of each distinct pair of a group.
fn pairs(group: &Group) -> Vec<String> {
    let name = |of: usize| format!("{} ({})", group.types[of].name, group.types[of].size);
    let mut pairs: Vec<String> =
        group.relations.iter().map(|r| format!("{} - {}", name(r.row), name(r.col))).collect();
    pairs.dedup();
    pairs
}

/// Every weight of convolutions and dense layers lies in exactly one relation.
fn assert_partition(network: &Network, groups: &[Group]) {
    let mut seen: Vec<Vec<u32>> = network.tensors.iter().map(|t| vec![0; t.data.len()]).collect();
    for group in groups {
        for relation in &group.relations {
            group.positions(relation).for_each(|at| seen[relation.tensor][at] += 1);
        }
    }
    for (tensor, seen) in network.tensors.iter().zip(seen) {
        assert!(seen.iter().all(|&n| n == 1), "{}", tensor.name);
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
fn everything_unsupported_is_listed_at_once() {
    let mut s = Sketch::new(Shape::new(4, 4, 4));
    let a = s.conv("grouped", 0, 6, 3, 2);
    let b = s.conv("b", 0, 2, 1, 1);
    let c = s.conv("c", 0, 4, 1, 1);
    let bc = s.op("bc", Op::Concat, &[b, c]);
    s.op("sum", Op::Add, &[a, bc]);
    let error = groups(&s.finish()).unwrap_err();
    let FactorizeError::Unsupported(nodes) = &error else { panic!("{error}") };
    assert_eq!(nodes, &["`grouped` (grouped conv2d)", "`sum` (add of differing concatenations)"]);
}

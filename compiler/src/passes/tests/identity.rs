use tfc_formats::op::Pool;

use super::*;

const POOL: Pool =
    Pool { kernel: [1, 1], stride: [1, 1], pad: Padding::same(0), ceil: true, count_include_pad: true };

/// Names that are left of a layer and this op behind it.
fn left_of(op: Op) -> usize {
    let mut graph = Graph::new(Shape::new(2, 2, 2));
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0]);
    let value = graph.plain(op, &[value]);
    graph.plain(Op::Softmax, &[value]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(network.nodes.len() + changes.nodes_removed, 3);
    network.nodes.len()
}

#[test]
fn ops_that_change_nothing_go() {
    for op in [
        Op::Dropout { rate: 0.5 },
        Op::Concat,
        Op::Add,
        Op::AvgPool(POOL),
        Op::MaxPool(POOL),
        Op::Maxout { pieces: 1 },
        Op::Activation(Activation::LeakyRelu { alpha: 1.0 }),
    ] {
        assert_eq!(left_of(op), 2, "{op:?}");
    }
    for op in [
        Op::AvgPool(Pool { stride: [1, 2], ..POOL }),
        Op::MaxPool(Pool { kernel: [2, 1], ..POOL }),
        Op::GlobalAvgPool,
        Op::Flatten,
        Op::Maxout { pieces: 2 },
        Op::Activation(Activation::Relu),
    ] {
        assert_eq!(left_of(op), 3, "{op:?}");
    }
}

#[test]
fn vectors_are_flat_and_their_own_means() {
    for op in [Op::Flatten, Op::GlobalAvgPool] {
        let mut graph = Graph::new(Shape::vector(2));
        let value = graph.dense(0, 2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0]);
        graph.plain(op, &[value]);
        let (network, _) = passed(&graph.finish());
        assert_eq!((names(&network), network.output), (vec!["n0"], 1), "{op:?}");
    }
}

#[test]
fn an_activation_behind_one_of_its_range_goes() {
    use Activation::{HardSigmoid, LeakyRelu, Relu, Relu6, Sigmoid, Tanh};
    let (leaky, hard) = (LeakyRelu { alpha: 0.1 }, HardSigmoid { alpha: 0.2 });
    let is_removed = |first, second| {
        let mut graph = Graph::new(Shape::vector(2));
        let value = graph.plain(Op::Activation(first), &[0]);
        graph.plain(Op::Activation(second), &[value]);
        passed(&graph.finish()).0.nodes.len() == 1
    };
    for (first, second) in [
        (Relu, Relu),
        (Relu6, Relu),
        (Relu6, Relu6),
        (Sigmoid, Relu),
        (Sigmoid, Relu6),
        (hard, Relu),
        (hard, Relu6),
        (Relu, leaky),
    ] {
        assert!(is_removed(first, second), "{second:?} of {first:?}");
    }
    for (first, second) in [(Relu, Relu6), (leaky, leaky), (Tanh, Relu), (Sigmoid, Sigmoid), (Tanh, Tanh)] {
        assert!(!is_removed(first, second), "{second:?} of {first:?}");
    }
}

#[test]
fn a_batch_norm_that_changes_nothing_goes() {
    for (beta, left) in [(0.0, 2), (1.0, 3)] {
        let mut graph = Graph::new(Shape::new(1, 2, 2));
        let value = graph.relu(0);
        let value = graph.norm(value, &[2.0], &[beta], &[0.0]);
        graph.plain(Op::Softmax, &[value]);
        assert_eq!(passed(&graph.finish()).0.nodes.len(), left);
    }
}

#[test]
fn a_selection_of_all_goes() {
    for (weight, left) in [([1.0, 0.0, 0.0, 1.0], 1), ([0.0, 1.0, 1.0, 0.0], 2), ([1.0, 0.0, 0.0, 2.0], 2)] {
        let mut graph = Graph::new(Shape::new(2, 2, 2));
        let value = graph.node(conv(2, 1, Padding::default(), 1), &[0], [(&[2, 2, 1, 1], &weight)]);
        graph.plain(Op::Softmax, &[value]);
        assert_eq!(passed(&graph.finish()).0.nodes.len(), left, "{weight:?}");
    }
}

#[test]
fn what_nobody_reads_goes_and_readers_move_up() {
    let mut graph = Graph::new(Shape::vector(2));
    let dropped = graph.plain(Op::Dropout { rate: 0.5 }, &[0]);
    graph.dense(dropped, 2, &[1.0; 4], &[1.0; 2]);
    let used = graph.relu(dropped);
    graph.plain(Op::Add, &[used, dropped]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes, Changes { nodes_removed: 2, ..Changes::default() });
    assert_eq!((names(&network), network.output), (vec!["n2", "n3"], 2));
    assert_eq!(network.nodes[1].inputs, [1, 0]);
    assert!(network.tensors.is_empty());
}

#[test]
fn a_network_keeps_a_node() {
    for output in [0, 1, 2] {
        let mut graph = Graph::new(Shape::vector(2));
        let value = graph.plain(Op::Dropout { rate: 0.5 }, &[0]);
        graph.plain(Op::Flatten, &[value]);
        graph.0.output = output;
        assert_eq!(passed(&graph.finish()).0.nodes.len(), 1);
    }
}

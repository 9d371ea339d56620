use super::*;

const TWO_BY_TWO: Shape = Shape::new(2, 2, 2);

#[test]
fn it_becomes_part_of_the_convolution_before() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 0.0, 4.0], &[1.0, 0.0]);
    let value = graph.norm(value, &[4.0, 1.0], &[3.0, 0.0], &[0.0, 2.0]);
    graph.relu(value);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes, Changes { batch_norms_folded: 1, ..Changes::default() });
    assert_eq!(names(&network), ["n0", "n2"]);
    // Times 2 and 1/2; 2 * 1 + 3 and 1/2 * (0 - 2).
    let expected: [(&[usize], &[f32]); 2] = [(&[2, 2, 1, 1], &[2.0, 4.0, 0.0, 2.0]), (&[2], &[5.0, -1.0])];
    assert_eq!(params(&network, "n0"), expected);
}

#[test]
fn padding_of_any_side_and_groups_stay() {
    // As TensorFlow pads a 2 x 2 kernel: after, and not before.
    let same = Padding { top: 0, left: 0, bottom: 1, right: 1 };
    let mut graph = Graph::new(TWO_BY_TWO);
    let op = conv(2, 2, same, 2);
    let value = graph.node(op, &[0], [(&[2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])]);
    graph.norm(value, &[4.0, 2.0], &[0.0, 1.0], &[0.0, 0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes.batch_norms_folded, 1);
    assert_eq!((network.nodes[0].op, network.nodes.len()), (op, 1));
    let weight: &[f32] = &[2.0, 4.0, 6.0, 8.0, 5.0, 6.0, 7.0, 8.0];
    let expected: [(&[usize], &[f32]); 2] = [(&[2, 1, 2, 2], weight), (&[2], &[0.0, 1.0])];
    assert_eq!(params(&network, "n0"), expected);
}

#[test]
fn transposed_weights_have_their_outputs_in_columns() {
    let mut graph = Graph::new(Shape::vector(1));
    let op = Op::Dense(Dense { out_features: 2, transposed: true });
    let value = graph.node(op, &[0], [(&[1, 2], &[3.0, 5.0])]);
    graph.norm(value, &[4.0, 8.0], &[0.0, 0.0], &[0.0, 0.0]);
    let (network, _) = passed(&graph.finish());
    let expected: [(&[usize], &[f32]); 1] = [(&[1, 2], &[6.0, 20.0])];
    assert_eq!(params(&network, "n0"), expected);
}

#[test]
fn a_weight_that_two_nodes_use_is_scaled_for_one() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let first = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0]);
    let second = graph.relu(first);
    let second = graph.pointwise(second, 2, &[0.0; 4], &[0.0; 2]);
    graph.0.nodes[second - 1].params = graph.0.nodes[first - 1].params.clone();
    graph.norm(second, &[4.0, 4.0], &[0.0, 0.0], &[0.0, 0.0]);
    crate::factorize::sweep(&mut graph.0);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes.batch_norms_folded, 1);
    let shape: &[usize] = &[2, 2, 1, 1];
    assert_eq!(params(&network, "n0"), [(shape, &[1.0, 2.0, 3.0, 4.0][..]), (&[2], &[1.0, 1.0])]);
    assert_eq!(params(&network, "n2"), [(shape, &[2.0, 4.0, 6.0, 8.0][..]), (&[2], &[2.0, 2.0])]);
}

#[test]
fn it_stays_where_someone_reads_what_it_normalizes() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[1.0, 1.0]);
    let normal = graph.norm(value, &[4.0, 4.0], &[1.0, 0.0], &[0.0, 0.0]);
    graph.plain(Op::Add, &[value, normal]);
    let network = graph.finish();
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn it_becomes_part_of_the_layer_after() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.norm(0, &[4.0, 2.0], &[1.0, 3.0], &[0.0, 0.0]);
    let relu = graph.pointwise(value, 1, &[1.0, 2.0], &[1.0]);
    // Eight columns: four elements a channel.
    let dense = graph.dense(value, 1, &[1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0], &[0.0]);
    let relu = graph.plain(Op::GlobalAvgPool, &[relu]);
    graph.plain(Op::Add, &[relu, dense]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes.batch_norms_folded, 1);
    assert_eq!(params(&network, "n1"), [(&[1, 2, 1, 1][..], &[2.0, 2.0][..]), (&[1], &[8.0])]);
    let weight: &[f32] = &[2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0];
    assert_eq!(params(&network, "n2"), [(&[1, 8][..], weight), (&[1], &[28.0])]);
}

#[test]
fn zeros_around_a_convolution_are_not_normalized() {
    let after_shift = |shift: f32| {
        let mut graph = Graph::new(Shape::new(1, 2, 2));
        let value = graph.norm(0, &[4.0], &[shift], &[0.0]);
        graph.node(conv(1, 3, Padding::same(1), 1), &[value], [(&[1, 1, 3, 3], &[1.0; 9])]);
        passed(&graph.finish())
    };
    let (network, changes) = after_shift(0.0);
    assert_eq!(changes.batch_norms_folded, 1);
    assert_eq!(params(&network, "n1"), [(&[1, 1, 3, 3][..], &[2.0; 9][..])]);
    assert_eq!(after_shift(1.0).1, Changes::default());
}

#[test]
fn two_become_one() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.norm(0, &[4.0, 2.0], &[1.0, 3.0], &[0.0, 0.0]);
    let value = graph.norm(value, &[8.0, 2.0], &[1.0, 0.0], &[0.0, 1.0]);
    graph.relu(value);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes.batch_norms_folded, 1);
    assert_eq!(network.nodes[0].op, Op::BatchNorm { eps: 0.0 });
    let values: Vec<&[f32]> = params(&network, "n0").into_iter().map(|(_, data)| data).collect();
    assert_eq!(values, [[8.0, 1.0], [5.0, 2.0], [0.0, 0.0], [1.0, 1.0]]);
}

#[test]
fn a_selection_of_channels_is_scaled_too() {
    let mut graph = Graph::new(Shape::new(1, 2, 2));
    let value = graph.node(conv(2, 1, Padding::default(), 1), &[0], [(&[2, 1, 1, 1], &[0.0, 1.0])]);
    assert_eq!(graph.0.selection(0), Some(1));
    let value = graph.norm(value, &[4.0, 4.0], &[1.0, 2.0], &[0.0, 0.0]);
    graph.plain(Op::Softmax, &[value]);
    let (network, _) = passed(&graph.finish());
    assert_eq!(params(&network, "n0"), [(&[2, 1, 1, 1][..], &[0.0, 2.0][..]), (&[2], &[1.0, 2.0])]);
}

#[test]
fn what_would_not_be_finite_stays() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.pointwise(0, 1, &[3e38, 1.0], &[0.0]);
    graph.norm(value, &[4.0], &[0.0], &[0.0]);
    let network = graph.finish();
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn a_dense_network_to_compare_with_keeps_its_channels() {
    let mut graph = Graph::new(TWO_BY_TWO);
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 0.0, 0.0], &[1.0, 0.0]);
    let value = graph.norm(value, &[4.0, 1.0], &[3.0, 0.0], &[0.0, 2.0]);
    graph.pointwise(value, 1, &[1.0, 1.0], &[0.0]);
    let network = graph.finish();
    assert_eq!(fold(&network).unwrap().1, Changes { batch_norms_folded: 1, ..Changes::default() });
    assert_eq!(
        passed(&network).1,
        Changes { batch_norms_folded: 1, channels_removed: 1, ..Changes::default() }
    );
}

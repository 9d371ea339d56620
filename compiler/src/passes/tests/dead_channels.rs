use tfc_formats::op::Pool;

use super::*;

const PLANE: Shape = Shape::new(2, 3, 3);

/// Channels of the output of each node.
fn channels(network: &Network) -> Vec<u32> {
    network.shapes().unwrap()[1..].iter().map(|shape| shape.c).collect()
}

fn removed(changes: Changes) -> usize {
    assert_eq!(changes, Changes { channels_removed: changes.channels_removed, ..Changes::default() });
    changes.channels_removed
}

/// Three filters, the second of which is zero, with this bias there.
fn with_zero_filter(graph: &mut Graph, input: ValueId, bias: f32) -> ValueId {
    graph.pointwise(input, 3, &[1.0, 2.0, 0.0, 0.0, 3.0, 4.0], &[1.0, bias, 3.0])
}

#[test]
fn a_constant_goes_into_the_bias_of_who_reads_it() {
    let mut graph = Graph::new(PLANE);
    let value = with_zero_filter(&mut graph, 0, 0.5);
    let value = graph.relu(value);
    graph.pointwise(value, 2, &[1.0, 2.0, 3.0, 4.0, 6.0, 5.0], &[7.0, 8.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!((removed(changes), channels(&network)), (1, vec![2, 2, 2]));
    let [first, second] = ["n0", "n2"].map(|name| params(&network, name));
    assert_eq!(first, [(&[2, 2, 1, 1][..], &[1.0, 2.0, 3.0, 4.0][..]), (&[2], &[1.0, 3.0])]);
    assert_eq!(second, [(&[2, 2, 1, 1][..], &[1.0, 3.0, 4.0, 5.0][..]), (&[2], &[8.0, 11.0])]);
}

#[test]
fn a_layer_without_bias_gets_one_only_if_it_must() {
    for (bias, expected) in [(0.5, 2), (-0.5, 1)] {
        let mut graph = Graph::new(PLANE);
        let value = with_zero_filter(&mut graph, 0, bias);
        let value = graph.relu(value);
        graph.node(conv(1, 1, Padding::default(), 1), &[value], [(&[1, 3, 1, 1], &[1.0, 2.0, 3.0])]);
        let (network, changes) = passed(&graph.finish());
        assert_eq!((removed(changes), params(&network, "n2").len()), (1, expected));
    }
}

#[test]
fn behind_padding_only_a_zero_is_constant() {
    for (bias, expected) in [(-0.5, 1), (0.5, 0)] {
        let mut graph = Graph::new(PLANE);
        let value = with_zero_filter(&mut graph, 0, bias);
        let value = graph.relu(value);
        // Padded on one side only, as TensorFlow pads.
        let pad = Padding { top: 0, left: 0, bottom: 1, right: 1 };
        graph.node(conv(1, 2, pad, 1), &[value], [(&[1, 3, 2, 2], &[1.0; 12])]);
        let (network, changes) = passed(&graph.finish());
        assert_eq!((removed(changes), channels(&network)[0]), (expected, 3 - expected as u32));
    }
}

#[test]
fn filters_that_nobody_reads_go_and_so_does_what_they_read() {
    let mut graph = Graph::new(PLANE);
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[0.0, 0.0]);
    // The second channel is read by the third filter alone.
    let value = graph.pointwise(value, 3, &[1.0, 0.0, 2.0, 0.0, 3.0, 4.0], &[0.0; 3]);
    graph.pointwise(value, 1, &[1.0, 1.0, 0.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!((removed(changes), channels(&network)), (2, vec![1, 2, 1]));
    assert_eq!(params(&network, "n1")[0], (&[2, 1, 1, 1][..], &[1.0, 2.0][..]));
}

/// `relu(stem) + branch` and a layer that reads the sum; the second filter of the branch is zero.
fn residual(stem: &[f32], reader: &[f32]) -> Network {
    let mut graph = Graph::new(PLANE);
    let stem = graph.pointwise(0, 3, stem, &[0.0, 2.0, 0.0]);
    let stem = graph.relu(stem);
    let branch = graph.pointwise(stem, 3, &[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 2.0], &[0.0, 3.0, 0.0]);
    let sum = graph.plain(Op::Add, &[stem, branch]);
    graph.pointwise(sum, 1, reader, &[0.0]);
    graph.finish()
}

#[test]
fn a_channel_of_a_sum_goes_if_it_is_constant_in_all_summands() {
    let (network, changes) = passed(&residual(&[1.0, 1.0, 0.0, 0.0, 1.0, 1.0], &[1.0, 2.0, 3.0]));
    assert_eq!((removed(changes), channels(&network)), (2, vec![2, 2, 2, 2, 1]));
    // Twice the sum of 2 and 3.
    assert_eq!(params(&network, "n4"), [(&[1, 2, 1, 1][..], &[1.0, 3.0][..]), (&[1], &[10.0])]);
}

#[test]
fn a_channel_of_a_sum_stays_if_one_summand_needs_it() {
    let network = residual(&[1.0; 6], &[1.0, 2.0, 3.0]);
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn a_channel_of_a_sum_goes_if_nobody_reads_it() {
    let (network, changes) = passed(&residual(&[1.0; 6], &[1.0, 0.0, 3.0]));
    assert_eq!((removed(changes), channels(&network)), (2, vec![2, 2, 2, 2, 1]));
    assert_eq!(params(&network, "n2")[0], (&[2, 2, 1, 1][..], &[1.0, 1.0, 1.0, 2.0][..]));
}

#[test]
fn channels_of_sums_that_only_feed_themselves_go() {
    let mut graph = Graph::new(PLANE);
    let stem = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[0.0; 2]);
    // The second channel of the stream is read for the second channel alone.
    let branch = graph.pointwise(stem, 2, &[1.0, 0.0, 0.0, 1.0], &[1.0; 2]);
    let branch = graph.relu(branch);
    let branch = graph.pointwise(branch, 2, &[1.0, 0.0, 0.0, 1.0], &[1.0; 2]);
    let sum = graph.plain(Op::Add, &[branch, stem]);
    graph.pointwise(sum, 1, &[1.0, 0.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!((removed(changes), channels(&network)), (3, vec![1; 6]));
}

#[test]
fn a_shortcut_that_selects_channels_stays_an_op() {
    let mut graph = Graph::new(PLANE);
    // Option A: four channels of which the middle two are the input's.
    let select = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let shortcut = graph.node(conv(4, 1, Padding::default(), 1), &[0], [(&[4, 2, 1, 1], &select)]);
    let branch = graph.pointwise(0, 4, &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0], &[4.0, 0.0, 0.0, 0.0]);
    let sum = graph.plain(Op::Add, &[shortcut, branch]);
    graph.pointwise(sum, 1, &[1.0, 1.0, 0.0, 1.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    // The first is constant in both, the third is not read.
    assert_eq!((removed(changes), channels(&network)), (4, vec![2, 2, 2, 1]));
    assert_eq!(params(&network, "n0"), [(&[2, 2, 1, 1][..], &[1.0, 0.0, 0.0, 0.0][..])]);
    assert_eq!(params(&network, "n3")[1].1, [4.0]);
}

#[test]
fn concatenations_pass_on_what_they_join() {
    let mut graph = Graph::new(PLANE);
    let first = with_zero_filter(&mut graph, 0, 0.0);
    let second = with_zero_filter(&mut graph, 0, 2.0);
    let joined = graph.plain(Op::Concat, &[first, second]);
    graph.pointwise(joined, 1, &[1.0, 2.0, 3.0, 0.0, 5.0, 6.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!((removed(changes), channels(&network)), (3, vec![2, 1, 3, 1]));
    assert_eq!(params(&network, "n3"), [(&[1, 3, 1, 1][..], &[1.0, 3.0, 6.0][..]), (&[1], &[10.0])]);
}

#[test]
fn depthwise_convolutions_lose_groups() {
    let mut graph = Graph::new(PLANE);
    let value = with_zero_filter(&mut graph, 0, 0.0);
    let weight = [[1.0; 9], [2.0; 9], [3.0; 9]].concat();
    let depthwise = conv(3, 3, Padding::same(1), 3);
    let value = graph.node(depthwise, &[value], [(&[3, 1, 3, 3], &weight), (&[3], &[1.0, 2.0, 3.0])]);
    let value = graph.norm(value, &[4.0, 4.0, 4.0], &[1.0; 3], &[0.0; 3]);
    let value = graph.relu(value);
    graph.pointwise(value, 1, &[1.0, 10.0, 1.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(changes, Changes { batch_norms_folded: 1, nodes_removed: 0, channels_removed: 2 });
    assert_eq!(
        (network.nodes[1].op, channels(&network)),
        (conv(2, 3, Padding::same(1), 2), vec![2, 2, 2, 1])
    );
    // Ten times 2 * 2 + 1.
    assert_eq!(params(&network, "n4"), [(&[1, 2, 1, 1][..], &[1.0, 1.0][..]), (&[1], &[50.0])]);
}

#[test]
fn groups_go_as_a_whole() {
    for (dead, left) in [([1.0, 0.0, 0.0, 0.0], 4), ([0.0; 4], 2)] {
        let mut graph = Graph::new(PLANE);
        let value = graph.pointwise(0, 4, &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0], &[0.0; 4]);
        let weight = [&[1.0, 2.0, 3.0, 4.0][..], &dead].concat();
        let grouped = conv(4, 1, Padding::default(), 2);
        let value = graph.node(grouped, &[value], [(&[4, 2, 1, 1], &weight)]);
        graph.pointwise(value, 1, &[1.0; 4], &[0.0]);
        assert_eq!(channels(&passed(&graph.finish()).0), [left, left, 1]);
    }
}

#[test]
fn a_flattened_channel_is_as_many_columns_as_it_has_elements() {
    for flatten in [true, false] {
        let mut graph = Graph::new(Shape::new(2, 1, 2));
        let mut value = with_zero_filter(&mut graph, 0, 0.5);
        if flatten {
            value = graph.plain(Op::Flatten, &[value]);
        }
        graph.dense(value, 1, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1.0]);
        let (network, changes) = passed(&graph.finish());
        assert_eq!((removed(changes), channels(&network)[0]), (1, 2));
        let last = &network.nodes[network.nodes.len() - 1].name;
        assert_eq!(params(&network, last), [(&[1, 4][..], &[1.0, 2.0, 5.0, 6.0][..]), (&[1], &[4.5])]);
    }
}

#[test]
fn an_element_that_is_not_read_does_not_take_its_channel_along() {
    let mut graph = Graph::new(Shape::new(2, 1, 2));
    let value = graph.pointwise(0, 2, &[1.0, 2.0, 3.0, 4.0], &[0.0; 2]);
    let value = graph.plain(Op::Flatten, &[value]);
    graph.dense(value, 1, &[1.0, 2.0, 3.0, 0.0], &[1.0]);
    let network = graph.finish();
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn transposed_layers_lose_rows_and_columns() {
    let mut graph = Graph::new(Shape::vector(2));
    let dense = |out_features| Op::Dense(Dense { out_features, transposed: true });
    let value =
        graph.node(dense(3), &[0], [(&[2, 3], &[1.0, 0.0, 2.0, 3.0, 0.0, 4.0]), (&[3], &[0.0, 2.0, 0.0])]);
    graph.node(dense(2), &[value], [(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!(removed(changes), 1);
    assert_eq!(params(&network, "n0")[0], (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
    assert_eq!(params(&network, "n1"), [(&[2, 2][..], &[1.0, 2.0, 5.0, 6.0][..]), (&[2], &[6.0, 8.0])]);
}

#[test]
fn a_mean_that_counts_padding_is_not_constant() {
    for (count_include_pad, bias, expected) in [(false, 1.0, 1), (true, 1.0, 0), (true, 0.0, 1)] {
        let mut graph = Graph::new(PLANE);
        let value = with_zero_filter(&mut graph, 0, bias);
        let (kernel, stride, pad) = ([2, 2], [1, 1], Padding::same(1));
        let pool = Op::AvgPool(Pool { kernel, stride, pad, ceil: false, count_include_pad });
        let value = graph.plain(pool, &[value]);
        graph.pointwise(value, 1, &[1.0; 3], &[0.0]);
        assert_eq!(removed(passed(&graph.finish()).1), expected, "{count_include_pad} {bias}");
    }
}

#[test]
fn the_pieces_of_a_maximum_go_together() {
    for (bias, expected) in [([9.0, 5.0, 6.0, 0.0], 2), ([9.0, 5.0, 6.0, 7.0], 2)] {
        let mut graph = Graph::new(PLANE);
        let weight = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let value = graph.pointwise(0, 4, &weight, &bias);
        let value = graph.plain(Op::Maxout { pieces: 2 }, &[value]);
        graph.pointwise(value, 1, &[1.0, 1.0], &[0.0]);
        let (network, changes) = passed(&graph.finish());
        assert_eq!((removed(changes), channels(&network)), (expected, vec![2, 1, 1]));
        assert_eq!(params(&network, "n2")[1].1, [bias[2].max(bias[3])]);
    }
}

#[test]
fn what_neighbours_or_callers_see_stays() {
    for op in [Op::Softmax, Op::Lrn { size: 3, alpha: 1.0, beta: 0.5, bias: 1.0 }] {
        let mut graph = Graph::new(PLANE);
        let value = with_zero_filter(&mut graph, 0, 0.0);
        let value = graph.plain(op, &[value]);
        graph.pointwise(value, 1, &[1.0, 1.0, 0.0], &[0.0]);
        let network = graph.finish();
        assert_eq!(passed(&network), (network, Changes::default()), "{op:?}");
    }
    // Neither a column of zeros that reads the input, nor an output of zeros, changes shapes.
    let mut graph = Graph::new(PLANE);
    graph.pointwise(0, 2, &[1.0, 0.0, 0.0, 0.0], &[1.0, 1.0]);
    let network = graph.finish();
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn one_channel_stays() {
    let mut graph = Graph::new(PLANE);
    let value = graph.pointwise(0, 3, &[0.0; 6], &[1.0, 2.0, 3.0]);
    graph.pointwise(value, 1, &[1.0, 1.0, 1.0], &[0.0]);
    let (network, changes) = passed(&graph.finish());
    assert_eq!((removed(changes), channels(&network)), (2, vec![1, 1]));
    let bias: Vec<f32> = ["n0", "n1"].iter().flat_map(|name| params(&network, name)[1].1.to_vec()).collect();
    assert_eq!(bias, [1.0, 5.0]);
}

#[test]
fn a_weight_that_two_nodes_use_stays_whole() {
    let mut graph = Graph::new(Shape::vector(2));
    let first = graph.dense(0, 2, &[1.0, 1.0, 0.0, 0.0], &[0.0; 2]);
    let second = graph.dense(first, 2, &[0.0; 4], &[0.0; 2]);
    graph.0.nodes[second - 1].params = graph.0.nodes[first - 1].params.clone();
    graph.dense(second, 1, &[1.0, 1.0], &[0.0]);
    crate::factorize::sweep(&mut graph.0);
    let network = graph.finish();
    assert_eq!(passed(&network), (network, Changes::default()));
}

#[test]
fn channels_pruned_in_blocks_are_removed_in_blocks() {
    // Of eight hidden channels 1 and 4 to 7 are dead; the first four are pruned together.
    let mut draft = Graph::new(Shape::new(2, 2, 2));
    let rows: Vec<f32> = [1.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0].iter().flat_map(|w| [*w, *w]).collect();
    let hidden = draft.pointwise(0, 8, &rows, &[0.0; 8]);
    draft.pointwise(hidden, 1, &[1.0; 8], &[0.0]);
    let network = draft.finish();
    let channels = |block| {
        let (passed, changes) = run(&network, block).unwrap();
        (passed.shapes().unwrap()[1].c, changes.channels_removed)
    };
    assert_eq!(channels(1), (3, 5));
    assert_eq!(channels(2), (4, 4));
    assert_eq!(channels(4), (4, 4));
}

#[test]
fn blocks_that_a_file_comes_in_are_removed_as_blocks() {
    // Of eight hidden channels, four read one input and four the other; nobody reads channel 1, and
    // channels 4 to 7.
    let mut draft = Graph::new(Shape::new(2, 2, 2));
    let rows: Vec<f32> = (0..8).flat_map(|row| if row < 4 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
    let hidden = draft.pointwise(0, 8, &rows, &[0.0; 8]);
    draft.pointwise(hidden, 1, &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0], &[0.0]);
    let (passed, changes) = run(&draft.finish(), 1).unwrap();
    assert_eq!((passed.shapes().unwrap()[1].c, changes.channels_removed), (4, 4));
}

use proptest::prelude::*;
use tfc_formats::op::Shape;

use super::*;
use crate::device::cpu::Cpu;
use crate::factorize::Options;
use crate::factorize::fixtures::{Sketch, small_lenet};
use crate::prune::{Method, scores};

/// Scores of a network by magnitude.
fn magnitudes(network: &Network) -> Scores {
    scores(&Cpu, network, Method::Magnitude, &Options::default(), &mut |_| {}).unwrap()
}

fn pruned(network: &Network, masks: &Masks, tensor: TensorId) -> usize {
    let len = network.tensors[tensor].data.len();
    masks.get(tensor).map_or(0, |keep| {
        assert_eq!(keep.len(), len);
        keep.iter().filter(|keep| !**keep).count()
    })
}

/// One dense layer of 1 x n with these weights.
fn one_layer(weights: &[f32]) -> Network {
    let mut s = Sketch::new(Shape::vector(weights.len() as u32));
    s.dense("fc", 0, 1);
    s.network.tensors[0].data = weights.to_vec();
    s.finish()
}

#[test]
fn counts_are_rounded_up_and_exact() {
    let network = one_layer(&(1..=100).map(|i| i as f32).collect::<Vec<_>>());
    let scores = magnitudes(&network);
    let none = Masks::keep_all(&network);
    let count = |sparsity| pruned(&network, &masks(&network, &scores, sparsity, Scope::Global, &none), 0);
    assert_eq!([0.0, 0.001, 0.07, 0.071, 0.29, 0.95, 1.0].map(count), [0, 1, 7, 8, 29, 95, 100]);
}

#[test]
fn masked_then_zero_then_lowest_then_index() {
    let network = one_layer(&[5.0, 0.0, 1.0, 1.0, -9.0, 0.0]);
    let scores = magnitudes(&network);
    let mut already = Masks::keep_all(&network);
    already.set(0, vec![true, true, true, true, false, true]);
    let keep = |count: usize| {
        let sparsity = count as f64 / 6.0;
        masks(&network, &scores, sparsity, Scope::Layer, &already).get(0).unwrap().to_vec()
    };
    assert_eq!(keep(0), [true, true, true, true, false, true]);
    assert_eq!(keep(1), [true, true, true, true, false, true]);
    assert_eq!(keep(3), [true, false, true, true, false, false]);
    assert_eq!(keep(4), [true, false, false, true, false, false]);
    assert_eq!(keep(6), [false; 6]);
}

#[test]
fn scopes_compare_what_they_say() {
    let mut network = small_lenet();
    // conv1 has the least weights, fc1 the next, conv2 the next, fc2 the largest.
    for (tensor, scale) in [(0, 1.0), (2, 10.0), (1, 100.0), (3, 1000.0)] {
        let data = &mut network.tensors[tensor].data;
        data.iter_mut().for_each(|w| *w = scale * (w.signum() + *w));
    }
    let scores = magnitudes(&network);
    let none = Masks::keep_all(&network);
    let lens: Vec<usize> = network.tensors.iter().map(|t| t.data.len()).collect();
    assert_eq!(lens, [36, 216, 480, 200]);
    let counts = |scope| {
        let masks = masks(&network, &scores, 0.5, scope, &none);
        [0, 1, 2, 3].map(|tensor| pruned(&network, &masks, tensor))
    };
    assert_eq!(counts(Scope::Layer), [18, 108, 240, 100]);
    assert_eq!(counts(Scope::Group), [36, 90, 340, 0]);
    assert_eq!(counts(Scope::Global), [36, 0, 430, 0]);
    // LAMP does not see the scale of a layer, and spares small ones.
    let lamp = counts(Scope::Lamp);
    assert_eq!(lamp.iter().sum::<usize>(), 466);
    let share = |tensor: usize| lamp[tensor] as f64 / lens[tensor] as f64;
    assert!(share(0) < share(3) && share(3) < share(1) && share(1) < share(2), "{lamp:?}");
    // As many zeros, but where a weight is multiplied often.
    let time = counts(Scope::Time);
    assert_eq!(time.iter().sum::<usize>(), 466);
    assert!(time[0] > lamp[0] && time[1] > lamp[1] && time[2] < lamp[2], "{lamp:?} {time:?}");
}

#[test]
fn a_weight_is_used_once_a_position() {
    assert_eq!(uses(&small_lenet()), [64.0, 16.0, 1.0, 1.0]);
}

#[test]
fn lamp_scores_are_the_printed_ones() {
    assert_eq!(lamp(&[1.0, 9.0, 4.0, 0.0]), [1.0 / 14.0, 1.0, 4.0 / 13.0, 0.0]);
    assert_eq!(lamp(&[0.0, 0.0]), [0.0, 0.0]);
}

/// One dense layer of `rows` with these weights.
fn rows_of(rows: u32, weights: &[f32]) -> Network {
    let mut s = Sketch::new(Shape::vector(weights.len() as u32 / rows));
    s.dense("fc", 0, rows);
    s.network.tensors[0].data = weights.to_vec();
    s.finish()
}

#[test]
fn what_is_masked_in_part_counts_its_zeros() {
    let network = rows_of(4, &[0.0, 1.0, 0.0, 1.0, 5.0, 1.0, -5.0, -1.0]);
    let scores = magnitudes(&network).in_blocks(4);
    let already = Masks::of_nonzeros(&network);
    let keep =
        |sparsity| masks(&network, &scores, sparsity, Scope::Global, &already).get(0).unwrap().to_vec();
    let (as_it_is, one) = ([0, 1, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 0, 1, 0]);
    for (sparsity, kept) in [(0.0, as_it_is), (0.25, as_it_is), (0.26, one), (0.75, one), (0.76, [0; 8])] {
        assert_eq!(keep(sparsity), kept.map(|keep| keep == 1), "{sparsity}");
    }
}

#[test]
fn a_layer_keeps_as_many_as_a_plan_says_in_whole_blocks() {
    let weights: Vec<f32> = (1..=18).map(|i| i as f32).collect();
    // Six rows of three: blocks of four rows and of two.
    let network = rows_of(6, &weights);
    let kept = |keep: usize| {
        let scores = magnitudes(&network).in_blocks(4);
        18 - pruned(
            &network,
            &masks_of_layers(&network, &scores, &[(0, keep)], &Masks::keep_all(&network)),
            0,
        )
    };
    assert_eq!([1, 2, 18].map(kept), [4, 4, 18]);
    (1..=18).for_each(|keep| assert!((keep..keep + 4).contains(&kept(keep)), "{keep}"));
}

#[test]
fn a_block_is_of_one_group_of_a_convolution() {
    let pad = tfc_formats::op::Padding::default();
    for (groups, block, together) in [(1, 4, 4), (6, 2, 1), (3, 2, 2), (3, 4, 1), (2, 1, 1)] {
        let mut s = Sketch::new(Shape::new(6, 4, 4));
        s.dense("fc", 0, 6);
        let spec = tfc_formats::op::Conv2d {
            out_channels: 6,
            kernel: [3; 2],
            stride: [1; 2],
            dilation: [1; 2],
            pad,
            groups,
        };
        s.network.nodes[0].op = Op::Conv2d(spec);
        assert_eq!(rows_together(&s.network, 0, block), together, "{groups} {block}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The sums of magnitudes of a block at a column, compared as a person would.
    #[test]
    fn blocks_of_the_least_magnitude_go(
        blocks in 1usize..5,
        cols in 1usize..20,
        block in prop::sample::select(vec![1u8, 2, 4]),
        sparsity in 0.0f64..=1.0,
        seed: u64,
    ) {
        let height = usize::from(block);
        let len = blocks * height * cols;
        let value = |at: usize| ((at as u64 + 1).wrapping_mul(seed | 1) >> 40) as f32 - (1u64 << 23) as f32;
        let weights: Vec<f32> = (0..len).map(value).collect();
        let network = rows_of((blocks * height) as u32, &weights);
        let scores = magnitudes(&network).in_blocks(block);
        let masks = masks(&network, &scores, sparsity, Scope::Layer, &Masks::keep_all(&network));
        let all = vec![true; len];
        let keep = masks.get(0).unwrap_or(&all);
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for at in 0..blocks * cols {
            let member = |row: usize| (at / cols * height + row) * cols + at % cols;
            let sum: f64 = (0..height).map(|row| f64::from(weights[member(row)].abs())).sum();
            prop_assert!((0..height).all(|row| keep[member(row)] == keep[member(0)]));
            if keep[member(0)] { kept.push(sum) } else { gone.push(sum) }
        }
        prop_assert_eq!(gone.len(), (sparsity * len as f64 / height as f64).ceil() as usize);
        prop_assert!(gone.iter().copied().fold(0.0, f64::max) <= kept.iter().copied().fold(f64::MAX, f64::min));
    }
}

#[test]
fn a_shared_tensor_counts_once() {
    let mut s = Sketch::new(Shape::vector(4));
    let v = s.dense("a", 0, 4);
    s.dense_with("b", v, 4, 0, false);
    let network = s.finish();
    let masks = masks(&network, &magnitudes(&network), 0.5, Scope::Global, &Masks::keep_all(&network));
    assert_eq!(pruned(&network, &masks, 0), 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn masks_meet_the_sparsity_keep_the_highest_and_only_grow(
        first in 0.0f64..=1.0,
        second in 0.0f64..=1.0,
        seed in any::<u64>(),
        scope in prop::sample::select(Scope::ALL.to_vec()),
    ) {
        let network = small_lenet();
        let options = Options { seed, ..Options::default() };
        let scores = scores(&Cpu, &network, Method::Random, &options, &mut |_| {}).unwrap();
        let none = Masks::keep_all(&network);
        let start = masks(&network, &scores, first, scope, &none);
        let end = masks(&network, &magnitudes(&network), second, scope, &start);
        let (mut total, mut zero) = (0, [0, 0]);
        for (tensor, t) in network.tensors.iter().enumerate() {
            total += t.data.len();
            zero[0] += pruned(&network, &start, tensor);
            zero[1] += pruned(&network, &end, tensor);
            let all = vec![true; t.data.len()];
            let (before, after) = (start.get(tensor).unwrap_or(&all), end.get(tensor).unwrap_or(&all));
            prop_assert!(before.iter().zip(after).all(|(before, after)| *before || !after));
            let of = |wanted: bool| {
                let scored = scores.get(tensor).unwrap().iter().zip(before);
                scored.filter(move |(_, keep)| **keep == wanted).map(|(score, _)| *score)
            };
            prop_assert!(of(false).fold(f32::MIN, f32::max) <= of(true).fold(f32::MAX, f32::min));
        }
        let share = |count: usize| count as f64 / f64::from(total as u32);
        prop_assert!(share(zero[0]) >= first && share(zero[1]) >= second);
        // Rounding up happens once a set.
        let sets = match scope { Scope::Layer => 4, Scope::Group => 2, Scope::Global | Scope::Lamp | Scope::Time => 1 };
        prop_assert!(share(zero[0].saturating_sub(sets)) < first || zero[0] == 0);
    }
}

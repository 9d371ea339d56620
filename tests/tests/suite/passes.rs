//! Graph passes: what a network computes stays as its definition says, and what is dead goes.

use proptest::prelude::*;
use tfc::passes::{self, Changes};
use tfc_formats::network::{Network, TensorId, ValueId};
use tfc_formats::op::{Activation, Conv2d, Op, Padding, Pool, Shape};

use crate::common::{Random, Sketch};
use crate::execute::{Recipe, TOLERANCE, evaluate, network};

/// Fills rows or columns of all weights with zeros, each with this chance of 256.
fn zero_channels(network: &mut Network, chance: u8, random: &mut Random) {
    for tensor in network.tensors.iter_mut().filter(|tensor| tensor.shape.len() > 1) {
        let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
        let taps: usize = tensor.shape[2..].iter().product();
        let mut is_dead = |n: usize| -> Vec<bool> { (0..n).map(|_| random.next() as u8 <= chance).collect() };
        let (dead_rows, dead_columns) = (is_dead(rows), is_dead(columns));
        for (at, value) in tensor.data.iter_mut().enumerate() {
            if dead_rows[at / (columns * taps)] || dead_columns[at / taps % columns] {
                *value = 0.0;
            }
        }
    }
}

/// Runs the passes, and checks that outputs are kept and that a second run changes nothing.
fn check(original: &Network, seed: u64) -> Result<(Network, Changes), TestCaseError> {
    let (passed, changes) = passes::run(original, 1).unwrap();
    prop_assert_eq!(passes::run(&passed, 1).unwrap(), (passed.clone(), Changes::default()));
    let (folded, folding) = passes::fold(original).unwrap();
    prop_assert_eq!(folding.channels_removed, 0);
    let input = Random(seed).values(original.input.elements().unwrap() as usize);
    let (expected, magnitude) = evaluate(original, &input, false);
    for network in [&passed, &folded] {
        let (found, _) = evaluate(network, &input, false);
        prop_assert_eq!(found.len(), expected.len());
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * magnitude;
        prop_assert!(
            found.iter().zip(&expected).all(close),
            "{:?} is not {:?}, {:#?} of {:#?}",
            found,
            expected,
            network.nodes,
            original.nodes
        );
    }
    Ok((passed, changes))
}

/// A network as people deploy them, under construction: blocks one after the other.
struct Blocks {
    sketch: Sketch,
    value: ValueId,
}

impl Blocks {
    fn channels(&self) -> u32 {
        self.sketch.network.shapes().unwrap()[self.value].c
    }

    /// A convolution, 3 x 3 with padding or 1 x 1 without, then batch norm. No bias. A filter of
    /// zeros gives a number below zero if `beta` is -0.5.
    fn conv(&mut self, input: ValueId, out_channels: u32, size: u16, beta: f32) -> (ValueId, TensorId) {
        self.grouped(input, out_channels, size, 1, beta)
    }

    fn grouped(
        &mut self,
        input: ValueId,
        out_channels: u32,
        size: u16,
        groups: u32,
        beta: f32,
    ) -> (ValueId, TensorId) {
        let conv = Conv2d {
            out_channels,
            kernel: [size; 2],
            stride: [1, 1],
            dilation: [1, 1],
            pad: Padding::same(size / 2),
            groups,
        };
        let value = self.sketch.weighted(Op::Conv2d(conv), input);
        let params = &mut self.sketch.network.nodes[value - 1].params;
        params.truncate(1);
        let weight = params[0];
        let n = out_channels as usize;
        let norm = [0.5, beta, 0.1, 1.0].map(|centre| {
            let values = self.sketch.random.values(n).into_iter().map(|v| centre + 0.3 * v).collect();
            self.sketch.tensor(&[n], values)
        });
        (self.sketch.node(Op::BatchNorm { eps: 1e-5 }, &[value], norm.into()), weight)
    }

    /// Adds a block and returns a weight inside, all of whose filters can go.
    fn add(&mut self, kind: u8) -> TensorId {
        let (input, c) = (self.value, self.channels());
        let (value, weight) = match kind % 4 {
            // Residual, He et al. 2015.
            0 => {
                let (inside, weight) = self.conv(input, c, 3, 0.1);
                let inside = self.sketch.relu(inside);
                let (inside, _) = self.conv(inside, c, 1, 0.1);
                (self.sketch.node(Op::Add, &[input, inside], Vec::new()), weight)
            }
            // Fire, Iandola et al. 2016.
            1 => {
                let (squeezed, weight) = self.conv(input, c / 2, 1, -0.5);
                let squeezed = self.sketch.relu(squeezed);
                let (one, _) = self.conv(squeezed, c / 2, 1, 0.1);
                let (three, _) = self.conv(squeezed, c - c / 2, 3, 0.1);
                (self.sketch.node(Op::Concat, &[one, three], Vec::new()), weight)
            }
            // Inverted bottleneck, Sandler et al. 2018.
            2 => {
                let (inside, weight) = self.conv(input, 2 * c, 1, -0.5);
                let inside = self.sketch.node(Op::Activation(Activation::Relu6), &[inside], Vec::new());
                let (inside, _) = self.grouped(inside, 2 * c, 3, 2 * c, 0.1);
                let inside = self.sketch.relu(inside);
                let (inside, _) = self.conv(inside, c, 1, 0.1);
                (self.sketch.node(Op::Add, &[inside, input], Vec::new()), weight)
            }
            _ => {
                let (inside, weight) = self.conv(input, c + 2, 1, 0.1);
                let pool = Pool {
                    kernel: [3, 3],
                    stride: [1, 1],
                    pad: Padding::same(1),
                    ceil: false,
                    count_include_pad: false,
                };
                let inside = self.sketch.node(Op::AvgPool(pool), &[inside], Vec::new());
                let (inside, _) = self.conv(inside, c, 1, 0.1);
                (inside, weight)
            }
        };
        self.value = self.sketch.relu(value);
        weight
    }
}

/// A network of these blocks, filters of each zeroed as the bits of `dead` say; also how many these
/// are.
fn blocks(kinds: &[u8], dead: &[u8], flat: bool, seed: u64) -> (Network, usize) {
    let mut blocks = Blocks { sketch: Sketch::new(Shape::new(3, 4, 5), seed), value: 0 };
    let (stem, _) = blocks.conv(0, 4, 3, 0.1);
    blocks.value = blocks.sketch.relu(stem);
    let weights: Vec<TensorId> = kinds.iter().map(|kind| blocks.add(*kind)).collect();
    let Blocks { mut sketch, mut value } = blocks;
    let vector = if flat { Op::Flatten } else { Op::GlobalAvgPool };
    value = sketch.node(vector, &[value], Vec::new());
    sketch.dense(value, 3);
    let mut zeroed = 0;
    for (weight, dead) in weights.into_iter().zip(dead) {
        let tensor = &mut sketch.network.tensors[weight];
        let len = tensor.data.len() / tensor.shape[0];
        // Bits say which filters; the first stays, since one has to.
        for filter in (1..tensor.shape[0]).filter(|filter| dead >> (filter % 8) & 1 == 1) {
            tensor.data[filter * len..][..len].fill(0.0);
            zeroed += 1;
        }
    }
    (sketch.finish(), zeroed)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_graph_keeps_its_outputs(
        (c, h, w) in (1u32..5, 1u32..7, 1u32..7),
        recipes in prop::collection::vec(any::<Recipe>(), 1..14),
        output in any::<u8>(),
        zeros in prop::sample::select(vec![0, 128, 230, 255]),
        dead in prop::sample::select(vec![20, 100, 200]),
        seed in any::<u64>(),
    ) {
        let mut network = network(Shape::new(c, h, w), &recipes, output, zeros, seed);
        zero_channels(&mut network, dead, &mut Random(seed ^ 2));
        check(&network, seed ^ 1)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn filters_of_zeros_go(
        kinds in prop::collection::vec(any::<u8>(), 1..5),
        dead in prop::collection::vec(any::<u8>(), 4),
        flat in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (network, zeroed) = blocks(&kinds, &dead, flat, seed);
        let (passed, changes) = check(&network, seed ^ 1)?;
        let norms = network.nodes.iter().filter(|node| matches!(node.op, Op::BatchNorm { .. })).count();
        prop_assert_eq!(changes.batch_norms_folded, norms);
        let left = passed.nodes.iter().any(|node| matches!(node.op, Op::BatchNorm { .. }));
        prop_assert!(!left, "a batch norm is left");
        prop_assert!(changes.channels_removed >= zeroed, "{:?}, {} filters", changes, zeroed);
    }
}

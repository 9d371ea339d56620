//! Models and sessions: what they refuse, and whole networks.

use crate::common::{Arena, Builder, Encoding, lenet, noise};
use tfc_formats::artifact::{AlignedBytes, ArtifactError, Dtype};
use tfc_formats::op::{Activation, Dense, Op, Padding, Shape};
use tfc_formats::preprocess::{ChannelOrder, Layout, Preprocess};
use tfc_runtime::{AlignedArena, Kernels, Model, ModelError, RunError, Session, SessionError};

const DENSE: Encoding = Encoding { index: None, block: 1, half: false };
const DELTA: Encoding = Encoding { index: Some(Dtype::U8), block: 1, half: false };

/// Largest difference between kernels in a network whose outputs are probabilities.
const TOLERANCE: f32 = 1e-4;

/// A file with one step, a copy of a value of this shape.
fn copy(shape: Shape, halo: Padding, preprocess: Preprocess) -> AlignedBytes {
    let mut b = Builder::new();
    let input = b.value(shape, halo);
    let output = b.step(Op::Dropout { rate: 0.0 }, &[input], Padding::default(), None, &[], None);
    b.finish(input, output, preprocess)
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let magic = Err(ModelError::Artifact(ArtifactError::Magic));
    assert_eq!(Model::new(&[]).map(|_| ()), magic);
    let file = copy(Shape::vector(3), Padding::default(), Preprocess::identity());
    let cut = AlignedBytes::from(&file[..file.len() - 1]);
    let length = ArtifactError::Length { stated: file.len() as u32, found: file.len() - 1 };
    assert_eq!(Model::new(&cut).map(|_| ()), Err(ModelError::Artifact(length)));
}

#[test]
fn a_model_states_its_sizes() {
    let file = copy(Shape::new(2, 3, 5), Padding::same(1), Preprocess::identity());
    let model = Model::new(&file).unwrap();
    // 2 x 5 x 7 with the halo and 2 x 3 x 5 without, each a multiple of 16 bytes.
    assert_eq!(model.arena_len(), 288 + 128);
    assert_eq!(model.input_shape(), Shape::new(2, 3, 5));
    assert_eq!(model.output_shape(), Shape::new(2, 3, 5));
    assert_eq!(model.header().name, "test");
    assert_eq!(model.artifact().steps().count(), 1);
}

#[test]
fn arenas_that_are_small_or_misaligned_are_refused() {
    let file = copy(Shape::vector(30), Padding::default(), Preprocess::identity());
    let model = Model::new(&file).unwrap();
    let mut arena = AlignedArena::<512>::new();
    let error = Session::new(&model, &mut arena[..255]).unwrap_err();
    assert_eq!(error, SessionError::ArenaLen { needed: 256, given: 255 });
    assert_eq!(error.to_string(), "the arena has 255 bytes and the model needs 256");
    for shift in [1, 4, 8, 15] {
        let error = Session::new(&model, &mut arena[shift..]).unwrap_err();
        assert_eq!(error, SessionError::ArenaAlignment);
    }
    assert!(Session::new(&model, &mut arena[..256]).is_ok());
    assert!(Session::new(&model, &mut arena[16..]).is_ok());
    assert_eq!(Session::new(&model, &mut []).unwrap_err(), SessionError::ArenaLen { needed: 256, given: 0 });
}

#[test]
fn inputs_of_another_length_are_refused() {
    let file = copy(Shape::new(2, 3, 5), Padding::same(2), Preprocess::identity());
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    for given in [0, 29, 31, 60] {
        let error = Err(RunError::InputLen { expected: 30, given });
        assert_eq!(session.run(&vec![0.0; given]), error);
        assert_eq!(session.run_raw(&vec![0; given]), error);
    }
    assert_eq!(session.run(&[1.5; 30]), Ok(&[1.5; 30][..]));
}

#[test]
fn nothing_behind_the_arena_is_written() {
    let file = lenet::lenet5(0.9, DELTA);
    let model = Model::new(&file).unwrap();
    let mut arena = vec![u128::MAX; model.arena_len().div_ceil(16) + 4];
    let arena: &mut [u8] = bytemuck::cast_slice_mut(&mut arena);
    Session::new(&model, arena).unwrap().run(&noise(1, 784)).unwrap();
    assert!(arena[model.arena_len()..].iter().all(|b| *b == 255));
}

#[test]
fn raw_samples_are_preprocessed_as_the_file_says() {
    // A 3 x 2 x 2 image whose byte is 100 c + 10 y + x.
    let at = |c: usize, y: usize, x: usize| (100 * c + 10 * y + x) as u8;
    let all = || (0..2).flat_map(|y| (0..2).map(move |x| (y, x)));
    let chw: Vec<u8> = (0..3).flat_map(|c| all().map(move |(y, x)| at(c, y, x))).collect();
    let hwc: Vec<u8> = all().flat_map(|(y, x)| (0..3).map(move |c| at(c, y, x))).collect();
    let (mean, std) = ([0.5f32, 0.25, 0.125], [2.0f32, 4.0, 8.0]);
    for (layout, raw) in [(Layout::Chw, &chw), (Layout::Hwc, &hwc)] {
        for order in [ChannelOrder::Rgb, ChannelOrder::Bgr] {
            let preprocess = Preprocess {
                scale: 1.0 / 255.0,
                mean: mean.into_iter().collect(),
                std: std.into_iter().collect(),
                order,
                layout,
                ..Preprocess::default()
            };
            let file = copy(Shape::new(3, 2, 2), Padding::same(1), preprocess);
            let model = Model::new(&file).unwrap();
            let mut arena = Arena::of(&model);
            let mut session = Session::new(&model, arena.bytes()).unwrap();
            let found = session.run_raw(raw).unwrap();
            let expected = (0..3).flat_map(|c| {
                let source = if order == ChannelOrder::Bgr { 2 - c } else { c };
                all().map(move |(y, x)| (f32::from(at(source, y, x)) / 255.0 - mean[c]) / std[c])
            });
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{layout:?} {order:?}: {found} and not {expected}");
            }
        }
    }
}

#[test]
fn all_kernels_and_encodings_run_a_whole_network_alike() {
    let input = noise(5, 784);
    for zeros in [0.0, 0.9] {
        for half in [false, true] {
            let mut reference: Option<Vec<f32>> = None;
            for encoding in Encoding::all().filter(|encoding| encoding.half == half) {
                let file = lenet::lenet5(zeros, encoding);
                let model = Model::new(&file).unwrap();
                for kernels in Kernels::available() {
                    let mut arena = Arena::of(&model);
                    let mut session = Session::with_kernels(&model, arena.bytes(), kernels).unwrap();
                    let found = session.run(&input).unwrap().to_vec();
                    assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    let reference = reference.get_or_insert_with(|| found.clone());
                    for (found, expected) in found.iter().zip(reference) {
                        let name = kernels.name();
                        let difference = (found - *expected).abs();
                        assert!(difference < TOLERANCE, "{name} {encoding:?}: {found} and not {expected}");
                    }
                }
            }
        }
    }
}

#[test]
fn runs_do_not_depend_on_the_runs_before() {
    let file = lenet::lenet5(0.5, DENSE);
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    let first = session.run(&noise(1, 784)).unwrap().to_vec();
    let second = session.run(&noise(2, 784)).unwrap().to_vec();
    assert_ne!(first, second);
    assert_eq!(session.run(&noise(1, 784)).unwrap(), first);
}

#[test]
fn an_observer_sees_every_step_in_order() {
    let file = lenet::lenet5(0.5, DENSE);
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    let mut seen = vec![];
    session.run_observed(&noise(1, 784), &mut |i, step, _| seen.push((i, step.op.name()))).unwrap();
    let names = ["conv2d", "max_pool", "conv2d", "max_pool", "dense", "dense", "softmax"];
    assert_eq!(seen, names.into_iter().enumerate().collect::<Vec<_>>());
}

#[test]
fn a_network_without_steps_returns_its_input() {
    let mut b = Builder::new();
    let input = b.value(Shape::vector(3), Padding::default());
    let file = b.finish(input, input, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    assert_eq!(session.run(&[1.0, -2.0, 3.0]), Ok(&[1.0, -2.0, 3.0][..]));
}

/// `add(relu(x), x)`, with the sum in the place between its inputs.
#[test]
fn inputs_may_lie_on_both_sides_of_the_output() {
    let (mut b, none) = (Builder::new(), Padding::default());
    let input = b.value(Shape::vector(4), none);
    let between = b.value(Shape::vector(4), none);
    let relu = b.step(Op::Activation(Activation::Relu), &[input], none, None, &[], None);
    b.step_into(between, Op::Add, &[input, relu], None, &[], None);
    let file = b.finish(input, between, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    let mut arena = Arena::of(&model);
    let mut session = Session::new(&model, arena.bytes()).unwrap();
    assert_eq!(session.run(&[1.0, -2.0, 3.0, -4.0]), Ok(&[2.0, -2.0, 6.0, -4.0][..]));
}

#[test]
fn wide_gaps_between_columns_are_followed() {
    let (mut b, none) = (Builder::new(), Padding::default());
    let mut weights = vec![0.0; 600];
    (weights[3], weights[203], weights[599]) = (1.0, 10.0, 100.0);
    let input = b.value(Shape::vector(600), none);
    let matrix = b.matrix(1, 600, &weights, DELTA);
    let dense = Dense { out_features: 1, transposed: false };
    let output = b.step(Op::Dense(dense), &[input], none, Some(matrix), &[], None);
    let file = b.finish(input, output, Preprocess::identity());
    let model = Model::new(&file).unwrap();
    for kernels in Kernels::available() {
        let mut arena = Arena::of(&model);
        let mut session = Session::with_kernels(&model, arena.bytes(), kernels).unwrap();
        let input: Vec<f32> = (0..600).map(|i| i as f32).collect();
        assert_eq!(session.run(&input), Ok(&[3.0 + 2030.0 + 59900.0][..]), "{}", kernels.name());
    }
}

//! What training promises: it learns, masks hold, the best epoch is kept, the same seed repeats.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::device::cpu::Cpu;
use crate::prune::Masks;

pub(super) fn options() -> TrainOptions {
    TrainOptions {
        epochs: 6,
        batch: 32,
        optimizer: Optimizer::Sgd { momentum: 0.9 },
        rate: 0.05,
        decay: 1e-4,
        schedule: Schedule::Cosine,
        batch_norm: BatchNorm::Updated,
        augment: Augment::default(),
        seed: 5,
        distill: None,
    }
}

/// Trains without a checkpoint.
pub(super) fn run(
    network: &mut Network,
    masks: Masks,
    options: &TrainOptions,
    prune: &mut Prune<'_>,
) -> Result<History, TrainError> {
    let (train_set, validation) = (corners(300, 1), corners(90, 2));
    let stop = AtomicBool::new(false);
    let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
    let data = Data { train: &train_set, validation: &validation, teacher: None };
    train(&Cpu, network, masks, data, options, prune, &mut control)
}

#[test]
fn learns_with_every_optimizer_and_schedule() {
    let one_cycle = Schedule::OneCycle;
    let step = Schedule::Step { drops: 2, factor: 0.3 };
    for (optimizer, schedule, rate) in [
        (Optimizer::Sgd { momentum: 0.9 }, Schedule::Cosine, 0.05),
        (Optimizer::Adam, one_cycle, 0.1),
        (Optimizer::RmsProp, step, 0.03),
    ] {
        let mut network = small(7);
        let masks = Masks::keep_all(&network);
        let options = TrainOptions { optimizer, schedule, rate, ..options() };
        let before = evaluate(&Cpu, &network, &corners(90, 2), 32).unwrap();
        let history = run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
        let after = evaluate(&Cpu, &network, &corners(90, 2), 32).unwrap();
        assert!(before.errors > 45, "{before:?}");
        assert!(after.errors <= 2, "{optimizer:?}: {after:?}");
        assert_eq!(history.epochs.len(), 6);
        assert_eq!(history.epochs[0].train.samples, 300);
        assert_eq!(after, history.epochs[history.best.unwrap()].validation);
        assert!(history.epochs.iter().all(|e| !e.validation.is_better_than(&after)));
    }
}

#[test]
fn pruned_weights_stay_zero_and_the_best_epoch_is_after_the_last_pruning() {
    let mut network = small(7);
    let half = |network: &Network| {
        let mut masks = Masks::keep_all(network);
        for n in [0, 5] {
            let id = network.weight(n).unwrap();
            masks.set(id, (0..network.tensors[id].data.len()).map(|i| i % 2 == 0).collect());
        }
        masks
    };
    let mut sparser = half(&network);
    let last = network.weight(5).unwrap();
    sparser.set(last, (0..network.tensors[last].data.len()).map(|i| i % 4 == 0).collect());
    let masks = half(&network);
    let mut seen = Vec::new();
    let mut prune = |epoch: usize, now: &Network| {
        seen.push((epoch, now.tensors[last].nonzeros()));
        Ok((epoch == 3).then(|| sparser.clone()))
    };
    let history = run(&mut network, masks, &options(), &mut prune).unwrap();
    assert_eq!(seen, [(0, 128), (1, 128), (2, 128), (3, 128), (4, 64), (5, 64)]);
    assert_eq!(network.tensors[last].nonzeros(), 64);
    assert!(network.tensors[last].data.iter().enumerate().all(|(i, w)| i % 4 == 0 || *w == 0.0));
    assert!(history.best.unwrap() >= 3);
    assert!(history.epochs.iter().enumerate().all(|(i, e)| e.pruned == (i == 3)));
}

#[test]
fn same_seed_same_bytes() {
    let trained = |seed: u64| {
        let mut network = small(7);
        let masks = Masks::keep_all(&network);
        let options = TrainOptions { epochs: 2, optimizer: Optimizer::Adam, seed, ..options() };
        run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
        network
    };
    assert_eq!(trained(1), trained(1));
    assert_ne!(trained(1), trained(2));
}

#[test]
fn no_epochs_only_apply_the_masks() {
    let mut network = small(7);
    let mut masks = Masks::keep_all(&network);
    masks.set(0, vec![false; 36]);
    let history = run(&mut network, masks, &TrainOptions { epochs: 0, ..options() }, &mut |_, _| Ok(None));
    assert_eq!(history.unwrap(), History { epochs: Vec::new(), best: None });
    assert_eq!(network.tensors[0].nonzeros(), 0);
}

#[test]
fn a_student_learns_from_a_teacher_alone() {
    let (train_set, validation) = (corners(300, 1), corners(90, 2));
    let mut teacher = small(7);
    let masks = Masks::keep_all(&teacher);
    run(&mut teacher, masks.clone(), &options(), &mut |_, _| Ok(None)).unwrap();
    // Labels that say nothing.
    let mut unlabelled = train_set;
    unlabelled.labels.fill(0);
    let mut student = small(8);
    let distill = Some(Distill { temperature: 2.0, weight: 1.0 });
    let stop = AtomicBool::new(false);
    let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
    let data = Data { train: &unlabelled, validation: &validation, teacher: Some(&teacher) };
    let options = TrainOptions { distill, ..options() };
    train(&Cpu, &mut student, masks, data, &options, &mut |_, _| Ok(None), &mut control).unwrap();
    let after = evaluate(&Cpu, &student, &validation, 32).unwrap();
    assert!(after.errors <= 2, "{after:?}");
}

#[test]
fn a_teacher_sees_the_images_as_they_were_moved() {
    // A student that agrees with its teacher on every image that it sees has nothing to learn.
    let mut b = Builder::new(Shape::new(1, 8, 8));
    let x = b.node(Op::Flatten, &[0], &[]);
    b.dense(x, 4, 64);
    let (teacher, samples) = (b.random(3), corners(100, 1));
    let distill = Some(Distill { temperature: 2.0, weight: 1.0 });
    let still = TrainOptions { distill, decay: 0.0, ..options() };
    let moving = TrainOptions { augment: Augment { flip: true, shift: 3 }, ..still.clone() };
    for options in [still, moving] {
        let mut student = teacher.clone();
        let stop = AtomicBool::new(false);
        let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
        let data = Data { train: &samples, validation: &samples, teacher: Some(&teacher) };
        let masks = Masks::keep_all(&student);
        train(&Cpu, &mut student, masks, data, &options, &mut |_, _| Ok(None), &mut control).unwrap();
        assert_eq!(student, teacher);
    }
}

#[test]
fn only_training_images_are_moved() {
    let trained = |augment: Augment| {
        let mut network = small(7);
        let masks = Masks::keep_all(&network);
        let options = TrainOptions { epochs: 2, augment, ..options() };
        let history = run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
        let validation = evaluate(&Cpu, &network, &corners(90, 2), 32).unwrap();
        assert_eq!(validation, history.epochs[history.best.unwrap()].validation);
        network
    };
    let still = trained(Augment::default());
    for augment in [Augment { flip: true, shift: 0 }, Augment { flip: false, shift: 1 }] {
        let moved = trained(augment);
        assert_ne!(moved, still);
        assert_eq!(moved, trained(augment));
    }
}

#[test]
fn images_that_cannot_be_moved_are_refused() {
    let samples = corners(10, 1);
    let flat = Samples { shape: Shape::vector(64), ..samples.clone() };
    let mut b = Builder::new(Shape::vector(64));
    b.dense(0, 4, 64);
    let network = b.random(1);
    let refused = |samples: &Samples, flip: bool, shift: u32| {
        let stop = AtomicBool::new(false);
        let mut control = Control { progress: &mut |_| {}, stop: &stop, checkpoint: None, resume: false };
        let data = Data { train: samples, validation: samples, teacher: None };
        let options = TrainOptions { epochs: 1, augment: Augment { flip, shift }, ..options() };
        let mut network = network.clone();
        let masks = Masks::keep_all(&network);
        match train(&Cpu, &mut network, masks, data, &options, &mut |_, _| Ok(None), &mut control) {
            Err(TrainError::Option(fault)) => Some(fault),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    // Images that the network takes as vectors are images still.
    assert_eq!(refused(&samples, true, 7), None);
    assert!(refused(&samples, true, 8).unwrap().contains("1x8x8 cannot be shifted by 8"));
    assert!(refused(&flat, true, 0).unwrap().contains("vectors of 64"));
}

#[test]
fn batches_do_not_change_the_evaluation() {
    let (network, samples) = (small(7), corners(33, 3));
    let whole = logits(&Cpu, &network, &samples, 100).unwrap();
    assert_eq!(whole.len(), 33 * 4);
    let mut errors = 0;
    for (scores, &label) in whole.chunks(4).zip(&samples.labels) {
        let best = (0..4).rev().max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        errors += usize::from(best != label as usize);
    }
    for batch in [1, 8, 33] {
        let parts = logits(&Cpu, &network, &samples, batch).unwrap();
        assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5));
        let evaluation = evaluate(&Cpu, &network, &samples, batch).unwrap();
        assert_eq!((evaluation.samples, evaluation.errors), (33, errors));
    }
}

#[test]
fn divergence_is_an_error_and_leaves_the_network() {
    let mut network = small(7);
    let masks = Masks::keep_all(&network);
    let options = TrainOptions { rate: 1e20, schedule: Schedule::Constant, ..options() };
    let error = run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { epoch: 1, rate: 1e20, .. }), "{error}");
    assert_eq!(network, small(7));
}

#[test]
fn all_nodes_without_backward_are_listed_at_once() {
    let mut b = Builder::new(Shape::new(4, 1, 1));
    let x = b.node(Op::Softmax, &[0], &[]);
    let x = b.node(Op::Maxout { pieces: 2 }, &[x], &[]);
    let x = b.node(Op::Softmax, &[x], &[]);
    let x = b.dense(x, 3, 2);
    b.node(Op::Softmax, &[x], &[]);
    let Err(TrainError::Unsupported(nodes)) = check(&b.0) else { panic!("accepted") };
    let named: Vec<_> = nodes.iter().map(|r| (r.node.as_str(), r.op)).collect();
    assert_eq!(named, [("n0", "softmax"), ("n2", "softmax")]);
    assert!(check(&small(1)).is_ok());
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let (network, samples) = (small(7), corners(3, 1));
    let evaluated = |samples: Samples| evaluate(&Cpu, &network, &samples, 2).unwrap_err();
    let empty = Samples { data: Vec::new(), labels: Vec::new(), ..samples.clone() };
    assert!(matches!(evaluated(empty), TrainError::Empty("evaluation")));
    let other = Samples { shape: Shape::new(1, 4, 16), ..samples.clone() };
    assert!(matches!(evaluated(other), TrainError::Input { .. }));
    let bare = Samples { classes: 0, labels: Vec::new(), ..samples.clone() };
    assert_eq!(logits(&Cpu, &network, &bare, 2).unwrap(), logits(&Cpu, &network, &samples, 2).unwrap());
    assert!(matches!(evaluated(bare), TrainError::Unlabelled("evaluation")));
    let more = Samples { classes: 5, ..samples };
    assert!(matches!(evaluated(more), TrainError::Classes { found: 5, network: 4, .. }));
}

#[test]
fn schedules_start_and_end_where_they_should() {
    for (schedule, start, middle, end) in [
        (Schedule::Constant, 1.0, 1.0, 1.0),
        (Schedule::Cosine, 1.0, 0.5, 0.0),
        (Schedule::OneCycle, 0.04, 0.811_744_900_929_366_7, 0.0),
        (Schedule::Step { drops: 1, factor: 0.25 }, 1.0, 0.25, 0.0625),
    ] {
        let found = [0.0, 0.5, 1.0].map(|p| schedule.factor(p));
        for (found, expected) in found.into_iter().zip([start, middle, end]) {
            assert!((found - expected).abs() < 1e-12, "{schedule:?}: {found} {expected}");
        }
    }
}

#[test]
fn initial_weights_have_the_scale_of_their_fans() {
    let mut b = Builder::new(Shape::vector(50));
    let g = b.tensor(&[50, 200]);
    let dense = Op::Dense(Dense { out_features: 200, transposed: true });
    let x = b.node(dense, &[0], &[g]);
    let x = b.activation(x, Activation::Relu);
    let x = b.dense(x, 100, 200);
    b.activation(x, Activation::Tanh);
    let mut network = b.random(1);
    let mut other = network.clone();
    init(&mut network, 3);
    init(&mut other, 4);
    assert_ne!(network, other);
    init(&mut other, 3);
    assert_eq!(network, other);
    // He: variance 2 / fan-in. Glorot: 2 / (fan-in + fan-out).
    for (id, expected) in [(g, 2.0 / 50.0), (1, 2.0 / 300.0)] {
        let data = &network.tensors[id].data;
        let variance = data.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / data.len() as f64;
        assert!((variance / expected - 1.0).abs() < 0.05, "{id}: {variance} {expected}");
    }
    assert!(network.tensors[2].data.iter().all(|b| *b == 0.0));
}

#[test]
fn decay_shrinks_weights_but_not_biases() {
    let mut network = small(7);
    network.tensors[3].data.fill(0.5);
    let before = network.clone();
    // Steps so small that only the decay can be seen.
    let options =
        TrainOptions { epochs: 1, rate: 1e-6, decay: 1e3, schedule: Schedule::Constant, ..options() };
    let masks = Masks::keep_all(&network);
    run(&mut network, masks, &options, &mut |_, _| Ok(None)).unwrap();
    let norm = |n: &Network, id: usize| n.tensors[id].data.iter().map(|w| w * w).sum::<f32>().sqrt();
    assert!(norm(&network, 2) < 0.99 * norm(&before, 2));
    assert!((norm(&network, 3) - 1.0).abs() < 1e-4);
}

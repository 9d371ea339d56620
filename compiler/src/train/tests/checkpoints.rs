//! A run that is stopped and resumed ends in the same bytes as one that is not.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::fitting::options;
use super::*;
use crate::device::cpu::Cpu;
use crate::prune::Masks;

/// With running statistics and a selection, the weight of its dense layer last but one.
fn network() -> Network {
    residual(Shape::new(1, 8, 8), 3, 4, 7)
}

/// Trains with a teacher and pruning in two rounds; stops once this epoch and step are done.
fn run(
    options: &TrainOptions,
    checkpoint: Option<&Path>,
    stop_after: Option<(usize, usize)>,
    resume: bool,
) -> (Network, Result<History, TrainError>) {
    let (train_set, validation, teacher) = (corners(100, 1), corners(50, 2), small(3));
    let mut network = network();
    let stop = AtomicBool::new(false);
    let mut progress = |p: &Progress| {
        if stop_after == Some((p.epoch, p.step)) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let mut prune = |epoch: usize, network: &Network| {
        let mut masks = Masks::keep_all(network);
        let dense = network.tensors.len() - 2;
        // Depends on the weights, as real scores do.
        masks.set(dense, network.tensors[dense].data.iter().map(|w| w.abs() > 0.05 * epoch as f32).collect());
        Ok((epoch < 2).then_some(masks))
    };
    let mut control =
        Control { progress: &mut progress, stop: &stop, checkpoint: checkpoint.map(Path::to_owned), resume };
    let data = Data { train: &train_set, validation: &validation, teacher: Some(&teacher) };
    let masks = Masks::keep_all(&network);
    let history = train(&Cpu, &mut network, masks, data, options, &mut prune, &mut control);
    (network, history)
}

fn small_options(optimizer: Optimizer) -> TrainOptions {
    let distill = Some(Distill { temperature: 2.0, weight: 0.3 });
    TrainOptions { epochs: 3, batch: 16, optimizer, rate: 0.01, distill, ..options() }
}

fn moving(options: TrainOptions) -> TrainOptions {
    TrainOptions { augment: Augment { flip: true, shift: 2 }, ..options }
}

/// All numbers of a history but the wall times.
fn numbers(history: History) -> Vec<(Evaluation, Evaluation, bool)> {
    history.epochs.iter().map(|e| (e.train, e.validation, e.pruned)).collect()
}

#[test]
fn resumed_runs_end_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let moments = [Optimizer::Sgd { momentum: 0.9 }, Optimizer::Adam, Optimizer::RmsProp];
    for options in moments.map(small_options).into_iter().chain([moving(small_options(Optimizer::Adam))]) {
        let (straight, history) = run(&options, None, None, false);
        let expected = numbers(history.unwrap());
        // In the middle of an epoch, after its last step, and again in the next one.
        let mut resume = false;
        for stop in [(1, 3), (2, 7), (3, 1)] {
            let (untouched, stopped) = run(&options, Some(&path), Some(stop), resume);
            assert!(matches!(stopped, Err(TrainError::Interrupted { checkpoint: Some(_) })), "{stopped:?}");
            assert_eq!(untouched, network());
            assert!(path.exists());
            resume = true;
        }
        let (resumed, history) = run(&options, Some(&path), None, true);
        assert_eq!(numbers(history.unwrap()), expected);
        assert_eq!(resumed, straight);
        assert!(!path.exists(), "the checkpoint outlives the run");
    }
}

#[test]
fn a_checkpoint_of_another_run_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    let options = small_options(Optimizer::Adam);
    assert!(run(&options, Some(&path), Some((1, 2)), false).1.is_err());
    let faster = TrainOptions { rate: 0.02, ..options.clone() };
    let reason = |result: Result<History, TrainError>| match result {
        Err(TrainError::Checkpoint { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason(run(&faster, Some(&path), None, true).1).contains("other inputs: options;"));
    let missing = folder.path().join("none.ckpt");
    assert!(reason(run(&options, Some(&missing), None, true).1).contains("cannot be read"));
    assert!(matches!(run(&options, None, None, true).1, Err(TrainError::Option(_))));
}

#[test]
fn damaged_checkpoints_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.ckpt");
    assert!(run(&small_options(Optimizer::Adam), Some(&path), Some((2, 2)), false).1.is_err());
    let bytes = std::fs::read(&path).unwrap();
    assert!(checkpoint::Checkpoint::parse(&bytes).is_ok());
    for len in (0..bytes.len()).step_by(7) {
        assert!(checkpoint::Checkpoint::parse(&bytes[..len]).is_err());
    }
    for bit in (0..8 * bytes.len()).step_by(101) {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(checkpoint::Checkpoint::parse(&flipped).is_err());
    }
}

proptest! {
    /// Also with a checksum that is right.
    #[test]
    fn no_content_panics(body in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = checkpoint::with_header(&body);
        prop_assert!(checkpoint::Checkpoint::parse(&bytes).is_err());
    }
}

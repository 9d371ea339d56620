//! Scores to learn from (Hinton et al. 2015).

use super::augment::Move;
use super::batch::Batches;
use super::executor::Executor;
use super::fit::Data;
use super::ops::Mode;
use super::{TrainError, TrainOptions, evaluate};
use crate::device::Device;

/// Where the scores come from.
pub(super) enum Teacher<'a, 'd, D: Device> {
    /// Scores `[samples, classes]` of samples that are the same in every epoch.
    Scores { scores: Vec<f32>, classes: usize },
    /// A network and its inputs, for samples that never come twice.
    Network(Box<(Executor<'d, D>, Batches<'a>)>),
}

impl<'a, 'd, D: Device> Teacher<'a, 'd, D> {
    /// The teacher of a network with so many classes, where there is one.
    pub(super) fn new(
        device: &'d D,
        data: Data<'a>,
        options: &TrainOptions,
        classes: usize,
        batch: usize,
    ) -> Result<Option<Self>, TrainError> {
        let network = match (data.teacher, options.distill) {
            (None, None) => return Ok(None),
            (Some(teacher), Some(_)) => teacher,
            (teacher, _) => {
                let missing = if teacher.is_some() { "its options" } else { "a teacher" };
                return Err(TrainError::Option(format!("distillation lacks {missing}")));
            }
        };
        let (found, teacher) = if options.augment.is_active() {
            let executor = Executor::new(device, network, batch, None)?;
            let batches = Batches::new(data.train, network, executor.classes(), "training")?;
            (executor.classes(), Teacher::Network(Box::new((executor, batches))))
        } else {
            let scores = evaluate::logits(device, network, data.train, batch)?;
            (scores.len() / data.train.len(), Teacher::Scores { scores, classes })
        };
        if found != classes {
            return Err(TrainError::Classes { what: "the teacher", found, network: classes });
        }
        Ok(Some(teacher))
    }

    /// `[K, B]` of the samples at these positions, which are changed as said.
    pub(super) fn scores(
        &mut self,
        positions: &[usize],
        change: impl Fn(usize) -> Option<Move> + Sync,
    ) -> Result<Vec<f32>, TrainError> {
        match self {
            Teacher::Scores { scores, classes } => {
                let class = |k| positions.iter().map(move |&i| (i, k));
                Ok((0..*classes).flat_map(class).map(|(i, k)| scores[i * *classes + k]).collect())
            }
            Teacher::Network(network) => {
                let (executor, batches) = network.as_mut();
                batches.fill_moved(positions, change);
                executor.forward(&batches.input, positions.len(), Mode::INFERENCE);
                let mut scores = executor.logits()?;
                scores.truncate(executor.classes() * positions.len());
                Ok(scores)
            }
        }
    }
}

//! From samples to the `[C, B, H, W]` batches that a device takes.

use rayon::prelude::*;
use tfc_formats::dataset::Samples;
use tfc_formats::network::Network;
use tfc_formats::preprocess::Preprocess;

use super::augment::Move;
use super::ops::{elements, plane};
use super::{Augment, TrainError};

/// Elements below which a piece of work is not worth a thread.
const GRAIN: usize = 1 << 12;

/// Assembles batches of a set of samples on the host.
pub(super) struct Batches<'s> {
    samples: &'s Samples,
    preprocess: Preprocess,
    /// Elements of a sample, and of one of its channels as the network sees it.
    elements: usize,
    plane: usize,
    /// `[B, C, H, W]`.
    images: Vec<f32>,
    /// `[C, B, H, W]`.
    pub(super) input: Vec<f32>,
    /// Class index of each sample, if samples have labels.
    pub(super) labels: Vec<f32>,
}

impl<'s> Batches<'s> {
    /// For a network that takes these samples and gives `classes` scores. `what` names the set in errors.
    pub(super) fn new(
        samples: &'s Samples,
        network: &Network,
        classes: usize,
        what: &'static str,
    ) -> Result<Self, TrainError> {
        if samples.is_empty() {
            return Err(TrainError::Empty(what));
        }
        let (from, to) = (samples.shape, network.input);
        if from != to && !(to.is_vector() && elements(from) == elements(to)) {
            return Err(TrainError::Input { samples: from, network: to });
        }
        if samples.classes as usize > classes {
            return Err(TrainError::Classes { what, found: samples.classes as usize, network: classes });
        }
        Ok(Self {
            samples,
            preprocess: network.preprocess.clone(),
            elements: elements(to),
            plane: plane(to),
            images: Vec::new(),
            input: Vec::new(),
            labels: Vec::new(),
        })
    }

    /// [`new`](Self::new) for samples that must have labels.
    pub(super) fn labelled(
        samples: &'s Samples,
        network: &Network,
        classes: usize,
        what: &'static str,
    ) -> Result<Self, TrainError> {
        match samples.is_labelled() {
            false if !samples.is_empty() => Err(TrainError::Unlabelled(what)),
            _ => Self::new(samples, network, classes, what),
        }
    }

    /// Refuses what cannot be done to these samples.
    pub(super) fn check_augment(&self, augment: Augment) -> Result<(), TrainError> {
        let shape = self.samples.shape;
        let fault = if augment.is_active() && shape.is_vector() {
            format!("samples are vectors of {shape}; only images can be flipped or shifted")
        } else if augment.shift >= shape.h.min(shape.w) && augment.shift > 0 {
            format!(
                "images of {shape} cannot be shifted by {} pixels and keep some of their own",
                augment.shift
            )
        } else {
            return Ok(());
        };
        Err(TrainError::Option(fault))
    }

    /// Assembles the batch of the samples at these positions, as they are.
    pub(super) fn fill(&mut self, positions: &[usize]) {
        self.fill_moved(positions, |_| None);
    }

    /// Assembles the batch of the samples at these positions, each with its move.
    pub(super) fn fill_moved(&mut self, positions: &[usize], moves: impl Fn(usize) -> Option<Move> + Sync) {
        let (n, elements, plane) = (positions.len(), self.elements, self.plane);
        self.images.resize(n * elements, 0.0);
        self.input.resize(n * elements, 0.0);
        self.labels.clear();
        if self.samples.is_labelled() {
            self.labels.extend(positions.iter().map(|&i| self.samples.labels[i] as f32));
        }

        let (samples, preprocess) = (self.samples, &self.preprocess);
        self.images
            .par_chunks_mut(elements)
            .zip(positions)
            .with_min_len(GRAIN.div_ceil(elements))
            .for_each_init(Vec::new, |still, (image, &i)| {
                samples.input(i, preprocess, image);
                if let Some(change) = moves(i) {
                    still.clear();
                    still.extend_from_slice(image);
                    change.apply(samples.shape, |c| preprocess.affine(c).1, still, image);
                }
            });
        let images = &self.images;
        self.input.par_chunks_mut(n * plane).enumerate().with_min_len(GRAIN.div_ceil(n * plane)).for_each(
            |(c, channel)| {
                for (to, image) in channel.chunks_exact_mut(plane).zip(images.chunks_exact(elements)) {
                    to.copy_from_slice(&image[c * plane..][..plane]);
                }
            },
        );
    }
}

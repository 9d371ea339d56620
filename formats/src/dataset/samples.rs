//! Samples of one split.

use std::vec::Vec;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use super::SamplesError;
use crate::op::Shape;
use crate::preprocess::{ChannelOrder, Preprocess};

/// Samples of one split, with or without labels: raw bytes in C, H, W order, not yet preprocessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Shape of one sample.
    pub shape: Shape,
    /// Number of classes; every label is below it. 0 for samples without labels.
    pub classes: u32,
    /// All samples one after the other.
    pub data: Vec<u8>,
    /// Class of each sample; nothing where there are no classes.
    pub labels: Vec<u32>,
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        if self.is_labelled() { self.labels.len() } else { self.data.len() / elements(self.shape).max(1) }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether each sample has a class.
    pub fn is_labelled(&self) -> bool {
        self.classes > 0
    }

    /// Raw bytes of one sample in C, H, W order.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn sample(&self, i: usize) -> &[u8] {
        let size = elements(self.shape);
        &self.data[i * size..][..size]
    }

    /// The network's input for one sample: f32, in C, H, W order. [`Preprocess::layout`] is of
    /// no concern here, since samples are already stored that way.
    ///
    /// # Panics
    /// If `i` is out of range or `out` has not exactly the sample's length.
    pub fn input(&self, i: usize, preprocess: &Preprocess, out: &mut [f32]) {
        apply(preprocess, self.shape, self.sample(i), out);
    }

    /// The samples at these positions, in this order.
    ///
    /// # Panics
    /// If a position is out of range.
    pub fn subset(&self, positions: &[usize]) -> Self {
        let mut data = Vec::with_capacity(positions.len() * elements(self.shape));
        positions.iter().for_each(|&i| data.extend_from_slice(self.sample(i)));
        let labels = positions.iter().filter(|_| self.is_labelled()).map(|&i| self.labels[i]).collect();
        Self { shape: self.shape, classes: self.classes, data, labels }
    }

    /// The first `n` samples, or all if there are fewer.
    pub fn take(&self, n: usize) -> Self {
        let n = n.min(self.len());
        let data = self.data[..n * elements(self.shape)].to_vec();
        Self {
            shape: self.shape,
            classes: self.classes,
            data,
            labels: self.labels.iter().copied().take(n).collect(),
        }
    }

    /// `most` samples, evenly spread over all, or all if there are fewer.
    pub fn evenly(&self, most: usize) -> Self {
        self.subset(&evenly(self.len(), most).collect::<Vec<_>>())
    }

    /// Splits into what is kept and what is held out: `held_out` samples (at most all), drawn at
    /// random within each class so that both parts have the classes in the same proportion, give
    /// or take one sample a class. Both keep the samples' order; the same seed gives the same parts.
    pub fn split(&self, held_out: usize, seed: u64) -> (Self, Self) {
        let (len, held_out) = (self.len().max(1), held_out.min(self.len()));
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(seed));
        // Grouped by class, in random order within it. Position p is held out where
        // (p + 1) * held_out / len steps up: exactly held_out times in all, evenly spread.
        order.sort_by_key(|&i| self.labels.get(i));
        let share = |p: usize| (p as u128 * held_out as u128 / len as u128) as usize;
        let (mut kept, mut out) = (Vec::with_capacity(len - held_out), Vec::with_capacity(held_out));
        for (p, &i) in order.iter().enumerate() {
            if share(p + 1) > share(p) { out.push(i) } else { kept.push(i) }
        }
        kept.sort_unstable();
        out.sort_unstable();
        (self.subset(&kept), self.subset(&out))
    }

    /// Checks that there are samples, that lengths agree, and that labels are in range.
    pub fn check(&self) -> Result<(), SamplesError> {
        if !self.is_labelled() && !self.labels.is_empty() {
            return Err(SamplesError::NoClasses { labels: self.labels.len() });
        }
        if self.is_empty() {
            return Err(SamplesError::Empty);
        }
        let (shape, samples, bytes) = (self.shape, self.len(), self.data.len());
        let expected = shape.elements().and_then(|n| samples.checked_mul(n as usize));
        if expected != Some(bytes) || bytes == 0 {
            return Err(SamplesError::Length { shape, samples, bytes });
        }
        match self.labels.iter().position(|&label| label >= self.classes) {
            Some(index) => {
                Err(SamplesError::Label { index, label: self.labels[index], classes: self.classes })
            }
            None => Ok(()),
        }
    }
}

/// At most `most` of the positions below `len`, evenly spread, the first among them.
pub(super) fn evenly(len: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = most.min(len);
    (0..count).map(move |i| (i as u128 * len as u128 / count as u128) as usize)
}

/// Elements of one sample.
pub(super) fn elements(shape: Shape) -> usize {
    shape.c as usize * shape.h as usize * shape.w as usize
}

/// Preprocesses one raw sample, which is in C, H, W order. `BGR` reverses the channels of
/// planes; a vector has no colours.
///
/// # Panics
/// If `raw` or `out` has not exactly the shape's length.
pub(super) fn apply<T: Copy + Into<f32>>(preprocess: &Preprocess, shape: Shape, raw: &[T], out: &mut [f32]) {
    assert!(
        raw.len() == elements(shape) && out.len() == raw.len(),
        "a sample has {} elements",
        elements(shape)
    );
    let (channels, plane) = (shape.c as usize, shape.h as usize * shape.w as usize);
    let reversed = preprocess.order == ChannelOrder::Bgr && !shape.is_vector();
    for (c, out) in out.chunks_exact_mut(plane.max(1)).enumerate() {
        let (factor, offset) = preprocess.affine(c);
        let from = if reversed { channels - 1 - c } else { c };
        for (x, &raw) in out.iter_mut().zip(&raw[from * plane..]) {
            *x = raw.into() * factor + offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    /// Samples `2 x 1 x 2` whose first two bytes are their number.
    fn numbered(labels: Vec<u32>) -> Samples {
        let data = (0..labels.len() as u16).flat_map(|i| [i.to_le_bytes(), [7, 9]].concat()).collect();
        let classes = labels.iter().max().map_or(1, |l| l + 1);
        Samples { shape: Shape::new(2, 1, 2), classes, data, labels }
    }

    fn numbers(samples: &Samples) -> Vec<u16> {
        (0..samples.len()).map(|i| u16::from_le_bytes([samples.sample(i)[0], samples.sample(i)[1]])).collect()
    }

    fn list(values: &[f32]) -> heapless::Vec<f32, { crate::preprocess::MAX_CHANNELS }> {
        heapless::Vec::from_slice(values).unwrap()
    }

    #[test]
    fn preprocesses_each_channel_and_reverses_colours() {
        let samples =
            Samples { shape: Shape::new(2, 1, 2), classes: 1, data: vec![0, 4, 8, 12], labels: vec![0] };
        let mut preprocess = Preprocess {
            scale: 0.5,
            mean: list(&[1.0, 2.0]),
            std: list(&[1.0, 4.0]),
            ..Preprocess::default()
        };
        let mut out = [0.0; 4];
        samples.input(0, &preprocess, &mut out);
        assert_eq!(out, [-1.0, 1.0, 0.5, 1.0]);
        preprocess.order = ChannelOrder::Bgr;
        samples.input(0, &preprocess, &mut out);
        assert_eq!(out, [3.0, 5.0, -0.5, 0.0]);
        // A vector has no colours.
        let vector = Samples { shape: Shape::vector(4), ..samples };
        vector.input(0, &Preprocess { order: ChannelOrder::Bgr, ..Preprocess::identity() }, &mut out);
        assert_eq!(out, [0.0, 4.0, 8.0, 12.0]);
    }

    #[test]
    fn takes_and_picks_samples() {
        let samples = numbered(vec![0, 1, 2, 1]);
        assert_eq!(numbers(&samples.take(2)), [0, 1]);
        assert_eq!(samples.take(9), samples);
        let picked = samples.subset(&[3, 0]);
        assert_eq!((numbers(&picked), &picked.labels[..], picked.classes), (vec![3, 0], &[1, 0][..], 3));
    }

    #[test]
    fn check_finds_each_fault() {
        let good = numbered(vec![0, 1]);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(good.take(0).check(), Err(SamplesError::Empty));
        let short = Samples { data: vec![0; 7], ..good.clone() };
        assert_eq!(short.check(), Err(SamplesError::Length { shape: good.shape, samples: 2, bytes: 7 }));
        let hollow = Samples { shape: Shape::new(1, 0, 1), data: vec![], ..good.clone() };
        assert_eq!(hollow.check(), Err(SamplesError::Length { shape: hollow.shape, samples: 2, bytes: 0 }));
        let bare = Samples { classes: 0, labels: vec![], ..good.clone() };
        assert_eq!((bare.check(), bare.len()), (Ok(()), 2));
        let ragged = Samples { data: vec![0; 7], ..bare };
        assert_eq!(ragged.check(), Err(SamplesError::Length { shape: good.shape, samples: 1, bytes: 7 }));
        let lost = Samples { classes: 0, ..good.clone() };
        assert_eq!(lost.check(), Err(SamplesError::NoClasses { labels: 2 }));
        let narrow = Samples { classes: 1, ..good };
        assert_eq!(narrow.check(), Err(SamplesError::Label { index: 1, label: 1, classes: 1 }));
    }

    #[test]
    fn samples_without_labels_are_split_and_picked_too() {
        let samples = Samples { classes: 0, labels: vec![], ..numbered(vec![0; 10]) };
        let (kept, out) = samples.split(4, 1);
        assert_eq!((kept.len(), out.len(), kept.is_labelled()), (6, 4, false));
        let all: BTreeSet<u16> = numbers(&kept).into_iter().chain(numbers(&out)).collect();
        assert_eq!(all.len(), 10);
        assert_eq!(numbers(&samples.subset(&[3, 0]).take(1)), [3]);
    }

    proptest! {
        #[test]
        fn split_is_disjoint_complete_stratified_and_repeatable(
            labels in proptest::collection::vec(0u32..4, 0..200), held_out in 0usize..220, seed: u64,
        ) {
            let samples = numbered(labels);
            let (kept, out) = samples.split(held_out, seed);
            prop_assert_eq!(out.len(), held_out.min(samples.len()));
            let all: BTreeSet<u16> = numbers(&kept).into_iter().chain(numbers(&out)).collect();
            prop_assert_eq!((all.len(), kept.len() + out.len()), (samples.len(), samples.len()));
            for part in [&kept, &out] {
                for (number, &label) in numbers(part).into_iter().zip(&part.labels) {
                    prop_assert_eq!(samples.labels[number as usize], label);
                }
            }
            for class in 0..4 {
                let count = |s: &Samples| s.labels.iter().filter(|&&l| l == class).count() as f64;
                let fair = count(&samples) * out.len() as f64 / samples.len().max(1) as f64;
                prop_assert!((count(&out) - fair).abs() <= 1.0);
            }
            prop_assert_eq!(samples.split(held_out, seed), (kept, out));
        }
    }

    #[test]
    fn split_depends_on_the_seed() {
        let samples = numbered(vec![0; 100]);
        assert_ne!(samples.split(50, 1), samples.split(50, 2));
    }
}

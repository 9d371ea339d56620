//! Small changes of training images that keep their class.
//!
//! Each image is moved by its own random amount, drawn from the seed, the epoch and the sample
//! alone, so that a resumed run repeats it and the order of work does not matter.

use rand::RngExt;
use serde::Serialize;
use tfc_formats::op::Shape;

use super::random;

/// What is done at random to training images; validation and test images stay as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Augment {
    /// Mirrors half of the images, left to right (`RandomHorizontalFlip` of torchvision).
    pub flip: bool,
    /// Moves images by up to this many pixels each way, along both axes on its own. What comes
    /// in from outside is raw 0, before normalisation (`RandomCrop(size, padding)` of torchvision).
    pub shift: u32,
}

/// What is done to one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// Mirrored after it was moved.
    flip: bool,
    /// Pixels that the image moves up, and to the left.
    up: i64,
    left: i64,
}

impl Augment {
    /// Whether anything is done at all.
    pub(super) fn is_active(self) -> bool {
        self.flip || self.shift > 0
    }

    /// The move of one sample in one epoch.
    pub(super) fn draw(self, seed: u64, epoch: usize, sample: usize) -> Move {
        let mut rng = random::rng(&[seed, 3, epoch as u64, sample as u64]);
        let shift = i64::from(self.shift);
        let mut pixels = || rng.random_range(-shift..=shift);
        let (up, left) = (pixels(), pixels());
        Move { flip: self.flip && rng.random(), up, left }
    }
}

impl Move {
    /// Moves the planes of an image of this shape. `black(c)` is what a raw 0 in channel `c` has become.
    pub(super) fn apply(self, shape: Shape, black: impl Fn(usize) -> f32, from: &[f32], to: &mut [f32]) {
        let (rows, columns) = (i64::from(shape.h), i64::from(shape.w));
        let plane = shape.h as usize * shape.w as usize;
        let inside = |at: i64, extent: i64| (0..extent).contains(&at).then_some(at as usize);
        for (c, (from, to)) in from.chunks_exact(plane).zip(to.chunks_exact_mut(plane)).enumerate() {
            let black = black(c);
            for (y, to) in (0..rows).zip(to.chunks_exact_mut(shape.w as usize)) {
                let row =
                    inside(y + self.up, rows).map(|y| &from[y * shape.w as usize..][..shape.w as usize]);
                for (x, to) in (0..columns).zip(to) {
                    let x = if self.flip { columns - 1 - x } else { x };
                    let pixel = row.and_then(|row| Some(row[inside(x + self.left, columns)?]));
                    *to = pixel.unwrap_or(black);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const SHAPE: Shape = Shape::new(2, 2, 3);

    fn moved(flip: bool, up: i64, left: i64) -> Vec<f32> {
        let from: Vec<f32> = (1..=12).map(|v| v as f32).collect();
        let mut to = vec![f32::NAN; 12];
        Move { flip, up, left }.apply(SHAPE, |c| -(c as f32) - 1.0, &from, &mut to);
        to
    }

    #[test]
    fn moves_and_mirrors_each_plane() {
        let (a, b) = (-1.0, -2.0);
        assert_eq!(moved(false, 0, 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        assert_eq!(moved(true, 0, 0), [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0, 12.0, 11.0, 10.0]);
        assert_eq!(moved(false, 1, 0), [4.0, 5.0, 6.0, a, a, a, 10.0, 11.0, 12.0, b, b, b]);
        assert_eq!(moved(false, -1, 1), [a, a, a, 2.0, 3.0, a, b, b, b, 8.0, 9.0, b]);
        // Moved two to the right, then mirrored.
        assert_eq!(moved(true, 0, -2), [1.0, a, a, 4.0, a, a, 7.0, b, b, 10.0, b, b]);
        assert_eq!(moved(true, 5, 5), [a, a, a, a, a, a, b, b, b, b, b, b]);
    }

    #[test]
    fn every_move_is_drawn_about_as_often() {
        let augment = Augment { flip: true, shift: 1 };
        let moves: Vec<Move> = (0..3600).map(|sample| augment.draw(1, 2, sample)).collect();
        for up in -1..=1 {
            for left in -1..=1 {
                for flip in [false, true] {
                    let count = moves.iter().filter(|m| **m == Move { flip, up, left }).count();
                    // 200 expected, with a standard deviation of 14.
                    assert!((130..270).contains(&count), "{up} {left} {flip}: {count}");
                }
            }
        }
    }

    #[test]
    fn moves_differ_between_seeds_epochs_and_samples() {
        let augment = Augment { flip: true, shift: 200 };
        let moves = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)].map(|(s, e, i)| augment.draw(s, e, i));
        let distinct: BTreeSet<_> = moves.iter().map(|m| (m.flip, m.up, m.left)).collect();
        assert_eq!(distinct.len(), 4, "{moves:?}");
        assert_eq!(augment.draw(1, 0, 0), moves[0]);
    }

    proptest! {
        #[test]
        fn moves_stay_within_what_was_asked_for(flip: bool, shift in 0u32..9, seed: u64) {
            let Move { flip: flipped, up, left } = Augment { flip, shift }.draw(seed, 0, 0);
            prop_assert!(flip || !flipped);
            prop_assert!(up.unsigned_abs() <= u64::from(shift) && left.unsigned_abs() <= u64::from(shift));
        }
    }
}

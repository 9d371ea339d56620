//! `builtin:digits`: handwritten-looking digits from a procedure, for machines with no data and
//! no network. 28x28, ten classes in equal parts, white on black as in MNIST.
//!
//! A digit is one of several sets of pen strokes, bent and jittered, taken through an affine map,
//! drawn with a pen of random width and softness, and covered with noise. The same options give
//! the same bytes on every machine: only `+ - * /` and square roots are used, which IEEE 754
//! rounds in one way. More samples of the same seed continue the fewer.

use std::borrow::ToOwned;
use std::vec;
use std::vec::Vec;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::glyphs::{DIGITS, Glyph, Stroke};
use super::{Dataset, DatasetError, Format, LoadOptions, Samples};
use crate::op::Shape;

const NAME: &str = "builtin:digits";
const USAGE: &str = "builtin:digits, or builtin:digits?train=12000&test=2000&seed=1 with other numbers (train and test from 1 to 1000000)";

pub(super) const FORMAT: Format = Format {
    usage: USAGE,
    recognises: |spec| spec.strip_prefix(NAME).is_some_and(|rest| rest.is_empty() || rest.starts_with('?')),
    load,
};

/// Rows and columns of an image.
const SIDE: usize = 28;

fn load(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    options.refuse_table(spec)?;
    let (mut train, mut test, mut seed) = (12_000, 2_000, 1);
    let options = spec.strip_prefix(NAME).unwrap_or_default().trim_start_matches('?');
    for option in options.split('&').filter(|o| !o.is_empty()) {
        let bad = || DatasetError::Option { option: option.to_owned(), understood: USAGE };
        let (name, number) = option.split_once('=').ok_or_else(bad)?;
        let number: u64 = number.parse().map_err(|_| bad())?;
        let count = || usize::try_from(number).ok().filter(|n| (1..=1_000_000).contains(n)).ok_or_else(bad);
        match name {
            "train" => train = count()?,
            "test" => test = count()?,
            "seed" => seed = number,
            _ => return Err(bad()),
        }
    }
    // Two starting points that no other seed below 2^63 shares.
    let [train, test] = [(train, 0), (test, 1)].map(|(n, split)| {
        let rng = Pcg64::seed_from_u64(seed.wrapping_mul(2).wrapping_add(split));
        generate(n, rng)
    });
    Ok(Dataset { name: spec.to_owned(), class_names: Vec::new(), train, test })
}

/// `n` samples whose classes take turns.
fn generate(n: usize, mut rng: Pcg64) -> Samples {
    let labels: Vec<u32> = (0..10).cycle().take(n).collect();
    let mut data = vec![0; n * SIDE * SIDE];
    for (image, &label) in data.chunks_exact_mut(SIDE * SIDE).zip(&labels) {
        draw(DIGITS[label as usize], &mut rng, image);
    }
    Samples { shape: Shape::new(1, SIDE as u32, SIDE as u32), classes: 10, data, labels }
}

/// Uniform in `[-1, 1)`.
fn even(rng: &mut Pcg64) -> f32 {
    2.0 * rng.random::<f32>() - 1.0
}

/// About normal with deviation 1: a sum of four uniform numbers.
fn normal(rng: &mut Pcg64) -> f32 {
    (even(rng) + even(rng) + even(rng) + even(rng)) * 0.866
}

/// Draws one digit.
fn draw(variants: &[Glyph], rng: &mut Pcg64, image: &mut [u8]) {
    let glyph = variants[rng.random_range(0..variants.len() as u32) as usize];
    let place = Placement::random(rng);
    let radius = 1.25 + 0.55 * even(rng);
    let softness = 0.9 + 0.4 * even(rng);

    // Squared distance of each pixel's centre from the stroke, as far as the pen reaches.
    let reach = radius + softness;
    let mut nearest = [reach * reach; SIDE * SIDE];
    for stroke in glyph {
        let line = place.flatten(stroke, rng);
        line.windows(2).for_each(|ends| cover(ends[0], ends[1], reach, &mut nearest));
    }

    let (ink, noise) = (210.0 + 45.0 * even(rng), 12.0 + 12.0 * even(rng));
    for (pixel, &d2) in image.iter_mut().zip(&nearest) {
        let edge = (radius + softness - d2.sqrt()) / (2.0 * softness);
        // A cast from f32 saturates at 0 and 255.
        *pixel = (ink * edge.clamp(0.0, 1.0) + noise * normal(rng)) as u8;
    }
}

/// Where the points of a glyph end up in the image.
struct Placement {
    centre: [f32; 2],
    /// Columns: where the unit box's axes go, in pixels.
    x_axis: [f32; 2],
    y_axis: [f32; 2],
    /// How far each axis bends with the square of the other.
    bend: [f32; 2],
}

impl Placement {
    fn random(rng: &mut Pcg64) -> Self {
        // Rotation by up to 23 degrees, from the tangent of half the angle.
        let t = 0.2 * even(rng);
        let (sin, cos) = (2.0 * t / (1.0 + t * t), (1.0 - t * t) / (1.0 + t * t));
        let (width, height) = (12.0 + 4.0 * even(rng), 18.0 + 3.0 * even(rng));
        let slant = height * (0.12 + 0.3 * even(rng));
        Self {
            centre: [14.0 + 2.0 * even(rng), 14.0 + 1.5 * even(rng)],
            x_axis: [width * cos, width * sin],
            y_axis: [-slant * cos - height * sin, -slant * sin + height * cos],
            bend: [0.35 * even(rng), 0.25 * even(rng)],
        }
    }

    /// A stroke as a line through points of the image.
    fn flatten(&self, stroke: &Stroke, rng: &mut Pcg64) -> Vec<[f32; 2]> {
        let mut place = |&[x, y]: &[f32; 2]| {
            let (x, y) = (x - 0.5 + 0.055 * normal(rng), y - 0.5 + 0.045 * normal(rng));
            let (x, y) = (x + self.bend[0] * (y * y - 0.08), y + self.bend[1] * (x * x - 0.08));
            [0, 1].map(|i| self.centre[i] + x * self.x_axis[i] + y * self.y_axis[i])
        };
        match stroke {
            Stroke::Lines(points) => points.iter().map(place).collect(),
            Stroke::Curve(points) => smooth(&points.iter().map(&mut place).collect::<Vec<_>>()),
        }
    }
}

/// Catmull-Rom spline through all points, as a line of short pieces.
fn smooth(points: &[[f32; 2]]) -> Vec<[f32; 2]> {
    const PIECES: usize = 5;
    let at = |i: usize| points[i.min(points.len() - 1)];
    let mut line = vec![points[0]];
    for i in 0..points.len() - 1 {
        let (before, from, to, after) = (at(i.saturating_sub(1)), at(i), at(i + 1), at(i + 2));
        for piece in 1..=PIECES {
            let t = piece as f32 / PIECES as f32;
            line.push([0, 1].map(|k| {
                let (a, b, c, d) = (before[k], from[k], to[k], after[k]);
                let cubic = (3.0 * (b - c) + d - a) * t;
                0.5 * (2.0 * b + t * (c - a + t * (2.0 * a - 5.0 * b + 4.0 * c - d + cubic)))
            }));
        }
    }
    line
}

/// Lowers the squared distances of the pixels within `reach` of a straight piece.
fn cover(a: [f32; 2], b: [f32; 2], reach: f32, nearest: &mut [f32]) {
    let span = |k: usize| {
        let (low, high) = (a[k].min(b[k]) - reach, a[k].max(b[k]) + reach);
        // A cast from f32 saturates at 0.
        low.ceil() as usize..((high.floor() + 1.0) as usize).min(SIDE)
    };
    let along = [b[0] - a[0], b[1] - a[1]];
    let length2 = (along[0] * along[0] + along[1] * along[1]).max(1e-6);
    for y in span(1) {
        for x in span(0) {
            let from = [x as f32 - a[0], y as f32 - a[1]];
            let t = ((from[0] * along[0] + from[1] * along[1]) / length2).clamp(0.0, 1.0);
            let off = [from[0] - t * along[0], from[1] - t * along[1]];
            let d2 = &mut nearest[y * SIDE + x];
            *d2 = d2.min(off[0] * off[0] + off[1] * off[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;

    use super::*;
    use crate::dataset;
    use crate::preprocess::Preprocess;

    #[test]
    fn options_set_the_sizes_and_the_seed() {
        let dataset = dataset::load("builtin:digits?train=25&test=10&seed=3").unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len()), (25, 10));
        assert_eq!((dataset.train.shape, dataset.train.classes), (Shape::new(1, 28, 28), 10));
        dataset.train.check().unwrap();
        dataset.test.check().unwrap();
        let other = dataset::load("builtin:digits?train=25&test=10&seed=4").unwrap();
        assert_ne!(dataset.train.data, other.train.data);
        let more = dataset::load("builtin:digits?seed=3&train=40&test=10").unwrap();
        assert_eq!(more.train.take(25), dataset.train);
        assert_ne!(more.train.take(10).data, more.test.data);
    }

    #[test]
    fn default_is_balanced() {
        let dataset = dataset::load("builtin:digits").unwrap();
        for (samples, each) in [(&dataset.train, 1200), (&dataset.test, 200)] {
            for class in 0..10 {
                assert_eq!(samples.labels.iter().filter(|&&l| l == class).count(), each);
            }
        }
    }

    #[test]
    fn bytes_never_change() {
        let dataset = dataset::load("builtin:digits?train=100&test=50").unwrap();
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let sums = [&dataset.train, &dataset.test].map(|s| crc.checksum(&s.data));
        assert_eq!(sums, [44846453, 242458731]);
    }

    #[test]
    fn unknown_options_are_named() {
        for option in ["train", "train=", "train=0", "test=1000001", "train=-1", "seed=x", "size=3"] {
            let error = dataset::load(&format!("builtin:digits?{option}")).unwrap_err();
            assert!(matches!(&error, DatasetError::Option { option: o, .. } if o == option), "{error}");
        }
        let message = dataset::load("builtin:digits?size=3").unwrap_err().to_string();
        assert!(message.contains("size=3") && message.contains("seed=1"));
    }

    /// Share of the test samples that softmax regression gets right after a few epochs of SGD.
    fn linear_accuracy(dataset: &Dataset, epochs: usize, rate: f32) -> f64 {
        const N: usize = SIDE * SIDE;
        let (mut weights, mut bias) = (vec![[0f32; 10]; N], [0f32; 10]);
        let mut x = [0f32; N];
        let probabilities = |weights: &[[f32; 10]], bias: [f32; 10], x: &[f32]| {
            let mut z = bias;
            for (&x, row) in x.iter().zip(weights) {
                z.iter_mut().zip(row).for_each(|(z, w)| *z += x * w);
            }
            let max = z.iter().copied().fold(f32::MIN, f32::max);
            let e = z.map(|z| (z - max).exp());
            e.map(|p| p / e.iter().sum::<f32>())
        };
        let preprocess = Preprocess::default();
        for i in (0..epochs).flat_map(|_| 0..dataset.train.len()) {
            dataset.train.input(i, &preprocess, &mut x);
            let mut gradient = probabilities(&weights, bias, &x);
            gradient[dataset.train.labels[i] as usize] -= 1.0;
            for (&x, row) in x.iter().zip(&mut weights) {
                row.iter_mut().zip(gradient).for_each(|(w, g)| *w -= rate * g * x);
            }
            bias.iter_mut().zip(gradient).for_each(|(b, g)| *b -= rate * g);
        }
        let right = (0..dataset.test.len()).filter(|&i| {
            dataset.test.input(i, &preprocess, &mut x);
            let p = probabilities(&weights, bias, &x);
            let best = (1..10).fold(0, |best, c| if p[c] > p[best] { c } else { best });
            best as u32 == dataset.test.labels[i]
        });
        right.count() as f64 / dataset.test.len() as f64
    }

    #[test]
    fn neither_trivial_nor_absurd_for_a_linear_classifier() {
        let dataset = dataset::load("builtin:digits?train=3000&test=1000").unwrap();
        let accuracy = linear_accuracy(&dataset, 4, 0.01);
        assert!(accuracy > 0.70 && accuracy < 0.995, "{accuracy}");
    }
}

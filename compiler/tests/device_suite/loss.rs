//! Softmax cross-entropy.

use tfc::device::{Device, Targets};

use super::{
    assert_close, data, download, gradient,
    tolerance::{GRADIENT, TRANSCENDENTAL, Tolerance},
    wide,
};

/// Temperature and weight of a distillation, and the teacher's logits.
type Teacher<'a> = (f32, f32, &'a [f64]);

/// `ln softmax(logits / temperature)` of one sample.
fn log_softmax(logits: &[f64], batch: usize, sample: usize, temperature: f64) -> Vec<f64> {
    let z: Vec<f64> = logits[sample..].iter().step_by(batch).map(|z| z / temperature).collect();
    let max = z.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let log_sum = max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
    z.iter().map(|z| z - log_sum).collect()
}

/// Sum of the losses of a batch.
fn oracle(batch: usize, logits: &[f64], labels: &[f32], teacher: Option<Teacher<'_>>) -> f64 {
    (0..batch)
        .map(|sample| {
            let hard = -log_softmax(logits, batch, sample, 1.0)[labels[sample] as usize];
            let Some((temperature, weight, teacher)) = teacher else { return hard };
            let (t, weight) = (f64::from(temperature), f64::from(weight));
            let p = log_softmax(teacher, batch, sample, t);
            let q = log_softmax(logits, batch, sample, t);
            let kl: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
            (1.0 - weight) * hard + weight * t * t * kl
        })
        .sum()
}

fn wrong([classes, batch]: [usize; 2], logits: &[f32], labels: &[f32]) -> usize {
    let first_largest = |sample: usize| {
        (0..classes).fold(0, |best, k| {
            if logits[k * batch + sample] > logits[best * batch + sample] { k } else { best }
        })
    };
    (0..batch).filter(|&sample| first_largest(sample) != labels[sample] as usize).count()
}

fn labels_of([classes, batch]: [usize; 2]) -> Vec<f32> {
    data(batch, 5).into_iter().map(|x| ((x + 1.0) / 2.0 * classes as f32).floor()).collect()
}

/// Gradient and statistics of a batch on the device.
fn run<D: Device>(
    d: &D,
    shape: [usize; 2],
    logits: &[f32],
    labels: &[f32],
    distill: Option<(f32, f32, &[f32])>,
    before: [f32; 2],
) -> (Vec<f32>, Vec<f32>) {
    let (logits, labels) = (d.upload(logits), d.upload(labels));
    let teacher = d.upload(distill.map_or(&[0.0], |(_, _, teacher)| teacher));
    let mut grad = d.upload(&vec![f32::NAN; shape[0] * shape[1]]);
    let mut stats = d.upload(&before);
    let targets = match distill {
        None => Targets::Labels(&labels),
        Some((temperature, weight, _)) => {
            Targets::Distill { labels: &labels, teacher: &teacher, temperature, weight }
        }
    };
    d.softmax_cross_entropy(shape, &logits, targets, &mut grad, &mut stats);
    (download(d, &grad), download(d, &stats))
}

const SHAPES: [[usize; 2]; 5] = [[1, 1], [2, 7], [10, 64], [33, 3], [100, 5]];

/// Loss of a whole batch: of the size of the batch.
fn sum_of(batch: usize) -> Tolerance {
    Tolerance { absolute: TRANSCENDENTAL.absolute * batch as f64, ..TRANSCENDENTAL }
}

pub(crate) fn labels<D: Device>(d: &D) {
    for shape @ [classes, batch] in SHAPES {
        let logits: Vec<f32> = data(classes * batch, 1).into_iter().map(|z| 5.0 * z).collect();
        let labels = labels_of(shape);
        let (grad, stats) = run(d, shape, &logits, &labels, None, [10.0, 20.0]);
        let loss = oracle(batch, &wide(&logits), &labels, None);
        assert_close("loss", &stats[..1], &[10.0 + loss], sum_of(batch));
        assert_eq!(stats[1], 20.0 + wrong(shape, &logits, &labels) as f32);
        let want = gradient(&logits, |z| oracle(batch, z, &labels, None) / batch as f64);
        assert_close("gradient", &grad, &want, GRADIENT);
    }
}

pub(crate) fn distillation<D: Device>(d: &D) {
    for shape @ [classes, batch] in SHAPES {
        for (temperature, weight) in [(1.0, 1.0), (2.0, 0.5), (4.0, 0.9), (0.5, 0.0)] {
            let scaled = |seed| data(classes * batch, seed).into_iter().map(|z| 5.0 * z).collect::<Vec<_>>();
            let (logits, teacher, labels) = (scaled(1), scaled(2), labels_of(shape));
            let distill = Some((temperature, weight, teacher.as_slice()));
            let (grad, stats) = run(d, shape, &logits, &labels, distill, [1.0, 2.0]);
            let teacher = wide(&teacher);
            let loss = |z: &[f64]| oracle(batch, z, &labels, Some((temperature, weight, &teacher)));
            assert_close("loss", &stats[..1], &[1.0 + loss(&wide(&logits))], sum_of(batch));
            assert_eq!(stats[1], 2.0 + wrong(shape, &logits, &labels) as f32);
            let want = gradient(&logits, |z| loss(z) / batch as f64);
            assert_close("gradient", &grad, &want, GRADIENT);
        }
    }
}

/// No overflow where probabilities are 0 and 1, for certain hits, certain misses and ties.
pub(crate) fn extreme_logits<D: Device>(d: &D) {
    let logits = [1000.0, -1000.0, 1e5, -3e4, -1000.0, 1000.0, 1e5, 3e4];
    let teacher = [-900.0, 900.0, 0.0, 3e4, 900.0, -900.0, 1e4, -3e4];
    let labels = [0.0, 0.0, 1.0, 1.0];
    let (grad, stats) = run(d, [2, 4], &logits, &labels, None, [0.0; 2]);
    assert_close("loss", &stats, &[2000.0 + 2.0f64.ln(), 2.0], TRANSCENDENTAL);
    assert_close("gradient", &grad, &[0.0, -0.25, 0.125, 0.0, 0.0, 0.25, -0.125, 0.0], TRANSCENDENTAL);

    let (grad, stats) = run(d, [2, 4], &logits, &labels, Some((2.0, 0.5, &teacher)), [0.0; 2]);
    let loss = oracle(4, &wide(&logits), &labels, Some((2.0, 0.5, &wide(&teacher))));
    assert_close("loss", &stats, &[loss, 2.0], TRANSCENDENTAL);
    assert!(grad.iter().all(|g| g.is_finite()), "{grad:?}");
}

pub(crate) fn first_largest_decides<D: Device>(d: &D) {
    // Classes 1 and 2 tie in every sample; only the label 1 is a hit.
    let logits = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    let (_, stats) = run(d, [3, 3], &logits, &[0.0, 1.0, 2.0], None, [0.0; 2]);
    assert_eq!(stats[1], 2.0);
}

/// Many classes: `ln` of their number is the loss of equal logits.
pub(crate) fn check_classes<D: Device>(d: &D, classes: usize) {
    let logits: Vec<f32> = data(classes * 2, 1);
    let labels = [(classes - 1) as f32, 3.0];
    let (grad, stats) = run(d, [classes, 2], &logits, &labels, None, [0.0; 2]);
    assert_close("loss", &stats[..1], &[oracle(2, &wide(&logits), &labels, None)], sum_of(2));
    let rows: Vec<Vec<f64>> = (0..2).map(|sample| log_softmax(&wide(&logits), 2, sample, 1.0)).collect();
    let want: Vec<f64> = (0..classes * 2)
        .map(|i| {
            let hit = if i / 2 == labels[i % 2] as usize { 1.0 } else { 0.0 };
            (rows[i % 2][i / 2].exp() - hit) / 2.0
        })
        .collect();
    // The entries are tiny: what matters is their error relative to them.
    let relative = Tolerance { absolute: 1e-6 / classes as f64, relative: 1e-4 };
    assert_close("gradient", &grad, &want, relative);
}

//! Softmax cross-entropy.

use crate::device::Targets;

/// Logarithm of the softmax of each column of `logits / temperature`.
struct LogSoftmax<'a> {
    logits: &'a [f32],
    batch: usize,
    scale: f64,
    /// `ln sum exp(logits / temperature)` of each column.
    log_sum: Vec<f64>,
}

impl<'a> LogSoftmax<'a> {
    fn new(logits: &'a [f32], batch: usize, temperature: f32) -> Self {
        let scale = 1.0 / f64::from(temperature);
        let mut max = vec![f32::NEG_INFINITY; batch];
        for row in logits.chunks_exact(batch) {
            for (max, &z) in max.iter_mut().zip(row) {
                *max = max.max(z);
            }
        }
        let mut sum = vec![0.0f64; batch];
        for row in logits.chunks_exact(batch) {
            for ((sum, &z), &max) in sum.iter_mut().zip(row).zip(&max) {
                *sum += f64::from((((f64::from(z) - f64::from(max)) * scale) as f32).exp());
            }
        }
        let log_sum = sum.iter().zip(&max).map(|(sum, &max)| sum.ln() + f64::from(max) * scale).collect();
        Self { logits, batch, scale, log_sum }
    }

    fn log_probability(&self, class: usize, sample: usize) -> f64 {
        f64::from(self.logits[class * self.batch + sample]) * self.scale - self.log_sum[sample]
    }
}

fn exp(log: f64) -> f64 {
    f64::from((log as f32).exp())
}

pub(super) fn softmax_cross_entropy(
    [classes, batch]: [usize; 2],
    logits: &[f32],
    targets: Targets<'_, Vec<f32>>,
    grad: &mut [f32],
    stats: &mut [f32],
) {
    if classes * batch == 0 {
        return;
    }
    let logits = &logits[..classes * batch];
    let grad = &mut grad[..classes * batch];
    let student = LogSoftmax::new(logits, batch, 1.0);
    let (labels, hard) = match targets {
        Targets::Labels(labels) => (labels, 1.0),
        Targets::Distill { labels, weight, .. } => (labels, 1.0 - f64::from(weight)),
    };
    let label = |sample: usize| labels[sample] as usize;
    let mut loss = 0.0;
    for sample in 0..batch {
        loss -= hard * student.log_probability(label(sample), sample);
    }
    let per_sample = 1.0 / batch as f64;
    for (class, grad) in grad.chunks_exact_mut(batch).enumerate() {
        for (sample, grad) in grad.iter_mut().enumerate() {
            let hit = if label(sample) == class { 1.0 } else { 0.0 };
            *grad = (hard * per_sample * (exp(student.log_probability(class, sample)) - hit)) as f32;
        }
    }
    if let Targets::Distill { teacher, temperature, weight, .. } = targets {
        let soft = LogSoftmax::new(logits, batch, temperature);
        let teacher = LogSoftmax::new(&teacher[..classes * batch], batch, temperature);
        let (weight, temperature) = (f64::from(weight), f64::from(temperature));
        for (class, grad) in grad.chunks_exact_mut(batch).enumerate() {
            for (sample, grad) in grad.iter_mut().enumerate() {
                let (log_p, log_q) =
                    (teacher.log_probability(class, sample), soft.log_probability(class, sample));
                let p = exp(log_p);
                loss += weight * temperature * temperature * p * (log_p - log_q);
                // The derivative of T^2 KL by a logit is T (q - p).
                *grad += (weight * temperature * per_sample * (exp(log_q) - p)) as f32;
            }
        }
    }
    stats[0] += loss as f32;
    stats[1] +=
        (0..batch).filter(|&sample| first_largest(logits, batch, sample) != label(sample)).count() as f32;
}

fn first_largest(logits: &[f32], batch: usize, sample: usize) -> usize {
    let column = logits[sample..].iter().step_by(batch);
    let (class, _) = column
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (class, &z)| if z > best.1 { (class, z) } else { best });
    class
}

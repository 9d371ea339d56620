//! From measured times to the costs that explain them.

use super::Terms;

/// A measurement: what was done and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How much of each kind of work.
    pub counts: Terms,
    /// Time.
    pub time: f64,
}

/// Sweeps over all costs; far more than the few dozen that they settle in.
const SWEEPS: usize = 20_000;

/// Costs of which none is negative, with the least squares of relative errors. Work that no sample
/// does, and what the samples do not tell apart from other work, costs nothing.
///
/// Coordinate descent: Franc, Hlaváč & Navara, "Sequential coordinate-wise algorithm for the
/// non-negative least squares problem" (2005).
pub fn fit(samples: &[Sample]) -> Terms {
    const N: usize = Terms::COUNT;
    let mut rows: Vec<[f64; N]> =
        samples.iter().map(|s| s.counts.to_array().map(|count| count / s.time)).collect();
    // Columns of length 1, so that no cost converges later than another for its unit.
    let scale: [f64; N] = std::array::from_fn(|j| {
        let length = rows.iter().map(|row| row[j] * row[j]).sum::<f64>().sqrt();
        if length > 0.0 { 1.0 / length } else { 0.0 }
    });
    rows.iter_mut().flatten().zip(scale.iter().cycle()).for_each(|(count, scale)| *count *= scale);
    let product = |a: usize, b: usize| rows.iter().map(|row| row[a] * row[b]).sum::<f64>();
    let gram: [[f64; N]; N] = std::array::from_fn(|a| std::array::from_fn(|b| product(a, b)));
    let mut costs = [0.0f64; N];
    // Half the derivative of the squares.
    let mut slope: [f64; N] = std::array::from_fn(|j| -rows.iter().map(|row| row[j]).sum::<f64>());
    for _ in 0..SWEEPS {
        for j in (0..N).filter(|&j| gram[j][j] > 0.0) {
            let moved = (costs[j] - slope[j] / gram[j][j]).max(0.0);
            let by = moved - costs[j];
            costs[j] = moved;
            slope.iter_mut().zip(&gram[j]).for_each(|(slope, gram)| *slope += by * gram);
        }
    }
    Terms::from_array(std::array::from_fn(|j| costs[j] * scale[j]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Repeatable numbers from 0 to 1.
    fn numbers() -> impl Iterator<Item = f64> {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some((*state >> 40) as f64 / (1u64 << 24) as f64)
        };
        std::iter::successors(Some(7u64), move |state| {
            let mut state = *state;
            next(&mut state).map(|_| state)
        })
        .map(|state| (state >> 40) as f64 / (1u64 << 24) as f64)
    }

    #[test]
    fn known_costs_come_back() {
        let mut numbers = numbers();
        let known =
            Terms { tap_1: 0.17, tap_4: 0.5, copy: 2.0, dense_f32: 0.03, step: 40.0, ..Terms::default() };
        let samples: Vec<Sample> = (0..60)
            .map(|_| {
                let mut count = |most: f64| (most * numbers.next().unwrap()).round();
                let counts = Terms {
                    tap_1: count(1e5),
                    tap_4: count(1e4),
                    copy: count(2e3),
                    dense_f32: count(1e5),
                    pool: count(100.0),
                    step: 1.0,
                    ..Terms::default()
                };
                Sample { counts, time: counts.dot(known) }
            })
            .collect();
        let found = fit(&samples).to_array();
        for ((found, known), (name, _)) in found.iter().zip(known.to_array()).zip(Terms::ABOUT) {
            assert!((found - known).abs() <= 1e-6 * known.max(1.0), "{name}: {found}, not {known}");
        }
    }

    #[test]
    fn no_cost_is_negative() {
        // Twice the work in less time.
        let sample = |copy, store, time| Sample { counts: Terms { copy, store, ..Terms::default() }, time };
        let found = fit(&[sample(1.0, 1.0, 10.0), sample(2.0, 1.0, 9.0), sample(4.0, 1.0, 8.0)]);
        assert_eq!(found.copy, 0.0);
        assert!(found.store > 8.0 && found.store < 10.0, "{found:?}");
        assert_eq!(fit(&[]), Terms::default());
    }
}

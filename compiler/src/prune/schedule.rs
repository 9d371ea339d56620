//! Sparsity over rounds of pruning and fine-tuning.

/// Sparsity after a round, `1..=rounds`, by the cubic schedule (Zhu & Gupta 2017): steep while
/// much is redundant, flat towards the target, which the last round meets. Round 0 is `initial`,
/// and one round is one shot.
pub fn sparsity_at(round: usize, rounds: usize, initial: f64, target: f64) -> f64 {
    if round >= rounds {
        return target;
    }
    let left = 1.0 - round as f64 / rounds as f64;
    target + (initial - target) * left.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_flattens_and_ends_on_the_target() {
        assert_eq!(sparsity_at(1, 1, 0.2, 0.95), 0.95);
        assert_eq!(sparsity_at(0, 4, 0.25, 0.75), 0.25);
        assert_eq!(sparsity_at(2, 4, 0.25, 0.75), 0.6875);
        assert_eq!(sparsity_at(4, 4, 0.25, 0.75), 0.75);
        let steps: Vec<f64> =
            (0..10).map(|r| sparsity_at(r + 1, 10, 0.0, 0.9) - sparsity_at(r, 10, 0.0, 0.9)).collect();
        assert!(steps.is_sorted_by(|a, b| a > b) && steps[9] > 0.0, "{steps:?}");
    }
}

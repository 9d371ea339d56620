//! First values of the non-negative factors.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use super::state::Problem;

/// Share of a relation's columns that one latent profile starts from.
const SAMPLE: f64 = 0.2;

/// How the factors start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// Uniform in [0, 1).
    #[default]
    Uniform,
    /// Each column is the mean of the magnitudes of a random fifth, and at least one, of the
    /// columns of the type's relations.
    Columns,
}

impl Init {
    /// Factors of all types, row-major; every type has a random stream of its own.
    pub(super) fn factors(self, problem: &Problem, seed: u64) -> Vec<Vec<f32>> {
        (0..problem.sizes.len())
            .map(|of| {
                let mut rng = Pcg64::new(u128::from(seed), of as u128);
                match self {
                    Init::Uniform => uniform(problem.sizes[of] * problem.ranks[of], &mut rng),
                    Init::Columns => columns(problem, of, &mut rng),
                }
            })
            .collect()
    }
}

fn uniform(len: usize, rng: &mut Pcg64) -> Vec<f32> {
    (0..len).map(|_| rng.random::<f32>()).collect()
}

fn columns(problem: &Problem, of: usize, rng: &mut Pcg64) -> Vec<f32> {
    let (size, rank) = (problem.sizes[of], problem.ranks[of]);
    // Start of each profile of the type's objects in a relation, with the step between objects.
    let mut profiles: Vec<(&[f32], usize)> = Vec::new();
    for relation in &problem.relations {
        let cols = problem.sizes[relation.col];
        if relation.row == of {
            profiles.extend((0..cols).map(|j| (&relation.values[j..], cols)));
        }
        if relation.col == of {
            profiles.extend(relation.values.chunks_exact(cols).map(|row| (row, 1)));
        }
    }
    let sample = ((profiles.len() as f64 * SAMPLE) as usize).max(1);
    let mut g = vec![0.0; size * rank];
    for k in 0..rank {
        let (chosen, _) = profiles.partial_shuffle(rng, sample);
        for i in 0..size {
            let sum: f64 = chosen.iter().map(|(profile, step)| f64::from(profile[i * step].abs())).sum();
            g[i * rank + k] = (sum / chosen.len().max(1) as f64) as f32;
        }
    }
    g
}

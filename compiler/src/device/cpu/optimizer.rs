//! Optimizer steps, each one pass over the weight.

use rayon::prelude::*;

use super::parallel::{CHUNK, assert_same_len, min_pieces};
use crate::device::Update;

pub(super) fn update(
    rule: Update,
    gradient: &[f32],
    mask: Option<&[f32]>,
    state: &mut [Vec<f32>],
    weight: &mut [f32],
) {
    match (rule, state) {
        (Update::Sgd { rate, momentum, decay }, [v]) => {
            step(gradient, mask, [v], weight, |g, [v], w| {
                let v = momentum * v + g + decay * w;
                ([v], w - rate * v)
            });
        }
        (Update::Adam { rate, beta1, beta2, eps, decay, step: number }, [m, v]) => {
            let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(number));
            let first = (f64::from(rate) / correction(beta1)) as f32;
            let second = (1.0 / correction(beta2).sqrt()) as f32;
            step(gradient, mask, [m, v], weight, |g, [m, v], w| {
                let m = beta1 * m + (1.0 - beta1) * g;
                let v = beta2 * v + (1.0 - beta2) * g * g;
                ([m, v], w - first * m / (v.sqrt() * second + eps) - rate * decay * w)
            });
        }
        (Update::RmsProp { rate, rho, eps, decay }, [s]) => {
            step(gradient, mask, [s], weight, |g, [s], w| {
                let s = rho * s + (1.0 - rho) * g * g;
                ([s], w - rate * (g / (s.sqrt() + eps) + decay * w))
            });
        }
        (rule, state) => panic!("{} state buffers for a rule of {}", state.len(), rule.states()),
    }
}

/// `(state, w) = f(g, state, w)` element by element, then the mask on both.
fn step<const N: usize>(
    gradient: &[f32],
    mask: Option<&[f32]>,
    state: [&mut Vec<f32>; N],
    weight: &mut [f32],
    f: impl Fn(f32, [f32; N], f32) -> ([f32; N], f32) + Sync,
) {
    for other in [Some(gradient), mask].into_iter().flatten().chain(state.iter().map(|s| s.as_slice())) {
        assert_same_len(weight, other);
    }
    // Every piece is one tuple of slices, so that rayon needs to know nothing of N.
    let mut states = state.map(|s| s.chunks_mut(CHUNK));
    let pieces: Vec<_> = weight
        .chunks_mut(CHUNK)
        .zip(gradient.chunks(CHUNK))
        .enumerate()
        .map(|(i, (w, g))| {
            let s = states.each_mut().map(|s| s.next().unwrap_or_default());
            (w, g, s, mask.map(|m| &m[i * CHUNK..][..g.len()]))
        })
        .collect();
    pieces.into_par_iter().with_min_len(min_pieces(CHUNK)).for_each(|(w, g, mut s, mask)| {
        // All slices get one length that the compiler can see, for vectors without checks.
        let n = w.len();
        let g = &g[..n];
        let s = s.each_mut().map(|s| &mut s[..n]);
        for i in 0..n {
            let old = core::array::from_fn(|j| s[j][i]);
            let (new, weight) = f(g[i], old, w[i]);
            w[i] = weight;
            for j in 0..N {
                s[j][i] = new[j];
            }
        }
        if let Some(mask) = mask {
            for x in core::iter::once(w).chain(s) {
                for (x, mask) in x.iter_mut().zip(mask) {
                    *x *= mask;
                }
            }
        }
    });
}

//! What every backend must do: each check compares with a naive f64 oracle, with finite
//! differences of one, or with an identity that holds whatever the implementation.
//!
//! `device_suite!(expression)` makes one test of each check, on the device that the expression
//! gives.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc::device::Device;

pub(crate) mod buffers;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod factorize;
pub(crate) mod gemm;
pub(crate) mod long;
pub(crate) mod loss;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod tolerance;
pub(crate) mod train;
pub(crate) mod windows;

use tolerance::Tolerance;

macro_rules! device_suite {
    ($device:expr) => {
        device_suite! { @ $device;
            buffers { keep_their_values, copy_moves_a_range }
            gemm { all_transpositions, offsets_and_row_strides, alpha_and_beta, beta_zero_overwrites_nan,
                empty_inner_extent }
            conv { windows, groups, random, flatten }
            elementwise { activations, activation_gradients, saturated_activations, axpby_and_mul, add_bias,
                signed_parts, multiplicative_update }
            reduce { row_sums, squared_distance }
            norm { moments, moments_far_from_zero, batch_norm, batch_norm_gradients, lrn }
            pool { max, max_takes_the_first, max_gradient, average, average_gradient }
            loss { labels, distillation, extreme_logits, first_largest_decides }
            optimizer { rules_follow_their_formulas, masked_weights_stay_zero }
            factorize { objective_falls, planted_structure_is_found }
            train { loss_falls_with_masks_held }
            long { products, sums, norms, element_wise, convolutions, windows, classes }
        }
    };
    (@ $device:expr; $($group:ident { $($check:ident),* })*) => {
        $(mod $group {
            use super::*;
            $(
                #[test]
                fn $check() {
                    device_suite::$group::$check(&$device);
                }
            )*
        })*
    };
}

/// `len` values from -1 to 1.
pub(crate) fn data(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `len` values that differ from each other by at least 1 / 64, in random order.
pub(crate) fn distinct(len: usize, seed: u64) -> Vec<f32> {
    let mut order: Vec<(f32, usize)> = data(len, seed).into_iter().zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().map(|(_, i)| i as f32 / 64.0 - len as f32 / 128.0).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

pub(crate) fn download<D: Device>(d: &D, buffer: &D::Buffer) -> Vec<f32> {
    let data = d.download(buffer).expect("download");
    assert_eq!(data.len(), d.len(buffer));
    data
}

/// Compares each element with the oracle's.
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: Tolerance) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let allowed = tolerance.absolute + tolerance.relative * want.abs();
        let error = (f64::from(got) - want).abs();
        // NaN must fail as well.
        assert!(error <= allowed, "{what}[{i}]: {got}, expected {want} +- {allowed:e}");
    }
}

/// Central differences of a scalar function of `x`.
pub(crate) fn gradient(x: &[f32], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let step = 1e-4;
    let mut x = wide(x);
    (0..x.len())
        .map(|i| {
            let at = x[i];
            x[i] = at + step;
            let above = f(&x);
            x[i] = at - step;
            let below = f(&x);
            x[i] = at;
            (above - below) / (2.0 * step)
        })
        .collect()
}

pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

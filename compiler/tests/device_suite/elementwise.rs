//! Element-wise operations.

use tfc::device::{Device, slope_needs_input};
use tfc_formats::op::Activation;

use super::{
    assert_close, data, download, gradient,
    tolerance::{ELEMENT, GRADIENT, TRANSCENDENTAL},
    wide,
};

const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu { alpha: 0.125 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::HardSigmoid { alpha: 0.25 },
    Activation::HardSwish,
];

fn oracle(f: Activation, x: f64) -> f64 {
    match f {
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::LeakyRelu { alpha } => x * if x > 0.0 { 1.0 } else { f64::from(alpha) },
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid { alpha } => (f64::from(alpha) * x + 0.5).clamp(0.0, 1.0),
        Activation::HardSwish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}

/// Values from -8 to 8 that keep away from the kinks.
fn inputs(len: usize) -> Vec<f32> {
    const KINKS: [f32; 6] = [-3.0, -2.0, 0.0, 2.0, 3.0, 6.0];
    let away = |x: f32| if KINKS.iter().any(|kink| (x - kink).abs() < 0.01) { x + 0.1 } else { x };
    data(len, 1).into_iter().map(|x| away(8.0 * x)).collect()
}

pub(crate) fn activations<D: Device>(d: &D) {
    for f in ACTIVATIONS {
        for len in [1, 5, 257, 5000] {
            let x = inputs(len);
            let mut y = d.zeros(len);
            d.activation(f, &d.upload(&x), &mut y);
            let want: Vec<f64> = x.iter().map(|&x| oracle(f, x.into())).collect();
            assert_close(f.name(), &download(d, &y), &want, TRANSCENDENTAL);
        }
    }
}

pub(crate) fn activation_gradients<D: Device>(d: &D) {
    for f in ACTIVATIONS {
        let (x, dy) = (inputs(300), data(300, 2));
        let y = x.iter().map(|&x| oracle(f, x.into()) as f32).collect::<Vec<_>>();
        let at = if slope_needs_input(f) { &x } else { &y };
        let mut dx = d.upload(&vec![f32::NAN; 300]);
        d.activation_backward(f, &d.upload(at), &d.upload(&dy), &mut dx);
        let loss = |x: &[f64]| x.iter().zip(&dy).map(|(&x, &dy)| oracle(f, x) * f64::from(dy)).sum();
        assert_close(f.name(), &download(d, &dx), &gradient(&x, loss), GRADIENT);
    }
}

/// Far outside, results are at their bounds and not NaN.
pub(crate) fn saturated_activations<D: Device>(d: &D) {
    for f in [Activation::Sigmoid, Activation::Tanh, Activation::HardSwish] {
        let x = [-1e30, -1000.0, -90.0, 0.0, 90.0, 1000.0, 1e30];
        let mut y = d.zeros(x.len());
        d.activation(f, &d.upload(&x), &mut y);
        let want = x.map(|x| oracle(f, x.into()));
        assert_close(f.name(), &download(d, &y), &want, TRANSCENDENTAL);
    }
}

pub(crate) fn axpby_and_mul<D: Device>(d: &D) {
    for len in [1, 63, 1025] {
        let (x, y) = (data(len, 1), data(len, 2));
        let (xs, mut ys) = (d.upload(&x), d.upload(&y));
        d.axpby(0.5, &xs, -2.0, &mut ys);
        let want: Vec<f64> = wide(&x).iter().zip(wide(&y)).map(|(x, y)| 0.5 * x - 2.0 * y).collect();
        assert_close("axpby", &download(d, &ys), &want, ELEMENT);
        let mut ys = d.upload(&y);
        d.mul(&xs, &mut ys);
        let want: Vec<f64> = wide(&x).iter().zip(wide(&y)).map(|(x, y)| x * y).collect();
        assert_close("mul", &download(d, &ys), &want, ELEMENT);
    }
}

pub(crate) fn add_bias<D: Device>(d: &D) {
    for [rows, cols] in [[1, 1], [3, 7], [10, 64], [20, 1000], [500, 3]] {
        let (bias, x) = (data(rows, 1), data(rows * cols, 2));
        let mut y = d.upload(&x);
        d.add_bias([rows, cols], &d.upload(&bias), &mut y);
        let want: Vec<f64> =
            x.iter().enumerate().map(|(i, &x)| f64::from(x) + f64::from(bias[i / cols])).collect();
        assert_close("add_bias", &download(d, &y), &want, ELEMENT);
    }
}

pub(crate) fn signed_parts<D: Device>(d: &D) {
    let (x, pos, neg) = (data(777, 1), data(777, 2), data(777, 3));
    let (mut pos_buffer, mut neg_buffer) = (d.upload(&pos), d.upload(&neg));
    d.add_signed_parts(&d.upload(&x), &mut pos_buffer, &mut neg_buffer);
    let sum = |base: &[f32], sign: f64| -> Vec<f64> {
        wide(&x).iter().zip(wide(base)).map(|(x, base)| base + (sign * x).max(0.0)).collect()
    };
    assert_close("pos", &download(d, &pos_buffer), &sum(&pos, 1.0), ELEMENT);
    assert_close("neg", &download(d, &neg_buffer), &sum(&neg, -1.0), ELEMENT);
}

pub(crate) fn multiplicative_update<D: Device>(d: &D) {
    let positive = |seed| data(500, seed).into_iter().map(f32::abs).collect::<Vec<_>>();
    let (mut n, mut q, mut g) = (positive(1), positive(2), positive(3));
    // A zero denominator, a zero numerator, and a zero that must stay.
    (q[0], n[1], g[2]) = (0.0, 0.0, 0.0);
    let eps = 1e-3;
    let mut buffer = d.upload(&g);
    d.multiplicative_update(&d.upload(&n), &d.upload(&q), eps, &mut buffer);
    let want: Vec<f64> =
        (0..500).map(|i| f64::from(g[i]) * (f64::from(n[i]) / f64::from(q[i].max(eps))).sqrt()).collect();
    let got = download(d, &buffer);
    assert_close("g", &got, &want, TRANSCENDENTAL);
    assert_eq!(got[1..3], [0.0, 0.0]);
}

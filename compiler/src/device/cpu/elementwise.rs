//! Element-wise operations, biases and the change of layout between planes and vectors.

use rayon::prelude::*;
use tfc_formats::op::Activation;

use super::parallel::{CHUNK, assert_same_len, min_pieces};

/// `y = f(x, y)` element by element.
fn zip(x: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    assert_same_len(x, y);
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).with_min_len(min_pieces(CHUNK)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x, *y);
        }
    });
}

/// `z = f(x, y, z)` element by element.
fn zip3(x: &[f32], y: &[f32], z: &mut [f32], f: impl Fn(f32, f32, f32) -> f32 + Sync) {
    assert_same_len(x, z);
    assert_same_len(y, z);
    z.par_chunks_mut(CHUNK)
        .zip(x.par_chunks(CHUNK).zip(y.par_chunks(CHUNK)))
        .with_min_len(min_pieces(CHUNK))
        .for_each(|(z, (x, y))| {
            for ((z, &x), &y) in z.iter_mut().zip(x).zip(y) {
                *z = f(x, y, *z);
            }
        });
}

pub(super) fn axpby(alpha: f32, x: &[f32], beta: f32, y: &mut [f32]) {
    if beta == 0.0 {
        zip(x, y, |x, _| alpha * x);
    } else {
        zip(x, y, |x, y| alpha * x + beta * y);
    }
}

pub(super) fn mul(x: &[f32], y: &mut [f32]) {
    zip(x, y, |x, y| x * y);
}

pub(super) fn activation(f: Activation, x: &[f32], y: &mut [f32]) {
    // Comparisons are written so that NaN passes through: a run that diverged must show.
    match f {
        Activation::Relu => zip(x, y, |x, _| if x < 0.0 { 0.0 } else { x }),
        Activation::Relu6 => zip(x, y, |x, _| {
            let x = if x < 0.0 { 0.0 } else { x };
            if x > 6.0 { 6.0 } else { x }
        }),
        Activation::LeakyRelu { alpha } => zip(x, y, |x, _| if x > 0.0 { x } else { alpha * x }),
        Activation::Sigmoid => zip(x, y, |x, _| 1.0 / (1.0 + (-x).exp())),
        Activation::Tanh => zip(x, y, |x, _| x.tanh()),
        Activation::HardSigmoid { alpha } => zip(x, y, |x, _| (alpha * x + 0.5).clamp(0.0, 1.0)),
        Activation::HardSwish => zip(x, y, |x, _| x * ((x + 3.0).clamp(0.0, 6.0) / 6.0)),
    }
}

pub(super) fn activation_backward(f: Activation, at: &[f32], dy: &[f32], dx: &mut [f32]) {
    match f {
        Activation::Relu => zip3(at, dy, dx, |y, dy, _| if y > 0.0 { dy } else { 0.0 }),
        Activation::Relu6 => zip3(at, dy, dx, |y, dy, _| if y > 0.0 && y < 6.0 { dy } else { 0.0 }),
        Activation::LeakyRelu { alpha } => {
            zip3(at, dy, dx, |y, dy, _| if y > 0.0 { dy } else { alpha * dy });
        }
        Activation::Sigmoid => zip3(at, dy, dx, |y, dy, _| dy * y * (1.0 - y)),
        Activation::Tanh => zip3(at, dy, dx, |y, dy, _| dy * (1.0 - y * y)),
        Activation::HardSigmoid { alpha } => {
            zip3(at, dy, dx, |y, dy, _| if y > 0.0 && y < 1.0 { alpha * dy } else { 0.0 });
        }
        Activation::HardSwish => {
            zip3(at, dy, dx, |x, dy, _| match x {
                x if x <= -3.0 => 0.0,
                x if x >= 3.0 => dy,
                x => dy * (x / 3.0 + 0.5),
            });
        }
    }
}

pub(super) fn add_signed_parts(x: &[f32], pos: &mut [f32], neg: &mut [f32]) {
    zip(x, pos, |x, pos| pos + x.max(0.0));
    zip(x, neg, |x, neg| neg + (-x).max(0.0));
}

pub(super) fn multiplicative_update(n: &[f32], d: &[f32], eps: f32, g: &mut [f32]) {
    zip3(n, d, g, |n, d, g| g * (n / d.max(eps)).sqrt());
}

pub(super) fn add_bias([rows, cols]: [usize; 2], bias: &[f32], x: &mut [f32]) {
    if rows * cols == 0 {
        return;
    }
    x[..rows * cols].par_chunks_mut(cols).zip(&bias[..rows]).with_min_len(min_pieces(cols)).for_each(
        |(row, bias)| {
            for x in row {
                *x += bias;
            }
        },
    );
}

pub(super) fn flatten([c, batch, hw]: [usize; 3], back: bool, from: &[f32], to: &mut [f32]) {
    let plane = batch * hw;
    if c * plane == 0 {
        return;
    }
    let [rows, cols] = if back { [hw, batch] } else { [batch, hw] };
    to[..c * plane]
        .par_chunks_mut(plane)
        .zip(from[..c * plane].par_chunks(plane))
        .with_min_len(min_pieces(plane))
        .for_each(|(to, from)| transpose(rows, cols, from, to));
}

/// `from [rows, cols]` to `to [cols, rows]`.
fn transpose(rows: usize, cols: usize, from: &[f32], to: &mut [f32]) {
    for (j, to) in to.chunks_exact_mut(rows).enumerate() {
        for (to, from) in to.iter_mut().zip(from[j..].iter().step_by(cols)) {
            *to = *from;
        }
    }
}

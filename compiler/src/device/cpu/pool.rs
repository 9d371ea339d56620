//! Pooling, plane by plane.

use rayon::prelude::*;

use super::{
    parallel::min_pieces,
    window::{Axis, gather, scatter_add},
};
use crate::device::{Divisor, Window};

/// What a pooling touches in one plane.
struct Planes {
    count: usize,
    input: usize,
    output: usize,
    /// Planes that a thread takes at least.
    min_len: usize,
}

impl Planes {
    fn new(window: &Window, batch: usize) -> Self {
        let (input, output) = (window.h * window.w, window.oh * window.ow);
        let work = input.max(output * window.kernel[0] * window.kernel[1]);
        assert!(input * output > 0, "a pooling of empty planes");
        Self { count: window.c * batch, input, output, min_len: min_pieces(work) }
    }
}

pub(super) fn max_pool(window: &Window, batch: usize, x: &[f32], y: &mut [f32], argmax: &mut [f32]) {
    let planes = Planes::new(window, batch);
    let (rows, columns) = (Axis::rows(window), Axis::cols(window));
    let reaches = columns.reaches();
    y[..planes.count * planes.output]
        .par_chunks_mut(planes.output)
        .zip(argmax[..planes.count * planes.output].par_chunks_mut(planes.output))
        .zip(x[..planes.count * planes.input].par_chunks(planes.input))
        .with_min_len(planes.min_len)
        .for_each(|((y, argmax), x)| {
            let outputs = y.chunks_exact_mut(window.ow).zip(argmax.chunks_exact_mut(window.ow));
            for (oy, (y, argmax)) in outputs.enumerate() {
                y.fill(f32::NEG_INFINITY);
                argmax.fill(0.0);
                for ky in 0..rows.kernel {
                    let Some(iy) = rows.input_of(oy, ky) else { continue };
                    for reach in &reaches {
                        let (y, argmax) = (&mut y[reach.outputs.clone()], &mut argmax[reach.outputs.clone()]);
                        let first = (iy * columns.input + reach.first) as f32;
                        let step = columns.stride as f32;
                        let x = &x[iy * columns.input..][reach.first..columns.input];
                        gather(y.len().min(argmax.len()), x, columns.stride, |i, x| {
                            // Below 2^24, so that f32 is exact.
                            let at = first + i as f32 * step;
                            let larger = x > y[i];
                            argmax[i] = if larger { at } else { argmax[i] };
                            y[i] = if larger { x } else { y[i] };
                        });
                    }
                }
            }
        });
}

pub(super) fn max_pool_backward(window: &Window, batch: usize, argmax: &[f32], dy: &[f32], dx: &mut [f32]) {
    let planes = Planes::new(window, batch);
    dx[..planes.count * planes.input]
        .par_chunks_mut(planes.input)
        .zip(argmax[..planes.count * planes.output].par_chunks(planes.output))
        .zip(dy[..planes.count * planes.output].par_chunks(planes.output))
        .with_min_len(planes.min_len)
        .for_each(|((dx, argmax), dy)| {
            dx.fill(0.0);
            for (&at, dy) in argmax.iter().zip(dy) {
                dx[at as usize] += dy;
            }
        });
}

/// The reciprocal of what each output of an average pooling divides by is the product of
/// these, one for its row and one for its column.
fn reciprocals(window: &Window, divisor: Divisor) -> [Vec<f32>; 2] {
    [Axis::rows(window), Axis::cols(window)].map(|axis| {
        let mut taps = axis.taps(divisor == Divisor::Padded);
        taps.iter_mut().for_each(|n| *n = n.recip());
        taps
    })
}

pub(super) fn avg_pool(window: &Window, divisor: Divisor, batch: usize, x: &[f32], y: &mut [f32]) {
    let planes = Planes::new(window, batch);
    let (rows, columns) = (Axis::rows(window), Axis::cols(window));
    let reaches = columns.reaches();
    let [row_scale, column_scale] = reciprocals(window, divisor);
    y[..planes.count * planes.output]
        .par_chunks_mut(planes.output)
        .zip(x[..planes.count * planes.input].par_chunks(planes.input))
        .with_min_len(planes.min_len)
        .for_each(|(y, x)| {
            for (oy, y) in y.chunks_exact_mut(window.ow).enumerate() {
                y.fill(0.0);
                for ky in 0..rows.kernel {
                    let Some(iy) = rows.input_of(oy, ky) else { continue };
                    for reach in &reaches {
                        let y = &mut y[reach.outputs.clone()];
                        let x = &x[iy * columns.input..][reach.first..columns.input];
                        gather(y.len(), x, columns.stride, |i, x| y[i] += x);
                    }
                }
                for (y, scale) in y.iter_mut().zip(&column_scale) {
                    *y *= row_scale[oy] * scale;
                }
            }
        });
}

pub(super) fn avg_pool_backward(window: &Window, divisor: Divisor, batch: usize, dy: &[f32], dx: &mut [f32]) {
    let planes = Planes::new(window, batch);
    let (rows, columns) = (Axis::rows(window), Axis::cols(window));
    let reaches = columns.reaches();
    let [row_scale, column_scale] = reciprocals(window, divisor);
    dx[..planes.count * planes.input]
        .par_chunks_mut(planes.input)
        .zip(dy[..planes.count * planes.output].par_chunks(planes.output))
        .with_min_len(planes.min_len)
        .for_each(|(dx, dy)| {
            dx.fill(0.0);
            let mut share = vec![0.0; window.ow];
            for (oy, dy) in dy.chunks_exact(window.ow).enumerate() {
                for ((share, dy), scale) in share.iter_mut().zip(dy).zip(&column_scale) {
                    *share = dy * row_scale[oy] * scale;
                }
                for ky in 0..rows.kernel {
                    let Some(iy) = rows.input_of(oy, ky) else { continue };
                    for reach in &reaches {
                        let dx = &mut dx[iy * columns.input..][reach.first..columns.input];
                        scatter_add(dx, &share[reach.outputs.clone()], columns.stride);
                    }
                }
            }
        });
}

//! Local response normalization: each channel reads its neighbours' rows.

use std::ops::Range;

use rayon::prelude::*;

use super::parallel::min_pieces;
use crate::device::Response;

impl Response {
    /// Channels that the channel reads.
    fn window(&self, c: usize) -> Range<usize> {
        c.saturating_sub(self.before)..(c + self.size - self.before).min(self.channels)
    }

    /// Channels that read the channel.
    fn readers(&self, c: usize) -> Range<usize> {
        (c + self.before + 1).saturating_sub(self.size)..(c + self.before + 1).min(self.channels)
    }

    /// Rows that a thread takes at least.
    fn min_rows(&self) -> usize {
        min_pieces(self.columns * self.size.min(self.channels))
    }
}

pub(super) fn forward(response: &Response, x: &[f32], y: &mut [f32], d: &mut [f32]) {
    let &Response { channels, columns, scale, beta, bias, .. } = response;
    let len = channels * columns;
    assert!(len > 0, "a normalization of no values");
    let x = &x[..len];
    y[..len]
        .par_chunks_mut(columns)
        .zip(d[..len].par_chunks_mut(columns))
        .enumerate()
        .with_min_len(response.min_rows())
        .for_each(|(c, (y, d))| {
            d.fill(0.0);
            for neighbour in response.window(c) {
                d.iter_mut().zip(&x[neighbour * columns..]).for_each(|(d, x)| *d += x * x);
            }
            for ((y, d), x) in y.iter_mut().zip(d).zip(&x[c * columns..]) {
                *d = bias + scale * *d;
                *y = x * d.powf(-beta);
            }
        });
}

pub(super) fn backward(response: &Response, x_y_d: [&Vec<f32>; 3], dy: &[f32], dx: &mut [f32]) {
    let &Response { channels, columns, scale, beta, .. } = response;
    let len = channels * columns;
    assert!(len > 0, "a normalization of no values");
    let ([x, y, d], dy) = (x_y_d.map(|values| &values[..len]), &dy[..len]);
    dx[..len].par_chunks_mut(columns).enumerate().with_min_len(response.min_rows()).for_each(|(c, dx)| {
        dx.fill(0.0);
        for reader in response.readers(c) {
            let at = reader * columns;
            for (((dx, y), d), dy) in dx.iter_mut().zip(&y[at..]).zip(&d[at..]).zip(&dy[at..]) {
                *dx += dy * y / d;
            }
        }
        let at = c * columns;
        for (((dx, x), d), dy) in dx.iter_mut().zip(&x[at..]).zip(&d[at..]).zip(&dy[at..]) {
            *dx = dy * d.powf(-beta) - 2.0 * scale * beta * x * *dx;
        }
    });
}

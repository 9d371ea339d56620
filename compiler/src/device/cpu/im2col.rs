//! Patches of images as columns of a matrix, and back.

use rayon::prelude::*;

use super::{
    parallel::min_pieces,
    window::{Axis, gather, scatter_add},
};
use crate::device::{Images, Window};

pub(super) fn im2col(window: &Window, images: Images, x: &[f32], cols: &mut [f32]) {
    let Images { batch, first, count } = images;
    let (plane, out_plane) = (window.h * window.w, window.oh * window.ow);
    let [kh, kw] = window.kernel;
    let row_len = count * out_plane;
    if window.c * kh * kw * row_len == 0 {
        return;
    }
    let (rows, columns) = (Axis::rows(window), Axis::cols(window));
    cols[..window.c * kh * kw * row_len]
        .par_chunks_mut(row_len)
        .enumerate()
        .with_min_len(min_pieces(row_len))
        .for_each(|(r, to)| {
            let (channel, ky, kx) = (r / (kh * kw), r / kw % kh, r % kw);
            let reach = columns.reach(kx);
            let from = &x[(channel * batch + first) * plane..][..count * plane];
            for (from, to) in from.chunks_exact(plane).zip(to.chunks_exact_mut(out_plane)) {
                for (oy, to) in to.chunks_exact_mut(window.ow).enumerate() {
                    let Some(iy) = rows.input_of(oy, ky) else {
                        to.fill(0.0);
                        continue;
                    };
                    to[..reach.outputs.start].fill(0.0);
                    to[reach.outputs.end..].fill(0.0);
                    let to = &mut to[reach.outputs.clone()];
                    let from = &from[iy * window.w..][reach.first..window.w];
                    if columns.stride == 1 {
                        to.copy_from_slice(&from[..to.len()]);
                    } else {
                        gather(to.len(), from, columns.stride, |i, x| to[i] = x);
                    }
                }
            }
        });
}

pub(super) fn col2im(window: &Window, images: Images, cols: &[f32], dx: &mut [f32]) {
    let Images { batch, first, count } = images;
    let (plane, out_plane) = (window.h * window.w, window.oh * window.ow);
    let [kh, kw] = window.kernel;
    if window.c * count * plane * out_plane == 0 {
        return;
    }
    let (rows, columns) = (Axis::rows(window), Axis::cols(window));
    let taps = kh * kw;
    dx[..window.c * batch * plane]
        .par_chunks_mut(plane)
        .enumerate()
        .with_min_len(min_pieces(taps * out_plane))
        .for_each(|(p, to)| {
            let (channel, image) = (p / batch, p % batch);
            if !(first..first + count).contains(&image) {
                return;
            }
            for tap in 0..taps {
                let (ky, kx) = (tap / kw, tap % kw);
                let reach = columns.reach(kx);
                let row = (channel * taps + tap) * count + image - first;
                let from = &cols[row * out_plane..][..out_plane];
                for (oy, from) in from.chunks_exact(window.ow).enumerate() {
                    let Some(iy) = rows.input_of(oy, ky) else { continue };
                    let to = &mut to[iy * window.w..][reach.first..window.w];
                    scatter_add(to, &from[reach.outputs.clone()], columns.stride);
                }
            }
        });
}

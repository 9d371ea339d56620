//! Convolutions against their definition.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tfc::device::{Convolution, Device, Window};
use tfc_formats::op::Padding;

use super::{
    assert_close, data, download,
    tolerance::{Tolerance, of_terms},
    wide,
    windows::{at, convolutions, index, outputs, taps, window},
};

/// Calls `f(x, weight, y)` with the indices of all products.
fn products(conv: &Convolution, batch: usize, mut f: impl FnMut(usize, usize, usize)) {
    let w = &conv.window;
    for out in 0..conv.out {
        for c in 0..conv.inputs() {
            let channel = out / conv.outputs() * conv.inputs() + c;
            for (t, tap) in taps(w).enumerate() {
                let weight = out * conv.filter() + c * w.kernel[0] * w.kernel[1] + t;
                for image in 0..batch {
                    for (o, output) in outputs(w).enumerate() {
                        if let Some(i) = index(w, at(w, output, tap)) {
                            let x = (channel * batch + image) * w.h * w.w + i;
                            f(x, weight, (out * batch + image) * w.oh * w.ow + o);
                        }
                    }
                }
            }
        }
    }
}

/// Checks all three directions; the tolerance is that of sums of so many terms. Buffers hold stale
/// values, and have more room than is needed.
pub(crate) fn check<D: Device>(
    d: &D,
    conv: &Convolution,
    batch: usize,
    data: impl Fn(usize, u64) -> Vec<f32>,
    tolerance: impl Fn(usize) -> Tolerance,
) {
    const ROOM: usize = 3;
    let w = &conv.window;
    let what = |name: &str| format!("{name} of {conv:?}, batch {batch}");
    let x = data(w.c * batch * w.h * w.w, 1);
    let weight = data(conv.out * conv.filter(), 2);
    let bias = data(conv.out, 3);
    let dy = data(conv.out * batch * w.oh * w.ow, 4);
    let before = data(weight.len(), 5);
    let stale = |len: usize| d.upload(&vec![f32::NAN; len + ROOM]);
    let [xs, weights, biases, dys] = [&x, &weight, &bias, &dy].map(|data| d.upload(data));

    let pixels = batch * w.oh * w.ow;
    let mut want: Vec<f64> = (0..dy.len()).map(|i| f64::from(bias[i / pixels])).collect();
    products(conv, batch, |i, j, o| want[o] += f64::from(x[i]) * f64::from(weight[j]));
    let mut y = stale(dy.len());
    d.conv(conv, batch, &xs, &weights, Some(&biases), &mut y);
    assert_overwritten(&what("output"), &download(d, &y), &want, tolerance(conv.filter()));
    for (i, want) in want.iter_mut().enumerate() {
        *want -= f64::from(bias[i / pixels]);
    }
    let mut y = stale(dy.len());
    d.conv(conv, batch, &xs, &weights, None, &mut y);
    assert_overwritten(&what("output without bias"), &download(d, &y), &want, tolerance(conv.filter()));

    let of_input = conv.outputs() * w.kernel[0] * w.kernel[1];
    let mut want = vec![0.0; x.len()];
    products(conv, batch, |i, j, o| want[i] += f64::from(weight[j]) * f64::from(dy[o]));
    let mut dx = stale(x.len());
    d.conv_input_gradient(conv, batch, &weights, &dys, &mut dx);
    assert_overwritten(&what("gradient of the input"), &download(d, &dx), &want, tolerance(of_input));

    let mut want = vec![0.0; weight.len()];
    products(conv, batch, |i, j, o| want[j] += f64::from(x[i]) * f64::from(dy[o]));
    let mut dw = stale(weight.len());
    d.conv_weight_gradient(conv, batch, &xs, &dys, 0.0, &mut dw);
    assert_overwritten(&what("gradient of the weights"), &download(d, &dw), &want, tolerance(pixels));
    let mut dw = d.upload(&before);
    d.conv_weight_gradient(conv, batch, &xs, &dys, 0.5, &mut dw);
    for (want, before) in want.iter_mut().zip(wide(&before)) {
        *want += 0.5 * before;
    }
    assert_close(&what("added gradient of the weights"), &download(d, &dw), &want, tolerance(pixels));
}

/// Compares a result with the oracle, and what lies behind it with NaN.
fn assert_overwritten(what: &str, got: &[f32], want: &[f64], tolerance: Tolerance) {
    assert_close(what, &got[..want.len()], want, tolerance);
    assert!(got[want.len()..].iter().all(|x| x.is_nan()), "{what}: written past the end");
}

/// Windows of all kinds, with output channels that fill blocks of several heights.
pub(crate) fn windows<D: Device>(d: &D) {
    for (i, window) in convolutions().into_iter().enumerate() {
        check(d, &Convolution { window, groups: 1, out: [1, 7, 13][i % 3] }, 1 + i % 4, data, of_terms);
    }
}

/// Groups, and depthwise ones with one or more outputs a channel.
pub(crate) fn groups<D: Device>(d: &D) {
    for (i, window) in convolutions().into_iter().enumerate() {
        let depthwise = Convolution { groups: window.c, out: window.c * (1 + i % 3), window };
        check(d, &depthwise, 3, data, of_terms);
        let window = Window { c: 4 * window.c, ..window };
        check(d, &Convolution { window, groups: 2, out: 6 }, 2, data, of_terms);
    }
}

/// Geometries drawn at random.
pub(crate) fn random<D: Device>(d: &D) {
    let mut rng = Pcg64Mcg::seed_from_u64(11);
    for _ in 0..40 {
        let mut upto = |n: usize| rng.random_range(1..=n);
        let groups = upto(3);
        let (ins, outs, batch) = (groups * upto(5), groups * upto(18), upto(5));
        let (kernel, stride, dilation) = ([upto(4), upto(4)], [upto(3), upto(3)], [upto(3), upto(3)]);
        let mut pad = || upto(5) as u16 - 1;
        let pad = Padding { top: pad(), left: pad(), bottom: pad(), right: pad() };
        let least = [0, 1].map(|i| (kernel[i] - 1) * dilation[i] + 1);
        let size = [least[0] + upto(12) - 1, least[1] + upto(12) - 1];
        let window = window(ins, size, kernel, stride, dilation, pad);
        check(d, &Convolution { window, groups, out: outs }, batch, data, of_terms);
    }
}

pub(crate) fn flatten<D: Device>(d: &D) {
    for [c, batch, hw] in [[1, 1, 1], [3, 5, 1], [50, 7, 16], [2, 64, 49], [5, 3, 33]] {
        let x = data(c * batch * hw, 1);
        let mut want = vec![0.0; x.len()];
        for (i, x) in x.iter().enumerate() {
            let (channel, image, p) = (i / (batch * hw), i / hw % batch, i % hw);
            want[(channel * hw + p) * batch + image] = *x;
        }
        let mut flat = d.zeros(x.len());
        d.flatten([c, batch, hw], false, &d.upload(&x), &mut flat);
        assert_eq!(download(d, &flat), want);
        let mut back = d.zeros(x.len());
        d.flatten([c, batch, hw], true, &flat, &mut back);
        assert_eq!(download(d, &back), x);
    }
}

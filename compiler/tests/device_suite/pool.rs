//! Pooling.

use tfc::device::{Device, Divisor, Window};

use super::{
    assert_close, data, distinct, dot, download, gradient,
    tolerance::{GRADIENT, SHORT_SUM},
    wide,
    windows::{at, index, outputs, padded, poolings, taps},
};

const BATCH: usize = 3;

/// Each output's largest value and where the first such is, by definition.
fn max_oracle(w: &Window, x: &[f64]) -> Vec<(f64, usize)> {
    x.chunks(w.h * w.w)
        .flat_map(|plane| {
            outputs(w).map(|o| {
                taps(w).filter_map(|tap| index(w, at(w, o, tap))).fold((f64::NEG_INFINITY, 0), |best, i| {
                    if plane[i] > best.0 { (plane[i], i) } else { best }
                })
            })
        })
        .collect()
}

fn average_oracle(w: &Window, divisor: Divisor, x: &[f64]) -> Vec<f64> {
    let plane_average = |plane: &[f64]| -> Vec<f64> {
        outputs(w)
            .map(|o| {
                let places = || taps(w).map(|tap| at(w, o, tap));
                let sum: f64 = places().filter_map(|p| index(w, p)).map(|i| plane[i]).sum();
                let count = match divisor {
                    Divisor::Valid => places().filter(|&p| index(w, p).is_some()).count(),
                    Divisor::Padded => places().filter(|&p| padded(w, p)).count(),
                };
                sum / count as f64
            })
            .collect()
    };
    x.chunks(w.h * w.w).flat_map(plane_average).collect()
}

/// Runs a maximum pooling and compares it with its definition.
fn check_max<D: Device>(d: &D, w: &Window, batch: usize, x: &[f32]) {
    let len = w.c * batch * w.oh * w.ow;
    let (mut y, mut argmax) = (d.upload(&vec![f32::NAN; len]), d.upload(&vec![f32::NAN; len]));
    d.max_pool(w, batch, &d.upload(x), &mut y, &mut argmax);
    let (values, places): (Vec<f64>, Vec<usize>) = max_oracle(w, &wide(x)).into_iter().unzip();
    assert!(wide(&download(d, &y)) == values, "maxima of {w:?}");
    let places: Vec<f32> = places.into_iter().map(|i| i as f32).collect();
    assert!(download(d, &argmax) == places, "argmax of {w:?}");
}

pub(crate) fn max<D: Device>(d: &D) {
    for w in poolings() {
        let x = data(w.c * BATCH * w.h * w.w, 1);
        check_max(d, &w, BATCH, &x);
        // Padding is not a zero that could win.
        let negative: Vec<f32> = x.iter().map(|x| -1.0 - x.abs()).collect();
        check_max(d, &w, BATCH, &negative);
    }
}

pub(crate) fn max_takes_the_first<D: Device>(d: &D) {
    for w in poolings() {
        let x: Vec<f32> = data(w.c * BATCH * w.h * w.w, 1).into_iter().map(|x| (2.0 * x).round()).collect();
        check_max(d, &w, BATCH, &x);
    }
}

pub(crate) fn max_gradient<D: Device>(d: &D) {
    for w in poolings().into_iter().skip(1) {
        let (len, out_len) = (w.c * BATCH * w.h * w.w, w.c * BATCH * w.oh * w.ow);
        let (x, dy) = (distinct(len, 1), data(out_len, 2));
        let (mut y, mut argmax) = (d.zeros(out_len), d.zeros(out_len));
        d.max_pool(&w, BATCH, &d.upload(&x), &mut y, &mut argmax);
        let mut dx = d.upload(&vec![f32::NAN; len]);
        d.max_pool_backward(&w, BATCH, &argmax, &d.upload(&dy), &mut dx);
        let values = |x: &[f64]| max_oracle(&w, x).into_iter().map(|(max, _)| max).collect::<Vec<_>>();
        let want = gradient(&x, |x| dot(&values(x), &wide(&dy)));
        assert_close("max_pool_backward", &download(d, &dx), &want, GRADIENT);
    }
}

pub(crate) fn average<D: Device>(d: &D) {
    for w in poolings() {
        for divisor in [Divisor::Valid, Divisor::Padded] {
            check_average(d, &w, divisor, BATCH);
        }
    }
}

pub(crate) fn check_average<D: Device>(d: &D, w: &Window, divisor: Divisor, batch: usize) {
    let x = data(w.c * batch * w.h * w.w, 1);
    let mut y = d.upload(&vec![f32::NAN; w.c * batch * w.oh * w.ow]);
    d.avg_pool(w, divisor, batch, &d.upload(&x), &mut y);
    let want = average_oracle(w, divisor, &wide(&x));
    assert_close(&format!("{divisor:?} average of {w:?}"), &download(d, &y), &want, SHORT_SUM);
}

pub(crate) fn average_gradient<D: Device>(d: &D) {
    for w in poolings().into_iter().skip(1) {
        for divisor in [Divisor::Valid, Divisor::Padded] {
            let (len, out_len) = (w.c * BATCH * w.h * w.w, w.c * BATCH * w.oh * w.ow);
            let (x, dy) = (data(len, 1), data(out_len, 2));
            let mut dx = d.upload(&vec![f32::NAN; len]);
            d.avg_pool_backward(&w, divisor, BATCH, &d.upload(&dy), &mut dx);
            let want = gradient(&x, |x| dot(&average_oracle(&w, divisor, x), &wide(&dy)));
            assert_close("avg_pool_backward", &download(d, &dx), &want, GRADIENT);
        }
    }
}

/// One window over planes of `h x w`, forward and backward, maximum and average.
pub(crate) fn check_global<D: Device>(d: &D, w: &Window) {
    let (len, scale) = (w.c * w.h * w.w, 1.0 / (w.h * w.w) as f64);
    check_max(d, w, 1, &data(len, 1));
    check_average(d, w, Divisor::Valid, 1);
    let dy = data(w.c, 2);
    let mut dx = d.zeros(len);
    d.avg_pool_backward(w, Divisor::Valid, 1, &d.upload(&dy), &mut dx);
    let want: Vec<f64> = (0..len).map(|i| f64::from(dy[i / (w.h * w.w)]) * scale).collect();
    assert_close("global average, backward", &download(d, &dx), &want, GRADIENT);
}

//! Long loops and large buffers: some drivers silently end an invocation after 65,535 loop
//! iterations, and a dispatch has at most 65,535 workgroups along an axis.

use tfc::device::{Convolution, Device};
use tfc_formats::op::Padding;

use super::{
    assert_close,
    conv::check as check_conv,
    data, download,
    gemm::{Layout, PLAIN, check},
    loss::check_classes,
    norm::{long_moments, long_sums},
    pool::check_global,
    reduce::distance,
    tolerance::{ELEMENT, LONG_SUM, ROUNDED},
    windows::window,
};

const LONG: usize = 5_000_000;

/// Values from 0 to 1: every term that is left out shows.
fn positive(len: usize, seed: u64) -> Vec<f32> {
    data(len, seed).into_iter().map(f32::abs).collect()
}

pub(crate) fn products<D: Device>(d: &D) {
    let transposed = Layout { transposed: true, ..PLAIN };
    for (mn, k) in [([3, 2], 300_000), ([20, 25], 36_864), ([1, 1], 1_000_003), ([140, 130], 9_000)] {
        for (a, b) in [(PLAIN, PLAIN), (PLAIN, transposed), (transposed, PLAIN)] {
            check(d, [mn[0], mn[1], k], [1.0, 0.0], [a, b, PLAIN], positive, None, LONG_SUM);
        }
    }
}

pub(crate) fn sums<D: Device>(d: &D) {
    let (x, y) = (positive(LONG, 1), positive(LONG, 2));
    let (xs, ys) = (d.upload(&x), d.upload(&y));
    let sum = |x: &[f32]| x.iter().map(|&x| f64::from(x)).sum::<f64>();
    for rows in [1, 2, 50, 100_000] {
        let mut sums = d.zeros(rows);
        d.row_sums([rows, LONG / rows], &xs, 0.0, &mut sums);
        let want: Vec<f64> = x.chunks(LONG / rows).map(sum).collect();
        assert_close("row_sums", &download(d, &sums), &want, LONG_SUM);
    }
    let mut result = d.zeros(1);
    d.squared_distance(&xs, &ys, &mut result, 0);
    assert_close("squared_distance", &download(d, &result), &[distance(&x, &y)], ROUNDED);
}

pub(crate) fn norms<D: Device>(d: &D) {
    let (x, dy) = (positive(LONG, 1), positive(LONG, 2));
    for rows in [1, 50, 100_000] {
        long_moments(d, rows, &x);
        long_sums(d, rows, &x, &dy);
    }
}

pub(crate) fn element_wise<D: Device>(d: &D) {
    let (x, y) = (data(LONG, 1), data(LONG, 2));
    let mut buffer = d.upload(&y);
    d.axpby(2.0, &d.upload(&x), 1.0, &mut buffer);
    let want: Vec<f64> = x.iter().zip(&y).map(|(&x, &y)| 2.0 * f64::from(x) + f64::from(y)).collect();
    assert_close("axpby", &download(d, &buffer), &want, ELEMENT);
}

/// More patches than a device holds at a time, and sums over all pixels of a batch.
pub(crate) fn convolutions<D: Device>(d: &D) {
    let window = window(2, [300, 301], [3, 3], [1, 1], [1, 1], Padding::same(1));
    check_conv(d, &Convolution { window, groups: 1, out: 3 }, 9, positive, |_| LONG_SUM);
    check_conv(d, &Convolution { window, groups: 2, out: 2 }, 12, positive, |_| LONG_SUM);
}

pub(crate) fn windows<D: Device>(d: &D) {
    check_global(d, &window(2, [300, 301], [300, 301], [1, 1], [1, 1], Padding::same(0)));
}

pub(crate) fn classes<D: Device>(d: &D) {
    check_classes(d, 100_000);
}

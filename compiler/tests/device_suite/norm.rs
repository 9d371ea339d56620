//! Batch normalization and local response normalization.

use tfc::device::{Device, Norm, Response};

use super::{
    assert_close, data, dot, download, gradient,
    tolerance::{ELEMENT, GRADIENT, LONG_SUM, TRANSCENDENTAL, Tolerance},
    wide,
};

const EPS: f32 = 1e-3;
const SHAPES: [[usize; 2]; 6] = [[1, 1], [3, 2], [5, 65], [7, 1000], [2, 5000], [300, 3]];

fn oracle_moments(row: &[f64]) -> (f64, f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    (mean, row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n)
}

/// Normalizes with these statistics, or with those of each row.
fn oracle(x: &[f64], cols: usize, gamma: &[f32], beta: &[f32], given: Option<[&[f32]; 2]>) -> Vec<f64> {
    let row = |(r, row): (usize, &[f64])| -> Vec<f64> {
        let (mean, var) = match given {
            Some([mean, var]) => (f64::from(mean[r]), f64::from(var[r])),
            None => oracle_moments(row),
        };
        let scale = f64::from(gamma[r]) / (var + f64::from(EPS)).sqrt();
        row.iter().map(|x| (x - mean) * scale + f64::from(beta[r])).collect()
    };
    x.chunks(cols).enumerate().flat_map(row).collect()
}

fn check_moments<D: Device>(d: &D, [rows, cols]: [usize; 2], x: &[f32], tolerance: Tolerance) {
    let [mut mean, mut var] = [(); 2].map(|()| d.upload(&vec![f32::NAN; rows]));
    d.moments([rows, cols], &d.upload(x), &mut mean, &mut var);
    let (means, variances): (Vec<f64>, Vec<f64>) = wide(x).chunks(cols).map(oracle_moments).unzip();
    assert_close("mean", &download(d, &mean), &means, tolerance);
    assert_close("variance", &download(d, &var), &variances, tolerance);
}

pub(crate) fn moments<D: Device>(d: &D) {
    for [rows, cols] in SHAPES {
        check_moments(d, [rows, cols], &data(rows * cols, 1), ELEMENT);
    }
}

/// The square of the mean is 10^8 times the variance, or grows along the row.
pub(crate) fn moments_far_from_zero<D: Device>(d: &D) {
    for [rows, cols] in SHAPES {
        // Multiples of 1 / 512, so that the offset does not round them.
        let x: Vec<f32> = data(rows * cols, 1).iter().map(|x| 4096.0 + (x * 256.0).round() / 512.0).collect();
        check_moments(d, [rows, cols], &x, Tolerance { absolute: 1e-6, relative: 1e-6 });
        let slope: Vec<f32> = (0..rows * cols).map(|i| (i % cols) as f32).collect();
        check_moments(d, [rows, cols], &slope, Tolerance { absolute: 0.0, relative: 1e-6 });
        let constant = vec![-1234.567; rows * cols];
        let [mut mean, mut var] = [d.zeros(rows), d.zeros(rows)];
        d.moments([rows, cols], &d.upload(&constant), &mut mean, &mut var);
        assert_eq!(download(d, &mean), &constant[..rows]);
        assert_eq!(download(d, &var), vec![0.0; rows]);
    }
}

pub(crate) fn long_moments<D: Device>(d: &D, rows: usize, x: &[f32]) {
    check_moments(d, [rows, x.len() / rows], x, LONG_SUM);
}

/// Parameters and statistics of rows.
struct Case {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    var: Vec<f32>,
}

impl Case {
    fn new(rows: usize) -> Self {
        let var = data(rows, 6).into_iter().map(|v| 0.1 + v.abs()).collect();
        Self { gamma: data(rows, 3), beta: data(rows, 4), mean: data(rows, 5), var }
    }
}

pub(crate) fn batch_norm<D: Device>(d: &D) {
    for [rows, cols] in SHAPES {
        let (x, Case { gamma, beta, mean, var }) = (data(rows * cols, 1), Case::new(rows));
        // Buffers have room for larger batches.
        let mut y = d.upload(&vec![7.0; rows * cols + 5]);
        let [g, b, m, v] = [&gamma, &beta, &mean, &var].map(|data| d.upload(data));
        let norm = Norm { gamma: &g, beta: &b, mean: &m, var: &v, eps: EPS };
        d.batch_norm([rows, cols], norm, &d.upload(&x), &mut y);
        let got = download(d, &y);
        let want = oracle(&wide(&x), cols, &gamma, &beta, Some([&mean, &var]));
        assert_close("y", &got[..rows * cols], &want, TRANSCENDENTAL);
        assert_eq!(got[rows * cols..], [7.0; 5]);
    }
}

/// Gradients of input, scale and shift, with the statistics of the batch and with given ones.
pub(crate) fn batch_norm_gradients<D: Device>(d: &D) {
    for [rows, cols] in [[1, 4], [3, 2], [4, 37], [2, 150]] {
        let len = rows * cols;
        let (x, dy, Case { gamma, beta, mean, var }) = (data(len, 1), data(len, 2), Case::new(rows));
        let [xs, dys, g, b] = [&x, &dy, &gamma, &beta].map(|data| d.upload(data));
        for of_batch in [false, true] {
            let [mut m, mut v] = [&mean, &var].map(|data| d.upload(data));
            if of_batch {
                d.moments([rows, cols], &xs, &mut m, &mut v);
            }
            let norm = || Norm { gamma: &g, beta: &b, mean: &m, var: &v, eps: EPS };
            let [mut dgamma, mut dbeta] = [(); 2].map(|()| d.upload(&vec![f32::NAN; rows]));
            let mut dx = d.upload(&vec![f32::NAN; len]);
            d.batch_norm_sums([rows, cols], norm(), &xs, &dys, [&mut dgamma, &mut dbeta]);
            let sums = of_batch.then_some([&dgamma, &dbeta]);
            d.batch_norm_backward([rows, cols], norm(), &xs, &dys, sums, &mut dx);

            let given = (!of_batch).then_some([&mean[..], &var[..]]);
            let slopes = wide(&dy);
            let loss = |x: &[f64]| dot(&oracle(x, cols, &gamma, &beta, given), &slopes);
            assert_close("dx", &download(d, &dx), &gradient(&x, loss), GRADIENT);
            // The output is linear in scale and shift.
            let (one, zero) = (vec![1.0; rows], vec![0.0; rows]);
            let normalized = oracle(&wide(&x), cols, &one, &zero, given);
            let by_row = |y: &[f64]| -> Vec<f64> {
                y.chunks(cols).zip(slopes.chunks(cols)).map(|(y, dy)| dot(y, dy)).collect()
            };
            assert_close("gamma", &download(d, &dgamma), &by_row(&normalized), GRADIENT);
            assert_close("beta", &download(d, &dbeta), &by_row(&vec![1.0; len]), GRADIENT);
        }
    }
}

/// Rows of several stages.
pub(crate) fn long_sums<D: Device>(d: &D, rows: usize, x: &[f32], dy: &[f32]) {
    let cols = x.len() / rows;
    let (zeros, ones) = (d.zeros(rows), d.upload(&vec![1.0; rows]));
    let norm = Norm { gamma: &ones, beta: &zeros, mean: &zeros, var: &ones, eps: 0.0 };
    let [mut gamma, mut beta] = [d.zeros(rows), d.zeros(rows)];
    d.batch_norm_sums([rows, cols], norm, &d.upload(x), &d.upload(dy), [&mut gamma, &mut beta]);
    let rows_of = |x: &[f32]| -> Vec<Vec<f64>> { x.chunks(cols).map(wide).collect() };
    let products: Vec<f64> = rows_of(x).iter().zip(rows_of(dy)).map(|(x, dy)| dot(x, &dy)).collect();
    assert_close("gamma", &download(d, &gamma), &products, LONG_SUM);
    let sums: Vec<f64> = rows_of(dy).iter().map(|dy| dy.iter().sum()).collect();
    assert_close("beta", &download(d, &beta), &sums, LONG_SUM);
}

/// A channel with neighbours, an even window, one that is wider than all channels, one of a channel.
fn responses() -> [Response; 4] {
    let response = |channels, size| Response {
        channels,
        columns: 6,
        size,
        before: (size - 1) / 2,
        scale: 0.7,
        beta: 0.75,
        bias: 1.5,
    };
    [response(7, 5), response(8, 4), response(3, 40), response(5, 1)]
}

fn oracle_lrn(r: &Response, x: &[f64]) -> Vec<f64> {
    let at = |c: usize, column: usize| x[c * r.columns + column];
    let value = |i: usize| {
        let (c, column) = (i / r.columns, i % r.columns);
        let neighbours = (0..r.channels).filter(|&j| j + r.before >= c && j + r.before < c + r.size);
        let sum: f64 = neighbours.map(|j| at(j, column).powi(2)).sum();
        x[i] * (f64::from(r.bias) + f64::from(r.scale) * sum).powf(-f64::from(r.beta))
    };
    (0..r.channels * r.columns).map(value).collect()
}

pub(crate) fn lrn<D: Device>(d: &D) {
    for r in responses() {
        let len = r.channels * r.columns;
        let (x, dy) = (data(len, 1), data(len, 2));
        let (xs, dys) = (d.upload(&x), d.upload(&dy));
        let [mut y, mut base, mut dx] = [(); 3].map(|()| d.upload(&vec![f32::NAN; len]));
        d.lrn(&r, &xs, &mut y, &mut base);
        assert_close("lrn", &download(d, &y), &oracle_lrn(&r, &wide(&x)), TRANSCENDENTAL);
        d.lrn_backward(&r, [&xs, &y, &base], &dys, &mut dx);
        let loss = |x: &[f64]| dot(&oracle_lrn(&r, x), &wide(&dy));
        assert_close("dx", &download(d, &dx), &gradient(&x, loss), GRADIENT);
    }
}

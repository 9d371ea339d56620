//! Sums.

use tfc::device::Device;

use super::{
    assert_close, data, download,
    tolerance::{ROUNDED, SHORT_SUM},
};

pub(crate) fn row_sums<D: Device>(d: &D) {
    for [rows, cols] in [[1, 1], [7, 3], [20, 1000], [500, 64], [3, 65]] {
        for beta in [0.0, 1.0, -0.5] {
            // Divided by the root of the length, so that sums are of magnitude 1.
            let scale = (cols as f32).sqrt().recip();
            let x: Vec<f32> = data(rows * cols, 1).into_iter().map(|x| x * scale).collect();
            let before = data(rows, 2);
            let mut sums = d.upload(&before);
            d.row_sums([rows, cols], &d.upload(&x), beta, &mut sums);
            let want: Vec<f64> = x
                .chunks(cols)
                .zip(&before)
                .map(|(row, &s)| f64::from(beta * s) + row.iter().map(|&x| f64::from(x)).sum::<f64>())
                .collect();
            assert_close("row_sums", &download(d, &sums), &want, SHORT_SUM);
        }
    }
}

pub(crate) fn distance(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum()
}

pub(crate) fn squared_distance<D: Device>(d: &D) {
    let before = data(4, 9);
    let mut result = d.upload(&before);
    for (at, len) in [(2, 1), (0, 100), (3, 70_001)] {
        let (x, y) = (data(len, 1), data(len, 2));
        d.squared_distance(&d.upload(&x), &d.upload(&y), &mut result, at);
        let got = download(d, &result);
        assert_close("squared_distance", &got[at..=at], &[distance(&x, &y)], ROUNDED);
        assert_eq!(got[1], before[1]);
    }
}

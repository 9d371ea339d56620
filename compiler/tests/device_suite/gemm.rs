//! Matrix products.

use tfc::device::{Device, Mat, MatMut};

use super::{
    assert_close, data, download,
    tolerance::{SHORT_SUM, Tolerance},
};

/// How an operand lies in its buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) offset: usize,
    /// Elements between the end of a row and the next.
    pub(crate) gap: usize,
    pub(crate) transposed: bool,
}

pub(crate) const PLAIN: Layout = Layout { offset: 0, gap: 0, transposed: false };

impl Layout {
    /// Row stride, and length of a buffer, of a `rows x cols` operand.
    fn extent(self, rows: usize, cols: usize) -> (usize, usize) {
        let (rows, cols) = if self.transposed { (cols, rows) } else { (rows, cols) };
        let stride = cols + self.gap;
        (stride, self.offset + rows.saturating_sub(1) * stride + cols)
    }

    fn index(self, stride: usize, i: usize, j: usize) -> usize {
        self.offset + if self.transposed { j * stride + i } else { i * stride + j }
    }
}

/// Runs one product on random operands and compares it with its definition.
pub(crate) fn check<D: Device>(
    d: &D,
    [m, n, k]: [usize; 3],
    [alpha, beta]: [f32; 2],
    [a, b, c]: [Layout; 3],
    operands: impl Fn(usize, u64) -> Vec<f32>,
    before: Option<f32>,
    tolerance: Tolerance,
) {
    let ((a_stride, a_len), (b_stride, b_len), (c_stride, c_len)) =
        (a.extent(m, k), b.extent(k, n), c.extent(m, n));
    let (av, bv) = (operands(a_len, 1), operands(b_len, 2));
    // One more element than the product needs, to see that it stays.
    let cv = before.map_or_else(|| data(c_len + 1, 3), |value| vec![value; c_len + 1]);
    let mut want: Vec<f64> = cv.iter().map(|&c| f64::from(c)).collect();
    for i in 0..m {
        for j in 0..n {
            let product: f64 = (0..k)
                .map(|p| f64::from(av[a.index(a_stride, i, p)]) * f64::from(bv[b.index(b_stride, p, j)]))
                .sum();
            let c = &mut want[c.index(c_stride, i, j)];
            *c = f64::from(alpha) * product + if beta == 0.0 { 0.0 } else { f64::from(beta) * *c };
        }
    }
    let (a_buffer, b_buffer, mut c_buffer) = (d.upload(&av), d.upload(&bv), d.upload(&cv));
    d.gemm(
        [m, n, k],
        alpha,
        Mat { buffer: &a_buffer, offset: a.offset, row_stride: a_stride, transposed: a.transposed },
        Mat { buffer: &b_buffer, offset: b.offset, row_stride: b_stride, transposed: b.transposed },
        beta,
        MatMut { buffer: &mut c_buffer, offset: c.offset, row_stride: c_stride },
    );
    let got = download(d, &c_buffer);
    let what = format!("gemm {m}x{n}x{k}, {alpha} {a:?} {b:?} + {beta} {c:?}");
    for (i, (got, before)) in got.iter().zip(&cv).enumerate() {
        let inside = i >= c.offset && i < c_len && (i - c.offset) % c_stride < n;
        assert!(inside || got.to_bits() == before.to_bits(), "{what} wrote outside of its result at {i}");
    }
    let (got, want): (Vec<f32>, Vec<f64>) = got.into_iter().zip(want).filter(|(_, w)| !w.is_nan()).unzip();
    assert_close(&what, &got, &want, tolerance);
}

const SHAPES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [1, 130, 7],
    [130, 1, 65],
    [20, 576, 25],
    [17, 33, 300],
    [64, 64, 64],
    [65, 129, 31],
    [500, 10, 64],
    [10, 64, 500],
    [128, 256, 96],
];

pub(crate) fn all_transpositions<D: Device>(d: &D) {
    for mnk in SHAPES {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let layouts = [Layout { transposed: ta, ..PLAIN }, Layout { transposed: tb, ..PLAIN }, PLAIN];
            check(d, mnk, [1.0, 0.0], layouts, data, None, SHORT_SUM);
        }
    }
}

pub(crate) fn offsets_and_row_strides<D: Device>(d: &D) {
    for mnk in [[5, 7, 3], [1, 9, 4], [65, 33, 40], [20, 100, 25]] {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = Layout { offset: 11, gap: 3, transposed: ta };
            let b = Layout { offset: 64, gap: 5, transposed: tb };
            let c = Layout { offset: 7, gap: 2, transposed: false };
            check(d, mnk, [1.0, 1.0], [a, b, c], data, None, SHORT_SUM);
            check(d, mnk, [1.0, 0.0], [a, b, c], data, None, SHORT_SUM);
        }
    }
}

pub(crate) fn alpha_and_beta<D: Device>(d: &D) {
    for (alpha, beta) in [(2.0, 1.0), (-0.5, 0.25), (1.0, -1.0), (0.0, 3.0), (0.0, 0.0)] {
        for mnk in [[6, 5, 4], [70, 40, 33], [4, 3, 9000]] {
            check(d, mnk, [alpha, beta], [PLAIN; 3], |len, seed| small(mnk[2], len, seed), None, SHORT_SUM);
        }
    }
}

/// Values whose products over `k` sum to magnitude 1.
fn small(k: usize, len: usize, seed: u64) -> Vec<f32> {
    let scale = (k as f32).sqrt().sqrt().recip();
    data(len, seed).into_iter().map(|x| x * scale).collect()
}

pub(crate) fn beta_zero_overwrites_nan<D: Device>(d: &D) {
    for mnk in [[3, 5, 2], [70, 65, 40], [4, 6, 9000]] {
        check(
            d,
            mnk,
            [1.0, 0.0],
            [PLAIN; 3],
            |len, seed| small(mnk[2], len, seed),
            Some(f32::NAN),
            SHORT_SUM,
        );
    }
}

pub(crate) fn empty_inner_extent<D: Device>(d: &D) {
    for beta in [0.0, 1.0, 0.5] {
        let operand = d.zeros(1);
        let mut c = d.upload(&[1.0, 2.0, 3.0, 4.0]);
        let mat = || Mat { buffer: &operand, offset: 0, row_stride: 2, transposed: false };
        d.gemm([2, 2, 0], 1.0, mat(), mat(), beta, MatMut { buffer: &mut c, offset: 0, row_stride: 2 });
        assert_eq!(download(d, &c), [1.0, 2.0, 3.0, 4.0].map(|c| beta * c));
    }
}

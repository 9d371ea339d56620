//! The CPU backend passes the suite of all backends, and gives the same bytes whatever the
//! number of threads.

#[macro_use]
mod device_suite;

use tfc::device::{Convolution, Device, Mat, MatMut, Window, cpu::Cpu};
use tfc_formats::op::Padding;

device_suite!(Cpu);

/// Bytes of products, convolutions and sums that are large enough to be cut into pieces.
fn results() -> Vec<u32> {
    let d = &Cpu;
    let mut out = Vec::new();
    for [m, n, k] in [[20, 25, 30_000], [300, 200, 500], [7, 9, 100_000], [1000, 64, 784]] {
        let (a, b) = (device_suite::data(m * k, 1), device_suite::data(k * n, 2));
        let mut c = d.zeros(m * n);
        d.gemm(
            [m, n, k],
            1.0,
            Mat { buffer: &a, offset: 0, row_stride: k, transposed: false },
            Mat { buffer: &b, offset: 0, row_stride: n, transposed: false },
            0.0,
            MatMut { buffer: &mut c, offset: 0, row_stride: n },
        );
        out.extend(c);
    }
    let window = Window {
        c: 6,
        h: 40,
        w: 40,
        oh: 38,
        ow: 38,
        kernel: [5, 5],
        stride: [1, 1],
        dilation: [1, 1],
        pad: Padding::same(1),
    };
    let x = device_suite::data(6 * 20 * 40 * 40, 3);
    let dy = device_suite::data(12 * 20 * 38 * 38, 4);
    for groups in [1, 3, 6] {
        let conv = Convolution { window, groups, out: 12 };
        let weight = device_suite::data(conv.out * conv.filter(), 5);
        let (mut y, mut dx, mut dw) = (d.zeros(dy.len()), d.zeros(x.len()), d.zeros(weight.len()));
        d.conv(&conv, 20, &x, &weight, None, &mut y);
        d.conv_input_gradient(&conv, 20, &weight, &dy, &mut dx);
        d.conv_weight_gradient(&conv, 20, &x, &dy, 0.0, &mut dw);
        out.extend(y.into_iter().chain(dx).chain(dw));
    }
    let long = device_suite::data(2_000_000, 6);
    let mut sums = d.zeros(3);
    d.row_sums([3, 500_000], &long, 0.0, &mut sums);
    out.extend(sums);
    let (x, y) = long.split_at(long.len() / 2);
    let mut distance = d.zeros(1);
    d.squared_distance(&x.to_vec(), &y.to_vec(), &mut distance, 0);
    out.extend(distance);
    out.into_iter().map(f32::to_bits).collect()
}

#[test]
fn results_do_not_depend_on_threads() {
    let with = |threads| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("thread pool").install(results)
    };
    let one = with(1);
    for threads in [1, 2, 3, 8] {
        assert!(one == with(threads), "{threads} threads give other bytes than 1");
    }
}

#[path = "../tests/common/mod.rs"]
mod common;

use common::{Arena, Encoding, lenet};
use std::time::Instant;
use tfc_formats::artifact::Dtype;
use tfc_runtime::*;

fn main() {
    for (name, zeros, e) in [
        ("dense f32", 0.0, Encoding::DENSE),
        ("dense f16", 0.0, Encoding { index: None, half: true }),
        ("95% f32 u8", 0.95, Encoding::DELTA),
        ("95% f16 u8", 0.95, Encoding { index: Some(Dtype::U8), half: true }),
        ("95% f32 u16", 0.95, Encoding { index: Some(Dtype::U16), half: false }),
    ] {
        let file = lenet::lenet5(zeros, e);
        let model = Model::new(&file).unwrap();
        let input = common::noise(9, 784);
        for k in Kernels::available() {
            let mut arena = Arena::of(&model);
            let mut s = Session::with_kernels(&model, arena.bytes(), k).unwrap();
            let n = if k == Kernels::SCALAR { 20 } else { 1000 };
            let mut best = vec![f64::MAX; 7];
            let mut total = vec![];
            for _ in 0..n {
                let start = Instant::now();
                s.run(&input).unwrap();
                total.push(start.elapsed().as_secs_f64() * 1e6);
            }
            for _ in 0..n / 4 {
                let mut last = Instant::now();
                s.run_observed(&input, &mut |i, _| {
                    let now = Instant::now();
                    best[i] = best[i].min((now - last).as_secs_f64() * 1e6);
                    last = Instant::now();
                }).unwrap();
            }
            total.sort_by(f64::total_cmp);
            println!("{name:12} {:8} min {:7.2} p50 {:7.2}  steps {:.1?}", k.name(), total[0], total[n / 2], best);
        }
    }
}

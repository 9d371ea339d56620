//! What is particular to this backend; its results are tested by the suite of all backends.

use std::io::Write as _;
use std::sync::OnceLock;

use super::*;
use crate::device::cpu::Cpu;

/// A device of its own; `None` on a machine without any adapter, unless `CI` is set.
fn fresh() -> Option<Gpu> {
    match Gpu::new(Selection::Any) {
        Ok(gpu) => Some(gpu),
        Err(DeviceError::NoAdapter(reason)) if std::env::var_os("CI").is_none() => {
            // Unlike `eprintln`, this is shown of tests that pass.
            let _ = writeln!(std::io::stderr(), "the GPU backend was not tested: {reason}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

/// One device for the tests that leave it as it was.
fn gpu() -> Option<&'static Gpu> {
    static GPU: OnceLock<Option<Gpu>> = OnceLock::new();
    GPU.get_or_init(fresh).as_ref()
}

fn ramp(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn mat(buffer: &Buffer, row_stride: usize) -> Mat<'_, Buffer> {
    Mat { buffer, offset: 0, row_stride, transposed: false }
}

#[test]
fn hardware_is_never_a_software_rasteriser() {
    if gpu().is_none() {
        return;
    }
    let usable: Vec<_> = list().into_iter().filter(|a| a.lacks.is_none()).collect();
    assert!(usable.iter().all(|a| a.max_tensor_bytes >= 128 << 20), "{usable:?}");
    match Gpu::new(Selection::Hardware) {
        Ok(gpu) => assert!(usable[0].kind != "software" && gpu.name().starts_with(&usable[0].name)),
        Err(DeviceError::NoAdapter(_)) => assert!(usable.iter().all(|a| a.kind == "software")),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn memory_that_serves_again_is_zeroed() {
    let Some(gpu) = gpu() else { return };
    for len in [1, 63, 64, 1000, 5000] {
        drop(gpu.upload(&vec![7.0; len]));
        assert_eq!(gpu.download(&gpu.zeros(len)).unwrap(), vec![0.0; len]);
    }
}

#[test]
fn uploads_and_writes_keep_their_place_among_other_work() {
    let Some(gpu) = gpu() else { return };
    let mut x = gpu.upload(&[1.0, 2.0]);
    let mut y = gpu.zeros(2);
    gpu.axpby(1.0, &x, 1.0, &mut y);
    gpu.write(&[10.0], &mut x);
    gpu.axpby(1.0, &x, 1.0, &mut y);
    drop(x);
    let x = gpu.upload(&[100.0, 100.0]);
    gpu.axpby(1.0, &x, 1.0, &mut y);
    assert_eq!(gpu.download(&y).unwrap(), [111.0, 104.0]);
}

#[test]
fn long_chains_without_a_download_use_bounded_memory() {
    let Some(gpu) = fresh() else { return };
    let mut y = gpu.zeros(4096);
    for i in 0..1000 {
        let mut scratch = gpu.zeros(4096 + 512 * (i % 7));
        let x = gpu.upload(&[1.0; 4096]);
        gpu.copy(&x, 0, &mut scratch, 0, 4096);
        gpu.axpby(1.0, &x, 1.0, &mut y);
    }
    assert_eq!(gpu.download(&y).unwrap(), [1000.0; 4096]);
    assert!(gpu.recorder.memory_bytes() < 1 << 20, "{} bytes", gpu.recorder.memory_bytes());
}

#[test]
fn the_same_work_gives_the_same_bytes() {
    let Some(first) = gpu() else { return };
    let work = |gpu: &Gpu| {
        let (a, b) = (gpu.upload(&ramp(20 * 3000)), gpu.upload(&ramp(3000 * 17)));
        let (mut c, mut sums) = (gpu.zeros(20 * 17), gpu.zeros(2));
        gpu.gemm(
            [20, 17, 3000],
            0.5,
            mat(&a, 3000),
            mat(&b, 17),
            0.0,
            MatMut { buffer: &mut c, offset: 0, row_stride: 17 },
        );
        gpu.row_sums([2, 30_000], &a, 0.0, &mut sums);
        [gpu.download(&c).unwrap(), gpu.download(&sums).unwrap()].concat()
    };
    let bits = |x: Vec<f32>| x.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let expected = bits(work(first));
    assert_eq!(bits(work(first)), expected);
    assert_eq!(bits(work(&fresh().unwrap())), expected);
}

/// Software rasterisers end an invocation after 65,535 loop iterations.
#[test]
fn sums_longer_than_an_invocation_may_loop_are_complete() {
    let Some(gpu) = gpu() else { return };
    let k = 70_000;
    let ones = gpu.upload(&vec![1.0; k]);
    let mut c = gpu.zeros(4);
    for (transposed, at) in [(false, 0), (true, 1)] {
        // A row times a column, however each is stored.
        let a = Mat { buffer: &ones, offset: 0, row_stride: if transposed { 1 } else { k }, transposed };
        let c = MatMut { buffer: &mut c, offset: at, row_stride: 1 };
        gpu.gemm([1, 1, k], 1.0, a, mat(&ones, 1), 0.0, c);
    }
    let nothing = gpu.zeros(k);
    gpu.squared_distance(&ones, &nothing, &mut c, 2);
    let mut sum = gpu.zeros(1);
    gpu.row_sums([1, k], &ones, 0.0, &mut sum);
    gpu.copy(&sum, 0, &mut c, 3, 1);
    assert_eq!(gpu.download(&c).unwrap(), [k as f32; 4]);
}

/// Whole numbers, so that sums are exact in any order.
#[test]
fn products_equal_the_cpus_for_all_tiles_and_splits() {
    let Some(gpu) = gpu() else { return };
    let numbers = |len: usize| -> Vec<f32> { (0..len).map(|i| ((i * 7 + 3) % 5) as f32 - 2.0).collect() };
    for [m, n, k] in [[65, 63, 9], [20, 25, 600], [1025, 1026, 9]] {
        for transposed in 0..4 {
            let [ta, tb] = [transposed & 1 != 0, transposed & 2 != 0];
            let (a_stride, b_stride) = (if ta { m } else { k } + 3, if tb { k } else { n } + 1);
            let a = numbers(5 + a_stride * if ta { k } else { m });
            let b = numbers(2 + b_stride * if tb { n } else { k });
            let c = numbers(4 + m * (n + 2));
            let mut expected = c.clone();
            Cpu.gemm(
                [m, n, k],
                2.0,
                Mat { buffer: &a, offset: 5, row_stride: a_stride, transposed: ta },
                Mat { buffer: &b, offset: 2, row_stride: b_stride, transposed: tb },
                -1.0,
                MatMut { buffer: &mut expected, offset: 4, row_stride: n + 2 },
            );
            let (a, b, mut c) = (gpu.upload(&a), gpu.upload(&b), gpu.upload(&c));
            gpu.gemm(
                [m, n, k],
                2.0,
                Mat { buffer: &a, offset: 5, row_stride: a_stride, transposed: ta },
                Mat { buffer: &b, offset: 2, row_stride: b_stride, transposed: tb },
                -1.0,
                MatMut { buffer: &mut c, offset: 4, row_stride: n + 2 },
            );
            assert_eq!(gpu.download(&c).unwrap(), expected, "{m} {n} {k} {ta} {tb}");
        }
    }
}

#[test]
fn a_lost_device_is_an_error_of_the_next_download() {
    let Some(gpu) = fresh() else { return };
    let mut x = gpu.zeros(16);
    gpu.recorder.lose();
    let y = gpu.upload(&[1.0; 16]);
    gpu.axpby(1.0, &y, 1.0, &mut x);
    let e = gpu.download(&x).unwrap_err();
    assert!(matches!(&e, DeviceError::Failed { device, .. } if *device == gpu.name()), "{e}");
}

#[test]
fn a_tensor_that_is_too_large_is_an_error_of_the_next_download() {
    let Some(gpu) = fresh() else { return };
    let mut huge = gpu.zeros(1 << 40);
    let x = gpu.upload(&[1.0]);
    gpu.copy(&x, 0, &mut huge, 1 << 39, 1);
    let e = gpu.download(&x).unwrap_err();
    assert!(e.to_string().contains("exceeds the adapter's limit"), "{e}");
}

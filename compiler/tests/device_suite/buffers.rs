//! Buffers.

use tfc::device::Device;

use super::{data, download};

pub(crate) fn keep_their_values<D: Device>(d: &D) {
    for len in [1, 3, 64, 1000] {
        assert_eq!(download(d, &d.zeros(len)), vec![0.0; len]);
        let values = data(len, 1);
        let mut buffer = d.upload(&values);
        assert_eq!(download(d, &buffer), values);
        d.write(&[7.0], &mut buffer);
        assert_eq!(download(d, &buffer)[0], 7.0);
        assert_eq!(download(d, &buffer)[1..], values[1..], "write touches only the start");
    }
    assert!(!d.name().is_empty());
}

pub(crate) fn copy_moves_a_range<D: Device>(d: &D) {
    let (from, before) = (data(37, 1), data(29, 2));
    for (from_at, to_at, len) in [(0, 0, 29), (5, 3, 17), (36, 28, 1), (2, 7, 0)] {
        let (source, mut target) = (d.upload(&from), d.upload(&before));
        d.copy(&source, from_at, &mut target, to_at, len);
        let mut want = before.clone();
        want[to_at..to_at + len].copy_from_slice(&from[from_at..from_at + len]);
        assert_eq!(download(d, &target), want);
    }
}

use npyz::WriterBuilder;
use proptest::prelude::*;

use super::*;

/// A file by another implementation.
fn by_npyz<T: npyz::Serialize>(descr: &str, shape: &[u64], order: npyz::Order, values: Vec<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let dtype = npyz::DType::Plain(descr.parse().unwrap());
    let options = npyz::WriteOptions::new().dtype(dtype).shape(shape).order(order);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    bytes
}

fn with_header(version: [u8; 2], dict: &str, data: &[u8]) -> Vec<u8> {
    let length = if version[0] == 1 {
        (dict.len() as u16).to_le_bytes().to_vec()
    } else {
        (dict.len() as u32).to_le_bytes().to_vec()
    };
    [MAGIC, &version, &length, dict.as_bytes(), data].concat()
}

#[test]
fn reads_every_type_and_byte_order_of_another_writer() {
    macro_rules! check {
        ($($descr:literal $type:ty, $integer:literal;)*) => {$(
            let values: Vec<$type> = [1u8, 2, 3, 4, 5, 100].map(<$type>::from).to_vec();
            let npy = read(&by_npyz($descr, &[2, 3], npyz::Order::C, values)).unwrap();
            let values = vec![1.0, 2.0, 3.0, 4.0, 5.0, 100.0];
            assert_eq!(npy, Npy { shape: vec![2, 3], integer: $integer, values }, $descr);
        )*};
    }
    check! {
        "|u1" u8, true; "<u2" u16, true; ">u2" u16, true; "<i2" i16, true; ">i4" i32, true;
        "<u4" u32, true; "<i8" i64, true; ">u8" u64, true; "<f4" f32, false; ">f4" f32, false;
        "<f8" f64, false; ">f8" f64, false;
    }
    assert_eq!(read(&by_npyz("|i1", &[1], npyz::Order::C, vec![-3i8])).unwrap().values, [-3.0]);
    let half = with_header([1, 0], "{'descr': '<f2', 'fortran_order': False, 'shape': ()}", &[0, 0xc2]);
    assert_eq!(read(&half).unwrap(), Npy { shape: vec![], integer: false, values: vec![-3.0] });
}

#[test]
fn reorders_arrays_whose_first_axis_is_the_fastest() {
    let bytes = by_npyz("<i4", &[2, 1, 3], npyz::Order::Fortran, vec![0, 10, 1, 11, 2, 12]);
    let npy = read(&bytes).unwrap();
    assert_eq!((npy.shape, npy.values), (vec![2, 1, 3], vec![0.0, 1.0, 2.0, 10.0, 11.0, 12.0]));
}

#[test]
fn bytes_are_taken_as_they_lie_where_they_can_be() {
    let plain = by_npyz("|u1", &[2, 2], npyz::Order::C, vec![1u8, 2, 3, 255]);
    assert_eq!(plain_bytes(&plain), Ok(Some(PlainBytes { shape: vec![2, 2], values: &[1, 2, 3, 255] })));
    assert_eq!(plain_bytes(&by_npyz("|u1", &[2, 2], npyz::Order::Fortran, vec![1u8, 2, 3, 4])), Ok(None));
    assert_eq!(plain_bytes(&by_npyz("|i1", &[1], npyz::Order::C, vec![1i8])), Ok(None));
    assert!(matches!(plain_bytes(&plain[..plain.len() - 1]), Err(NpyError::Length { .. })));
}

#[test]
fn versions_2_and_3_have_a_longer_length() {
    let dict = "{\"shape\": (2,), 'fortran_order': False, 'descr': '|u1'}\n";
    for version in [[1, 0], [2, 0], [3, 0]] {
        assert_eq!(read(&with_header(version, dict, &[7, 8])).unwrap().values, [7.0, 8.0]);
    }
}

#[test]
fn what_is_written_is_read_by_both() {
    for shape in [&[][..], &[0], &[3], &[2, 1, 3]] {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32 - 0.5).collect();
        let bytes = encode(shape, &values);
        assert_eq!(
            read(&bytes).unwrap(),
            Npy { shape: shape.to_vec(), integer: false, values: values.clone() }
        );
        let theirs = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(theirs.shape(), shape.iter().map(|&n| n as u64).collect::<Vec<_>>());
        assert_eq!(theirs.into_vec::<f32>().unwrap(), values);
    }
}

#[test]
fn each_fault_has_its_error() {
    let good = encode(&[2], &[1.0, 2.0]);
    assert_eq!(read(b"\x93NUMPX"), Err(NpyError::Magic));
    assert_eq!(read(b""), Err(NpyError::Magic));
    let version = |major, minor| with_header([major, minor], "", &[]);
    assert_eq!(read(&version(4, 0)), Err(NpyError::Version { major: 4, minor: 0 }));
    assert_eq!(read(&version(1, 1)), Err(NpyError::Version { major: 1, minor: 1 }));
    // Everything up to the end of the header.
    (6..128).for_each(|len| assert_eq!(read(&good[..len]), Err(NpyError::Header), "{len}"));
    for (found, bytes) in [(135, &good[..135]), (137, &[&good[..], &[0]].concat())] {
        assert_eq!(read(bytes), Err(NpyError::Length { found, needs: Needs::Bytes(136) }));
    }
}

#[test]
fn headers_that_are_not_as_numpy_writes_them() {
    let read = |dict: &str| read(&with_header([1, 0], dict, &[]));
    for dict in [
        "",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0,)} x",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 0}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (0,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), 'more': 1}",
    ] {
        assert_eq!(read(dict), Err(NpyError::Header), "{dict}");
    }
    for (descr, named) in
        [("'<U3'", "<U3"), ("'|O'", "|O"), ("'f4'", "f4"), ("''", ""), ("[('a', '<f4')]", "structured")]
    {
        let dict = std::format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (0,)}}");
        assert_eq!(read(&dict), Err(NpyError::Dtype { descr: named.to_owned() }), "{dict}");
    }
}

#[test]
fn lengths_that_lie_cost_no_memory_and_depth_no_stack() {
    let huge = [MAGIC, &[2, 0, 0xff, 0xff, 0xff, 0xff], b"{'descr'"].concat();
    assert_eq!(read(&huge), Err(NpyError::Header));
    let of = |shape: &str| {
        let dict = std::format!("{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}}}");
        let bytes = with_header([1, 0], &dict, &[0; 8]);
        (read(&bytes), bytes.len())
    };
    let (result, found) = of("(4294967296, 4294967296)");
    assert_eq!(result, Err(NpyError::Length { found, needs: Needs::TooMany }));
    let (result, found) = of("(1000000000000,)");
    let needs = Needs::Bytes(found - 8 + 8_000_000_000_000);
    assert_eq!(result, Err(NpyError::Length { found, needs }));
    assert_eq!(of(&"(".repeat(60_000)).0, Err(NpyError::Header));
}

proptest! {
    #[test]
    fn any_damage_is_an_error_or_a_consistent_array(cut in 0usize..150, flips in proptest::collection::vec(0usize..1200, 0..3)) {
        let mut bytes = by_npyz("<i2", &[2, 3], npyz::Order::Fortran, vec![1i16; 6]);
        for flip in flips {
            if let Some(byte) = bytes.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(npy) = read(&bytes) {
            prop_assert_eq!(npy.values.len(), npy.shape.iter().product::<usize>());
        }
    }

    #[test]
    fn arbitrary_headers_do_no_harm(text: String, data: Vec<u8>) {
        let _ = read(&with_header([2, 0], &text, &data));
    }
}

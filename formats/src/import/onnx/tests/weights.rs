//! Where the values of tensors lie, and in which type.

use std::fs;
use std::vec::Vec;

use half::{bf16, f16};

use super::*;
use crate::import;

const VALUES: [f32; 3] = [1.5, -0.25, 1024.0];

/// A model that multiplies by a weight.
fn with(weight: TensorProto) -> Builder {
    let mut model =
        Builder::new(13, &[0, 1]).node_with("Gemm", &["x", "w"], "y", Vec::from([int("transB", 1)]));
    model.graph().initializer.push(TensorProto { name: "w".into(), ..weight });
    model
}

fn tensor(data_type: i32) -> TensorProto {
    TensorProto { dims: Vec::from([3, 1]), data_type, ..Default::default() }
}

fn bytes<const N: usize>(one: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    VALUES.iter().flat_map(|v| one(*v)).collect()
}

#[test]
fn floats_of_all_types() {
    use data_type as t;
    let bits = |one: fn(f32) -> u16| VALUES.iter().map(|v| i32::from(one(*v))).collect::<Vec<_>>();
    let (half, brain) = (|v| f16::from_f32(v).to_bits(), |v| bf16::from_f32(v).to_bits());
    let doubles = VALUES.map(f64::from).to_vec();
    for weight in [
        TensorProto { raw_data: bytes(|v| v.to_le_bytes()), ..tensor(t::FLOAT) },
        TensorProto { raw_data: bytes(|v| f64::from(v).to_le_bytes()), ..tensor(t::DOUBLE) },
        TensorProto { raw_data: bytes(|v| half(v).to_le_bytes()), ..tensor(t::FLOAT16) },
        TensorProto { raw_data: bytes(|v| brain(v).to_le_bytes()), ..tensor(t::BFLOAT16) },
        TensorProto { float_data: VALUES.to_vec(), ..tensor(t::FLOAT) },
        TensorProto { double_data: doubles, ..tensor(t::DOUBLE) },
        TensorProto { int32_data: bits(half), ..tensor(t::FLOAT16) },
        TensorProto { int32_data: bits(brain), ..tensor(t::BFLOAT16) },
    ] {
        assert_eq!(with(weight.clone()).network().tensors[0].data, VALUES, "{weight:?}");
        let mut constant =
            Builder::new(13, &[0, 1]).node_with("Constant", &[], "c", Vec::from([value(weight)]));
        constant = constant.node_with("Gemm", &["x", "c"], "y", Vec::from([int("transB", 1)]));
        let network = constant.network();
        assert_eq!((&network.tensors[0].name[..], &network.tensors[0].data[..]), ("c", &VALUES[..]));
    }
}

#[test]
fn integers_of_all_types() {
    use data_type as t;
    let int32s = TensorProto { int32_data: Vec::from([1, -1]), ..Default::default() };
    let raw = |raw_data: &[u8]| TensorProto { raw_data: raw_data.to_vec(), ..Default::default() };
    for (data_type, shape) in [
        (t::INT64, TensorProto { int64_data: Vec::from([1, -1]), ..Default::default() }),
        (t::INT32, int32s.clone()),
        (t::INT16, int32s.clone()),
        (t::INT8, int32s),
        (t::INT32, raw(&[1, 0, 0, 0, 255, 255, 255, 255])),
        (t::INT16, raw(&[1, 0, 255, 255])),
        (t::INT8, raw(&[1, 255])),
        (t::UINT8, raw(&[1, 12])),
        (t::UINT16, raw(&[1, 0, 12, 0])),
        (t::UINT32, raw(&[1, 0, 0, 0, 12, 0, 0, 0])),
        (t::UINT64, TensorProto { uint64_data: Vec::from([1, 12]), ..Default::default() }),
    ] {
        let mut model =
            Builder::new(13, &[0, 12, 1, 1]).node("Reshape", &["x", "s"], "r").node("Relu", &["r"], "y");
        let dims = Vec::from([2]);
        model.graph().initializer.push(TensorProto { name: "s".into(), dims, data_type, ..shape });
        assert!(matches!(model.op(), Op::Activation(_)), "{data_type}");
    }
}

#[test]
fn tensors_that_lie() {
    let reason = |weight: TensorProto| match with(weight).load() {
        Err(ImportError::Onnx { error, .. }) => match *error {
            OnnxError::Tensor { tensor, reason } if tensor == "w" => reason,
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    };
    let raw = |dims: &[i64]| TensorProto { dims: dims.to_vec(), ..floats("", &[], &VALUES) };
    assert!(reason(raw(&[1 << 40, 1])).contains("it has 3 values"));
    assert!(reason(raw(&[1 << 40, 1 << 40])).contains("not valid"));
    assert!(reason(raw(&[-3, 1])).contains("not valid"));
    assert!(
        reason(TensorProto { raw_data: Vec::from([0; 13]), dims: Vec::from([4]), ..raw(&[]) })
            .contains("3 values")
    );
    assert!(reason(TensorProto { data_type: 8, ..raw(&[3, 1]) }).contains("data type 8"));
    assert!(reason(TensorProto { data_location: EXTERNAL, ..raw(&[3, 1]) }).contains("not named"));
    let ints = with(TensorProto { dims: Vec::from([3, 1]), ..ints_tensor("", &[1, 2, 3]) });
    assert!(ints.reason().contains("holds integers"));
    let nan = with(floats("", &[1, 1], &[f32::NAN]));
    assert!(matches!(nan.load(), Err(ImportError::Network { .. })));
}

fn external(entries: &[(&str, &str)]) -> Builder {
    let entry =
        |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
    let external_data = entries.iter().map(entry).collect();
    with(TensorProto { data_location: EXTERNAL, external_data, ..tensor(data_type::FLOAT) })
}

#[test]
fn values_in_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.onnx");
    let load = |model: &Builder| {
        fs::write(&path, model.bytes()).unwrap();
        import::load(&path, &ImportOptions::default())
    };
    fs::create_dir(dir.path().join("sub")).unwrap();
    let mut data = Vec::from([9; 8]);
    data.extend(bytes(|v| v.to_le_bytes()));
    fs::write(dir.path().join("sub/w.bin"), &data).unwrap();
    fs::write(dir.path().join("w.bin"), &data[8..]).unwrap();
    let offset = external(&[("location", "sub/w.bin"), ("offset", "8"), ("length", "12")]);
    assert_eq!(load(&offset).unwrap().tensors[0].data, VALUES);
    assert_eq!(load(&external(&[("location", "w.bin")])).unwrap().tensors[0].data, VALUES);

    let reason = |model: &Builder| match load(model) {
        Err(ImportError::Onnx { error, .. }) => std::string::ToString::to_string(&error),
        other => panic!("{other:?}"),
    };
    let outside = dir.path().join("w.bin");
    for location in ["../w.bin", "sub/../w.bin", "", ".", outside.to_str().unwrap(), "w.bin\n"] {
        let reason = reason(&external(&[("location", location)]));
        assert!(reason.contains("is not in the model's directory"), "{location}: {reason}");
    }
    for (entries, word) in [
        (&[("location", "none.bin")][..], "`none.bin` cannot be read"),
        (&[("location", "sub")], "regular file"),
        (&[("location", "w.bin"), ("offset", "13")], "0 bytes at 13 are not in"),
        (&[("location", "w.bin"), ("length", "99")], "99 bytes at 0"),
        (&[("location", "w.bin"), ("offset", "18446744073709551615")], "are not in"),
        (&[("location", "w.bin"), ("offset", "-1")], "offset is not a number"),
        (&[("location", "w.bin"), ("length", "8")], "it has 2 values"),
    ] {
        let reason = reason(&external(entries));
        assert!(reason.contains(word), "{word}: {reason}");
    }
    // The same bytes twice are more than the file has.
    let mut twice =
        external(&[("location", "w.bin")]).node("Relu", &["v"], "z").node("Add", &["y", "z"], "end");
    let mut other = twice.graph().initializer[0].clone();
    other.name = "v".into();
    twice.graph().initializer.push(other);
    twice.graph().output[0].name = "end".into();
    assert!(reason(&twice).contains("claim more bytes"));
}

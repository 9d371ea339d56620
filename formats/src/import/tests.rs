use std::fs;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use ::safetensors::Dtype;
use ::safetensors::tensor::TensorView;
use proptest::prelude::*;

use super::*;
use crate::artifact::FileError;
use crate::op::{Activation, Op, Shape};
use crate::preprocess::ChannelOrder;

/// Bytes of a file whose f32 tensors have these shapes and values 0, 1/8, 2/8, ...
pub(super) fn file(shapes: &[(&str, &[usize])]) -> Vec<u8> {
    let bytes = |shape: &[usize]| -> Vec<u8> {
        (0..shape.iter().product()).flat_map(|i: usize| (i as f32 / 8.0).to_le_bytes()).collect()
    };
    let data: Vec<_> =
        shapes.iter().map(|(name, shape)| (*name, Dtype::F32, shape.to_vec(), bytes(shape))).collect();
    typed(&data)
}

fn typed(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    ::safetensors::serialize(views, None).unwrap()
}

/// A perceptron of two layers.
const SMALL: [(&str, &[usize]); 4] =
    [("a.weight", &[3, 4]), ("a.bias", &[3]), ("b.weight", &[2, 3]), ("b.bias", &[2])];

fn read(bytes: &[u8], options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    load_bytes(Path::new("dir/small.safetensors"), bytes, options)
}

fn error(bytes: &[u8]) -> ImportError {
    let error = read(bytes, &ImportOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("dir/small.safetensors: "), "{error}");
    error
}

#[test]
fn saved_networks_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    let mut network = untrained("lenet5", &ImportOptions::default()).unwrap();
    for (n, value) in network.tensors.iter_mut().flat_map(|t| &mut t.data).enumerate() {
        *value = n as f32 * 0.001 - 200.0;
    }
    network.preprocess.scale = 1.0 / 256.0;
    network.preprocess.order = ChannelOrder::Bgr;
    save(&network, &path).unwrap();
    let first = fs::read(&path).unwrap();
    assert_eq!(load(&path, &ImportOptions::default()).unwrap(), network);
    save(&network, &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn options_override_the_file() {
    let preprocess = PreprocessOverrides {
        scale: Some(1.0),
        std: Some(heapless::Vec::from_slice(&[0.5]).unwrap()),
        ..Default::default()
    };
    let options = ImportOptions { input: Some(Shape::new(1, 2, 2)), preprocess, ..Default::default() };
    let network = read(&file(&SMALL), &options).unwrap();
    assert_eq!((network.input, network.name.as_str()), (Shape::new(1, 2, 2), "small"));
    assert_eq!((network.preprocess.scale, &network.preprocess.std[..]), (1.0, &[0.5][..]));
    assert!(network.preprocess.mean.is_empty());

    let wrong = ImportOptions { input: Some(Shape::vector(5)), ..Default::default() };
    assert!(matches!(read(&file(&SMALL), &wrong), Err(ImportError::Family { .. })));
}

#[test]
fn a_description_wins_over_the_known_families() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph.toml");
    let text = "input.shape = [4]\n[[node]]\nname = \"a\"\nop = \"dense\"\n[[node]]\nop = \"tanh\"\n";
    fs::write(&path, text).unwrap();
    let options = ImportOptions { graph: Some(&path), ..Default::default() };
    let network = read(&file(&SMALL), &options).unwrap();
    assert_eq!(network.nodes[1].op, Op::Activation(Activation::Tanh));
    assert_eq!(network.tensors.len(), 2, "tensors that no node names are not read");

    fs::write(&path, text.replace("dense", "densse")).unwrap();
    let Err(ImportError::Graph { path: named, error }) = read(&file(&SMALL), &options) else { panic!() };
    assert_eq!(named, path);
    assert!(matches!(*error, GraphError::UnknownOp { .. }));
    fs::remove_file(&path).unwrap();
    assert!(matches!(read(&file(&SMALL), &options), Err(ImportError::Read { .. })));
}

#[test]
fn half_precision_files_load() {
    let values = |n: usize| (0..n).flat_map(|i| half::f16::from_f32(i as f32).to_le_bytes()).collect();
    let bytes = typed(&[("a.weight", Dtype::F16, vec![2, 3], values(6))]);
    assert_eq!(
        read(&bytes, &ImportOptions::default()).unwrap().tensors[0].data,
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    );
}

#[test]
fn values_that_are_not_finite_name_the_tensor() {
    for bad in [f64::NAN, f64::INFINITY, 1e300] {
        let data = [0.0, 1.0, bad].iter().flat_map(|v| v.to_le_bytes()).collect();
        let bytes = typed(&[("a.weight", Dtype::F64, vec![3, 1], data)]);
        let ImportError::Network { error, .. } = error(&bytes) else { panic!("{bad}") };
        assert!(
            matches!(&*error, NetworkError::NotFinite { tensor, index: 2, .. } if tensor == "a.weight"),
            "{error}"
        );
    }
}

#[test]
fn data_types_without_support_are_named() {
    let bytes = typed(&[("a.weight", Dtype::I8, vec![1, 2], vec![1, 2])]);
    let expected = DtypeError { tensor: "a.weight".into(), dtype: "I8".into() };
    assert!(matches!(error(&bytes), ImportError::Dtype { error, .. } if error == expected));
}

#[test]
fn what_is_no_safetensors_file() {
    for bytes in [&b""[..], b"\x89PNG", b"\x08\0\0\0\0\0\0\0[]      ", &[0; 100]] {
        assert!(matches!(error(bytes), ImportError::UnknownFormat { .. }));
    }
    let header = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.bytes());
        bytes
    };
    let mut endless = header("{}");
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    // Lengths that lie must not cost memory: none of these files has a kilobyte.
    let lies = [
        endless,
        header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1099511627776],\"data_offsets\":[0,4398046511104]}}"),
        header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}"),
        header("{\"a\":{\"dtype\":\"F99\",\"shape\":[],\"data_offsets\":[0,0]}}"),
        header("{\"a\\n\":3}"),
        header(&"{\"a\":".repeat(300)),
    ];
    for bytes in lies {
        let error = error(&bytes);
        assert!(matches!(error, ImportError::Damaged { .. }), "{error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let name = header("{\"a\\u001b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
    assert!(matches!(error(&name), ImportError::Name { name, .. } if name == "a\u{1b}"));
}

#[test]
fn unknown_architectures_list_the_tensors() {
    let mut shapes = SMALL.to_vec();
    shapes.push(("scale", &[7]));
    let error = error(&file(&shapes));
    let ImportError::UnknownArchitecture { tensors, .. } = &error else { panic!("{error:?}") };
    assert_eq!(tensors.0.len(), 5);
    let text = error.to_string();
    for part in ["tfc graph", "--graph", "multilayer perceptron", "b.weight [2, 3]", "scale [7]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let many = TensorList(vec![("t".to_string(), vec![1]); 250]);
    assert!(many.to_string().ends_with("and 50 more"));
}

#[test]
fn paths_that_cannot_be_read_or_written() {
    let dir = tempfile::tempdir().unwrap();
    let options = ImportOptions::default();
    assert!(matches!(load(dir.path(), &options), Err(ImportError::NotAFile { .. })));
    assert!(matches!(load(&dir.path().join("no"), &options), Err(ImportError::Read { .. })));
    assert!(matches!(untrained("no/such/graph.toml", &options), Err(ImportError::Read { .. })));
    assert!(matches!(read_tensors(&dir.path().join("no")), Err(ImportError::Read { .. })));

    let network = read(&file(&SMALL), &options).unwrap();
    assert!(matches!(save(&network, dir.path()), Err(ImportError::Write(FileError::NotAFile { .. }))));
    let target: PathBuf = dir.path().join("no/net.safetensors");
    assert!(
        matches!(save(&network, &target), Err(ImportError::Write(FileError::Io { path, .. })) if path == target)
    );
    let mut invalid = network.clone();
    invalid.tensors[0].data[0] = f32::NAN;
    let target = dir.path().join("net.safetensors");
    assert!(matches!(save(&invalid, &target), Err(ImportError::Network { .. })));
    let mut reserved = network;
    reserved.tensors[0].name = "__metadata__".into();
    assert!(matches!(save(&reserved, &target), Err(ImportError::Name { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn all_tensors_of_a_file_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("golden.safetensors");
    fs::write(&path, file(&[("output", &[2, 2]), ("input", &[1, 3])])).unwrap();
    let tensors = read_tensors(&path).unwrap();
    let found: Vec<_> = tensors.iter().map(|t| (&t.name[..], &t.shape[..], &t.data[..])).collect();
    assert_eq!(
        found,
        [("input", &[1, 3][..], &[0.0, 0.125, 0.25][..]), ("output", &[2, 2], &[0.0, 0.125, 0.25, 0.375])]
    );
}

/// A small file that carries its graph, so that damage reaches both parsers.
fn with_graph() -> Vec<u8> {
    let network = read(&file(&SMALL), &ImportOptions::default()).unwrap();
    safetensors::serialize(Path::new("x"), &network.tensors, graph::to_toml(&network)).unwrap()
}

#[test]
fn every_truncation_is_an_error() {
    let whole = with_graph();
    for end in 0..whole.len() {
        let error = error(&whole[..end]);
        let expected = matches!(error, ImportError::UnknownFormat { .. } | ImportError::Damaged { .. });
        assert!(expected, "{end}: {error:?}");
    }
}

#[test]
fn every_flipped_bit_gives_an_error_or_a_checked_network() {
    let whole = with_graph();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(network) = read(&bytes, &ImportOptions::default()) {
            assert_eq!(network.check(), Ok(()), "bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_do_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        header in "\\PC{0,60}",
    ) {
        let mut bytes = with_graph();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = read(&bytes, &ImportOptions::default());
        let mut text = (header.len() as u64).to_le_bytes().to_vec();
        text.extend(header.bytes());
        let _ = read(&text, &ImportOptions::default());
    }

    #[test]
    fn any_values_come_back(values in prop::collection::vec(any::<f32>().prop_filter("finite", |v| v.is_finite()), 12)) {
        let mut network = read(&file(&SMALL), &ImportOptions::default()).unwrap();
        network.tensors[0].data = values;
        let text = graph::to_toml(&network);
        let bytes = safetensors::serialize(Path::new("x"), &network.tensors, text).unwrap();
        prop_assert_eq!(read(&bytes, &ImportOptions::default()).unwrap(), network);
    }
}

#[test]
fn a_file_names_its_network() {
    let name = |path: &str| {
        load_bytes(Path::new(path), &file(&SMALL), &ImportOptions::default()).map(|n| n.name).unwrap()
    };
    assert_eq!(name("a/b.c.safetensors"), "b.c");
    assert_eq!(name(&format!("x{}", "\n")), String::from("x "));
}

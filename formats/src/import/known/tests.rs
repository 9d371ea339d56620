//! Tests of all families; those of single ones are in the modules.

mod perceptrons;
mod variants;

use std::format;
use std::fs;
use std::path::Path;
use std::string::{String, ToString};
use std::vec::Vec;

use ::safetensors::Dtype;
use proptest::prelude::*;

use super::*;
use crate::import::graph::{from_toml, to_toml};
use crate::import::tests::file;
use crate::import::{ImportError, ImportOptions, draft, load_bytes, read_tensors, save};
use crate::network::{Network, param_shape};

type Shapes = Vec<(String, Vec<usize>)>;

fn load(shapes: &[(&str, &[usize])], input: Option<Shape>) -> Result<Network, ImportError> {
    load_bytes(Path::new("m.safetensors"), &file(shapes), &ImportOptions { input, ..Default::default() })
}

fn load_owned(shapes: &Shapes, options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    load_bytes(Path::new("m.safetensors"), &bytes(shapes), options)
}

fn bytes(shapes: &Shapes) -> Vec<u8> {
    file(&shapes.iter().map(|(name, shape)| (name.as_str(), &shape[..])).collect::<Vec<_>>())
}

/// Tensors that only have shapes.
fn without_values(shapes: &Shapes) -> Tensors<'static> {
    let entries = shapes.iter().map(|(name, shape)| (name.clone(), shape.clone(), Dtype::F32, &[][..]));
    Tensors::from_bytes(entries).unwrap()
}

/// What a file with tensors of these shapes is taken for.
fn recognised(shapes: &Shapes) -> Option<(&'static str, Graph)> {
    let tensors = without_values(shapes);
    let all: Vec<_> = FAMILIES.iter().filter(|f| (f.build)(Some(&tensors), None).is_some()).collect();
    assert!(all.len() <= 1, "more than one family: {all:?}");
    recognise(&tensors, None).map(|(family, graph)| (family.standard, graph))
}

/// Shapes of the tensors that a family's standard member reads.
fn standard_shapes(family: &Family) -> Shapes {
    let graph = standard(family.standard).unwrap();
    let mut shapes = Vec::from([graph.input]);
    let mut tensors: Shapes = Vec::new();
    for node in &graph.nodes {
        let inputs: Vec<Shape> = node.inputs.iter().map(|&value| shapes[value]).collect();
        shapes.push(node.op.output_shape(&inputs).unwrap());
        if node.select.is_none() {
            let params = node.params.iter().enumerate();
            tensors.extend(params.map(|(role, name)| (name.clone(), param_shape(&node.op, inputs[0], role))));
        }
    }
    tensors
}

/// A narrow member: an eighth of the standard one's channels, or a tenth where that divides them.
fn small_shapes(family: &Family) -> Shapes {
    let divisor = if family.standard == "lenet5" { 10 } else { 8 };
    let mut shapes = standard_shapes(family);
    for (_, shape) in &mut shapes {
        for n in shape.iter_mut().take(2).filter(|n| **n > 3) {
            *n = n.div_ceil(divisor);
        }
    }
    shapes
}

/// What a caller must say about a small member of a family.
fn options(family: &Family) -> ImportOptions<'static> {
    let mut options = ImportOptions::default();
    if family.mean_image.is_some() {
        options.preprocess.mean = Some([0.0].into_iter().collect());
    }
    // The columns of a dense layer do not tell the rows of an image.
    if family.standard == "lenet_300_100" {
        options.input = Some(Shape::new(1, 7, 14));
    }
    options
}

/// A description with a line for each node.
fn compact(toml: &str) -> String {
    let section = |text: &str| text.trim().replace("[[node]]\n", "").replace('\n', "; ") + "\n";
    toml.split("\n\n").map(section).collect()
}

#[test]
fn standard_members_are_recognised_again() {
    for family in FAMILIES {
        let graph = standard(family.standard).unwrap();
        let (found, again) = match (family.standard, recognised(&standard_shapes(family))) {
            // Its input is a vector if nothing says otherwise.
            ("lenet_300_100", found) => {
                assert_eq!(found.unwrap().0, "lenet_300_100");
                continue;
            }
            (_, found) => found.unwrap(),
        };
        assert_eq!(found, family.standard);
        assert_eq!(Graph { name: graph.name.clone(), ..again }, graph, "{found}");
    }
}

#[test]
fn small_members_are_as_described() {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/import/known/snapshots");
    for family in FAMILIES {
        let network = load_owned(&small_shapes(family), &options(family)).unwrap();
        let text = compact(&to_toml(&network));
        let expected =
            fs::read_to_string(snapshots.join(family.standard).with_extension("txt")).unwrap_or_default();
        assert_eq!(text, expected, "{} differs; it is now\n{text}", family.standard);
    }
    assert_eq!(fs::read_dir(snapshots).unwrap().count(), FAMILIES.len());
}

#[test]
fn small_members_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let [original, saved] = ["m.safetensors", "saved.safetensors"].map(|name| dir.path().join(name));
    for family in FAMILIES {
        let (shapes, options) = (small_shapes(family), options(family));
        let network = load_owned(&shapes, &options).unwrap();
        save(&network, &saved).unwrap();
        let again = crate::import::load(&saved, &ImportOptions::default()).unwrap();
        assert!(again == network, "{} is not what was saved", family.standard);

        fs::write(&original, bytes(&shapes)).unwrap();
        if options.input.is_none() && family.mean_image.is_none() {
            assert_eq!(draft(&original).unwrap(), to_toml(&network));
        }
        let tensors = read_tensors(&original).unwrap();
        let described = from_toml(&to_toml(&network), &Tensors::from(&tensors[..])).unwrap();
        assert!(described == network, "{} is not what its description says", family.standard);
    }
}

#[test]
fn a_tensor_too_many_or_too_few_is_another_architecture() {
    for family in FAMILIES {
        let shapes = small_shapes(family);
        let mut more = shapes.clone();
        more.push(("extra.scale".into(), Vec::from([7])));
        assert_eq!(recognised(&more), None, "{}", family.standard);
        for missing in shapes.iter().map(|(name, _)| name).filter(|name| !name.ends_with(".bias")) {
            let fewer: Shapes = shapes.iter().filter(|(name, _)| name != missing).cloned().collect();
            assert_eq!(recognised(&fewer), None, "{} without {missing}", family.standard);
        }
    }
}

#[test]
fn sizes_that_do_not_chain_name_family_and_tensor() {
    for family in FAMILIES {
        let mut shapes = small_shapes(family);
        let weight = shapes.iter_mut().rev().find(|(_, shape)| shape.len() > 1).unwrap();
        weight.1[1] += 1;
        let name = weight.0.clone();
        let Err(error @ ImportError::Family { .. }) = load_owned(&shapes, &options(family)) else {
            panic!("{}", family.standard)
        };
        let text = error.to_string();
        for part in [family.name, &format!("`{name}`"), "--graph"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

proptest! {
    /// Sizes of a file that lies, and input shapes that make no sense.
    #[test]
    fn odd_sizes_do_not_panic(
        family in 0..FAMILIES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, odd_size()), 1..4),
        input in prop::option::of([odd_size(), odd_size(), odd_size()]),
    ) {
        let mut shapes = small_shapes(&FAMILIES[family]);
        for (tensor, axis, size) in changes {
            let shape = &mut tensor.get_mut(&mut shapes[..]).1;
            if let Some(n) = shape.get_mut(axis) {
                *n = size as usize;
            }
        }
        let tensors = without_values(&shapes);
        for family in FAMILIES {
            let _ = (family.build)(Some(&tensors), input.map(|[c, h, w]| Shape { c, h, w }));
        }
    }
}

fn odd_size() -> impl Strategy<Value = u32> {
    prop_oneof![0..5u32, any::<u32>(), Just(u32::MAX)]
}

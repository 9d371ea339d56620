//! Compares imported networks, after the passes that `tfc compile` applies and dense f32 in the
//! runtime, with outputs of another engine.
//!
//! `golden MODELS` takes a folder with networks and `golden/NAME.safetensors`, which holds the
//! tensors `input` and `output`. Networks of that name are `NAME`, perhaps with one of [`SUFFIXES`],
//! and an extension of [`EXTENSIONS`]. Exits with status 1 if a network has no file of one of these
//! extensions or an output differs by more than [`TOLERANCE`].

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tfc::encode::{Precision, encode};
use tfc::execute::outputs;
use tfc::passes::{self, Changes};
use tfc_formats::import::{ImportOptions, PreprocessOverrides, load, read_tensors};
use tfc_formats::network::Tensor;

/// Largest difference of an output, relative to the range of all outputs.
const TOLERANCE: f32 = 1e-4;

/// What names of files may have beside the name of the network.
const SUFFIXES: [&str; 3] = ["", "_f16", "_torch_export_unfolded"];

/// Extensions of files; a network is there with each.
const EXTENSIONS: [&str; 2] = ["safetensors", "onnx"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let models = PathBuf::from(std::env::args().nth(1).ok_or("usage: golden MODELS")?);
    let mut goldens: Vec<PathBuf> = std::fs::read_dir(models.join("golden"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    goldens.sort();
    let mut all_agree = !goldens.is_empty();
    for golden in goldens {
        let name = golden.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let files = SUFFIXES.iter().flat_map(|suffix| EXTENSIONS.map(|e| format!("{name}{suffix}.{e}")));
        let files: Vec<String> = files.filter(|file| models.join(file).exists()).collect();
        for extension in EXTENSIONS {
            if !files.iter().any(|file| file.ends_with(&format!(".{extension}"))) {
                println!("{name}: no .{extension} file");
                all_agree = false;
            }
        }
        for file in files {
            let (difference, changes) = difference(&models.join(&file), &golden)?;
            println!("{file}: largest difference {difference:.2e} of the range; {changes}");
            all_agree &= difference <= TOLERANCE;
        }
    }
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Largest difference to the golden outputs, as a share of their range, and what the passes did.
fn difference(model: &Path, golden: &Path) -> Result<(f32, Changes), Box<dyn Error>> {
    // Golden inputs are preprocessed already; a mean that is stated stands in for a mean image.
    let preprocess = PreprocessOverrides { mean: Some(Default::default()), ..Default::default() };
    let network = load(model, &ImportOptions { preprocess, ..Default::default() })?;
    let (network, changes) = passes::run(&network, 1)?;
    let encoded = encode(&network, &vec![Precision::F32; network.tensors.len()])?;

    let tensors = read_tensors(golden)?;
    let tensor = |name: &str| -> Result<&Tensor, String> {
        tensors.iter().find(|t| t.name == name).ok_or_else(|| format!("{}: no `{name}`", golden.display()))
    };
    let (input, expected) = (tensor("input")?, tensor("output")?);
    let samples = input.shape[0];
    let len = input.data.len() / samples;
    let found =
        outputs(&encoded.bytes, samples, |at, to| to.copy_from_slice(&input.data[at * len..][..len]))?;
    let (found, expected) = (found.concat(), &expected.data);
    if found.len() != expected.len() {
        let (model, found, expected) = (model.display(), found.len(), expected.len());
        return Err(format!("{model}: {found} outputs, {expected} expected").into());
    }
    let largest = |values: &mut dyn Iterator<Item = f32>| {
        values.reduce(|a, b| if a.is_nan() || a > b { a } else { b }).unwrap_or(f32::NAN)
    };
    let difference = largest(&mut found.iter().zip(expected).map(|(a, b)| (a - b).abs()));
    let range = largest(&mut expected.iter().copied()) + largest(&mut expected.iter().map(|v| -v));
    Ok((difference / range, changes))
}

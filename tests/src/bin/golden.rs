//! Compares imported networks, dense f32 in the runtime, with outputs of another engine.
//!
//! `golden MODELS` takes a folder with `NAME.safetensors` (or `NAME_f16.safetensors`) and
//! `golden/NAME.safetensors`, which holds the tensors `input` and `output`. Exits with status 1 if
//! a value differs by more than [`TOLERANCE`].

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tfc::encode::{Precision, encode};
use tfc::execute::outputs;
use tfc_formats::import::{ImportOptions, PreprocessOverrides, load, read_tensors};

/// Largest absolute difference of an output.
const TOLERANCE: f32 = 1e-4;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let models = PathBuf::from(std::env::args().nth(1).ok_or("usage: golden MODELS")?);
    let mut files: Vec<PathBuf> = std::fs::read_dir(models.join("golden"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let mut all_agree = !files.is_empty();
    for golden in files {
        let name = golden.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (difference, largest) = difference(&models, &name, &golden)?;
        println!("{name}: largest difference {difference:.2e}, largest output {largest:.2e}");
        all_agree &= difference <= TOLERANCE;
    }
    Ok(if all_agree { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Largest absolute difference to the golden outputs, and the largest of these.
fn difference(models: &Path, name: &str, golden: &Path) -> Result<(f32, f32), Box<dyn Error>> {
    let candidates = [format!("{name}.safetensors"), format!("{name}_f16.safetensors")];
    let model = candidates.iter().map(|file| models.join(file)).find(|path| path.exists());
    let model = model.ok_or_else(|| format!("{}: no such network", models.join(&candidates[0]).display()))?;
    // Golden inputs are preprocessed already; a mean that is stated stands in for a mean image.
    let preprocess = PreprocessOverrides { mean: Some(Default::default()), ..Default::default() };
    let network = load(&model, &ImportOptions { preprocess, ..Default::default() })?;
    let encoded = encode(&network, &vec![Precision::F32; network.tensors.len()])?;

    let tensors = read_tensors(golden)?;
    let tensor = |name: &str| {
        tensors.iter().find(|t| t.name == name).ok_or_else(|| format!("{}: no `{name}`", golden.display()))
    };
    let (input, expected) = (tensor("input")?, tensor("output")?);
    let samples = input.shape[0];
    let len = input.data.len() / samples;
    let found =
        outputs(&encoded.bytes, samples, |at, to| to.copy_from_slice(&input.data[at * len..][..len]))?;
    let found = found.concat();
    if found.len() != expected.data.len() {
        return Err(format!("{name}: {} outputs, {} expected", found.len(), expected.data.len()).into());
    }
    let differences = found.iter().zip(&expected.data).map(|(a, b)| (a - b).abs());
    let difference = differences.reduce(|a, b| if a.is_nan() || a > b { a } else { b }).unwrap_or(f32::NAN);
    Ok((difference, expected.data.iter().fold(0.0, |largest: f32, v| largest.max(v.abs()))))
}

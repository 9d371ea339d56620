//! Trained networks from files. An [ONNX](onnx) model gives graph and tensors. A `.safetensors`
//! file gives the tensors, and the graph comes from the first of
//! 1. a description that the caller names ([`ImportOptions::graph`]; its language: [`graph`]),
//! 2. a description in the file's metadata, key [`GRAPH_KEY`], as [`save`] writes it,
//! 3. the names and shapes of the tensors, for the families in [`known`].
//!
//! A description may use some of a file's tensors and leave others; a known family must account
//! for every tensor, so that a larger network is never taken for a smaller one. A description that
//! the caller names replaces the graph of an ONNX model too.
//!
//! Integer tensors are read only as parts of a sparse one: `NAME.values`, `NAME.indices`,
//! `NAME.indptr` and `NAME.shape` are `NAME.weight` in CSR, expanded when it is read.

mod csr;
mod draft;
mod error;
pub mod graph;
pub mod known;
pub mod onnx;
mod options;
mod safetensors;
mod tensors;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::Path;
use std::string::String;
use std::vec::Vec;

use memmap2::Mmap;

pub use draft::draft;
pub use error::{ImportError, TensorList};
pub use options::{ImportOptions, PreprocessOverrides};
pub use safetensors::GRAPH_KEY;
pub use tensors::{DtypeError, Entry, Layer, Tensors};

use crate::artifact::write_file;
use crate::network::{Network, NetworkError, Tensor};
use graph::{Graph, GraphError};

/// What a file of any format holds.
struct Contents<'a> {
    tensors: Tensors<'a>,
    /// Text of a graph description.
    graph: Option<String>,
}

/// Reads a trained network. What is returned passed [`Network::check`].
pub fn load(path: &Path, options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    load_bytes(path, &map(path)?, options)
}

/// As [`load`], for a file that is in memory. `path` is for messages and gives the network its
/// name.
pub fn load_bytes(path: &Path, bytes: &[u8], options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    if format(path, bytes)? == Format::Onnx {
        let network = onnx::load(path, bytes, options)?;
        let Some(origin) = options.graph else { return Ok(network) };
        let tensors = Tensors::from(&network.tensors[..]);
        let graph = described(origin, &read_text(origin)?, Some(&tensors), options)?;
        return finish(graph, path, Some(&tensors), options).map_err(|e| locate(e, path, origin, None));
    }
    let contents = safetensors::parse(path, bytes)?;
    let tensors = &contents.tensors;
    let origin = options.graph.unwrap_or(path);
    let (graph, family) = if let Some(origin) = options.graph {
        (described(origin, &read_text(origin)?, Some(tensors), options)?, None)
    } else if let Some(text) = &contents.graph {
        (described(path, text, Some(tensors), options)?, None)
    } else if let Some((family, graph)) = known::recognise(tensors, options.input) {
        if let (Some(image), None) = (family.mean_image, &options.preprocess.mean) {
            return Err(mean_image(path, family.name, tensors.get(image)));
        }
        (graph, Some(family.name))
    } else {
        return Err(ImportError::UnknownArchitecture { path: path.into(), tensors: tensors.into() });
    };
    finish(graph, path, Some(tensors), options).map_err(|e| locate(e, path, origin, family))
}

/// A network whose weights are all zero, to be trained from scratch: the standard member of a
/// known family (see [`known::FAMILIES`]) by its name, or else a `graph.toml` by its path, which
/// must then state the sizes that a weight tensor would tell.
pub fn untrained(family_or_path: &str, options: &ImportOptions<'_>) -> Result<Network, ImportError> {
    let path = Path::new(family_or_path);
    let graph = match known::standard(family_or_path) {
        Some(graph) => graph,
        None => described(path, &read_text(path)?, None, options)?,
    };
    finish(graph, path, None, options).map_err(|e| locate(e, path, path, None))
}

/// Writes a network as F32 safetensors with its graph in the metadata, so that [`load`] needs
/// nothing else. The file appears whole or not at all.
pub fn save(network: &Network, path: &Path) -> Result<(), ImportError> {
    network.check().map_err(|error| ImportError::Network { path: path.into(), error: error.into() })?;
    let bytes = safetensors::serialize(path, &network.tensors, graph::to_toml(network))?;
    Ok(write_file(path, &bytes)?)
}

/// All tensors of a file as f32, in natural order of their names.
pub fn read_tensors(path: &Path) -> Result<Vec<Tensor>, ImportError> {
    let bytes = map(path)?;
    if format(path, &bytes)? == Format::Onnx {
        let mut tensors = onnx::load(path, &bytes, &ImportOptions::default())?.tensors;
        tensors.sort_by(|a, b| tensors::natural(&a.name, &b.name));
        return Ok(tensors);
    }
    let contents = safetensors::parse(path, &bytes)?;
    let tensors: Result<_, DtypeError> = contents.tensors.iter().map(Entry::to_tensor).collect();
    tensors.map_err(|error| ImportError::Dtype { path: path.into(), error })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Safetensors,
    Onnx,
}

/// The one place that tells file formats apart.
fn format(path: &Path, bytes: &[u8]) -> Result<Format, ImportError> {
    if safetensors::detect(bytes) {
        Ok(Format::Safetensors)
    } else if onnx::detect(path, bytes) {
        Ok(Format::Onnx)
    } else {
        Err(ImportError::UnknownFormat { path: path.into() })
    }
}

/// The graph of a description in the file `origin`.
fn described(
    origin: &Path,
    text: &str,
    tensors: Option<&Tensors<'_>>,
    options: &ImportOptions<'_>,
) -> Result<Graph, ImportError> {
    Graph::parse(text, tensors, options.input)
        .map_err(|error| ImportError::Graph { path: origin.into(), error: error.into() })
}

/// Applies the options, then takes the tensors.
fn finish(
    mut graph: Graph,
    path: &Path,
    tensors: Option<&Tensors<'_>>,
    options: &ImportOptions<'_>,
) -> Result<Network, GraphError> {
    options.preprocess.apply(&mut graph.preprocess);
    if graph.name.is_empty() {
        graph.name = path.file_stem().map(|s| one_line(&s.to_string_lossy())).unwrap_or_default();
    }
    graph.bind(tensors)
}

/// Names the file that an error is in: `model` for tensors, `graph` for the description.
fn locate(error: GraphError, model: &Path, graph: &Path, family: Option<&'static str>) -> ImportError {
    let path = model.into();
    match (error, family) {
        (GraphError::Dtype(error), _) => ImportError::Dtype { path, error },
        (GraphError::Network(error), Some(family)) if !matches!(error, NetworkError::NotFinite { .. }) => {
            ImportError::Family { path, family, error: error.into() }
        }
        (GraphError::Network(error), _) => ImportError::Network { path, error: error.into() },
        (error, _) => ImportError::Graph { path: graph.into(), error: error.into() },
    }
}

/// The error about a mean image, with the means of its channels if the file has it.
fn mean_image(path: &Path, family: &'static str, image: Option<&Entry<'_>>) -> ImportError {
    let path = path.into();
    let tensor = match image.map(Entry::to_tensor) {
        Some(Err(error)) => return ImportError::Dtype { path, error },
        Some(Ok(tensor)) => Some(tensor),
        None => None,
    };
    let channels = tensor.as_ref().and_then(|t| t.shape.first().copied()).filter(|&c| c != 0);
    let means = match (tensor, channels) {
        (Some(t), Some(channels)) => {
            let plane = (t.data.len() / channels).max(1);
            t.data.chunks_exact(plane).map(|p| p.iter().sum::<f32>() / plane as f32).collect()
        }
        _ => Vec::new(),
    };
    ImportError::MeanImage { path, family, means }
}

fn read_text(path: &Path) -> Result<String, ImportError> {
    regular(path)?;
    fs::read_to_string(path).map_err(|source| ImportError::Read { path: path.into(), source })
}

#[allow(unsafe_code)]
fn map(path: &Path) -> Result<Mmap, ImportError> {
    regular(path)?;
    let read = |source| ImportError::Read { path: path.into(), source };
    let file = File::open(path).map_err(read)?;
    // SAFETY: the map is private to this process and read-only. Were another process to change
    // the file meanwhile, values would differ, which no code here relies on (bounds come from the
    // map's length and from a header that is parsed once into memory of its own); were it to cut
    // the file short, the process would end with SIGBUS, as every program that maps files would.
    unsafe { Mmap::map(&file) }.map_err(read)
}

/// Opening a pipe would hang and a device never ends.
fn regular(path: &Path) -> Result<(), ImportError> {
    match fs::metadata(path) {
        Ok(m) if m.is_file() => Ok(()),
        Ok(_) => Err(ImportError::NotAFile { path: path.into() }),
        Err(source) => Err(ImportError::Read { path: path.into(), source }),
    }
}

/// Names go to terminals and into files of lines: no control characters.
fn is_printable(name: &str) -> bool {
    !name.chars().any(char::is_control)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

//! Inputs that a user hands over one file at a time: NPY arrays, PNG and JPEG images.

use std::borrow::ToOwned;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec;
use std::vec::Vec;

use thiserror::Error;

use super::file;
use super::npy::{self, Npy, NpyError};
use super::picture::{self, deinterleave};
use super::samples::{apply, elements};
use crate::op::Shape;
use crate::preprocess::{Layout, Preprocess, Resize};

/// Why an input could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The operating system could not read the file.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: std::io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("{file}: is not a regular file")]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// More bytes than are read of such a file.
    #[error("{file}: has {bytes} bytes; at most {most} are read of such a file")]
    TooLong {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
        /// Most that is read.
        most: u64,
    },
    /// The first bytes are those of no supported format.
    #[error("{file}: is neither an NPY array nor a PNG or JPEG image")]
    Format {
        /// The file.
        file: PathBuf,
    },
    /// The first bytes are those of no supported image.
    #[error("{file}: is neither a PNG nor a JPEG image")]
    NoImage {
        /// The file.
        file: PathBuf,
    },
    /// The array is damaged.
    #[error("{file}: {error}")]
    Npy {
        /// The file.
        file: PathBuf,
        /// The reason.
        error: NpyError,
    },
    /// The image is damaged or too large.
    #[error("{file}: {reason}")]
    Image {
        /// The file.
        file: PathBuf,
        /// What the decoder said, or what the size is.
        reason: String,
    },
    /// The array does not hold samples of the network's shape.
    #[error("{file}: array of shape {found:?} does not fit the network, which takes {expected}")]
    ArrayShape {
        /// The file.
        file: PathBuf,
        /// Extents of the array.
        found: Vec<usize>,
        /// Forms that fit.
        expected: String,
    },
    /// The image has another size than the network's input, or is smaller after it was resized.
    #[error(
        "{file}: image is {width} wide and {height} high{}, which does not fit the network's input {expected} (channels x rows x columns){}",
        match .resize { Resize::Refuse => String::new(), resize => std::format!(" before --resize {resize}") },
        match .resize { Resize::Refuse => "; resize it, or compile the network with --resize", _ => "" }
    )]
    ImageSize {
        /// The file.
        file: PathBuf,
        /// Columns of the image.
        width: u32,
        /// Rows of the image.
        height: u32,
        /// What was done about that.
        resize: Resize,
        /// Input of the network.
        expected: Shape,
    },
    /// The array holds NaN or infinity.
    #[error("{file}: holds {value} at index {index}; all inputs must be finite f32")]
    NotFinite {
        /// The file.
        file: PathBuf,
        /// Position of the first such value.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// Reads the inputs in one file, ready for a network that takes `shape`: f32 in C, H, W order.
/// The first bytes tell the format, not the name.
///
/// **Images** (PNG, JPEG) are one sample. [`Preprocess::resize`] says what becomes of one that has not
/// the network's rows and columns; resizing is bilinear with antialiasing. Images are taken as grey for one
/// channel (`0.2126 R + 0.7152 G + 0.0722 B`, the weights of Rec. 709) and as red, green, blue for three;
/// transparency is dropped. A network that takes a vector of `n` gets a grey image of `n` pixels or a colour image of `n / 3`.
/// Data sets of images go through the same code.
///
/// **Arrays** (NPY) are one sample or several along a first axis. A sample is `[C, H, W]`, where
/// extents of 1 may be left out or added, or flat, `[C * H * W]`; for a vector, anything with as
/// many elements.
/// Arrays of integers are raw values and are preprocessed; with [`Layout::Hwc`] a sample is
/// `[H, W, C]`. Arrays of floats are the network's input already and are taken as they are,
/// always in C, H, W order.
pub fn read_input(path: &Path, shape: Shape, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>, InputError> {
    let name = || path.to_owned();
    let bytes = file::read(path, file::MAX_FILE)?;
    if bytes.starts_with(npy::MAGIC) {
        let array = npy::read(&bytes).map_err(|error| InputError::Npy { file: name(), error })?;
        return from_array(path, array, shape, preprocess);
    }
    let format = picture::detect(&bytes).ok_or_else(|| InputError::Format { file: name() })?;
    let picture = picture::decode(path, &bytes, format, Some((shape, preprocess.resize)))?;
    let mut input = vec![0.0; picture.data.len()];
    apply(preprocess, picture.shape, &picture.data, &mut input);
    Ok(vec![input])
}

fn from_array(
    path: &Path,
    array: Npy,
    shape: Shape,
    preprocess: &Preprocess,
) -> Result<Vec<Vec<f32>>, InputError> {
    let [c, h, w] = [shape.c, shape.h, shape.w].map(|n| n as usize);
    let interleaved = array.integer && preprocess.layout == Layout::Hwc && !shape.is_vector();
    let sample = if interleaved { [h, w, c] } else { [c, h, w] };
    let size = elements(shape);
    if !fits(&array.shape, &sample, shape) || array.values.is_empty() {
        let expected = if shape.is_vector() {
            std::format!("[{c}] or [N, {c}]")
        } else {
            std::format!("{sample:?} or [N, {}, {}, {}]", sample[0], sample[1], sample[2])
        };
        return Err(InputError::ArrayShape { file: path.to_owned(), found: array.shape, expected });
    }
    if let Some(index) = array.values.iter().position(|v| !v.is_finite()) {
        return Err(InputError::NotFinite { file: path.to_owned(), index, value: array.values[index] });
    }
    let samples = array.values.chunks_exact(size);
    if !array.integer {
        return Ok(samples.map(<[f32]>::to_vec).collect());
    }
    let mut planes = vec![0.0; size];
    let preprocessed = samples.map(|raw| {
        let mut input = vec![0.0; size];
        if interleaved {
            deinterleave(raw, c, &mut planes);
            apply(preprocess, shape, &planes, &mut input);
        } else {
            apply(preprocess, shape, raw, &mut input);
        }
        input
    });
    Ok(preprocessed.collect())
}

/// Whether an array is one `sample` or several along its first axis.
fn fits(array: &[usize], sample: &[usize; 3], shape: Shape) -> bool {
    let size = elements(shape);
    let same = |extents: &[usize]| {
        let product = extents.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let form = |e: &[usize]| e.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        product == Some(size) && (shape.is_vector() || extents.len() == 1 || form(extents) == form(sample))
    };
    same(array) || array.split_first().is_some_and(|(_, rest)| same(rest))
}

#[cfg(test)]
mod tests;

//! Samples without labels in one file: an NPY array of integers, or IDX images.

use std::borrow::ToOwned;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::vec;
use std::vec::Vec;

use super::file;
use super::idx;
use super::npy;
use super::picture::deinterleave;
use super::{Dataset, DatasetError, Format, LoadOptions, Samples};
use crate::op::Shape;
use crate::preprocess::Layout;

pub(super) const FORMAT: Format = Format {
    usage: "an .npy array of bytes [N, C, H, W] or a file of IDX images, which have no labels",
    recognises: |spec| kind(Path::new(spec)).is_some(),
    load,
};

/// Most bytes of a file of an array, which is read whole.
const MAX_ARRAY: u64 = 1 << 32;

enum Kind {
    Npy,
    Idx,
}

/// What the first bytes of a file say.
fn kind(path: &Path) -> Option<Kind> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut start = Vec::new();
    File::open(path).ok()?.take(npy::MAGIC.len() as u64).read_to_end(&mut start).ok()?;
    match start.as_slice() {
        npy::MAGIC => Some(Kind::Npy),
        [0, 0, 8, 3 | 4, ..] | [0x1f, 0x8b, ..] => Some(Kind::Idx),
        _ => None,
    }
}

fn load(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    options.refuse_table(spec)?;
    let path = Path::new(spec);
    let (shape, data) = match kind(path) {
        Some(Kind::Idx) => idx::images(path)?,
        Some(Kind::Npy) => array(path, options)?,
        None => return Err(super::unknown(spec)),
    };
    let samples = |data| Samples { shape, classes: 0, data, labels: Vec::new() };
    Ok(Dataset {
        name: spec.to_owned(),
        class_names: Vec::new(),
        train: samples(data),
        test: samples(Vec::new()),
    })
}

/// Axes are `[N, C, H, W]` or, where the network's preprocessing says so, `[N, H, W, C]`; `[N, H, W]`
/// are grey images and `[N, L]` vectors.
fn array(path: &Path, options: &LoadOptions<'_>) -> Result<(Shape, Vec<u8>), DatasetError> {
    let file = || path.to_owned();
    let damaged = |error| DatasetError::Npy { file: file(), error };
    let mut bytes = file::read(path, MAX_ARRAY)?;
    let (dims, mut data) = match npy::plain_bytes(&bytes).map_err(damaged)? {
        Some(npy::PlainBytes { shape, values }) => {
            let start = bytes.len() - values.len();
            bytes.drain(..start);
            (shape, bytes)
        }
        None => {
            let array = npy::read(&bytes).map_err(damaged)?;
            drop(bytes);
            let is_byte = |v: &f32| array.integer && (0.0..=255.0).contains(v);
            if let Some(index) = array.values.iter().position(|v| !is_byte(v)) {
                let value = array.values[index];
                return Err(DatasetError::NotBytes { file: file(), index, value, integer: array.integer });
            }
            (array.shape, array.values.into_iter().map(|v| v as u8).collect())
        }
    };
    let interleaved = options.fit.is_some_and(|(_, preprocess)| preprocess.layout == Layout::Hwc);
    let shape = match dims[..] {
        [_, l] => idx::shape(l, 1, 1),
        [_, h, w] => idx::shape(1, h, w),
        [_, h, w, c] if interleaved => idx::shape(c, h, w),
        [_, c, h, w] => idx::shape(c, h, w),
        _ => {
            let expected = "2 (N, L), 3 (N, H, W) or 4 (N, C, H, W)";
            return Err(DatasetError::Rank { file: file(), found: dims.len(), expected });
        }
    };
    let shape = shape.ok_or_else(|| DatasetError::TooLarge { file: file(), dims: dims.clone() })?;
    if data.is_empty() {
        return Err(DatasetError::Empty { file: file(), dims });
    }
    if interleaved && dims.len() == 4 {
        let size = super::samples::elements(shape);
        let mut planes = vec![0; size];
        for sample in data.chunks_exact_mut(size) {
            deinterleave(sample, shape.c as usize, &mut planes);
            sample.copy_from_slice(&planes);
        }
    }
    Ok((shape, data))
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::super::idx::tests::{gz, idx};
    use super::*;
    use crate::dataset::{load, load_with};
    use crate::preprocess::Preprocess;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        file
    }

    fn bytes_array(shape: &str, data: &[u8]) -> Vec<u8> {
        let dict = std::format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = npy::MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn samples(bytes: &[u8]) -> Result<Samples, DatasetError> {
        let dataset = load(file(bytes).path().to_str().unwrap())?;
        assert!(dataset.test.is_empty() && !dataset.test.is_labelled());
        assert!(!dataset.train.is_labelled());
        dataset.train.check().unwrap();
        Ok(dataset.train)
    }

    #[test]
    fn idx_images_alone_have_no_labels() {
        let images = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        for bytes in [gz(&images), images] {
            let samples = samples(&bytes).unwrap();
            assert_eq!((samples.shape, samples.len()), (Shape::new(1, 1, 3), 2));
            assert_eq!(samples.sample(1), [4, 5, 6]);
        }
        assert!(matches!(samples(&idx(&[2, 1, 3], &[1])), Err(DatasetError::Truncated { .. })));
        assert!(matches!(samples(&gz(&idx(&[3], &[1, 2, 3]))), Err(DatasetError::Rank { found: 1, .. })));
    }

    #[test]
    fn arrays_of_bytes() {
        let data = [0, 1, 2, 3, 4, 255];
        for (extents, shape, len) in [
            ("(1, 3, 1, 2)", Shape::new(3, 1, 2), 1),
            ("(3, 1, 2)", Shape::new(1, 1, 2), 3),
            ("(2, 3)", Shape::vector(3), 2),
        ] {
            let samples = samples(&bytes_array(extents, &data)).unwrap();
            assert_eq!(
                (samples.shape, samples.len(), &samples.data[..]),
                (shape, len, &data[..]),
                "{extents}"
            );
        }
        let preprocess = Preprocess { layout: Layout::Hwc, ..Preprocess::default() };
        let options = LoadOptions { fit: Some((Shape::new(3, 1, 2), &preprocess)), ..LoadOptions::default() };
        let file = file(&bytes_array("(1, 1, 2, 3)", &data));
        let samples = load_with(file.path().to_str().unwrap(), &options).unwrap().train;
        assert_eq!((samples.shape, &samples.data[..]), (Shape::new(3, 1, 2), &[0, 3, 1, 4, 2, 255][..]));
    }

    #[test]
    fn arrays_of_something_else() {
        let error = samples(&npy::encode(&[1, 2], &[0.0, 1.0])).unwrap_err();
        assert!(matches!(error, DatasetError::NotBytes { index: 0, integer: false, .. }));
        assert!(error.to_string().contains("floats"), "{error}");
        assert!(matches!(samples(&bytes_array("(6,)", &[0; 6])), Err(DatasetError::Rank { found: 1, .. })));
        assert!(matches!(samples(&bytes_array("(0, 3)", &[])), Err(DatasetError::Empty { .. })));
        assert!(matches!(samples(&bytes_array("(2, 3)", &[0; 5])), Err(DatasetError::Npy { .. })));
    }
}

//! Inputs that a user hands over one file at a time: NPY arrays, PNG and JPEG images.

use std::borrow::ToOwned;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use super::npy::{self, Npy, NpyError};
use super::samples::{apply, elements};
use crate::op::Shape;
use crate::preprocess::{Layout, Preprocess};

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
    /// The first bytes are those of no supported format.
    #[error("{file}: is neither an NPY array nor a PNG or JPEG image")]
    Format {
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
    /// The image is damaged.
    #[error("{file}: {reason}")]
    Image {
        /// The file.
        file: PathBuf,
        /// What the decoder said.
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
    /// The image has another size than the network's input.
    #[error(
        "{file}: image is {width} wide and {height} high, which does not fit the network's input {expected} (channels x rows x columns); resize it"
    )]
    ImageSize {
        /// The file.
        file: PathBuf,
        /// Columns of the image.
        width: u32,
        /// Rows of the image.
        height: u32,
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
/// **Images** (PNG, JPEG) are one sample. They must have the network's rows and columns; they are
/// taken as grey for one channel and as red, green, blue for three, without transparency. A
/// network that takes a vector of `n` gets a grey image of `n` pixels or a colour image of `n / 3`.
///
/// **Arrays** (NPY) are one sample or several along a first axis. A sample is `[C, H, W]`, where
/// extents of 1 may be left out or added, or flat, `[C * H * W]`; for a vector, anything with as
/// many elements.
/// Arrays of integers are raw values and are preprocessed; with [`Layout::Hwc`] a sample is
/// `[H, W, C]`. Arrays of floats are the network's input already and are taken as they are,
/// always in C, H, W order.
pub fn read_input(path: &Path, shape: Shape, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>, InputError> {
    let file = || path.to_owned();
    let io = |error| InputError::Io { file: file(), error };
    // Opening a pipe would hang and a device never ends.
    if !fs::metadata(path).map_err(io)?.is_file() {
        return Err(InputError::NotAFile { file: file() });
    }
    let bytes = fs::read(path).map_err(io)?;
    if bytes.starts_with(npy::MAGIC) {
        let array = npy::read(&bytes).map_err(|error| InputError::Npy { file: file(), error })?;
        return from_array(path, array, shape, preprocess);
    }
    match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => {
            Ok(vec![from_image(path, &bytes, format, shape, preprocess)?])
        }
        _ => Err(InputError::Format { file: file() }),
    }
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

/// `[H, W, C]` to `[C, H, W]`.
fn deinterleave(pixels: &[f32], channels: usize, planes: &mut [f32]) {
    let plane = pixels.len() / channels;
    for (c, plane) in planes.chunks_exact_mut(plane).enumerate() {
        for (to, from) in plane.iter_mut().zip(pixels.iter().skip(c).step_by(channels)) {
            *to = *from;
        }
    }
}

fn from_image(
    path: &Path,
    bytes: &[u8],
    format: ImageFormat,
    shape: Shape,
    preprocess: &Preprocess,
) -> Result<Vec<f32>, InputError> {
    let damaged = |error: image::ImageError| InputError::Image {
        file: path.to_owned(),
        // Some decoders report over several lines.
        reason: error.to_string().replace('\n', " "),
    };
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    let colours = [1, 3].into_iter().find(|&colours| {
        let image = Shape::new(colours, height, width);
        image == shape || (shape.is_vector() && image.elements() == Some(shape.c))
    });
    let Some(colours) = colours else {
        return Err(InputError::ImageSize { file: path.to_owned(), width, height, expected: shape });
    };

    // The size is known to be right: 16 bytes a pixel and a fixed part for the decoder's tables.
    let mut limits = Limits::default();
    limits.max_image_width = Some(width);
    limits.max_image_height = Some(height);
    limits.max_alloc = Some((16 << 20) + 16 * u64::from(width) * u64::from(height));
    let mut reader = reader();
    reader.limits(limits);
    let image = reader.decode().map_err(damaged)?;
    let pixels = grey_or_rgb(&image, colours);

    let mut planes = vec![0.0; pixels.len()];
    deinterleave(&pixels, colours as usize, &mut planes);
    let mut input = vec![0.0; planes.len()];
    apply(preprocess, Shape::new(colours, height, width), &planes, &mut input);
    Ok(input)
}

/// Channels interleaved, from 0 to 255.
fn grey_or_rgb(image: &DynamicImage, colours: u32) -> Vec<f32> {
    let bytes = if colours == 1 { image.to_luma8().into_raw() } else { image.to_rgb8().into_raw() };
    bytes.into_iter().map(f32::from).collect()
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba};
    use npyz::WriterBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::preprocess::ChannelOrder;

    fn read_bytes(bytes: &[u8], shape: Shape, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>, InputError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        read_input(file.path(), shape, preprocess)
    }

    fn raw_npy(shape: &[u64], values: Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn encoded<P: image::PixelWithColorType<Subpixel = S>, S: image::Primitive>(
        image: &ImageBuffer<P, Vec<S>>,
        format: ImageFormat,
    ) -> Vec<u8>
    where
        [S]: image::EncodableLayout,
    {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn half() -> Preprocess {
        Preprocess { scale: 0.5, ..Preprocess::default() }
    }

    #[test]
    fn floats_are_the_input_already_and_integers_are_raw() {
        let shape = Shape::new(1, 1, 3);
        let floats = npy::encode(&[1, 1, 3], &[1.0, 2.0, 3.0]);
        assert_eq!(read_bytes(&floats, shape, &half()).unwrap(), [[1.0, 2.0, 3.0]]);
        let integers = raw_npy(&[1, 1, 3], vec![1, 2, 3]);
        assert_eq!(read_bytes(&integers, shape, &half()).unwrap(), [[0.5, 1.0, 1.5]]);
    }

    #[test]
    fn arrays_of_every_form_that_fits() {
        let grey = Shape::new(1, 2, 3);
        let vector = Shape::vector(6);
        for (extents, shape, samples) in [
            (&[1, 2, 3][..], grey, 1),
            (&[2, 3], grey, 1),
            (&[6], grey, 1),
            (&[2, 1, 2, 3], grey, 2),
            (&[2, 2, 3], grey, 2),
            (&[2, 6], grey, 2),
            (&[6], vector, 1),
            (&[2, 3], vector, 1),
            (&[4, 6], vector, 4),
            (&[4, 2, 3], vector, 4),
            (&[3], Shape::vector(1), 3),
        ] {
            let n: usize = extents.iter().product();
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let inputs = read_bytes(&npy::encode(extents, &values), shape, &half()).unwrap();
            assert_eq!(inputs.len(), samples, "{extents:?}");
            assert_eq!(inputs.concat(), values);
        }
    }

    #[test]
    fn arrays_that_do_not_fit_are_told_what_does() {
        for extents in [&[3, 2][..], &[2, 3, 1, 2], &[7], &[0], &[0, 2, 3], &[2, 2, 2, 3], &[]] {
            let n: usize = extents.iter().product();
            let error =
                read_bytes(&npy::encode(extents, &vec![0.0; n]), Shape::new(1, 2, 3), &half()).unwrap_err();
            match error {
                InputError::ArrayShape { found, expected, .. } => {
                    assert_eq!((&found[..], &expected[..]), (extents, "[1, 2, 3] or [N, 1, 2, 3]"));
                }
                other => panic!("{extents:?}: {other}"),
            }
        }
    }

    #[test]
    fn interleaved_raw_arrays_become_planes() {
        let shape = Shape::new(3, 1, 2);
        let preprocess = Preprocess { layout: Layout::Hwc, ..Preprocess::identity() };
        let bytes = raw_npy(&[2, 1, 2, 3], (0..12).collect());
        let inputs = read_bytes(&bytes, shape, &preprocess).unwrap();
        assert_eq!(inputs, [[0.0, 3.0, 1.0, 4.0, 2.0, 5.0], [6.0, 9.0, 7.0, 10.0, 8.0, 11.0]]);
        // In C, H, W order it does not fit any more, but floats do.
        let planes = raw_npy(&[3, 1, 2], (0..6).collect());
        assert!(matches!(read_bytes(&planes, shape, &preprocess), Err(InputError::ArrayShape { .. })));
        let floats = npy::encode(&[3, 1, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(read_bytes(&floats, shape, &preprocess).unwrap(), [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]);
    }

    #[test]
    fn values_that_are_not_finite_are_found() {
        let bytes = npy::encode(&[3], &[0.0, f32::INFINITY, f32::NAN]);
        let error = read_bytes(&bytes, Shape::vector(3), &half()).unwrap_err();
        assert!(matches!(error, InputError::NotFinite { index: 1, value: f32::INFINITY, .. }));
    }

    #[test]
    fn images_become_planes_of_the_right_colours() {
        let grey = encoded(&GrayImage::from_fn(3, 2, |x, y| Luma([(10 * y + x) as u8])), ImageFormat::Png);
        let expected = [[0.0, 1.0, 2.0, 10.0, 11.0, 12.0]];
        let identity = Preprocess::identity();
        assert_eq!(read_bytes(&grey, Shape::new(1, 2, 3), &identity).unwrap(), expected);
        assert_eq!(read_bytes(&grey, Shape::vector(6), &identity).unwrap(), expected);

        let rgb = encoded(&RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 10, 20])), ImageFormat::Png);
        let planes = [[0.0, 1.0, 10.0, 10.0, 20.0, 20.0]];
        assert_eq!(read_bytes(&rgb, Shape::new(3, 1, 2), &identity).unwrap(), planes);
        assert_eq!(read_bytes(&rgb, Shape::vector(6), &identity).unwrap(), planes);
        let bgr = Preprocess { order: ChannelOrder::Bgr, ..half() };
        let reversed = [[10.0, 10.0, 5.0, 5.0, 0.0, 0.5]];
        assert_eq!(read_bytes(&rgb, Shape::new(3, 1, 2), &bgr).unwrap(), reversed);

        // Transparency is dropped; sixteen bits become eight.
        let rgba = encoded(&ImageBuffer::from_pixel(1, 1, Rgba([1u8, 2, 3, 4])), ImageFormat::Png);
        assert_eq!(read_bytes(&rgba, Shape::new(3, 1, 1), &identity).unwrap(), [[1.0, 2.0, 3.0]]);
        let deep = encoded(&ImageBuffer::from_pixel(1, 1, Luma([257u16 * 9])), ImageFormat::Png);
        assert_eq!(read_bytes(&deep, Shape::new(1, 1, 1), &identity).unwrap(), [[9.0]]);

        let jpeg = encoded(&GrayImage::from_pixel(8, 8, Luma([128])), ImageFormat::Jpeg);
        assert_eq!(read_bytes(&jpeg, Shape::new(1, 8, 8), &identity).unwrap(), [[128.0; 64]]);
    }

    #[test]
    fn images_of_another_size_state_both() {
        let png = encoded(&GrayImage::new(3, 2), ImageFormat::Png);
        for expected in [Shape::new(1, 3, 2), Shape::new(4, 2, 3), Shape::vector(7)] {
            match read_bytes(&png, expected, &half()).unwrap_err() {
                InputError::ImageSize { width: 3, height: 2, expected: e, .. } => assert_eq!(e, expected),
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn damaged_and_unknown_files() {
        let shape = Shape::new(1, 2, 3);
        let png = encoded(&GrayImage::new(3, 2), ImageFormat::Png);
        // The last chunk has no data of the image.
        for len in 8..png.len() - 12 {
            let result = read_bytes(&png[..len], shape, &half());
            assert!(matches!(result, Err(InputError::Image { .. })), "{len}: {result:?}");
        }
        assert!(matches!(read_bytes(b"GIF89a", shape, &half()), Err(InputError::Format { .. })));
        assert!(matches!(read_bytes(b"", shape, &half()), Err(InputError::Format { .. })));
        let npy = read_bytes(b"\x93NUMPY", shape, &half()).unwrap_err();
        assert!(matches!(npy, InputError::Npy { error: NpyError::Header, .. }));
        let missing = read_input(Path::new("no such file"), shape, &half()).unwrap_err();
        assert!(matches!(missing, InputError::Io { .. }));
    }

    proptest! {
        #[test]
        fn damaged_images_do_no_harm(jpeg: bool, cut in 0usize..60, flips in proptest::collection::vec(0usize..4000, 1..4)) {
            let image = RgbImage::from_fn(8, 8, |x, y| Rgb([x as u8, y as u8, 9]));
            let mut bytes = encoded(&image, if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png });
            for flip in flips {
                if let Some(byte) = bytes.get_mut(flip / 8) {
                    *byte ^= 1 << (flip % 8);
                }
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(inputs) = read_bytes(&bytes, Shape::new(3, 8, 8), &half()) {
                prop_assert_eq!(inputs[0].len(), 192);
            }
        }
    }
}

//! Pictures: from a PNG or JPEG file to planes of the network's size.

use std::borrow::ToOwned;
use std::format;
use std::io::Cursor;
use std::path::Path;
use std::string::{String, ToString};
use std::sync::{Mutex, PoisonError};
use std::vec;
use std::vec::Vec;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use super::file;
use super::sample::InputError;
use crate::op::Shape;
use crate::preprocess::Resize;

/// Most pixels of a picture.
const MAX_PIXELS: u64 = 1 << 25;

/// Pictures with more pixels are decoded one at a time: all cores at once would fill the memory.
const MANY_PIXELS: u64 = 1 << 22;

static LARGE: Mutex<()> = Mutex::new(());

/// What a picture has to become: the network's input, and how.
pub(super) type Target = (Shape, Resize);

/// Red, green and blue, or grey, planes of bytes.
pub(super) struct Picture {
    /// Extents of the planes.
    pub(super) shape: Shape,
    /// The planes one after the other.
    pub(super) data: Vec<u8>,
}

/// Whether these are the first bytes of a picture, and of which kind.
pub(super) fn detect(bytes: &[u8]) -> Option<ImageFormat> {
    image::guess_format(bytes).ok().filter(|f| matches!(f, ImageFormat::Png | ImageFormat::Jpeg))
}

/// Reads the picture in a file; without a target it is taken as it is.
pub(super) fn read(path: &Path, target: Option<Target>) -> Result<Picture, InputError> {
    let bytes = file::read(path, file::MAX_FILE)?;
    let format = detect(&bytes).ok_or_else(|| InputError::NoImage { file: path.to_owned() })?;
    decode(path, &bytes, format, target)
}

/// Decodes a picture, resizes it as [`Resize`] says, and takes the centre. `path` is for messages.
pub(super) fn decode(
    path: &Path,
    bytes: &[u8],
    format: ImageFormat,
    target: Option<Target>,
) -> Result<Picture, InputError> {
    // Some decoders report over several lines.
    let damaged = |error: image::ImageError| fault(path, error.to_string().replace('\n', " "));
    let reader = || ImageReader::with_format(Cursor::new(bytes), format);
    let (width, height) = reader().into_dimensions().map_err(damaged)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(fault(
            path,
            format!("is {width} wide and {height} high; 1 to {MAX_PIXELS} pixels are read"),
        ));
    }
    let place = match target {
        Some(target) => Some(Place::new(path, (width, height), target)?),
        None => None,
    };

    // The size is known: 16 bytes a pixel and a fixed part for the decoder's tables.
    let mut limits = Limits::default();
    limits.max_image_width = Some(width);
    limits.max_image_height = Some(height);
    limits.max_alloc = Some((16 << 20) + 16 * pixels);
    let _alone = (pixels > MANY_PIXELS).then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    let mut reader = reader();
    reader.limits(limits);
    let image = reader.decode().map_err(damaged)?;
    let place = place.unwrap_or_else(|| {
        let colours = if image.color().has_color() { 3 } else { 1 };
        Place { resized: (width, height), shape: Shape::new(colours, height, width) }
    });
    Ok(place.cut(image))
}

fn fault(path: &Path, reason: String) -> InputError {
    InputError::Image { file: path.to_owned(), reason }
}

/// Where a picture goes.
struct Place {
    /// Columns and rows that it is resized to.
    resized: (u32, u32),
    /// What is cut from the middle of that: rows above and columns to the left are rounded down.
    shape: Shape,
}

impl Place {
    fn new(path: &Path, (width, height): (u32, u32), (input, resize): Target) -> Result<Self, InputError> {
        let short = u64::from(width.min(height));
        let (w, h) = match resize {
            Resize::Refuse | Resize::Crop => (u64::from(width), u64::from(height)),
            // The longer side is rounded down, as torchvision does.
            Resize::Shorter(side) => [width, height].map(|n| u64::from(n) * u64::from(side) / short).into(),
            Resize::Exact([rows, columns]) => (u64::from(columns), u64::from(rows)),
        };
        // Rows are resized before columns.
        if w * h > MAX_PIXELS || u64::from(width) * h > MAX_PIXELS {
            let reason =
                format!("is {width} wide and {height} high, which --resize {resize} makes too large");
            return Err(fault(path, reason));
        }
        let resized = Shape::new(1, h as u32, w as u32);
        let fits = |shape: Shape| match resize {
            Resize::Refuse => (shape.h, shape.w) == (resized.h, resized.w),
            _ => shape.h <= resized.h && shape.w <= resized.w,
        };
        let shape = [1, 3].into_iter().find_map(|c| {
            let whole = Shape { c, ..resized };
            if input.is_vector() {
                return (whole.elements() == Some(input.c)).then_some(whole);
            }
            (input.c == c && fits(input)).then_some(input)
        });
        match shape {
            Some(shape) => Ok(Self { resized: (resized.w, resized.h), shape }),
            None => {
                let file = path.to_owned();
                Err(InputError::ImageSize { file, width, height, resize, expected: input })
            }
        }
    }

    fn cut(&self, image: DynamicImage) -> Picture {
        // Grey by the weights of Rec. 709: 0.2126 R + 0.7152 G + 0.0722 B.
        let pixels = if self.shape.c == 1 {
            middle(image.into_luma8(), self)
        } else {
            middle(image.into_rgb8(), self)
        };
        let mut data = vec![0; pixels.len()];
        deinterleave(&pixels, self.shape.c as usize, &mut data);
        Picture { shape: self.shape, data }
    }
}

/// Resizes with a triangle that widens as the image shrinks (bilinear with antialiasing, as Pillow
/// and torchvision do), and cuts out the middle, whose first row and column are rounded down
/// (torchvision's `CenterCrop` rounds them to the nearest, half to even). Channels stay interleaved.
fn middle<P>(image: image::ImageBuffer<P, Vec<u8>>, to: &Place) -> Vec<u8>
where
    P: image::Pixel<Subpixel = u8> + 'static,
{
    let (width, height) = to.resized;
    let image = match image.dimensions() {
        same if same == to.resized => image,
        _ => imageops::resize(&image, width, height, FilterType::Triangle),
    };
    let Shape { h, w, .. } = to.shape;
    if (w, h) == to.resized {
        return image.into_raw();
    }
    imageops::crop_imm(&image, (width - w) / 2, (height - h) / 2, w, h).to_image().into_raw()
}

/// `[H, W, C]` to `[C, H, W]`.
pub(super) fn deinterleave<T: Copy>(pixels: &[T], channels: usize, planes: &mut [T]) {
    let plane = (pixels.len() / channels).max(1);
    for (c, plane) in planes.chunks_exact_mut(plane).enumerate() {
        for (to, from) in plane.iter_mut().zip(pixels.iter().skip(c).step_by(channels)) {
            *to = *from;
        }
    }
}

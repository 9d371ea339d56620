use std::fs;
use std::io::Cursor;

use image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba};
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

//! Folders of IDX files, as MNIST and its relatives are distributed.

use std::borrow::ToOwned;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use super::{Idx, read};
use crate::dataset::samples::elements;
use crate::dataset::{Dataset, DatasetError, Format, LoadOptions, Samples};
use crate::op::Shape;

pub(in crate::dataset) const FORMAT: Format = Format {
    usage: "a folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each raw or .gz",
    recognises: |spec| find(Path::new(spec)).is_ok_and(|found| !found.is_empty()),
    load,
};

/// One of the files of a data set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    test: bool,
    labels: bool,
    zipped: bool,
    name: String,
}

/// What a file is for, from names such as `train-images-idx3-ubyte`,
/// `emnist-letters-test-labels-idx1-ubyte.gz` or `t10k-images.idx3-ubyte`.
fn entry(name: &str) -> Option<Entry> {
    let stem = name.strip_suffix(".gz").unwrap_or(name);
    let stem = stem.strip_suffix("-ubyte")?.strip_suffix(|c: char| c.is_ascii_digit())?;
    let stem = stem.strip_suffix("-idx").or(stem.strip_suffix(".idx"))?;
    let (stem, labels) = match stem.strip_suffix("-labels") {
        Some(stem) => (stem, true),
        None => (stem.strip_suffix("-images")?, false),
    };
    let test = match stem.rsplit('-').next() {
        Some("train") => false,
        Some("t10k" | "test") => true,
        _ => return None,
    };
    Some(Entry { test, labels, zipped: name.ends_with(".gz"), name: name.to_owned() })
}

/// IDX files of a folder, sorted.
fn find(folder: &Path) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder)? {
        found.extend(file?.file_name().to_str().and_then(entry));
    }
    found.sort();
    Ok(found)
}

fn load(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    options.refuse_table(spec)?;
    let folder = Path::new(spec);
    let found = find(folder).map_err(|error| DatasetError::Io { file: folder.to_owned(), error })?;
    let [train_images, train_labels] = [false, true].map(|labels| pick(folder, &found, false, labels));
    let [test_images, test_labels] = [false, true].map(|labels| pick(folder, &found, true, labels));
    let (train_images, train_labels) = (train_images?, train_labels?);
    let (test_images, test_labels) = (test_images?, test_labels?);

    let mut train = read_split(&train_images, &train_labels)?;
    let mut test = read_split(&test_images, &test_labels)?;
    if test.shape != train.shape {
        let (train, test) = (train.shape, test.shape);
        return Err(DatasetError::Shape { file: test_images, train, test });
    }
    train.classes = train.labels.iter().max().map_or(0, |l| l + 1);
    test.classes = train.classes;
    for (samples, file) in [(&train, train_labels), (&test, test_labels)] {
        samples.check().map_err(|error| DatasetError::Samples { file, error })?;
    }
    Ok(Dataset { name: spec.to_owned(), class_names: Vec::new(), train, test })
}

/// The one file for a purpose; the raw one where there is a `.gz` beside it.
fn pick(folder: &Path, found: &[Entry], test: bool, labels: bool) -> Result<PathBuf, DatasetError> {
    let mut fit = found.iter().filter(|e| e.test == test && e.labels == labels);
    let Some(first) = fit.next() else {
        let split = if test { "t10k" } else { "train" };
        let kind = if labels { "labels-idx1" } else { "images-idx3" };
        let name = std::format!("{split}-{kind}-ubyte");
        return Err(DatasetError::Missing { folder: folder.to_owned(), name });
    };
    let same = |other: &Entry| other.name.strip_suffix(".gz") == Some(&first.name);
    match fit.find(|other| !same(other)) {
        Some(second) => Err(DatasetError::Ambiguous {
            folder: folder.to_owned(),
            first: first.name.clone(),
            second: second.name.clone(),
        }),
        None => Ok(folder.join(&first.name)),
    }
}

fn open(file: &Path) -> Result<Idx, DatasetError> {
    let io = |error| DatasetError::Io { file: file.to_owned(), error };
    // Opening a pipe would hang and a device never ends.
    if !fs::metadata(file).map_err(io)?.is_file() {
        return Err(DatasetError::NotAFile { file: file.to_owned() });
    }
    read(file, BufReader::new(File::open(file).map_err(io)?))
}

/// Images `[N, H, W]` or `[N, C, H, W]`: their shape, and all one after the other.
pub(in crate::dataset) fn images(file: &Path) -> Result<(Shape, Vec<u8>), DatasetError> {
    let images = open(file)?;
    let shape = match images.dims[..] {
        [_, h, w] => shape(1, h, w),
        [_, c, h, w] => shape(c, h, w),
        _ => {
            let (file, found) = (file.to_owned(), images.dims.len());
            return Err(DatasetError::Rank { file, found, expected: "3 (N, H, W) or 4 (N, C, H, W)" });
        }
    };
    match shape {
        Some(shape) => Ok((shape, images.data)),
        None => Err(DatasetError::TooLarge { file: file.to_owned(), dims: images.dims }),
    }
}

/// Images with their labels `[N]`. The number of classes is not known yet.
fn read_split(images_file: &Path, labels_file: &Path) -> Result<Samples, DatasetError> {
    let (shape, data) = images(images_file)?;
    let labels = open(labels_file)?;
    if labels.dims.len() != 1 {
        let (file, found) = (labels_file.to_owned(), labels.dims.len());
        return Err(DatasetError::Rank { file, found, expected: "1 (N)" });
    }
    let (image_count, label_count) = (data.len() / elements(shape), labels.dims[0]);
    if image_count != label_count {
        let (images, labels) = (images_file.to_owned(), labels_file.to_owned());
        return Err(DatasetError::Count { images, image_count, labels, label_count });
    }
    let labels = labels.data.into_iter().map(u32::from).collect();
    Ok(Samples { shape, classes: 0, data, labels })
}

/// A shape whose elements can be counted in 32 bits.
pub(in crate::dataset) fn shape(c: usize, h: usize, w: usize) -> Option<Shape> {
    let [c, h, w] = [c, h, w].map(|n| u32::try_from(n).ok());
    let shape = Shape::new(c?, h?, w?);
    shape.elements().map(|_| shape)
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::ToString;
    use std::vec;

    use super::super::tests::{assert_error, gz, idx};
    use super::*;
    use crate::dataset::{self, SamplesError};

    const NAMES: [&str; 4] = [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ];

    /// Two training samples of classes 0 and 2, one test sample of class 1, of 1x2 pixels.
    fn contents() -> [Vec<u8>; 4] {
        [idx(&[2, 1, 2], &[1, 2, 3, 4]), idx(&[2], &[0, 2]), idx(&[1, 1, 2], &[5, 6]), idx(&[1], &[1])]
    }

    fn folder(names: [&str; 4], contents: [Vec<u8>; 4]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in names.iter().zip(contents) {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn load_folder(folder: &tempfile::TempDir) -> Result<Dataset, DatasetError> {
        dataset::load(folder.path().to_str().unwrap())
    }

    #[test]
    fn loads_a_folder_under_any_of_the_usual_names() {
        let zipped = contents().map(|bytes| gz(&bytes));
        let names = [
            (NAMES, contents()),
            (NAMES.map(|n| std::boxed::Box::leak(format!("{n}.gz").into_boxed_str()) as &str), zipped),
            (
                [
                    "train-images.idx3-ubyte",
                    "train-labels.idx1-ubyte",
                    "t10k-images.idx3-ubyte",
                    "t10k-labels.idx1-ubyte",
                ],
                contents(),
            ),
            (
                [
                    "emnist-letters-train-images-idx3-ubyte",
                    "emnist-letters-train-labels-idx1-ubyte",
                    "emnist-letters-test-images-idx3-ubyte",
                    "emnist-letters-test-labels-idx1-ubyte",
                ],
                contents(),
            ),
        ];
        for (names, contents) in names {
            let dataset = load_folder(&folder(names, contents)).unwrap();
            let (train, test) = (dataset.train, dataset.test);
            assert_eq!((train.shape, train.classes), (Shape::new(1, 1, 2), 3));
            assert_eq!((train.data, train.labels), (vec![1, 2, 3, 4], vec![0, 2]));
            assert_eq!((test.shape, test.classes), (Shape::new(1, 1, 2), 3));
            assert_eq!((test.data, test.labels), (vec![5, 6], vec![1]));
        }
    }

    #[test]
    fn four_axes_are_channels_rows_columns() {
        let [_, train_labels, _, test_labels] = contents();
        let contents =
            [idx(&[2, 2, 1, 1], &[1, 2, 3, 4]), train_labels, idx(&[1, 2, 1, 1], &[5, 6]), test_labels];
        assert_eq!(load_folder(&folder(NAMES, contents)).unwrap().test.shape, Shape::new(2, 1, 1));
    }

    #[test]
    fn raw_files_come_before_their_gzipped_twins() {
        let folder = folder(NAMES, contents());
        fs::write(folder.path().join("train-images-idx3-ubyte.gz"), "damaged").unwrap();
        assert!(load_folder(&folder).is_ok());
    }

    #[test]
    fn folders_with_missing_or_too_many_files() {
        let path = |folder: &tempfile::TempDir| folder.path().to_owned();
        for name in NAMES {
            let folder = folder(NAMES, contents());
            fs::remove_file(folder.path().join(name)).unwrap();
            let expected = DatasetError::Missing { folder: path(&folder), name: name.to_string() };
            assert_error(load_folder(&folder), expected);
        }
        let two = folder(NAMES, contents());
        fs::write(two.path().join("fashion-train-labels-idx1-ubyte"), "").unwrap();
        let (first, second) = ("fashion-train-labels-idx1-ubyte".to_owned(), NAMES[1].to_owned());
        assert_error(load_folder(&two), DatasetError::Ambiguous { folder: path(&two), first, second });
    }

    #[test]
    fn contents_that_disagree() {
        let fault = |which: usize, bytes: Vec<u8>| {
            let mut contents = contents();
            contents[which] = bytes;
            let folder = folder(NAMES, contents);
            let files = NAMES.map(|n| folder.path().join(n));
            (load_folder(&folder), files)
        };
        let (result, [images, labels, ..]) = fault(1, idx(&[3], &[0, 1, 2]));
        let expected = DatasetError::Count { images, image_count: 2, labels, label_count: 3 };
        assert_error(result, expected);

        let (result, [_, _, file, _]) = fault(2, idx(&[1, 2, 1], &[5, 6]));
        let (train, test) = (Shape::new(1, 1, 2), Shape::new(1, 2, 1));
        assert_error(result, DatasetError::Shape { file, train, test });

        let (result, [.., file]) = fault(3, idx(&[1], &[3]));
        let error = SamplesError::Label { index: 0, label: 3, classes: 3 };
        assert_error(result, DatasetError::Samples { file, error });

        let (result, [file, ..]) = fault(0, idx(&[2, 2], &[1, 2, 3, 4]));
        let expected = "3 (N, H, W) or 4 (N, C, H, W)";
        assert_error(result, DatasetError::Rank { file, found: 2, expected });

        let (result, [_, file, ..]) = fault(1, idx(&[2, 1], &[0, 1]));
        assert_error(result, DatasetError::Rank { file, found: 2, expected: "1 (N)" });
    }

    #[cfg(unix)]
    #[test]
    fn pipes_are_not_waited_for() {
        let folder = folder(NAMES, contents());
        let pipe = folder.path().join(NAMES[0]);
        fs::remove_file(&pipe).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_error(load_folder(&folder), DatasetError::NotAFile { file: pipe });
    }

    #[test]
    fn what_is_not_a_data_set_is_told_what_is() {
        let empty = tempfile::tempdir().unwrap();
        let missing = empty.path().join("missing");
        let missing = missing.to_str().unwrap();
        for (spec, exists) in [
            (empty.path().to_str().unwrap(), true),
            (missing, false),
            ("builtin:letters", false),
            ("", false),
        ] {
            let error = dataset::load(spec).unwrap_err();
            match &error {
                DatasetError::Unknown { spec: s, .. } => assert_eq!((&s[..], true), (spec, exists)),
                DatasetError::NotFound { spec: s, .. } => assert_eq!((&s[..], false), (spec, exists)),
                other => panic!("{other}"),
            }
            let message = error.to_string();
            assert!(message.contains("builtin:digits") && message.contains("train-images-idx3-ubyte"));
        }
    }
}

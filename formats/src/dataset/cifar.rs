//! CIFAR-10 and CIFAR-100 in their binary versions: records of one or two label bytes and 3072
//! pixels, the red, green and blue planes of 32x32 one after the other (Krizhevsky, "Learning
//! Multiple Layers of Features from Tiny Images", 2009; <https://www.cs.toronto.edu/~kriz/cifar.html>).

use std::borrow::ToOwned;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use super::{Dataset, DatasetError, Format, LoadOptions, Samples};
use crate::op::Shape;

pub(super) const FORMAT: Format = Format {
    usage: "a folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10), or train.bin and test.bin (CIFAR-100)",
    recognises: |spec| find(Path::new(spec)).is_some(),
    load,
};

const SHAPE: Shape = Shape::new(3, 32, 32);

/// Bytes of an image.
const IMAGE: usize = 3072;

/// One of the two data sets.
struct Version {
    /// Folder that the official archive unpacks to.
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// Bytes before an image; the last of them is the class.
    labels: usize,
    classes: u32,
}

const VERSIONS: [Version; 2] = [
    Version {
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: &["test_batch.bin"],
        labels: 1,
        classes: 10,
    },
    Version {
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: &["test.bin"],
        // The coarse class comes before the fine one.
        labels: 2,
        classes: 100,
    },
];

/// The version in a folder, and the folder itself or the official one inside that has its files.
fn find(folder: &Path) -> Option<(&'static Version, PathBuf)> {
    VERSIONS.iter().find_map(|version| {
        let has = |folder: &PathBuf| {
            [version.train, version.test].concat().iter().any(|f| folder.join(f).is_file())
        };
        let places = [folder.to_owned(), folder.join(version.folder)];
        Some((version, places.into_iter().find(has)?))
    })
}

/// All batches that are there; either split may be empty.
fn load(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    options.refuse_table(spec)?;
    let (version, folder) = find(Path::new(spec)).ok_or_else(|| super::unknown(spec))?;
    let present = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().map(|name| folder.join(name)).filter(|file| file.exists()).collect()
    };
    let split = |files: &[PathBuf]| {
        let mut samples =
            Samples { shape: SHAPE, classes: version.classes, data: Vec::new(), labels: Vec::new() };
        for file in files {
            version.read(file, &mut samples)?;
        }
        Ok::<_, DatasetError>(samples)
    };
    let batches = present(version.train);
    let (train, test) = (split(&batches)?, split(&present(version.test))?);
    let name = match batches.len() {
        some if (1..version.train.len()).contains(&some) => {
            std::format!("{spec} ({some} of {} training batches)", version.train.len())
        }
        _ => spec.to_owned(),
    };
    Ok(Dataset { name, class_names: Vec::new(), train, test })
}

impl Version {
    /// Appends the records of one file.
    fn read(&self, file: &Path, to: &mut Samples) -> Result<(), DatasetError> {
        let io = |error| DatasetError::Io { file: file.to_owned(), error };
        let metadata = fs::metadata(file).map_err(io)?;
        if !metadata.is_file() {
            return Err(DatasetError::NotAFile { file: file.to_owned() });
        }
        let (bytes, record) = (metadata.len(), (self.labels + IMAGE) as u64);
        if bytes == 0 || bytes % record != 0 {
            return Err(DatasetError::Records { file: file.to_owned(), bytes, record });
        }
        let count = (bytes / record) as usize;
        let memory = || DatasetError::Memory { images: to.labels.len().saturating_add(count), shape: SHAPE };
        let needed = count.checked_mul(IMAGE).ok_or_else(memory)?;
        to.data.try_reserve_exact(needed).map_err(|_| memory())?;
        let mut reader = BufReader::with_capacity(1 << 20, File::open(file).map_err(io)?);
        for index in 0..count {
            let mut labels = [0; 2];
            reader.read_exact(&mut labels[..self.labels]).map_err(io)?;
            let label = u32::from(labels[self.labels - 1]);
            if label >= self.classes {
                let (file, classes) = (file.to_owned(), self.classes);
                return Err(DatasetError::Label { file, record: index, label, classes });
            }
            to.labels.push(label);
            let start = to.data.len();
            to.data.resize(start + IMAGE, 0);
            reader.read_exact(&mut to.data[start..]).map_err(io)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec;

    use super::*;
    use crate::dataset;

    /// Records of these labels; the pixels of record `i` are `i` in red, and its label in green and blue.
    fn records(labels: &[&[u8]]) -> Vec<u8> {
        let record = |(i, labels): (usize, &&[u8])| {
            let mut bytes = labels.to_vec();
            bytes.extend([i as u8; 1024]);
            bytes.extend([*labels.last().unwrap(); 2048]);
            bytes
        };
        labels.iter().enumerate().flat_map(record).collect()
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn load(folder: &tempfile::TempDir) -> Result<Dataset, DatasetError> {
        dataset::load(folder.path().to_str().unwrap())
    }

    #[test]
    fn batches_follow_each_other_in_order() {
        for inside in ["", "cifar-10-batches-bin/"] {
            let name = |n: &str| std::format!("{inside}{n}");
            let folder = folder(&[
                (&name("data_batch_3.bin"), records(&[&[2]])),
                (&name("data_batch_1.bin"), records(&[&[9], &[4]])),
                (&name("test_batch.bin"), records(&[&[1]])),
                (&name("batches.meta.txt"), b"airplane\n".to_vec()),
            ]);
            let Dataset { name, train, test, .. } = load(&folder).unwrap();
            assert!(name.ends_with(" (2 of 5 training batches)"), "{name}");
            assert_eq!((train.shape, train.classes, train.check()), (SHAPE, 10, Ok(())));
            assert_eq!((train.labels.as_slice(), test.labels.as_slice()), (&[9, 4, 2][..], &[1][..]));
            let pixels = |i: usize| [0, 1023, 1024, 3071].map(|at| train.sample(i)[at]);
            assert_eq!([0, 1, 2].map(pixels), [[0, 0, 9, 9], [1, 1, 4, 4], [0, 0, 2, 2]]);
            assert_eq!((test.shape, test.classes, test.sample(0)[3071]), (SHAPE, 10, 1));
        }
    }

    #[test]
    fn cifar_100_has_fine_labels_second() {
        let folder =
            folder(&[("train.bin", records(&[&[3, 99]])), ("test.bin", records(&[&[19, 0], &[0, 7]]))]);
        let Dataset { name, train, test, .. } = load(&folder).unwrap();
        assert_eq!(name, folder.path().to_str().unwrap());
        assert_eq!((train.classes, train.labels, test.labels), (100, vec![99], vec![0, 7]));
        assert_eq!(train.data[1024], 99);
    }

    #[test]
    fn a_split_without_files_is_empty() {
        let train = load(&folder(&[("data_batch_2.bin", records(&[&[1]]))])).unwrap();
        assert_eq!((train.train.len(), train.test.len()), (1, 0));
        let test = load(&folder(&[("test_batch.bin", records(&[&[1]]))])).unwrap();
        assert_eq!((test.train.len(), test.test.len()), (0, 1));
    }

    #[test]
    fn files_of_another_length_and_labels_out_of_range() {
        let good = records(&[&[1], &[2]]);
        for len in [0, 1, 3072, good.len() - 1] {
            let folder = folder(&[("data_batch_1.bin", good[..len].to_vec())]);
            match load(&folder) {
                Err(DatasetError::Records { file, bytes, record: 3073 }) => {
                    assert_eq!((file, bytes), (folder.path().join("data_batch_1.bin"), len as u64));
                }
                other => panic!("{other:?}"),
            }
        }
        let folder =
            folder(&[("data_batch_1.bin", good), ("test_batch.bin", records(&[&[9], &[0], &[10], &[255]]))]);
        let error = load(&folder).unwrap_err();
        let expected = "test_batch.bin: record 2 has label 10, but there are 10 classes, counted from 0";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(matches!(error, DatasetError::Label { record: 2, label: 10, classes: 10, .. }));
    }
}

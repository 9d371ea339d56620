use std::fs;
use std::string::ToString;
use std::vec;

use image::{GrayImage, Luma, Rgb, RgbImage};

use super::*;
use crate::dataset::sample::{InputError, read_input};
use crate::dataset::{load, load_with};
use crate::preprocess::Preprocess;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A grey image of one value.
    fn grey(&self, name: &str, width: u32, height: u32, value: u8) {
        GrayImage::from_pixel(width, height, Luma([value])).save(self.path(name)).unwrap();
    }

    fn spec(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    fn load(&self) -> Result<Dataset, DatasetError> {
        load(self.spec())
    }
}

#[test]
fn folders_of_splits_and_classes() {
    for test in ["test", "val"] {
        let folder = Folder::new();
        folder.grey("train/dog/b.png", 2, 1, 3);
        folder.grey("train/dog/a.PNG", 2, 1, 2);
        folder.grey("train/cat/z.png", 2, 1, 1);
        folder.write("train/cat/notes.txt", "no image");
        folder.grey("train/cat/.hidden.png", 9, 9, 9);
        folder.grey(&std::format!("{test}/dog/c.png"), 2, 1, 4);
        let Dataset { train, test, class_names, .. } = folder.load().unwrap();
        assert_eq!((train.shape, train.classes), (Shape::new(1, 1, 2), 2));
        assert_eq!((train.data, train.labels), (vec![1, 1, 2, 2, 3, 3], vec![0, 1, 1]));
        assert_eq!(
            (test.shape, test.classes, test.data, test.labels),
            (Shape::new(1, 1, 2), 2, vec![4, 4], vec![1])
        );
        assert_eq!(class_names, ["cat", "dog"]);
    }
}

#[test]
fn folders_of_classes_are_a_training_set() {
    let folder = Folder::new();
    folder.grey("b/1.png", 2, 1, 1);
    folder.grey("a/2.png", 2, 1, 2);
    // A class may have the name of a split.
    folder.grey("train/3.png", 2, 1, 3);
    let options = LoadOptions { label_offset: 2, ..LoadOptions::default() };
    let Dataset { train, test, class_names, .. } = load_with(folder.spec(), &options).unwrap();
    assert_eq!((train.labels, train.classes, train.data[0]), (vec![2, 3, 4], 5, 2));
    assert_eq!((test.len(), test.shape), (0, Shape::new(1, 1, 2)));
    assert_eq!(class_names, ["0", "1", "a", "b", "train"]);
}

#[test]
fn images_alone_have_labels_only_in_a_table() {
    let folder = Folder::new();
    folder.grey("0001_b.png", 1, 1, 10);
    folder.grey("0000_a.png", 1, 1, 20);
    let Dataset { train, test, .. } = folder.load().unwrap();
    assert!(!train.is_labelled() && test.is_empty() && train.check().is_ok());
    assert_eq!(train.data, [20, 10]);

    folder.write("labels.tsv", "0\tx\n1\ty\n2\tz\n");
    let Dataset { train, class_names, .. } = folder.load().unwrap();
    assert_eq!((train.classes, train.labels), (3, vec![0, 1]));
    assert_eq!(class_names, ["x", "y", "z"]);

    let table = folder.path("other.csv");
    fs::write(&table, "0001_b.png,7\n0000_a,5\n").unwrap();
    let options = LoadOptions { labels: Some(&table), label_offset: 1, ..LoadOptions::default() };
    let Dataset { train, class_names, .. } = load_with(folder.spec(), &options).unwrap();
    assert_eq!((train.classes, train.labels, class_names.len()), (9, vec![6, 8], 0));

    folder.grey("more.png", 1, 1, 1);
    let error = load_with(folder.spec(), &options).unwrap_err();
    assert!(
        matches!(error, DatasetError::Unlisted { .. }) && error.to_string().contains("more.png"),
        "{error}"
    );
}

#[test]
fn tables_for_folders_of_classes_are_refused() {
    let folder = Folder::new();
    folder.grey("a/1.png", 1, 1, 1);
    let options = LoadOptions { labels: Some(Path::new("labels.tsv")), ..LoadOptions::default() };
    for spec in [folder.spec(), "builtin:digits?train=1&test=1"] {
        assert!(matches!(load_with(spec, &options), Err(DatasetError::NeedlessTable { .. })), "{spec}");
    }
}

#[test]
fn offsets_stay_in_range() {
    let folder = Folder::new();
    folder.grey("a/1.png", 1, 1, 1);
    folder.grey("b/1.png", 1, 1, 1);
    let load =
        |label_offset| load_with(folder.spec(), &LoadOptions { label_offset, ..LoadOptions::default() });
    let largest = load(65534).unwrap();
    assert_eq!((largest.train.classes, largest.class_names.len()), (65536, 65536));
    for offset in [65535, 4_000_000_000, u32::MAX] {
        assert!(matches!(load(offset), Err(DatasetError::Offset { offset: o }) if o == offset));
    }
}

#[test]
fn images_in_folders_of_splits_have_no_classes() {
    for (names, place) in [
        (["train/1.png", "val/2.png"], "train"),
        (["test/1.png", "train/2.png"], "train"),
        (["val/1.png", "val/2.png"], "val"),
        (["train/a/1.png", "val/2.png"], "val"),
        (["train/a/1.png", "train/2.png"], "train"),
    ] {
        let folder = Folder::new();
        names.iter().for_each(|name| folder.grey(name, 1, 1, 1));
        match folder.load() {
            Err(DatasetError::FlatSplit { folder: found }) => assert_eq!(found, folder.path(place)),
            other => panic!("{names:?}: {other:?}"),
        }
    }
}

#[test]
fn a_test_set_may_be_alone() {
    let folder = Folder::new();
    folder.grey("val/b/1.png", 1, 1, 1);
    folder.grey("val/a/1.png", 1, 1, 2);
    let Dataset { train, test, .. } = folder.load().unwrap();
    assert_eq!((train.len(), test.data, test.labels), (0, vec![2, 1], vec![0, 1]));
}

#[test]
fn some_samples_are_spread_evenly() {
    let folder = Folder::new();
    for class in ["a", "b"] {
        (0..4).for_each(|i| folder.grey(&std::format!("{class}/{i}.png"), 1, 1, i));
    }
    // It is left out: nobody may decode it.
    folder.write("a/1.png", "no image");
    let some = |spec: &str, most| {
        load_with(spec, &LoadOptions { most: Some(most), ..LoadOptions::default() }).unwrap().train
    };
    let samples = some(folder.spec(), 4);
    assert_eq!((samples.data, samples.labels, samples.classes), (vec![0, 2, 0, 2], vec![0, 0, 1, 1], 2));
    let (digits, some) =
        ("builtin:digits?train=30&test=20", |most| some("builtin:digits?train=30&test=20", most));
    let all = load(digits).unwrap().train;
    assert_eq!(some(3), all.subset(&[0, 10, 20]));
    assert_eq!(some(31), all);
    assert!(some(0).is_empty());
}

#[test]
fn tables_that_cannot_be_read_are_no_missing_ones() {
    let folder = Folder::new();
    folder.grey("1.png", 1, 1, 1);
    let table = folder.path("labels.tsv");
    fs::create_dir(&table).unwrap();
    let refused =
        |result| matches!(result, Err(DatasetError::Input(InputError::NotAFile { file })) if file == table);
    assert!(refused(folder.load()));
    #[cfg(unix)]
    {
        fs::remove_dir(&table).unwrap();
        std::os::unix::fs::symlink("nowhere", &table).unwrap();
        assert!(
            matches!(folder.load(), Err(DatasetError::Input(InputError::Io { file, .. })) if file == table)
        );
    }
}

/// Only a number in the file system: a length that is not there costs no memory.
#[test]
fn long_files_are_refused() {
    let folder = Folder::new();
    folder.grey("1.png", 1, 1, 1);
    let long = |name: &str, bytes: u64| {
        let path = folder.path(name);
        fs::OpenOptions::new().create(true).append(true).open(&path).unwrap().set_len(bytes).unwrap();
        path
    };
    let table = long("labels.tsv", (1 << 28) + 1);
    let refused = |result: Result<Dataset, DatasetError>, path: &Path, length: u64| match result {
        Err(DatasetError::Input(InputError::TooLong { file, bytes, most })) => {
            assert_eq!((&*file, bytes, most), (path, length, length - 1));
        }
        other => panic!("{other:?}"),
    };
    refused(folder.load(), &table, (1 << 28) + 1);
    fs::remove_file(table).unwrap();
    let image = long("1.png", (1 << 28) + 1);
    refused(folder.load(), &image, (1 << 28) + 1);
    let input = read_input(&image, Shape::new(1, 1, 1), &Preprocess::default());
    refused(input.map(|_| unreachable!()).map_err(Into::into), &image, (1 << 28) + 1);
    let array = folder.path("a.npy");
    fs::write(&array, b"\x93NUMPY").unwrap();
    long("a.npy", (1 << 32) + 1);
    refused(load(array.to_str().unwrap()), &array, (1 << 32) + 1);
}

#[test]
fn faults_name_the_file() {
    let broken = Folder::new();
    broken.grey("a/1.png", 4, 4, 1);
    broken.write("a/2.png", "no image");
    broken.write("a/3.png", "no image either");
    match broken.load() {
        Err(DatasetError::Input(InputError::NoImage { file })) => assert_eq!(file, broken.path("a/2.png")),
        other => panic!("{other:?}"),
    }
    let other_size = Folder::new();
    other_size.grey("a/1.png", 4, 4, 1);
    other_size.grey("b/2.png", 4, 5, 1);
    match other_size.load() {
        Err(DatasetError::Input(InputError::ImageSize { file, width: 4, height: 5, .. })) => {
            assert_eq!(file, other_size.path("b/2.png"));
        }
        other => panic!("{other:?}"),
    }
    let empty = Folder::new();
    empty.grey("a/1.png", 4, 4, 1);
    fs::create_dir(empty.path("b")).unwrap();
    assert!(matches!(empty.load(), Err(DatasetError::NoImages { folder }) if folder == empty.path("b")));
    let untrained = Folder::new();
    untrained.grey("train/a/1.png", 4, 4, 1);
    untrained.grey("test/b/1.png", 4, 4, 1);
    let result = untrained.load();
    assert!(matches!(result, Err(DatasetError::NotTrained { folder }) if folder == untrained.path("test/b")));
    // Tiny ImageNet.
    let no_classes = Folder::new();
    no_classes.grey("train/a/images/1.png", 4, 4, 1);
    no_classes.grey("val/images/1.png", 4, 4, 1);
    let result = no_classes.load();
    let place = no_classes.path("val/images");
    assert!(matches!(result, Err(DatasetError::NotTrained { folder }) if folder == place));
    for names in [["test/a/1.png", "val/a/1.png"], ["a/1.png", "1.png"]] {
        let folder = Folder::new();
        names.iter().for_each(|name| folder.grey(name, 1, 1, 1));
        assert!(matches!(folder.load(), Err(DatasetError::Ambiguous { .. })), "{names:?}");
    }
}

#[test]
fn images_become_as_large_as_the_network_takes() {
    let folder = Folder::new();
    // Columns of 0, 10, 20, ... of a wide image and of a high one.
    RgbImage::from_fn(12, 6, |x, _| Rgb([10 * x as u8, 1, 2])).save(folder.path("a.png")).unwrap();
    GrayImage::from_fn(6, 12, |x, _| Luma([10 * x as u8])).save(folder.path("b.png")).unwrap();
    let input = Shape::new(3, 2, 3);
    let loaded = |resize: Resize| {
        let preprocess = Preprocess { resize, ..Preprocess::identity() };
        let options = LoadOptions { fit: Some((input, &preprocess)), ..LoadOptions::default() };
        let samples = load_with(folder.spec(), &options)?.train;
        // Whoever runs one of the files gets the same.
        for (i, name) in ["a.png", "b.png"].into_iter().enumerate() {
            let mut expected = vec![0.0; 18];
            samples.input(i, &preprocess, &mut expected);
            assert_eq!(read_input(&folder.path(name), input, &preprocess).unwrap(), [expected]);
        }
        Ok::<_, DatasetError>(samples)
    };
    let cropped = loaded(Resize::Crop).unwrap();
    assert_eq!(cropped.shape, input);
    // (12 - 3) / 2 and (6 - 3) / 2, rounded down.
    assert_eq!(cropped.sample(0)[..6], [40, 50, 60, 40, 50, 60]);
    assert_eq!(cropped.sample(0)[6..], [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]);
    assert_eq!(cropped.sample(1)[..6], [10, 20, 30, 10, 20, 30]);

    // 3 high and 6 wide; 3 wide and 6 high. Each pixel is about the mean of two.
    let shorter = loaded(Resize::Shorter(3)).unwrap();
    for (sample, expected) in [(shorter.sample(0), [25u8, 45, 65]), (shorter.sample(1), [5, 25, 45])] {
        for (found, expected) in sample[..3].iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 3, "{sample:?}");
        }
    }
    let exact = loaded(Resize::Exact([2, 3])).unwrap();
    for (sample, expected) in [(exact.sample(0), [15u8, 55, 95]), (exact.sample(1), [5, 25, 45])] {
        for (found, expected) in sample[..3].iter().zip(expected) {
            assert!(found.abs_diff(expected) <= 6, "{sample:?}");
        }
    }
    for resize in [Resize::Refuse, Resize::Shorter(1), Resize::Exact([1, 9])] {
        match loaded(resize) {
            Err(DatasetError::Input(InputError::ImageSize { resize: r, expected, .. })) => {
                assert_eq!((r, expected), (resize, input));
            }
            other => panic!("{other:?}"),
        }
    }
    // Sides that would fill the memory.
    for resize in [Resize::Shorter(u16::MAX), Resize::Exact([u16::MAX, u16::MAX])] {
        assert!(matches!(loaded(resize), Err(DatasetError::Input(InputError::Image { .. }))), "{resize}");
    }
}

#[test]
fn vectors_take_images_of_as_many_pixels() {
    let folder = Folder::new();
    folder.grey("a.png", 3, 2, 5);
    folder.grey("b.png", 9, 9, 6);
    let preprocess = Preprocess { resize: Resize::Exact([2, 3]), ..Preprocess::identity() };
    let options = LoadOptions { fit: Some((Shape::vector(6), &preprocess)), ..LoadOptions::default() };
    let samples = load_with(folder.spec(), &options).unwrap().train;
    assert_eq!(
        (samples.shape, samples.data),
        (Shape::new(1, 2, 3), vec![5, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6])
    );
}

#[test]
fn nothing_is_cut_for_a_vector() {
    let folder = Folder::new();
    folder.grey("a.png", 2, 2, 5);
    let preprocess = Preprocess { resize: Resize::Crop, ..Preprocess::identity() };
    for elements in [1, 3, 5] {
        let options =
            LoadOptions { fit: Some((Shape::vector(elements), &preprocess)), ..LoadOptions::default() };
        let result = load_with(folder.spec(), &options);
        assert!(matches!(result, Err(DatasetError::Input(InputError::ImageSize { .. }))), "{elements}");
    }
}

#[test]
fn large_pictures_take_turns() {
    let folder = Folder::new();
    (0..4).for_each(|i| folder.grey(&std::format!("{i}.png"), 2049, 2048, i));
    let samples = folder.load().unwrap().train;
    assert_eq!((0..4).map(|i| samples.sample(i)[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// A PNG whose header promises more pixels than are read costs no memory.
#[test]
fn bombs_are_refused() {
    let folder = Folder::new();
    folder.grey("a.png", 1, 1, 1);
    let mut bytes = fs::read(folder.path("a.png")).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(folder.path("a.png"), &bytes).unwrap();
    let error = folder.load().unwrap_err().to_string();
    assert!(error.contains("a.png: is 65535 wide and 65535 high"), "{error}");
}

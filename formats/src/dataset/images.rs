//! Folders of PNG and JPEG images.

use std::borrow::ToOwned;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use rayon::prelude::*;

use super::labels::Table;
use super::picture::{self, Target};
use super::samples::{elements, evenly};
use super::{Dataset, DatasetError, Format, LoadOptions, Samples, unknown};
use crate::op::Shape;
use crate::preprocess::Resize;

pub(super) const FORMAT: Format = Format {
    usage: "a folder of PNG or JPEG images: train/CLASS/* and test/CLASS/* or val/CLASS/*; CLASS/*; or images alone, with labels.tsv beside them if they have classes",
    recognises: |spec| {
        matches!(
            Layout::of(Path::new(spec)),
            Ok(Some(_)) | Err(DatasetError::Ambiguous { .. } | DatasetError::FlatSplit { .. })
        )
    },
    load,
};

/// How a folder is arranged.
enum Layout {
    /// Folders of classes in folders of splits.
    Splits { train: Option<PathBuf>, test: Option<PathBuf> },
    /// Folders of classes.
    Classes,
    /// Images.
    Flat(Vec<PathBuf>),
}

/// Images of one class.
struct Class {
    name: String,
    images: Vec<PathBuf>,
}

impl Class {
    fn not_trained(&self) -> DatasetError {
        let folder = self.images.first().and_then(|image| image.parent()).unwrap_or(Path::new(""));
        DatasetError::NotTrained { folder: folder.to_owned() }
    }
}

/// Folders and images in a folder, sorted by name; hidden ones are left out.
fn list(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DatasetError> {
    let io = |error| DatasetError::Io { file: folder.to_owned(), error };
    let (mut folders, mut images) = (Vec::new(), Vec::new());
    for entry in folder.read_dir().map_err(io)? {
        let path = entry.map_err(io)?.path();
        let is_image =
            |extension: &OsStr| ["png", "jpg", "jpeg"].iter().any(|e| extension.eq_ignore_ascii_case(e));
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        } else if path.is_dir() {
            folders.push(path);
        } else if path.extension().is_some_and(is_image) {
            images.push(path);
        }
    }
    folders.sort();
    images.sort();
    Ok((folders, images))
}

/// Names of folders of splits.
const SPLITS: [&str; 3] = ["train", "test", "val"];

fn has_images(folder: &Path) -> bool {
    list(folder).is_ok_and(|(_, images)| !images.is_empty())
}

/// Whether a folder has folders that hold images.
fn has_classes(folder: &Path) -> bool {
    list(folder).is_ok_and(|(folders, _)| folders.iter().any(|folder| has_images(folder)))
}

impl Layout {
    fn of(folder: &Path) -> Result<Option<Self>, DatasetError> {
        let ambiguous = |first: &str, second: &str| {
            let (first, second) = (first.to_owned(), second.to_owned());
            Err(DatasetError::Ambiguous { folder: folder.to_owned(), first, second })
        };
        let places = SPLITS.map(|name| folder.join(name));
        let [train, test, val] =
            places.clone().map(|folder| Some(folder).filter(|folder| has_classes(folder)));
        let (folders, images) = list(folder)?;
        let of_classes = train.is_some() || test.is_some() || val.is_some();
        // Classes may have these names, but not all of them.
        let alone = || folders.iter().filter(|folder| has_images(folder)).all(|f| places.contains(f));
        if let Some(flat) = places.iter().find(|f| has_images(f)).filter(|_| of_classes || alone()) {
            return Err(DatasetError::FlatSplit { folder: flat.clone() });
        }
        if test.is_some() && val.is_some() {
            return ambiguous("test", "val");
        }
        if of_classes {
            return Ok(Some(Self::Splits { train, test: test.or(val) }));
        }
        match (folders.iter().any(|folder| has_images(folder)), images.first()) {
            (true, Some(image)) => {
                ambiguous("folders of classes", &image.file_name().unwrap_or_default().to_string_lossy())
            }
            (true, None) => Ok(Some(Self::Classes)),
            (false, Some(_)) => Ok(Some(Self::Flat(images))),
            (false, None) => Ok(None),
        }
    }
}

/// Classes are numbered by name. Without folders of splits, all is the training set.
fn load(spec: &str, options: &LoadOptions<'_>) -> Result<Dataset, DatasetError> {
    let folder = Path::new(spec);
    let layout = Layout::of(folder)?.ok_or_else(|| unknown(spec))?;
    let target = options.fit.map(|(shape, preprocess)| (shape, preprocess.resize));
    let (train, test) = match layout {
        Layout::Flat(images) => return flat(spec, images, options, target),
        Layout::Classes => (classes(folder)?, Vec::new()),
        Layout::Splits { train, test } => {
            let read = |folder: Option<PathBuf>| folder.map_or(Ok(Vec::new()), |folder| classes(&folder));
            (read(train)?, read(test)?)
        }
    };
    options.refuse_table(spec)?;
    // Images in one folder beside an unusual training set, as Tiny ImageNet has them, are no class.
    if let ([], [only]) = (&train[..], &test[..]) {
        return Err(only.not_trained());
    }
    let known = if train.is_empty() { &test } else { &train };
    let names: Vec<String> = known.iter().map(|class| class.name.clone()).collect();
    let train = labelled(&train, &names, target, options.most)?;
    // Test images are as large as training images, whatever a network takes.
    let target =
        if train.is_empty() { target } else { Some((train.shape, target.map_or(Resize::Refuse, |t| t.1))) };
    let test = labelled(&test, &names, target, options.most)?;
    let train = if train.is_empty() { Samples { shape: test.shape, ..train } } else { train };
    let test = if test.is_empty() { Samples { shape: train.shape, ..test } } else { test };
    Ok(Dataset { name: spec.to_owned(), class_names: names, train, test })
}

/// Images alone.
fn flat(
    spec: &str,
    images: Vec<PathBuf>,
    options: &LoadOptions<'_>,
    target: Option<Target>,
) -> Result<Dataset, DatasetError> {
    let table = options.labels.map(ToOwned::to_owned).or_else(|| Table::beside(Path::new(spec)));
    let table = table.as_deref().map(Table::read).transpose()?;
    let (classes, labels, class_names) = match table {
        Some(table) => {
            let labels: Vec<u32> = images.iter().map(|image| table.class(image)).collect::<Result<_, _>>()?;
            (table.count, thinned(&labels, options.most), table.names)
        }
        None => (0, Vec::new(), Vec::new()),
    };
    let (shape, data) = pixels(&thinned(&images, options.most), target)?;
    let train = Samples { shape, classes, data, labels };
    let test = Samples { data: Vec::new(), labels: Vec::new(), ..train };
    let train = Samples { shape, classes, ..train };
    Ok(Dataset { name: spec.to_owned(), class_names, train, test })
}

/// Folders of classes in a folder.
fn classes(folder: &Path) -> Result<Vec<Class>, DatasetError> {
    let (folders, _) = list(folder)?;
    let class = |folder: PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match list(&folder)?.1 {
            images if images.is_empty() => Err(DatasetError::NoImages { folder }),
            images => Ok(Class { name, images }),
        }
    };
    folders.into_iter().map(class).collect()
}

fn labelled(
    classes: &[Class],
    names: &[String],
    target: Option<Target>,
    most: Option<usize>,
) -> Result<Samples, DatasetError> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for class in classes {
        let Ok(label) = names.binary_search(&class.name) else {
            return Err(class.not_trained());
        };
        labels.extend(class.images.iter().map(|_| label as u32));
        images.extend_from_slice(&class.images);
    }
    let (images, labels) = (thinned(&images, most), thinned(&labels, most));
    let (shape, data) = pixels(&images, target)?;
    Ok(Samples { shape, classes: names.len() as u32, data, labels })
}

/// Every one, or `most` evenly spread.
fn thinned<T: Clone>(all: &[T], most: Option<usize>) -> Vec<T> {
    evenly(all.len(), most.unwrap_or(usize::MAX)).map(|i| all[i].clone()).collect()
}

/// Decodes images on all cores. All become as large as the first.
fn pixels(images: &[PathBuf], target: Option<Target>) -> Result<(Shape, Vec<u8>), DatasetError> {
    let Some(first) = images.first() else {
        return Ok((target.map_or(Shape::vector(0), |t| t.0), Vec::new()));
    };
    let first = picture::read(first, target)?;
    let size = elements(first.shape);
    let target = Some((first.shape, target.map_or(Resize::Refuse, |t| t.1)));
    let mut data = Vec::new();
    let needed = size.checked_mul(images.len()).filter(|&bytes| data.try_reserve_exact(bytes).is_ok());
    let Some(needed) = needed else {
        return Err(DatasetError::Memory { images: images.len(), shape: first.shape });
    };
    data.resize(needed, 0);
    let fault = data.par_chunks_exact_mut(size).zip(images).find_map_first(|(to, image)| {
        picture::read(image, target).map(|picture| to.copy_from_slice(&picture.data)).err()
    });
    match fault {
        Some(error) => Err(error.into()),
        None => Ok((first.shape, data)),
    }
}

#[cfg(test)]
mod tests;

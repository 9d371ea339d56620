//! Tables that give the images of a folder their classes.

use std::borrow::ToOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::{DatasetError, MAX_CLASSES, file};

/// Names of a table that lies beside the images.
const NAMES: [&str; 2] = ["labels.tsv", "labels.csv"];

/// Classes of files. A line is `file<TAB>class`, or with a comma; further columns are not read.
/// `file` is a file's name, its name without extension, or the number that its name begins with,
/// with that name's leading zeros or without.
/// Classes are all numbers, counted from 0, or all names, which are numbered in sorted order.
pub(super) struct Table {
    path: PathBuf,
    classes: BTreeMap<String, u32>,
    /// Number of classes.
    pub(super) count: u32,
    /// Names of the classes, if they have any.
    pub(super) names: Vec<String>,
}

impl Table {
    /// The table beside the images of a folder.
    pub(super) fn beside(folder: &Path) -> Option<PathBuf> {
        // A link that leads nowhere is there, too, and an error when it is read.
        NAMES.map(|name| folder.join(name)).into_iter().find(|path| path.symlink_metadata().is_ok())
    }

    pub(super) fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = file::read(path, file::MAX_FILE)?;
        let text = core::str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            DatasetError::Table { file: path.to_owned(), line, reason: "expected UTF-8".into() }
        })?;
        // Some editors of Windows mark UTF-8 with it.
        Self::parse(path, text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    fn parse(path: &Path, text: &str) -> Result<Self, DatasetError> {
        let fault = |line: usize, reason: String| DatasetError::Table { file: path.to_owned(), line, reason };
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let separator = if line.contains('\t') { '\t' } else { ',' };
            let mut columns = line.split(separator).map(str::trim);
            match (columns.next(), columns.next()) {
                (Some(key), Some(class)) if !key.is_empty() && !class.is_empty() => {
                    rows.push((index + 1, key, class));
                }
                _ => {
                    return Err(fault(
                        index + 1,
                        "expected a file and its class, with a tab or a comma between".into(),
                    ));
                }
            }
        }
        let Some((_, _, first)) = rows.first() else {
            return Err(fault(1, "expected files and their classes, found nothing".into()));
        };
        let numbered = first.parse::<u32>().is_ok();
        let names: BTreeSet<&str> = rows.iter().map(|row| row.2).filter(|_| !numbered).collect();
        let names: Vec<&str> = names.into_iter().collect();

        let (mut classes, mut count) = (BTreeMap::new(), names.len() as u32);
        for (line, key, class) in rows {
            let number = class.parse::<u32>();
            let class = match number {
                Ok(n) if numbered && n < MAX_CLASSES => n,
                Ok(n) if numbered => {
                    return Err(fault(line, format!("class {n} is not below {MAX_CLASSES}")));
                }
                Err(_) if !numbered => names.binary_search(&class).unwrap_or_default() as u32,
                _ => {
                    let reason = format!(
                        "class `{class}`: either all classes are numbers or all are names, and there is no line of titles"
                    );
                    return Err(fault(line, reason));
                }
            };
            count = count.max(class + 1);
            if classes.insert(key.to_owned(), class).is_some_and(|before| before != class) {
                return Err(fault(line, format!("`{key}` has another class before")));
            }
        }
        let names = names.into_iter().map(ToOwned::to_owned).collect();
        Ok(Self { path: path.to_owned(), classes, count, names })
    }

    /// The class of an image.
    pub(super) fn class(&self, image: &Path) -> Result<u32, DatasetError> {
        let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (name, stem) = (text(image.file_name()), text(image.file_stem()));
        // The number as the image and as the table may write it.
        let digits = &stem[..stem.bytes().take_while(u8::is_ascii_digit).count()];
        let number = digits.parse::<u64>().map(|n| n.to_string()).unwrap_or_default();
        let keys = [&name, &stem, digits, &number];
        let found = keys.into_iter().find_map(|key| self.classes.get(key));
        found
            .copied()
            .ok_or_else(|| DatasetError::Unlisted { image: image.to_owned(), table: self.path.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn parse(text: &str) -> Result<Table, DatasetError> {
        Table::parse(Path::new("labels.tsv"), text)
    }

    #[test]
    fn files_are_found_by_name_stem_or_number() {
        let table = parse("a.png\t2\r\nb,0,more\n\n7\t1\n12_x.png\t5\n").unwrap();
        for (file, class) in
            [("d/a.png", 2), ("b.jpg", 0), ("0007_n01.jpg", 1), ("7.png", 1), ("12_x.png", 5)]
        {
            assert_eq!(table.class(Path::new(file)).unwrap(), class, "{file}");
        }
        assert_eq!((table.count, table.names.len()), (6, 0));
        // With the zeros that the image has, before without.
        let zeros = parse("0001\t3\n2\t4\n0002\t5\n").unwrap();
        for (file, class) in [("0001_x.jpg", 3), ("0002_x.jpg", 5), ("02_x.jpg", 4)] {
            assert_eq!(zeros.class(Path::new(file)).unwrap(), class, "{file}");
        }
        match table.class(Path::new("d/c.png")) {
            Err(DatasetError::Unlisted { image, table }) => {
                assert_eq!((image, table), ("d/c.png".into(), "labels.tsv".into()));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_numbered_in_order() {
        let table = parse("1\tn02\tzebra\n0\tn01\tapple\n2\tn02\tzebra\n").unwrap();
        assert_eq!((table.count, table.names.clone()), (2, vec!["n01".to_owned(), "n02".to_owned()]));
        assert_eq!([0, 1, 2].map(|i| table.class(Path::new(&format!("{i:04}_n.jpg"))).unwrap()), [0, 1, 1]);
    }

    #[test]
    fn tables_are_utf_8_with_or_without_its_mark() {
        let read = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            Table::read(file.path())
        };
        let table = read(b"\xef\xbb\xbfa.png\t2\n").unwrap();
        assert_eq!(table.class(Path::new("a.png")).unwrap(), 2);
        assert!(matches!(read(b"a\t1\nb\xff\t2\n"), Err(DatasetError::Table { line: 2, .. })));
    }

    #[test]
    fn lines_that_make_no_sense_are_named() {
        for (text, line, reason) in [
            ("", 1, "found nothing"),
            ("a\t1\nb\n", 2, "expected a file and its class"),
            ("a\t\n", 1, "expected a file and its class"),
            ("file\tclass\na\t1\n", 2, "`1`: either all classes are numbers"),
            ("a\t1\nb\tcat\n", 2, "`cat`: either all classes are numbers"),
            ("a\t1\n\na\t2\n", 3, "`a` has another class"),
            ("a\t65536\n", 1, "class 65536 is not below 65536"),
        ] {
            match parse(text) {
                Err(DatasetError::Table { line: l, reason: r, .. }) => {
                    assert!(l == line && r.contains(reason), "{text:?}: {l} {r}");
                }
                other => panic!("{text:?}: {:?}", other.map(|t| t.classes)),
            }
        }
    }
}

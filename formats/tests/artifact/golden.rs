//! Bytes do not change: committed files and the dump in FORMAT.md against the writer.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tfc_formats::artifact::{AlignedBytes, Artifact, open};

use crate::crc32;
use crate::sample::{Draft, example, mixed, walk};

fn check_golden(name: &str, draft: Draft) {
    let (header, steps) = (draft.header.clone(), draft.steps.clone());
    let written = draft.write().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&actual, &written).unwrap();
    let golden = open(&path).unwrap();
    assert_eq!(*golden, *written, "{} is what the writer makes now", actual.display());

    let artifact = Artifact::parse(&golden).unwrap();
    walk(&artifact);
    assert_eq!(artifact.steps().collect::<Vec<_>>(), steps);
    let count = steps.len() as u32;
    assert_eq!(*artifact.header(), tfc_formats::artifact::Header { steps: count, ..header });
    assert_eq!(golden[20..24], crc32::of_file(&golden).to_le_bytes());
}

#[test]
fn mixed_file_is_as_committed() {
    check_golden("mixed.tfc", mixed());
}

#[test]
fn example_file_is_as_committed() {
    check_golden("example.tfc", example());
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (row, chunk) in bytes.chunks(16).enumerate() {
        write!(text, "{:04x} ", row * 16).unwrap();
        chunk.iter().for_each(|b| write!(text, " {b:02x}").unwrap());
        text.push('\n');
    }
    text
}

#[test]
fn dump_in_the_document_is_what_the_writer_makes() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("FORMAT.md")).unwrap();
    let block = document.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next());
    let written = dump(&example().write().unwrap());
    assert_eq!(block, Some(&*written), "the dump should read\n{written}");
}

#[test]
fn example_is_the_matrix_that_the_document_says() {
    let bytes = AlignedBytes::from(&*example().write().unwrap());
    let artifact = Artifact::parse(&bytes).unwrap();
    let matrix = artifact.steps().next().unwrap().matrix.unwrap();
    let rows: Vec<Vec<_>> = artifact.rows(&matrix).unwrap().map(Iterator::collect).collect();
    assert_eq!(rows, [vec![(2, 0.5)], vec![(0, -1.0), (3, 2.0)]]);
}

#[test]
fn identical_arrays_are_stored_once() {
    let draft = mixed();
    assert_eq!(draft.steps[1].params[1], draft.steps[5].params[0]);
    let mut writer = draft.writer;
    let before = writer.u16s(&[2, 3]);
    assert_eq!(before, writer.u16s(&[2, 3]));
    assert_ne!(before, writer.u16s(&[2]));
    assert_ne!(before.offset, writer.u8s(&[2, 0, 3, 0]).offset);
}

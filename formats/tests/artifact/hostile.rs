//! No bytes whatever make the reader panic, and what it lets through is usable.

use proptest::prelude::*;
use tfc_formats::artifact::{AlignedBytes, Artifact, ArtifactError};

use crate::crc32;
use crate::sample::{example, mixed, walk};

fn parse_and_walk(bytes: &[u8]) -> bool {
    let bytes = AlignedBytes::from(bytes);
    let artifact = Artifact::parse(&bytes);
    artifact.iter().for_each(walk);
    artifact.is_ok()
}

/// A fixed header in front of a manifest and sections, all lengths and the checksum right.
fn framed(manifest: &[u8], sections: &[u8]) -> Vec<u8> {
    let mut file = mixed().write().unwrap()[..32].to_vec();
    file.extend(manifest);
    file.resize(file.len().next_multiple_of(16), 0);
    let sections_offset = file.len() as u32;
    file.extend(sections);
    let len = file.len() as u32;
    file[8..12].copy_from_slice(&(manifest.len() as u32).to_le_bytes());
    file[12..16].copy_from_slice(&sections_offset.to_le_bytes());
    file[16..20].copy_from_slice(&len.to_le_bytes());
    crc32::repair(&mut file);
    file
}

/// Manifest and sections of a valid file.
fn parts(file: &[u8]) -> (&[u8], &[u8]) {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    (&file[32..32 + word(8)], &file[word(12)..])
}

#[test]
fn framing_a_file_anew_changes_nothing() {
    let file = mixed().write().unwrap();
    let (manifest, sections) = parts(&file);
    assert_eq!(framed(manifest, sections), file);
}

#[test]
fn every_truncation_is_an_error() {
    let file = mixed().write().unwrap();
    for len in 0..file.len() {
        let cut = AlignedBytes::from(&file[..len]);
        let expected = match len {
            0..4 => ArtifactError::Magic,
            4..32 => ArtifactError::Short,
            _ => ArtifactError::Length { stated: file.len() as u32, found: len },
        };
        assert_eq!(Artifact::parse(&cut).err(), Some(expected), "{len}");
    }
}

#[test]
fn every_truncation_of_manifest_or_sections_is_an_error() {
    let file = mixed().write().unwrap();
    let (manifest, sections) = parts(&file);
    for len in 0..manifest.len() {
        assert!(!parse_and_walk(&framed(&manifest[..len], sections)), "manifest {len}");
    }
    for len in 0..sections.len() {
        assert!(!parse_and_walk(&framed(manifest, &sections[..len])), "sections {len}");
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for file in [mixed().write().unwrap(), example().write().unwrap()] {
        let mut bytes = AlignedBytes::from(&*file);
        for bit in 0..file.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Artifact::parse(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_under_a_right_checksum_is_an_error_or_usable() {
    for file in [mixed().write().unwrap(), example().write().unwrap()] {
        let mut usable = 0;
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            crc32::repair(&mut flipped);
            usable += usize::from(parse_and_walk(&flipped));
        }
        // Weights may have any bits; records may not.
        assert!((1..file.len() * 8).contains(&usable), "{usable}");
    }
}

#[test]
fn every_byte_of_the_manifest_set_to_anything_is_an_error_or_usable() {
    let file = example().write().unwrap();
    let (manifest, sections) = parts(&file);
    for at in 0..manifest.len() {
        for byte in 0..=255 {
            let mut changed = manifest.to_vec();
            changed[at] = byte;
            parse_and_walk(&framed(&changed, sections));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!parse_and_walk(&bytes));
    }

    #[test]
    fn any_manifest(manifest in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_and_walk(&framed(&manifest, &[0; 256]));
    }

    #[test]
    fn any_steps_behind_a_valid_header(steps in prop::collection::vec(any::<u8>(), 0..100)) {
        let file = mixed().write().unwrap();
        let (manifest, sections) = parts(&file);
        let names = manifest.windows(5).position(|w| w == b"\x04conv").unwrap();
        let manifest = [&manifest[..names], &steps].concat();
        parse_and_walk(&framed(&manifest, sections));
    }

    /// Numbers are varints, so a hostile one is longer than the one that it replaces.
    #[test]
    fn any_numbers_in_the_manifest(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 0u32..32, 0usize..6), 1..4)
    ) {
        let file = mixed().write().unwrap();
        let (manifest, sections) = parts(&file);
        let mut manifest = manifest.to_vec();
        for (at, number, shift, replaced) in edits {
            let at = at.index(manifest.len());
            let end = (at + replaced).min(manifest.len());
            manifest.splice(at..end, postcard::to_stdvec(&(number >> shift)).unwrap());
        }
        parse_and_walk(&framed(&manifest, sections));
    }

    #[test]
    fn any_sections(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9)
    ) {
        let file = mixed().write().unwrap();
        let (manifest, sections) = parts(&file);
        let mut sections = sections.to_vec();
        edits.iter().for_each(|(at, byte)| *at.get_mut(&mut sections) = *byte);
        parse_and_walk(&framed(manifest, &sections));
    }
}

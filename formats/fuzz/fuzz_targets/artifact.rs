//! Any manifest and sections under a right frame: the reader refuses them, or keeps its promises.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tfc_formats::artifact::{AlignedBytes, Artifact, MAGIC, VERSION};

/// CRC-32/ISO-HDLC, one bit at a time.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8)
            .fold(crc ^ u32::from(byte), |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// The first two bytes of the input are the manifest's length; a wrong checksum would stop all others.
fn frame(data: &[u8]) -> Option<AlignedBytes> {
    let (len, data) = data.split_first_chunk::<2>()?;
    let (manifest, sections) = data.split_at_checked(u16::from_le_bytes(*len).into())?;
    let sections_offset = (32 + manifest.len()).next_multiple_of(16);
    let mut file = AlignedBytes::zeroed(sections_offset + sections.len());
    let lengths = [manifest.len(), sections_offset, file.len()];
    file[..4].copy_from_slice(&MAGIC);
    file[4..6].copy_from_slice(&VERSION.to_le_bytes());
    for (field, length) in file[8..20].chunks_exact_mut(4).zip(lengths) {
        field.copy_from_slice(&(length as u32).to_le_bytes());
    }
    file[32..32 + manifest.len()].copy_from_slice(manifest);
    file[sections_offset..].copy_from_slice(sections);
    let crc = crc32(file[..20].iter().chain(&file[24..]).copied());
    file[20..24].copy_from_slice(&crc.to_le_bytes());
    Some(file)
}

fuzz_target!(|data: &[u8]| {
    let Some(file) = frame(data) else { return };
    let Ok(artifact) = Artifact::parse(&file) else { return };
    assert_eq!(artifact.steps().count(), artifact.header().steps as usize);
    for step in artifact.steps() {
        assert!(step.params.iter().all(|array| artifact.values(*array).is_some()));
        let Some(matrix) = step.matrix else { continue };
        let rows = artifact.rows(&matrix).expect("rows of a valid file");
        assert_eq!(rows.clone().count(), matrix.rows as usize);
        assert!(rows.flatten().all(|(column, _)| column < matrix.cols));
    }
});

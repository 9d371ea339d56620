//! CRC-32 one bit at a time, from its definition: an oracle for the checksum of files.

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Over the whole file except bytes 20 to 23, which hold it.
pub(crate) fn of_file(file: &[u8]) -> u32 {
    !update(update(!0, &file[..20]), &file[24..])
}

/// Makes the checksum right again after a file was tampered with.
pub(crate) fn repair(file: &mut [u8]) {
    let crc = of_file(file);
    file[20..24].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn agrees_with_the_published_check_value() {
    assert_eq!(!update(!0, b"123456789"), 0xcbf4_3926);
}

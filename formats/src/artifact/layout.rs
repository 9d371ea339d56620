//! The fixed header: what lies where in a `.tfc` file.

use crc::{CRC_32_ISO_HDLC, Crc, Table};

use super::{ArtifactError, Needs};

/// First bytes of every file. The first has its high bit set, so that no text file begins so.
pub const MAGIC: [u8; 4] = [0x89, b'T', b'F', b'C'];

/// Version of the format that this crate reads and writes.
pub const VERSION: u16 = 3;

/// Sections, and every value in the arena, begin at multiples of this many bytes.
pub const ALIGNMENT: u32 = 16;

/// Length of the fixed header.
pub(super) const FIXED_LEN: u32 = 32;

/// One table of 1 KiB: small in flash, a byte a step.
static CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);

/// The next multiple of [`ALIGNMENT`].
pub(super) const fn align(n: u32) -> Option<u32> {
    n.checked_next_multiple_of(ALIGNMENT)
}

/// CRC-32 of a whole file without the four bytes that hold it; `None` if it is shorter than
/// the fixed header.
pub(super) fn checksum(file: &[u8]) -> Option<u32> {
    let mut digest = CRC.digest();
    digest.update(file.get(..20)?);
    digest.update(file.get(24..)?);
    Some(digest.finalize())
}

/// The fixed header's fields that are not constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub(super) manifest_len: u32,
    pub(super) sections_offset: u32,
    pub(super) file_len: u32,
    pub(super) crc: u32,
    pub(super) needs: Needs,
}

impl Fixed {
    /// Lengths of a file with this much manifest and this much in sections, CRC not yet known;
    /// `None` if it is longer than 4 GiB.
    #[cfg(feature = "std")]
    pub(super) fn new(manifest_len: usize, sections_len: usize, needs: Needs) -> Option<Self> {
        let manifest_len = u32::try_from(manifest_len).ok()?;
        let sections_offset = align(FIXED_LEN.checked_add(manifest_len)?)?;
        let file_len = sections_offset.checked_add(u32::try_from(sections_len).ok()?)?;
        Some(Self { manifest_len, sections_offset, file_len, crc: 0, needs })
    }

    /// The bytes as they are written.
    #[cfg(feature = "std")]
    pub(super) fn to_bytes(self) -> [u8; FIXED_LEN as usize] {
        let mut bytes = [0; FIXED_LEN as usize];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.manifest_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sections_offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.file_len.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.crc.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.needs.bits().to_le_bytes());
        bytes
    }

    /// Reads and checks everything that does not need the manifest, the CRC last.
    pub(super) fn parse(file: &[u8]) -> Result<Self, ArtifactError> {
        if file.get(..4) != Some(&MAGIC) {
            return Err(ArtifactError::Magic);
        }
        let version = u16_at(file, 4)?;
        if version != VERSION {
            return Err(ArtifactError::Version(version));
        }
        let (flags, reserved) = (u16_at(file, 6)?, u32_at(file, 28)?);
        if flags != 0 || reserved != 0 {
            return Err(ArtifactError::Reserved);
        }
        let fixed = Self {
            manifest_len: u32_at(file, 8)?,
            sections_offset: u32_at(file, 12)?,
            file_len: u32_at(file, 16)?,
            crc: u32_at(file, 20)?,
            needs: Needs::from_bits(u32_at(file, 24)?),
        };
        if usize::try_from(fixed.file_len) != Ok(file.len()) {
            return Err(ArtifactError::Length { stated: fixed.file_len, found: file.len() });
        }
        let manifest_end = FIXED_LEN.checked_add(fixed.manifest_len).ok_or(ArtifactError::Layout)?;
        if align(manifest_end) != Some(fixed.sections_offset) {
            return Err(ArtifactError::Layout);
        }
        let padding = file.get(manifest_end as usize..fixed.sections_offset as usize);
        if padding.ok_or(ArtifactError::Layout)?.iter().any(|b| *b != 0) {
            return Err(ArtifactError::Reserved);
        }
        let computed = checksum(file).ok_or(ArtifactError::Short)?;
        if computed != fixed.crc {
            return Err(ArtifactError::Crc { stated: fixed.crc, computed });
        }
        Ok(fixed)
    }
}

fn bytes_at<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N], ArtifactError> {
    file.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(ArtifactError::Short)
}

fn u16_at(file: &[u8], at: usize) -> Result<u16, ArtifactError> {
    bytes_at(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: usize) -> Result<u32, ArtifactError> {
    bytes_at(file, at).map(u32::from_le_bytes)
}

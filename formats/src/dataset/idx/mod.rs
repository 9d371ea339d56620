//! IDX files, the format of MNIST: two zero bytes, a byte for the element type, a byte for the
//! number of axes, each extent as a big-endian `u32`, then the elements (LeCun, Cortes and
//! Burges, "The MNIST database", <http://yann.lecun.com/exdb/mnist/>).

mod folder;

use std::borrow::ToOwned;
use std::io::{BufRead, Read};
use std::path::Path;
use std::vec::Vec;

use flate2::bufread::MultiGzDecoder;

pub(super) use folder::{FORMAT, images, shape};

use super::DatasetError;

/// Contents of an IDX file of unsigned bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idx {
    /// Extents, the number of samples first; none is 0.
    pub dims: Vec<usize>,
    /// Elements, the last axis fastest.
    pub data: Vec<u8>,
}

/// Reads an IDX file of unsigned bytes, gzipped (which its first two bytes tell) or not.
/// Whatever the header promises, only as much memory is taken as there are bytes, and at most
/// one byte more than promised is decompressed. `file` is for messages.
pub fn read(file: &Path, mut from: impl BufRead) -> Result<Idx, DatasetError> {
    let start = from.fill_buf().map_err(|error| DatasetError::Io { file: file.to_owned(), error })?;
    if start.starts_with(&[0x1f, 0x8b]) {
        read_plain(file, MultiGzDecoder::new(from)).map_err(|error| match error {
            DatasetError::Io { file, error } => DatasetError::Gzip { file, error },
            error => error,
        })
    } else {
        read_plain(file, from)
    }
}

fn read_plain(file: &Path, mut from: impl Read) -> Result<Idx, DatasetError> {
    let file = || file.to_owned();
    let mut bytes = |n: usize| {
        let mut to = Vec::new();
        match from.by_ref().take(n as u64).read_to_end(&mut to) {
            Ok(_) => Ok(to),
            Err(error) => Err(DatasetError::Io { file: file(), error }),
        }
    };
    let truncated = |expected, found| DatasetError::Truncated { file: file(), expected, found };

    let magic = bytes(4)?;
    if !magic.iter().take(2).all(|&b| b == 0) {
        return Err(DatasetError::Magic { file: file() });
    }
    let &[_, _, code, rank] = magic.as_slice() else { return Err(truncated(4, magic.len())) };
    if code != 0x08 {
        return Err(DatasetError::Dtype { file: file(), code });
    }
    let header = 4 + 4 * usize::from(rank);
    let extents = bytes(header - 4)?;
    if extents.len() < header - 4 {
        return Err(truncated(header, 4 + extents.len()));
    }
    let dims: Vec<usize> =
        extents.chunks_exact(4).map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize).collect();
    if dims.contains(&0) {
        return Err(DatasetError::Empty { file: file(), dims });
    }
    // Room for the header and for the byte that should not be there.
    let size = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let Some(size) = size.filter(|n| n.checked_add(header + 1).is_some()) else {
        return Err(DatasetError::TooLarge { file: file(), dims });
    };
    let mut data = bytes(size)?;
    if data.len() < size {
        return Err(truncated(header + size, header + data.len()));
    }
    if !bytes(1)?.is_empty() {
        return Err(DatasetError::Trailing { file: file(), expected: header + size });
    }
    data.shrink_to_fit();
    Ok(Idx { dims, data })
}

#[cfg(test)]
pub(super) mod tests {
    use std::format;
    use std::io::Write;
    use std::path::PathBuf;
    use std::vec;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    pub(in crate::dataset) fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| bytes.extend_from_slice(&d.to_be_bytes()));
        bytes.extend_from_slice(data);
        bytes
    }

    pub(in crate::dataset) fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Errors hold `io::Error`, which cannot be compared: their debug form can.
    pub(in crate::dataset) fn assert_error<T: core::fmt::Debug>(
        result: Result<T, DatasetError>,
        expected: DatasetError,
    ) {
        assert_eq!(format!("{:?}", result.unwrap_err()), format!("{expected:?}"));
    }

    fn parse(bytes: &[u8]) -> Result<Idx, DatasetError> {
        read(Path::new("f"), bytes)
    }

    #[test]
    fn reads_raw_and_gzipped() {
        let bytes = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let expected = Idx { dims: vec![2, 1, 3], data: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(parse(&bytes).unwrap(), expected);
        assert_eq!(parse(&gz(&bytes)).unwrap(), expected);
        // A gzip file may have several members.
        assert_eq!(parse(&[gz(&bytes[..9]), gz(&bytes[9..])].concat()).unwrap(), expected);
    }

    #[test]
    fn each_fault_has_its_error() {
        let file = || PathBuf::from("f");
        let good = idx(&[3], &[1, 2, 3]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            parse(&bytes)
        };
        assert_error(with(0, 1), DatasetError::Magic { file: file() });
        assert_error(with(1, 1), DatasetError::Magic { file: file() });
        assert_error(with(2, 0x0d), DatasetError::Dtype { file: file(), code: 0x0d });
        assert_error(with(7, 0), DatasetError::Empty { file: file(), dims: vec![0] });
        assert_error(with(7, 2), DatasetError::Trailing { file: file(), expected: 10 });
        assert_error(with(7, 4), DatasetError::Truncated { file: file(), expected: 12, found: 11 });
        for (len, expected) in [(0, 4), (3, 4), (4, 8), (7, 8), (8, 11), (10, 11)] {
            assert_error(parse(&good[..len]), DatasetError::Truncated { file: file(), expected, found: len });
        }
        let dims = vec![u32::MAX as usize; 5];
        assert_error(parse(&idx(&[u32::MAX; 5], &[])), DatasetError::TooLarge { file: file(), dims });
    }

    #[test]
    fn lying_extents_and_bombs_cost_no_memory() {
        // 2^60 bytes promised.
        let bytes = idx(&[1 << 20, 1 << 20, 1 << 20], &[7; 5]);
        let expected = || DatasetError::Truncated { file: "f".into(), expected: (1 << 60) + 16, found: 21 };
        assert_error(parse(&bytes), expected());
        assert_error(parse(&gz(&bytes)), expected());
        // A few promised, a gigabyte behind them: only one byte more is decompressed. The second
        // member is damaged after its start, which nobody gets to see.
        let mut bomb = [gz(&idx(&[3], &[1, 2, 3])), gz(&vec![0; 1 << 20])].concat();
        bomb.truncate(bomb.len() - 8);
        assert_error(parse(&bomb), DatasetError::Trailing { file: "f".into(), expected: 11 });
    }

    #[test]
    fn damaged_compression_is_an_error() {
        let good = gz(&idx(&[3], &[1, 2, 3]));
        for len in 2..good.len() {
            assert!(matches!(parse(&good[..len]), Err(DatasetError::Gzip { .. })), "{len}");
        }
        let mut wrong_sum = good.clone();
        wrong_sum[good.len() - 8] ^= 1;
        assert!(matches!(parse(&wrong_sum), Err(DatasetError::Gzip { .. })));
    }

    proptest! {
        #[test]
        fn any_damage_is_an_error_or_a_consistent_file(
            cut in 0usize..40, flip in 0usize..320, zipped: bool,
        ) {
            let mut bytes = idx(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            if zipped {
                bytes = gz(&bytes);
            }
            if let Some(byte) = bytes.get_mut(flip / 8) {
                *byte ^= 1 << (flip % 8);
            }
            bytes.truncate(bytes.len().saturating_sub(cut));
            if let Ok(idx) = parse(&bytes) {
                prop_assert_eq!(idx.data.len(), idx.dims.iter().product::<usize>());
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes: Vec<u8>) {
            let _ = parse(&bytes);
            let _ = parse(&[&[0, 0, 8], &bytes[..]].concat());
            let _ = parse(&[&[0x1f, 0x8b, 8], &bytes[..]].concat());
        }
    }
}

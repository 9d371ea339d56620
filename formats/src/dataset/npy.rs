//! NPY files, as `numpy.save` writes them (NEP 1, "A simple file format for NumPy arrays").
//!
//! Read here rather than by a crate because the bytes come from outside: the header's length and
//! extents are checked against the file before anything is allocated, and its one dictionary is
//! read without recursion.

use std::borrow::ToOwned;
use std::string::String;
use std::vec;
use std::vec::Vec;

use half::f16;
use thiserror::Error;

/// First bytes of every NPY file.
pub const MAGIC: &[u8] = b"\x93NUMPY";

/// An array of numbers, converted to f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Npy {
    /// Extents.
    pub shape: Vec<usize>,
    /// Whether the file has integers.
    pub integer: bool,
    /// Elements, the last axis fastest, whatever the order in the file.
    pub values: Vec<f32>,
}

/// Why an NPY file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The magic bytes are missing.
    #[error("not an NPY file")]
    Magic,
    /// A version that NumPy has not had when this was written.
    #[error("NPY version {major}.{minor} is not supported, expected 1.0 to 3.0")]
    Version {
        /// Byte 6.
        major: u8,
        /// Byte 7.
        minor: u8,
    },
    /// The dictionary is not as NumPy writes it.
    #[error("the NPY header is damaged, expected 'descr', 'fortran_order' and 'shape'")]
    Header,
    /// Elements that are not numbers of a supported kind.
    #[error("element type `{descr}` is not supported, expected u8 to u64, i8 to i64, f16, f32 or f64")]
    Dtype {
        /// NumPy's name for it, or `structured`.
        descr: String,
    },
    /// The length is not what the header promises.
    #[error("has {found} bytes, its header {needs}")]
    Length {
        /// Length of the file.
        found: usize,
        /// What the header says about it.
        needs: Needs,
    },
}

/// Length that an NPY header promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Exactly so many bytes, header included.
    Bytes(usize),
    /// More than can be addressed.
    TooMany,
}

impl core::fmt::Display for Needs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Bytes(n) => write!(f, "needs {n}"),
            Self::TooMany => f.write_str("needs more than any file has"),
        }
    }
}

/// Name in the header without byte order, bytes, and conversion from little-endian bytes.
type Dtype = (&'static str, usize, fn([u8; 8]) -> f32);

const DTYPES: [Dtype; 11] = [
    ("u1", 1, |b| f32::from(b[0])),
    ("i1", 1, |b| f32::from(b[0] as i8)),
    ("u2", 2, |b| f32::from(u16::from_le_bytes([b[0], b[1]]))),
    ("i2", 2, |b| f32::from(i16::from_le_bytes([b[0], b[1]]))),
    ("u4", 4, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32),
    ("i4", 4, |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32),
    ("u8", 8, |b| u64::from_le_bytes(b) as f32),
    ("i8", 8, |b| i64::from_le_bytes(b) as f32),
    ("f2", 2, |b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
    ("f4", 4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
    ("f8", 8, |b| f64::from_le_bytes(b) as f32),
];

/// Reads an array of integers or floats of any size and byte order. Integers beyond 2^24 and f64
/// are rounded to f32.
pub fn read(bytes: &[u8]) -> Result<Npy, NpyError> {
    let (header, big, &(name, size, convert), data) = parse(bytes)?;
    let element = |bytes: &[u8]| {
        let mut b = [0; 8];
        b[..size].copy_from_slice(bytes);
        if big {
            b[..size].reverse();
        }
        convert(b)
    };
    let mut values: Vec<f32> = data.chunks_exact(size).map(element).collect();
    if header.fortran_order && header.shape.len() > 1 {
        values = last_axis_fastest(&header.shape, &values);
    }
    Ok(Npy { shape: header.shape, integer: !name.starts_with('f'), values })
}

/// An array of u8 as it lies in the file, the last axis fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainBytes<'a> {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: &'a [u8],
}

/// An array of u8 whose last axis is the fastest; `None` for any other.
pub fn plain_bytes(bytes: &[u8]) -> Result<Option<PlainBytes<'_>>, NpyError> {
    let (header, _, dtype, data) = parse(bytes)?;
    Ok((dtype.0 == "u1" && !header.fortran_order).then_some(PlainBytes { shape: header.shape, values: data }))
}

/// The header, whether elements are big-endian, their type, and as many bytes of them as it says.
fn parse(bytes: &[u8]) -> Result<(Header, bool, &'static Dtype, &[u8]), NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let (text_len, rest) = match *rest {
        [1, 0, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])), rest),
        [2 | 3, 0, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        [1..=3, 0, ..] => return Err(NpyError::Header),
        [major, minor, ..] => return Err(NpyError::Version { major, minor }),
        _ => return Err(NpyError::Header),
    };
    let (text, data) = rest.split_at_checked(text_len).ok_or(NpyError::Header)?;
    let header = Header::parse(text)?;

    let Some((big, dtype)) = header.dtype() else {
        return Err(NpyError::Dtype { descr: header.descr });
    };
    let start = bytes.len() - data.len();
    let promised = header.shape.iter().try_fold(dtype.1, |n, &d| n.checked_mul(d));
    match promised.and_then(|n| n.checked_add(start)) {
        Some(n) if n == bytes.len() => Ok((header, big, dtype, data)),
        Some(n) => Err(NpyError::Length { found: bytes.len(), needs: Needs::Bytes(n) }),
        None => Err(NpyError::Length { found: bytes.len(), needs: Needs::TooMany }),
    }
}

/// Reorders elements whose first axis is the fastest.
fn last_axis_fastest(shape: &[usize], from: &[f32]) -> Vec<f32> {
    let mut index = vec![0; shape.len()];
    let mut to = Vec::with_capacity(from.len());
    for _ in from {
        to.push(from[index.iter().zip(shape).rfold(0, |at, (&i, &extent)| at * extent + i)]);
        for (i, &extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < extent {
                break;
            }
            *i = 0;
        }
    }
    to
}

/// The dictionary at the start of a file.
#[derive(Default)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, keys in any order.
    fn parse(text: &[u8]) -> Result<Self, NpyError> {
        let text = core::str::from_utf8(text).map_err(|_| NpyError::Header)?;
        let mut cursor = Cursor(text);
        let mut header = Self::default();
        let mut seen = [false; 3];
        cursor.expect("{")?;
        while !cursor.eat("}") {
            let key = cursor.quoted()?;
            cursor.expect(":")?;
            let which = match key {
                "descr" if cursor.eat("[") => return Err(NpyError::Dtype { descr: "structured".to_owned() }),
                "descr" => {
                    header.descr = cursor.quoted()?.to_owned();
                    0
                }
                "fortran_order" => {
                    header.fortran_order = cursor.eat("True");
                    if !header.fortran_order {
                        cursor.expect("False")?;
                    }
                    1
                }
                "shape" => {
                    header.shape = cursor.extents()?;
                    2
                }
                _ => return Err(NpyError::Header),
            };
            if core::mem::replace(&mut seen[which], true) {
                return Err(NpyError::Header);
            }
            if !cursor.eat(",") {
                cursor.expect("}")?;
                break;
            }
        }
        if seen == [true; 3] && cursor.0.trim().is_empty() { Ok(header) } else { Err(NpyError::Header) }
    }

    /// Whether the elements are big-endian, and their type.
    fn dtype(&self) -> Option<(bool, &'static Dtype)> {
        let mut name = self.descr.chars();
        let big = match name.next()? {
            '<' | '|' => false,
            '>' => true,
            _ => return None,
        };
        DTYPES.iter().find(|d| d.0 == name.as_str()).map(|d| (big, d))
    }
}

/// What is left of a header's text.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Skips blanks, then `token` if it comes next.
    fn eat(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        match self.0.strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), NpyError> {
        if self.eat(token) { Ok(()) } else { Err(NpyError::Header) }
    }

    /// A string without escapes.
    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.eat("'") {
            '\''
        } else {
            self.expect("\"")?;
            '"'
        };
        let (string, rest) = self.0.split_once(quote).ok_or(NpyError::Header)?;
        self.0 = rest;
        Ok(string)
    }

    /// `()`, `(3,)` or `(3, 4)`.
    fn extents(&mut self) -> Result<Vec<usize>, NpyError> {
        let mut extents = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            let text = self.0;
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            extents.push(text[..digits].parse().map_err(|_| NpyError::Header)?);
            self.0 = &text[digits..];
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(extents)
    }
}

/// Bytes of an NPY file, version 1.0, of little-endian f32. `values` has the last axis fastest.
///
/// # Panics
/// If the number of values is not the product of the extents, or there are more than 1000 axes.
pub fn encode(shape: &[usize], values: &[f32]) -> Vec<u8> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "values of an array of shape {shape:?}");
    assert!(shape.len() <= 1000, "an array of {} axes", shape.len());
    let extents: String = shape.iter().map(|n| std::format!("{n}, ")).collect();
    let dict = std::format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({extents}), }}");
    // Magic, version and length take 10 bytes; the data starts at a multiple of 64.
    let start = (10 + dict.len() + 1).next_multiple_of(64);
    let text = std::format!("{dict:<width$}\n", width = start - 11);
    let mut bytes = Vec::with_capacity(start + 4 * values.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests;

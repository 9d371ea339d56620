//! The reader: checks once, then hands out records and arrays that lie where the bytes are.

use bytemuck::AnyBitPattern;
use half::f16;

use super::check;
use super::layout::{ALIGNMENT, FIXED_LEN, Fixed};
use super::{Array, ArtifactError, Dtype, Header, Needs, Step};

/// A valid `.tfc` file, borrowed.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    header: Header<'a>,
    needs: Needs,
    steps: &'a [u8],
    sections: &'a [u8],
}

impl<'a> Artifact<'a> {
    /// Makes every check that FORMAT.md asks of a reader. Afterwards all records are consistent,
    /// all arrays are inside the file, all values are inside the arena, and the accessors here
    /// return `Some` for every array of the manifest.
    ///
    /// `bytes` is the whole file and nothing else, at an address that is a multiple of 4.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        let fixed = Fixed::parse(bytes)?;
        if !bytes.as_ptr().cast::<u32>().is_aligned() {
            return Err(ArtifactError::Misaligned);
        }
        let (head, sections) =
            bytes.split_at_checked(fixed.sections_offset as usize).ok_or(ArtifactError::Layout)?;
        let manifest = FIXED_LEN as usize..FIXED_LEN.saturating_add(fixed.manifest_len) as usize;
        let manifest = head.get(manifest).ok_or(ArtifactError::Layout)?;
        let (header, steps) =
            postcard::take_from_bytes::<Header>(manifest).map_err(|_| ArtifactError::Header)?;
        let artifact = Self { header, needs: fixed.needs, steps, sections };
        check::check(&artifact, fixed.file_len)?;
        Ok(artifact)
    }

    /// First record of the manifest.
    pub fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// What the steps come to need of a runtime.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The steps in the order in which they run, decoded one at a time.
    pub fn steps(&self) -> Steps<'a> {
        Steps { rest: self.steps, left: self.header.steps }
    }

    /// An array of f32, or `None` if it is of another type or not in the file.
    pub fn f32s(&self, array: Array) -> Option<&'a [f32]> {
        self.array(array, Dtype::F32)
    }

    /// An array of f16, or `None` if it is of another type or not in the file.
    pub fn f16s(&self, array: Array) -> Option<&'a [f16]> {
        self.array(array, Dtype::F16)
    }

    /// An array of u8, or `None` if it is of another type or not in the file.
    pub fn u8s(&self, array: Array) -> Option<&'a [u8]> {
        self.array(array, Dtype::U8)
    }

    /// An array of u16, or `None` if it is of another type or not in the file.
    pub fn u16s(&self, array: Array) -> Option<&'a [u16]> {
        self.array(array, Dtype::U16)
    }

    /// An array of u32, or `None` if it is of another type or not in the file.
    pub fn u32s(&self, array: Array) -> Option<&'a [u32]> {
        self.array(array, Dtype::U32)
    }

    /// An array of i8, or `None` if it is of another type or not in the file.
    pub fn i8s(&self, array: Array) -> Option<&'a [i8]> {
        self.array(array, Dtype::I8)
    }

    /// An array of i32, or `None` if it is of another type or not in the file.
    pub fn i32s(&self, array: Array) -> Option<&'a [i32]> {
        self.array(array, Dtype::I32)
    }

    /// The bytes of an array, or `None` if it is not aligned or not in the file.
    pub(super) fn bytes(&self, array: Array) -> Option<&'a [u8]> {
        if !array.offset.is_multiple_of(ALIGNMENT) {
            return None;
        }
        let end = array.offset.checked_add(array.bytes()?)?;
        self.sections.get(array.offset as usize..end as usize)
    }

    fn array<T: AnyBitPattern>(&self, array: Array, dtype: Dtype) -> Option<&'a [T]> {
        if array.dtype != dtype {
            return None;
        }
        bytemuck::try_cast_slice(self.bytes(array)?).ok()
    }
}

/// Iterator over the steps of an [`Artifact`].
#[derive(Clone, Debug)]
pub struct Steps<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Steps<'a> {
    /// The next step, `None` behind the last. Fails only while `parse` has not yet seen it.
    pub(super) fn decode(&mut self) -> Result<Option<Step<'a>>, postcard::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let (step, rest) = postcard::take_from_bytes(self.rest)?;
        self.rest = rest;
        self.left -= 1;
        Ok(Some(step))
    }

    /// Whether bytes of the manifest are left.
    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        self.decode().ok().flatten()
    }
}

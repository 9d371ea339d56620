//! The reader: checks once, then hands out records and arrays that lie where the bytes are.

use bytemuck::AnyBitPattern;
use half::f16;

use super::check;
use super::layout::{ALIGNMENT, FIXED_LEN, Fixed};
use super::{Aligned, Array, ArtifactError, Dtype, Header, Needs, Step};

/// A valid `.tfc` file, borrowed.
#[derive(Clone, Debug)]
pub struct Artifact<'a> {
    header: Header<'a>,
    needs: Needs,
    records: Records<'a>,
    sections: &'a [u8],
}

/// Records of steps.
#[derive(Clone, Copy, Debug)]
enum Records<'a> {
    /// As they are in the file. The decoder is a pointer, so that a program all of whose models are
    /// constants does not link it.
    Encoded { bytes: &'a [u8], decode: Decode },
    /// Decoded when the program was built.
    Constant(&'a [Step<'a>]),
}

/// Decodes a record from the front; returns it and the rest.
type Decode = for<'b> fn(&'b [u8]) -> Result<(Step<'b>, &'b [u8]), postcard::Error>;

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
        let records = Records::Encoded { bytes: steps, decode: |bytes| postcard::take_from_bytes(bytes) };
        let artifact = Self { header, needs: fixed.needs, records, sections };
        check::check(&artifact, fixed.file_len)?;
        Ok(artifact)
    }

    /// Of the records and sections of a file that [`parse`](Self::parse) accepted when the program was
    /// built; nothing is checked here.
    #[doc(hidden)]
    pub const fn constant(
        header: Header<'a>,
        needs: Needs,
        steps: &'a [Step<'a>],
        sections: &'a Aligned<[u8]>,
    ) -> Self {
        Self { header, needs, records: Records::Constant(steps), sections: &sections.0 }
    }

    /// First record of the manifest.
    pub const fn header(&self) -> &Header<'a> {
        &self.header
    }

    /// What the steps come to need of a runtime.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The steps in the order in which they run, decoded one at a time.
    pub fn steps(&self) -> Steps<'a> {
        Steps { records: self.records, left: self.header.steps }
    }

    /// The bytes of all arrays.
    pub fn sections(&self) -> &'a [u8] {
        self.sections
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
    records: Records<'a>,
    left: u32,
}

impl<'a> Steps<'a> {
    /// The next step, `None` behind the last. Fails only while `parse` has not yet seen it.
    pub(super) fn decode(&mut self) -> Result<Option<Step<'a>>, postcard::Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        match &mut self.records {
            Records::Encoded { bytes, decode } => {
                let (step, rest) = decode(bytes)?;
                *bytes = rest;
                Ok(Some(step))
            }
            Records::Constant(steps) => {
                let first = steps.split_off_first();
                Ok(first.cloned())
            }
        }
    }

    /// Whether bytes of the manifest are left.
    pub(super) fn has_rest(&self) -> bool {
        match self.records {
            Records::Encoded { bytes, .. } => !bytes.is_empty(),
            Records::Constant(steps) => !steps.is_empty(),
        }
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        self.decode().ok().flatten()
    }
}

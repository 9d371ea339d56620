//! The writer: collects sections and steps, lays the file out, and reads it back.

use std::vec::Vec;

use half::f16;
use thiserror::Error;

use super::layout::{ALIGNMENT, Fixed, checksum};
use super::{AlignedBytes, Array, Artifact, ArtifactError, Dtype, Header, Needs, Step};

/// Why there is no file.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Offsets are 32 bits.
    #[error("the artifact is larger than 4 GiB, the most that the format can hold")]
    TooLarge,
    /// A record cannot be encoded.
    #[error("the manifest cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// The reader refuses the result, so the records contradict each other.
    #[error("the artifact would not be valid: {0}")]
    Invalid(#[from] ArtifactError),
}

/// Builds a `.tfc` file. The same calls give the same bytes.
#[derive(Clone, Debug)]
pub struct Writer {
    sections: Vec<u8>,
    arrays: Vec<Array>,
    /// The first error stays until `finish`.
    steps: Result<Vec<u8>, postcard::Error>,
    count: u32,
    needs: Needs,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A file with nothing in it yet.
    pub fn new() -> Self {
        Self { sections: Vec::new(), arrays: Vec::new(), steps: Ok(Vec::new()), count: 0, needs: Needs::NONE }
    }

    /// Adds f32 elements.
    pub fn f32s(&mut self, elements: &[f32]) -> Array {
        self.array(Dtype::F32, bytemuck::cast_slice(elements))
    }

    /// Adds f16 elements.
    pub fn f16s(&mut self, elements: &[f16]) -> Array {
        self.array(Dtype::F16, bytemuck::cast_slice(elements))
    }

    /// Adds u8 elements.
    pub fn u8s(&mut self, elements: &[u8]) -> Array {
        self.array(Dtype::U8, elements)
    }

    /// Adds u16 elements.
    pub fn u16s(&mut self, elements: &[u16]) -> Array {
        self.array(Dtype::U16, bytemuck::cast_slice(elements))
    }

    /// Adds u32 elements.
    pub fn u32s(&mut self, elements: &[u32]) -> Array {
        self.array(Dtype::U32, bytemuck::cast_slice(elements))
    }

    /// Adds i8 elements.
    pub fn i8s(&mut self, elements: &[i8]) -> Array {
        self.array(Dtype::I8, bytemuck::cast_slice(elements))
    }

    /// Adds i32 elements.
    pub fn i32s(&mut self, elements: &[i32]) -> Array {
        self.array(Dtype::I32, bytemuck::cast_slice(elements))
    }

    /// Adds the next step.
    pub fn step(&mut self, step: &Step<'_>) {
        let steps = core::mem::replace(&mut self.steps, Ok(Vec::new()));
        self.steps = steps.and_then(|bytes| postcard::to_extend(step, bytes));
        self.count += 1;
        self.needs = self.needs.and(Needs::of_step(step));
    }

    /// The file. `header.steps` is filled in; all else is the caller's. The result has been
    /// parsed, so it is valid.
    pub fn finish(self, header: Header<'_>) -> Result<Vec<u8>, WriteError> {
        let mut manifest = postcard::to_extend(&Header { steps: self.count, ..header }, Vec::new())?;
        manifest.extend(self.steps?);
        // If the file's length fits, so did all offsets.
        let fixed =
            Fixed::new(manifest.len(), self.sections.len(), self.needs).ok_or(WriteError::TooLarge)?;
        let mut file = Vec::with_capacity(fixed.file_len as usize);
        file.extend(fixed.to_bytes());
        file.extend(manifest);
        file.resize(fixed.sections_offset as usize, 0);
        file.extend(self.sections);
        let crc = checksum(&file).ok_or(WriteError::TooLarge)?;
        file.splice(..fixed.to_bytes().len(), Fixed { crc, ..fixed }.to_bytes());
        Artifact::parse(&AlignedBytes::from(&*file))?;
        Ok(file)
    }

    /// Identical bytes of one type are stored once.
    fn array(&mut self, dtype: Dtype, bytes: &[u8]) -> Array {
        let same = |a: &&Array| a.dtype == dtype && self.sections[a.offset as usize..].starts_with(bytes);
        let len = (bytes.len() / dtype.size() as usize) as u32;
        if let Some(known) = self.arrays.iter().filter(|a| a.len == len).find(same) {
            return *known;
        }
        self.sections.resize(self.sections.len().next_multiple_of(ALIGNMENT as usize), 0);
        let array = Array { dtype, offset: self.sections.len() as u32, len };
        self.sections.extend(bytes);
        self.arrays.push(array);
        array
    }
}

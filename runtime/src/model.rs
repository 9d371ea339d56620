use tfc_formats::artifact::{Artifact, Header};
use tfc_formats::op::Shape;

use crate::error::ModelError;

/// A checked model. It borrows the bytes of the file and copies nothing.
#[derive(Clone, Debug)]
pub struct Model<'a> {
    artifact: Artifact<'a>,
    arena_len: usize,
}

impl<'a> Model<'a> {
    /// Checks a `.tfc` file: the only place where it is checked. `file` begins at a multiple of
    /// 4 in memory (for a file in flash, see [`include_model!`](tfc_formats::include_model)).
    pub fn new(file: &'a [u8]) -> Result<Self, ModelError> {
        let artifact = Artifact::parse(file)?;
        let arena_len = artifact.header().arena_len.try_into().map_err(|_| ModelError::TooLarge)?;
        Ok(Self { artifact, arena_len })
    }

    /// Bytes of arena that a [`Session`](crate::Session) needs, exactly.
    pub fn arena_len(&self) -> usize {
        self.arena_len
    }

    /// Shape of the input.
    pub fn input_shape(&self) -> Shape {
        self.header().input.shape
    }

    /// Shape of the output.
    pub fn output_shape(&self) -> Shape {
        self.header().output.shape
    }

    /// Name, preprocessing and sizes.
    pub fn header(&self) -> &Header<'a> {
        self.artifact.header()
    }

    /// The file's records and arrays.
    pub fn artifact(&self) -> &Artifact<'a> {
        &self.artifact
    }
}

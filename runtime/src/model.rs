use tfc_formats::artifact::{Artifact, Header, Needs};
use tfc_formats::op::Shape;

use crate::error::ModelError;

/// Bits of [`Needs::ALL`].
pub(crate) const EVERYTHING: u32 = Needs::ALL.bits();

/// A checked model. It borrows the bytes of the file and copies nothing.
///
/// `NEEDS` are bits of [`Needs`]: no code is linked for what is not among them. [`new`](Self::new) is
/// for any model, [`include_model!`](crate::include_model) for one.
#[derive(Clone, Debug)]
pub struct Model<'a, const NEEDS: u32 = EVERYTHING> {
    artifact: Artifact<'a>,
    arena_len: usize,
}

impl<'a> Model<'a> {
    /// Checks a `.tfc` file: the only place where it is checked. `file` begins at a multiple of
    /// 4 in memory.
    pub fn new(file: &'a [u8]) -> Result<Self, ModelError> {
        Self::of_needs(file)
    }
}

impl<'a, const NEEDS: u32> Model<'a, NEEDS> {
    /// As [`new`](Model::new), for models that need no more than `NEEDS`.
    pub fn of_needs(file: &'a [u8]) -> Result<Self, ModelError> {
        let artifact = Artifact::parse(file)?;
        if !Needs::from_bits(NEEDS).contains(artifact.needs()) {
            return Err(ModelError::Needs);
        }
        let arena_len = artifact.header().arena_len.try_into().map_err(|_| ModelError::TooLarge)?;
        Ok(Self { artifact, arena_len })
    }

    /// Of an artifact that was checked when the program was built.
    #[doc(hidden)]
    pub const fn constant(artifact: Artifact<'a>) -> Self {
        let arena_len = artifact.header().arena_len as usize;
        Self { artifact, arena_len }
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

/// Puts a `.tfc` file into the program: a `&'static Model`, with which no more is linked than that model
/// needs. The file is checked while the program is built, and its records become constants: the program
/// neither checks nor decodes. The path is as in `include_bytes!`: a literal, `env!` or `concat!`, relative
/// to the source file.
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {
        $crate::constants::model!($crate, $path)
    };
}

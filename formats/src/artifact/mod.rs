//! The `.tfc` file: see `FORMAT.md` beside this crate, which is normative.
//!
//! [`Artifact::parse`] makes every check of that document once and borrows everything from the
//! bytes that it is given; nothing behind it is checked again, copied or allocated. With feature
//! `std`, `Writer` lays a file out and `open` and `write_file` move it from and to disk.

#[cfg(target_endian = "big")]
compile_error!("sections of .tfc files are little-endian and read in place");

mod aligned;
mod check;
mod csr;
mod error;
mod integer;
mod layout;
mod manifest;
mod needs;
mod read;
mod scratch;

#[cfg(feature = "std")]
mod file;
#[cfg(feature = "std")]
mod write;

pub use aligned::Aligned;
#[cfg(feature = "std")]
pub use aligned::AlignedBytes;
pub use csr::{Columns, Row, Rows, Values};
pub use error::{ArtifactError, StepError, ValueError};
#[cfg(feature = "std")]
pub use file::{FileError, open, write_file};
pub use layout::{ALIGNMENT, MAGIC, VERSION};
pub use manifest::{
    Affine, Array, BLOCKS, ColumnIndex, Dtype, Element, Header, MAX_INPUTS, MAX_PARAMS, Matrix,
    Requantization, Residual, Step, Storage, Value,
};
pub use needs::Needs;
pub use read::{Artifact, Steps};
pub use scratch::{output_scratch_len, scratch_len};
#[cfg(feature = "std")]
pub use write::{WriteError, Writer};

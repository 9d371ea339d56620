//! Runs `.tfc` files in place: no heap, no copy of the weights, no panic.
//!
//! ```
//! # use tfc_formats::{artifact::*, op::*, preprocess::Preprocess};
//! # let value = |offset| Value { shape: Shape::vector(3), halo: Padding::default(), element: Element::F32, offset };
//! # let mut writer = Writer::new();
//! # writer.step(&Step {
//! #     name: "relu", op: Op::Activation(Activation::Relu), inputs: [value(0)].into_iter().collect(),
//! #     output: value(16), matrix: None, params: [].into_iter().collect(), activation: None, requantization: None,
//! # });
//! # let (preprocess, quantize) = (Preprocess::identity(), [].into_iter().collect());
//! # let (name, producer, input, output) = ("example", "docs", value(0), value(16));
//! # let header = Header { name, producer, preprocess, quantize, input, output, arena_len: 32, scratch_len: 0, steps: 0 };
//! # let file = AlignedBytes::from(&*writer.finish(header)?);
//! use tfc_runtime::{AlignedArena, Model, Session};
//!
//! // `file` holds the bytes of a .tfc file; of one in the program, `include_model!("relu.tfc")`
//! // is the model.
//! let model = Model::new(&file)?;
//! assert_eq!(model.arena_len(), 32);
//!
//! let mut arena = AlignedArena::<32>::new();
//! let mut session = Session::new(&model, &mut arena)?;
//! let output = session.run(&[1.0, -2.0, 3.0])?;
//! assert_eq!(output, [1.0, 0.0, 3.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The file
//! [`Model::new`] makes every check of the format, once. What it accepts cannot panic, loop or read
//! out of bounds afterwards; nothing is checked twice. Steps are decoded one at a time while they
//! run, and weights are read where they lie, in flash for example.
//!
//! # Memory
//! All values live in one slice, the arena, at places that were planned when the file was written.
//! [`Model::arena_len`] is exact. A value may be surrounded by a halo of zeros for the convolutions
//! that read it: whoever writes the value writes the halo, so that padding costs no copy and no
//! conditions. Each step gets the arena in parts: scratch and its output to write, all else to read.
//!
//! # Kernels
//! Convolutions and dense layers take the time, and have three forms (see [`Kernels`]): a readable
//! reference, portable code that compilers vectorise, and that same code compiled for wider vectors,
//! chosen once by what the processor has. A sparse matrix is read as it is stored: for a
//! convolution, each row becomes a list of offsets into the padded input with their weights, and
//! a dense matrix is the case in which every column is stored. Results of the forms differ by
//! rounding only.
//!
//! # Features
//! `std` adds the look at the processor's features. Nothing allocates with or without it.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod arena;
mod error;
mod input;
mod kernels;
mod model;
mod ops;
#[cfg(feature = "alloc")]
mod prepared;
mod session;
mod tensor;

pub use arena::AlignedArena;
pub use error::{ModelError, RunError, SessionError};
pub use kernels::Kernels;
pub use model::Model;
pub use ops::activation::activate;
#[cfg(feature = "alloc")]
pub use prepared::{PrepareError, Prepared, PreparedSession};
pub use session::Session;
pub use tensor::{Stored, Tensor};
pub use tfc_formats::artifact::{Artifact, Header, Needs, Step};
pub use tfc_formats::op::Shape;

/// What [`include_model!`] expands to.
#[doc(hidden)]
pub mod constants {
    pub use heapless::Vec as List;
    pub use tfc_formats::artifact::*;
    pub use tfc_formats::op::*;
    pub use tfc_formats::preprocess::*;
    pub use tfc_macros::model;

    pub use crate::Model;
}

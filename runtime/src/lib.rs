//! Runs `.tfc` files in place: no heap, no copy of the weights, no panic.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod arena;
mod error;
mod kernels;
mod model;
mod ops;
mod session;
mod tensor;

pub use arena::AlignedArena;
pub use error::{ModelError, RunError, SessionError};
pub use kernels::Kernels;
pub use model::Model;
pub use session::Session;
pub use tfc_formats::artifact::{Artifact, Header, Step};
pub use tfc_formats::op::Shape;

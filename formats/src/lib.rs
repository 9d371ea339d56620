//! Every byte that `tfc` reads or writes: trained networks, data sets and the `.tfc` artifact.
//!
//! Two halves:
//! - always, `no_std` and without a heap: [`op`] (what a layer computes), [`preprocess`] and
//!   [`artifact`] (the checked reader of `.tfc` files). A microcontroller links only this.
//! - with feature `std`: `network` (the graph with its f32 tensors), `import` (safetensors and
//!   graph descriptions), `dataset` (IDX, built-in digits) and the artifact writer.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod artifact;
pub mod op;
pub mod preprocess;

#[cfg(feature = "std")]
pub mod dataset;
#[cfg(feature = "std")]
pub mod import;
#[cfg(feature = "std")]
pub mod network;

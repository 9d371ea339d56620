//! Kernels for one instruction set; the only place with `unsafe`.

mod bytes;
#[cfg(dsp)]
mod dsp;
#[cfg(helium)]
mod helium;
#[cfg(feature = "alloc")]
mod rows;
#[cfg(any(
    all(target_arch = "aarch64", target_feature = "neon"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod single;
#[cfg(feature = "alloc")]
mod slices;
#[cfg(thumb1)]
mod thumb1;
#[cfg(feature = "alloc")]
mod tile;
mod vector;

// One of these is the module of the instruction sets that this target may have.
#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(all(target_arch = "aarch64", target_feature = "neon"), path = "aarch64.rs")]
#[cfg_attr(all(target_arch = "wasm32", target_feature = "simd128"), path = "wasm32.rs")]
mod isa;

#[cfg(not(any(dsp, helium, thumb1)))]
pub(super) use bytes::Plain as Native;
pub(super) use bytes::{BEHIND, Bytes, Entries, Plain};
#[cfg(dsp)]
pub(super) use dsp::Dsp as Native;
#[cfg(helium)]
pub(super) use helium::Helium as Native;
pub(super) use isa::Isa;
#[cfg(feature = "alloc")]
pub(super) use rows::{Element, add_scaled, dots};
#[cfg(feature = "alloc")]
pub(super) use slices::Slices;
#[cfg(thumb1)]
pub(super) use thumb1::Thumb1 as Native;
#[cfg(feature = "alloc")]
pub(super) use tile::{Tap, Taps, load, load_rows, permute_each, store, store_rows};
pub(super) use vector::{LONGEST, Portable, Vector};

/// A loop that is compiled for each instruction set.
pub(super) trait Kernel {
    /// Its result.
    type Output;

    /// Runs it. It and all that it calls for each vector are `inline(always)`, so that they are
    /// compiled with the instructions that `V` needs.
    fn run<V: Vector>(self) -> Self::Output;
}

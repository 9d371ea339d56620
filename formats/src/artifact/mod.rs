//! The `.tfc` file: see `FORMAT.md` beside this crate, which is normative.

mod manifest;

pub use manifest::{Array, ColumnIndex, Dtype, Header, MAX_INPUTS, MAX_PARAMS, Matrix, Step, Storage, Value};

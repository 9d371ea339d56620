//! Factors of weights.
//!
//! [`groups`] turns a network into relations between object types, [`factorize`] factorizes all
//! relations of a group at the same time with one non-negative factor per type, and [`Svd`] is
//! the best approximation of one matrix on its own.
//!
#![doc = include_str!("README.md")]

mod dfmf;
#[cfg(test)]
pub(crate) mod fixtures;
mod gradient;
mod init;
mod multiplicative;
mod relations;
mod replace;
mod state;
mod svd;
mod tucker;

pub use dfmf::{Factors, Iteration, Options, Rank, Solver, factorize};
pub use init::Init;
pub use relations::{Group, GroupKind, ObjectType, Relation, groups};
pub use replace::{Link, add_tensor, replace_layer, sweep};
pub use svd::Svd;
pub use tucker::replace_convolutions;

use tfc_formats::network::NetworkError;

use crate::device::DeviceError;

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Values, `rows * cols`.
    pub data: Vec<f32>,
}

/// Why weights cannot be factorized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FactorizeError {
    /// The graph has nodes that do not translate to relations; all of them are listed.
    #[error("cannot factorize across {}; choose a method that needs no factors", .0.join(", "))]
    Unsupported(Vec<String>),
    /// A product of weights exceeds f32.
    #[error("the {0} weights are too large to factorize: their squares exceed f32")]
    NotFinite(GroupKind),
    /// The singular values of a matrix did not converge.
    #[error("the singular value decomposition of a {rows} x {cols} matrix did not converge")]
    Svd {
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
    },
    /// The network is not valid.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

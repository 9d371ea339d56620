//! The loops that take the time, in three forms behind one dispatch point.
//!
//! [`scalar`] is the readable reference and handles everything. [`generic`] is portable code in a
//! shape that compilers vectorise. [`arch`] holds what needs `unsafe`: vectors, for which the other
//! loops are compiled again, and the innermost loops over prepared weights. The reference takes the
//! cases that the others do not handle.

#[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "what only prepared models run"))]
mod arch;
#[cfg(feature = "alloc")]
pub(crate) mod fill;
mod generic;
#[cfg(feature = "alloc")]
pub(crate) mod grid;
mod integer;
#[cfg(feature = "alloc")]
pub(crate) mod matvec;
mod peak;
#[cfg(feature = "alloc")]
pub(crate) mod planes;
#[cfg(feature = "alloc")]
pub(crate) mod pool;
mod scalar;
#[cfg(feature = "alloc")]
pub(crate) mod scatter;
#[cfg(feature = "alloc")]
pub(crate) mod team;
mod weights;

use tfc_formats::artifact::{Artifact, Needs, Rows, Step, Storage, Values};
use tfc_formats::op::{Activation, Conv2d};

use crate::tensor::{Tensor, TensorMut};

pub(crate) use integer::{ConvI8, DenseI8, Requantizer, WeightsI8};

/// A choice of kernels. Kernels that the processor cannot run cannot be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scalar,
    Generic,
    Arch(arch::Isa),
}

impl Kernels {
    /// The readable reference.
    pub const SCALAR: Self = Self(Kind::Scalar);

    /// Portable code for any processor.
    pub const GENERIC: Self = Self(Kind::Generic);

    /// The fastest that this processor runs.
    pub fn best() -> Self {
        arch::Isa::available().last().map_or(Self::GENERIC, |isa| Self(Kind::Arch(isa)))
    }

    /// All that this processor runs.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::SCALAR, Self::GENERIC]
            .into_iter()
            .chain(arch::Isa::available().map(|isa| Self(Kind::Arch(isa))))
    }

    /// Name in tables.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Kind::Scalar => "scalar",
            Kind::Generic => "generic",
            Kind::Arch(isa) => isa.name(),
        }
    }

    /// A program for one model has one form of each kernel.
    fn only<const NEEDS: u32>(self) -> Self {
        if Needs::from_bits(NEEDS) == Needs::ALL { self } else { Self::GENERIC }
    }

    /// Runs a convolution. `None` only for a record that the checks of `Model::new` exclude.
    pub(crate) fn conv<const NEEDS: u32>(self, mut job: Conv<'_>) -> Option<()> {
        let kernels = self.only::<NEEDS>();
        if kernels != Self::SCALAR && generic::handles_conv(&job) {
            return kernels.dispatch(generic::Job::<_, NEEDS>(&mut job));
        }
        if Needs::from_bits(NEEDS).contains(Needs::LARGE_CONV) { scalar::conv(&mut job) } else { None }
    }

    /// Runs a dense layer. `None` only for a record that the checks of `Model::new` exclude.
    pub(crate) fn dense<const NEEDS: u32>(self, mut job: Dense<'_>) -> Option<()> {
        let kernels = self.only::<NEEDS>();
        if kernels != Self::SCALAR && generic::handles_dense(&job) {
            return kernels.dispatch(generic::Job::<_, NEEDS>(&mut job));
        }
        if Needs::from_bits(NEEDS).contains(Needs::DENSE_HALO) { scalar::dense(&mut job) } else { None }
    }

    /// Runs a convolution on i8. `None` only for a record that the checks of `Model::new` exclude.
    pub(crate) fn conv_i8<const NEEDS: u32>(self, mut job: ConvI8<'_>) -> Option<()> {
        let kernels = self.only::<NEEDS>();
        if kernels != Self::SCALAR && generic::handles_conv_i8(&job) {
            return kernels.dispatch(generic::Job::<_, NEEDS>(&mut job));
        }
        if Needs::from_bits(NEEDS).contains(Needs::LARGE_CONV) { scalar::conv_i8(&mut job) } else { None }
    }

    /// Runs a dense layer on i8. `None` only for a record that the checks of `Model::new` exclude.
    pub(crate) fn dense_i8<const NEEDS: u32>(self, mut job: DenseI8<'_>) -> Option<()> {
        let kernels = self.only::<NEEDS>();
        if kernels != Self::SCALAR && generic::handles_dense_i8(&job) {
            return kernels.dispatch(generic::Job::<_, NEEDS>(&mut job));
        }
        if Needs::from_bits(NEEDS).contains(Needs::DENSE_HALO) { scalar::dense_i8(&mut job) } else { None }
    }

    /// Elements of a vector.
    #[cfg(feature = "alloc")]
    pub(crate) fn lanes(self) -> usize {
        struct Lanes;
        impl arch::Kernel for Lanes {
            type Output = usize;
            #[inline(always)]
            fn run<V: arch::Vector>(self) -> usize {
                V::LANES
            }
        }
        self.dispatch(Lanes)
    }

    /// Whether halves are widened while they are loaded.
    #[cfg(feature = "alloc")]
    fn widens_halves(self) -> bool {
        struct Widens;
        impl arch::Kernel for Widens {
            type Output = bool;
            #[inline(always)]
            fn run<V: arch::Vector>(self) -> bool {
                V::WIDENS
            }
        }
        self.dispatch(Widens)
    }

    /// Runs a loop compiled for this choice.
    fn dispatch<K: arch::Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Kind::Arch(isa) => isa.dispatch(kernel),
            Kind::Scalar | Kind::Generic => kernel.run::<arch::Portable>(),
        }
    }
}

/// The matrix of a step and its bias.
#[derive(Clone)]
pub(crate) struct Weights<'a> {
    rows: Rows<'a>,
    /// Columns of every row.
    cols: usize,
    /// Whether every element is stored.
    dense: bool,
    bias: Option<Values<'a>>,
}

impl<'a> Weights<'a> {
    pub(crate) fn of(artifact: &Artifact<'a>, step: &Step<'_>) -> Option<Self> {
        let matrix = step.matrix.as_ref()?;
        let bias = match step.params.first() {
            Some(bias) => Some(artifact.values(*bias)?),
            None => None,
        };
        Some(Self {
            rows: artifact.rows(matrix)?,
            cols: matrix.cols.try_into().ok()?,
            dense: matches!(matrix.storage, Storage::Dense { .. }),
            bias,
        })
    }

    /// Entries of each row.
    #[cfg(feature = "alloc")]
    pub(crate) fn rows(&self) -> Rows<'a> {
        self.rows.clone()
    }

    /// Bias of output `i`; 0 where there is none.
    pub(crate) fn bias(&self, i: usize) -> Option<f32> {
        self.bias.map_or(Some(0.0), |bias| bias.get(i))
    }
}

/// A convolution to run.
pub(crate) struct Conv<'a> {
    pub(crate) spec: Conv2d,
    pub(crate) x: Tensor<'a>,
    pub(crate) weights: Weights<'a>,
    pub(crate) activation: Option<Activation>,
    pub(crate) out: TensorMut<'a>,
    /// Room for an offset and the values of each entry of the longest block of rows.
    pub(crate) scratch: &'a mut [f32],
}

/// A dense layer to run.
pub(crate) struct Dense<'a> {
    /// The stored matrix is `[in, out]`.
    pub(crate) transposed: bool,
    pub(crate) x: Tensor<'a>,
    pub(crate) weights: Weights<'a>,
    pub(crate) activation: Option<Activation>,
    pub(crate) out: TensorMut<'a>,
}

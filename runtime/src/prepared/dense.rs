//! A dense layer laid out for [`kernels::matvec`](crate::kernels::matvec).

use tfc_formats::artifact::{Artifact, Step, Storage};
use tfc_formats::op::Activation;

use crate::kernels::matvec::{Extent, Matrix};
use crate::kernels::{Kernels, Weights};
use crate::model::EVERYTHING;
use crate::ops::activation;
use crate::tensor::{Tensor, TensorMut};

/// A dense layer with its weights.
#[derive(Clone, Debug)]
pub(super) struct DensePlan<'m> {
    matrix: Matrix<'m>,
    activation: Option<Activation>,
}

impl<'m> DensePlan<'m> {
    /// `None` for a layer that is too small, see [`Matrix::new`].
    pub(super) fn new(
        artifact: &Artifact<'m>,
        step: &Step<'m>,
        extent: Extent,
        kernels: Kernels,
    ) -> Option<Self> {
        let weights = Weights::of(artifact, step)?;
        let stored = match step.matrix.as_ref()?.storage {
            Storage::Dense { values } => artifact.values(values),
            Storage::Csr { .. } => None,
        };
        let matrix = Matrix::new(&weights, stored, extent, kernels)?;
        Some(Self { matrix, activation: step.activation })
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        self.matrix.bytes()
    }

    /// `None` if a length contradicts the matrix.
    pub(super) fn run(&self, kernels: Kernels, x: Tensor<'_>, out: TensorMut<'_>) -> Option<()> {
        self.matrix.product(kernels, x.data, out.data)?;
        activation::apply::<EVERYTHING>(self.activation, out.data);
        Some(())
    }
}

//! Matrix-vector products, bound by the bytes of the matrix.

mod dense;
mod sparse;

use alloc::borrow::Cow;
use alloc::vec::Vec;

use half::f16;
use tfc_formats::artifact::Values;

use super::arch::{Element, Kernel, Vector};
use super::{Kernels, Weights};
use sparse::Sparse;

/// Inputs and outputs of a layer, and whether its matrix is stored as `[in, out]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) transposed: bool,
}

/// `W` and `b` of `y = W x + b`: in halves where that is exact and they are read as fast.
#[derive(Clone, Debug)]
pub(crate) struct Matrix<'m> {
    elements: Elements<'m>,
    /// One an output.
    bias: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Elements<'m> {
    F32(Layout<'m, f32>),
    F16(Layout<'m, f16>),
}

/// How the elements lie.
#[derive(Clone, Debug)]
enum Layout<'m, W: Clone> {
    /// Dense, one output behind the other.
    Rows(Cow<'m, [W]>),
    /// Dense, one input behind the other.
    Columns(Cow<'m, [W]>),
    /// Only what is not zero, and the bias.
    Sparse(Sparse),
}

impl<'m> Matrix<'m> {
    /// The layout that takes `kernels` least time; of a dense one, the file's own values `stored` if
    /// it has them. `None` for weights of another extent, and where both inputs and outputs are
    /// fewer than the lanes of a vector.
    pub(crate) fn new(
        weights: &Weights<'m>,
        stored: Option<Values<'m>>,
        extent: Extent,
        kernels: Kernels,
    ) -> Option<Self> {
        let bias = (0..extent.outputs).map(|o| weights.bias(o)).collect::<Option<Vec<f32>>>()?;
        let is_exact = |(_, value)| f16::from_f32(value).to_f32() == value;
        let halves = kernels.widens_halves();
        let elements = match stored {
            Some(Values::F32(values)) => {
                Elements::F32(Layout::new(weights, Some(values), extent, &bias, kernels)?)
            }
            Some(Values::F16(values)) if halves => {
                Elements::F16(Layout::new(weights, Some(values), extent, &bias, kernels)?)
            }
            None if halves && weights.rows().all(|mut row| row.all(is_exact)) => {
                Elements::F16(Layout::new(weights, None, extent, &bias, kernels)?)
            }
            _ => Elements::F32(Layout::new(weights, None, extent, &bias, kernels)?),
        };
        Some(Self { elements, bias })
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        let elements = match &self.elements {
            Elements::F32(layout) => layout.bytes(),
            Elements::F16(layout) => layout.bytes(),
        };
        elements + size_of_val(self.bias.as_slice())
    }

    /// `out = W x + b`; `None` if a length contradicts the matrix.
    pub(crate) fn product(&self, kernels: Kernels, x: &[f32], out: &mut [f32]) -> Option<()> {
        kernels.dispatch(Product { matrix: self, x, out })
    }
}

struct Product<'a, 'm> {
    matrix: &'a Matrix<'m>,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Product<'_, '_> {
    type Output = Option<()>;

    #[inline(always)]
    fn run<V: Vector>(self) -> Option<()> {
        let Self { matrix: Matrix { elements, bias }, x, out } = self;
        match elements {
            Elements::F32(Layout::Rows(rows)) => dense::by_rows::<V, _>(rows, bias, x, out),
            Elements::F16(Layout::Rows(rows)) => dense::by_rows::<V, _>(rows, bias, x, out),
            Elements::F32(Layout::Columns(columns)) => dense::by_columns::<V, _>(columns, bias, x, out),
            Elements::F16(Layout::Columns(columns)) => dense::by_columns::<V, _>(columns, bias, x, out),
            Elements::F32(Layout::Sparse(sparse)) => sparse.product::<V>(x, out),
            Elements::F16(Layout::Sparse(sparse)) => sparse.product::<V>(x, out),
        }
    }
}

impl<'m, W: Element> Layout<'m, W> {
    fn new(
        weights: &Weights<'m>,
        stored: Option<&'m [W]>,
        extent: Extent,
        bias: &[f32],
        kernels: Kernels,
    ) -> Option<Self> {
        let Extent { inputs, outputs, transposed } = extent;
        let elements = inputs.checked_mul(outputs)?;
        // Output, input and value of what is not zero.
        let entries = || {
            (0u32..).zip(weights.rows()).flat_map(move |(row, entries)| {
                entries.filter(|(_, value)| *value != 0.0).map(move |(column, value)| {
                    if transposed { (column, row, value) } else { (row, column, value) }
                })
            })
        };
        if entries().count() < elements / 2 {
            let mut rows = alloc::vec![Vec::new(); outputs];
            for (output, input, value) in entries() {
                rows.get_mut(output as usize)?.push((input, value));
            }
            if let Some(sparse) = Sparse::new(&rows, inputs, bias, kernels)
                && sparse.is_faster::<W>(elements)
            {
                return Some(Self::Sparse(sparse));
            }
        }
        if inputs.max(outputs) < kernels.lanes() {
            return None;
        }
        let by_rows = dense::is_by_rows(extent, kernels.lanes());
        let dense = match stored {
            Some(values) if by_rows != transposed => Cow::Borrowed(values),
            _ => {
                let mut values = alloc::vec![W::from_f32(0.0); elements];
                for (output, input, value) in entries() {
                    let (output, input) = (output as usize, input as usize);
                    let at = if by_rows { output * inputs + input } else { input * outputs + output };
                    *values.get_mut(at)? = W::from_f32(value);
                }
                Cow::Owned(values)
            }
        };
        Some(if by_rows { Self::Rows(dense) } else { Self::Columns(dense) })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Rows(Cow::Owned(values)) | Self::Columns(Cow::Owned(values)) => {
                size_of_val(values.as_slice())
            }
            Self::Rows(_) | Self::Columns(_) => 0,
            Self::Sparse(sparse) => sparse.bytes(),
        }
    }
}

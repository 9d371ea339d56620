//! Where the columns of a convolution's matrix are in its input.

use tfc_formats::artifact::Columns;
use tfc_formats::op::Conv2d;

use crate::kernels::weights::columns;
use crate::tensor::Layout;

/// From a column of the matrix to an offset in the input.
pub(super) struct Taps {
    kernel: Divisor,
    row: Divisor,
    /// From one input channel, tap row and tap column to the next.
    steps: [u32; 3],
    /// From the first channel of one group to that of the next.
    group: u32,
    /// Of the first tap of the first channel.
    base: u32,
}

impl Taps {
    /// `cols` is the number of columns of the matrix.
    pub(super) fn of(spec: &Conv2d, x: Layout, cols: usize) -> Option<Self> {
        let [kh, kw] = spec.kernel.map(u32::from);
        let [dh, dw] = spec.dilation.map(usize::from);
        let group_in = x.c.checked_div(spec.groups as usize)?;
        let corner =
            (x.top.checked_sub(spec.pad.top.into())?) * x.row + x.left.checked_sub(spec.pad.left.into())?;
        let u32 = |n: usize| u32::try_from(n).ok();
        Some(Self {
            kernel: Divisor::new(kh * kw, cols)?,
            row: Divisor::new(kw, cols)?,
            steps: [u32(x.plane)?, u32(dh * x.row)?, u32(dw)?],
            group: u32(group_in * x.plane)?,
            base: u32(corner)?,
        })
    }

    /// Writes the offsets of a row's entries, which is of group `group`.
    #[inline(always)]
    pub(super) fn offsets(&self, group: usize, row: Columns<'_>, out: &mut [u32]) {
        columns(row, out);
        let base = self.base.wrapping_add((group as u32).wrapping_mul(self.group));
        out.iter_mut().for_each(|column| *column = base.wrapping_add(self.offset(*column)));
    }

    /// From the first tap of the group's first channel.
    #[inline(always)]
    fn offset(&self, column: u32) -> u32 {
        let (channel, tap) = self.kernel.divide(column);
        let (ky, kx) = self.row.divide(tap);
        let [plane, row, col] = self.steps;
        let at = channel.wrapping_mul(plane).wrapping_add(ky.wrapping_mul(row));
        at.wrapping_add(kx.wrapping_mul(col))
    }
}

/// Division of column numbers by a constant of the layer, as a multiplication with its
/// reciprocal: exact while `n * divisor < 2^32`.
struct Divisor {
    divisor: u32,
    reciprocal: u64,
}

impl Divisor {
    /// For numbers below `bound`.
    fn new(divisor: u32, bound: usize) -> Option<Self> {
        let exact = (bound as u64).checked_mul(divisor.into())? < 1 << 32;
        (exact && divisor > 0).then(|| Self { divisor, reciprocal: (1u64 << 32).div_ceil(divisor.into()) })
    }

    #[inline(always)]
    fn divide(&self, n: u32) -> (u32, u32) {
        let quotient = ((u64::from(n) * self.reciprocal) >> 32) as u32;
        (quotient, n.wrapping_sub(quotient.wrapping_mul(self.divisor)))
    }
}

#[cfg(test)]
mod tests {
    use super::Divisor;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_divisor_divides_all_numbers_that_it_accepts(divisor in 1u32..70_000, bound in 1usize..5_000_000, n: u32) {
            match Divisor::new(divisor, bound) {
                Some(by) => {
                    for n in [n % bound as u32, bound as u32 - 1, divisor.min(bound as u32) - 1] {
                        prop_assert_eq!(by.divide(n), (n / divisor, n % divisor));
                    }
                }
                None => prop_assert!(bound as u64 * u64::from(divisor) >= 1 << 32),
            }
        }
    }
}

//! What kernels on i8 work on. Every kernel stores the same bytes: sums are exact, and
//! [`Requantizer`] is the only rounding.

use tfc_formats::artifact::{Artifact, Requantization, Rows, Step};
use tfc_formats::op::Conv2d;

use crate::tensor::{Tensor, TensorMut};

/// From sums to bytes.
#[derive(Clone, Copy)]
pub(crate) struct Requantizer<'a> {
    pub(crate) constants: Requantization,
    /// By channel, divisor or input.
    pub(crate) multipliers: &'a [i32],
}

impl<'a> Requantizer<'a> {
    /// Of a step whose last parameter is its multipliers.
    pub(crate) fn of(step: &Step<'_>, artifact: &Artifact<'a>) -> Option<Self> {
        Some(Self { constants: step.requantization?, multipliers: artifact.i32s(*step.params.last()?)? })
    }

    /// Whether results are bounded only by what a byte holds: one instruction on many processors.
    #[inline(always)]
    fn saturates(&self) -> bool {
        (self.constants.lo, self.constants.hi) == (i8::MIN, i8::MAX)
    }

    /// A sum that is in the output's units already, but for the right shift.
    #[inline(always)]
    pub(crate) fn store(&self, sum: i32) -> i8 {
        self.store_within::<false>(sum)
    }

    /// As [`store`](Self::store), knowing of [`saturates`](Self::saturates).
    #[inline(always)]
    fn store_within<const SATURATES: bool>(&self, sum: i32) -> i8 {
        let Requantization { offset, right, lo, hi, .. } = self.constants;
        // A shift is below 32, and bounds are in order: the masks and the order of comparisons
        // only keep this from panicking.
        let q = sum.wrapping_add(offset).wrapping_shr(right.into());
        if SATURATES { q.clamp(-128, 127) as i8 } else { q.max(lo.into()).min(hi.into()) as i8 }
    }

    /// A sum times its multiplier, in the output's units but for the right shift.
    #[inline(always)]
    pub(crate) fn multiply(&self, sum: i32, multiplier: i32) -> i32 {
        high(sum.wrapping_shl(self.constants.left.into()), multiplier)
    }

    /// A sum as the `i`-th multiplier scales it.
    pub(crate) fn scale(&self, sum: i32, i: usize) -> Option<i8> {
        Some(self.store(self.multiply(sum, *self.multipliers.get(i)?)))
    }
}

/// The high word of a product, rounded half up; `multiplier` is not negative.
#[cfg(not(thumb1))]
#[inline(always)]
fn high(sum: i32, multiplier: i32) -> i32 {
    ((i64::from(sum) * i64::from(multiplier) + (1 << 31)) >> 32) as i32
}

#[cfg(thumb1)]
use high_of_halves as high;

/// [`high`] where products have no more than 32 bits: from those of halves.
#[cfg(any(thumb1, test))]
#[inline(always)]
fn high_of_halves(sum: i32, multiplier: i32) -> i32 {
    let (low, high) = (sum & 0xffff, sum >> 16);
    let (by_low, by_high) = (multiplier & 0xffff, multiplier >> 16);
    // Of the lowest product, only what is carried matters.
    let carried = (low as u32).wrapping_mul(by_low as u32) >> 16;
    let first = high.wrapping_mul(by_low).wrapping_add(carried as i32);
    let second = low.wrapping_mul(by_high);
    let middle = ((first & 0xffff) + (second & 0xffff) + 0x8000) >> 16;
    high.wrapping_mul(by_high).wrapping_add(first >> 16).wrapping_add(second >> 16).wrapping_add(middle)
}

/// Sums of which bytes are made together.
const TOGETHER: usize = if cfg!(target_pointer_width = "32") { 4 } else { 16 };

/// What a step adds to each element that it stores.
#[derive(Clone, Copy)]
pub(crate) enum Residual<'a> {
    None,
    /// The bytes that are in the output's place, times this.
    InPlace(i32),
    /// These bytes, times this.
    Apart(Tensor<'a, i8>, i32),
}

/// The matrix of a step on i8 and what makes bytes of its sums.
#[derive(Clone)]
pub(crate) struct WeightsI8<'a> {
    pub(crate) rows: Rows<'a>,
    /// Columns of every row.
    pub(crate) cols: usize,
    /// By channel: what its sum begins with. The input's zero point is in it, so that elements that
    /// are not stored need not be added up.
    pub(crate) bias: &'a [i32],
    pub(crate) requantizer: Requantizer<'a>,
    pub(crate) residual: Residual<'a>,
}

impl<'a> WeightsI8<'a> {
    /// `residual` is where it lies if that is apart from the output.
    pub(crate) fn of(
        artifact: &Artifact<'a>,
        step: &Step<'_>,
        residual: Option<Tensor<'a, i8>>,
    ) -> Option<Self> {
        let matrix = step.matrix.as_ref()?;
        let requantizer = Requantizer::of(step, artifact)?;
        let residual = match (requantizer.constants.residual.map(|r| r.multiplier), residual) {
            (None, _) => Residual::None,
            (Some(multiplier), None) => Residual::InPlace(multiplier),
            (Some(multiplier), Some(value)) => Residual::Apart(value, multiplier),
        };
        Some(Self {
            rows: artifact.rows(matrix)?,
            cols: matrix.cols.try_into().ok()?,
            bias: artifact.i32s(*step.params.first()?)?,
            requantizer,
            residual,
        })
    }

    /// Stores sums of channel `c` from a row and a column of the output on, each row having `row` of
    /// them, of which those behind the output's last column are left out. Returns the place behind
    /// them. Apart from the loops around it where registers are few.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    #[cfg_attr(not(target_pointer_width = "32"), inline(always))]
    pub(crate) fn store(
        &self,
        out: &mut TensorMut<'_, i8>,
        c: usize,
        [mut y, mut column]: [usize; 2],
        row: usize,
        mut sums: &[i32],
    ) -> Option<[usize; 2]> {
        let multiplier = *self.requantizer.multipliers.get(c)?;
        let (at, saturates) = (out.at, self.requantizer.saturates());
        let mut to_row = at.row_start(c, y);
        let (from, mut from_row, from_step) = match self.residual {
            Residual::Apart(value, _) => (value.data, value.at.row_start(c, y), value.at.row),
            _ => (&[][..], 0, 0),
        };
        while !sums.is_empty() && y < at.h {
            let (now, later) = sums.split_at_checked(row.checked_sub(column)?).unwrap_or((sums, &[]));
            let n = now.len().min(at.w.saturating_sub(column));
            let (stored, to) = (now.get(..n)?, out.data.get_mut(to_row + column..)?.get_mut(..n)?);
            let from = if from_step == 0 { from } else { from.get(from_row + column..)?.get(..n)? };
            if saturates {
                self.store_within::<true>(to, from, multiplier, stored);
            } else {
                self.store_within::<false>(to, from, multiplier, stored);
            }
            (sums, column) = (later, column + now.len());
            if column == row {
                (y, column) = (y + 1, 0);
                (to_row, from_row) = (to_row + at.row, from_row + from_step);
            }
        }
        Some([y, column])
    }

    /// Stores what the matrix adds to the biases of channels from `first` on, which are one element
    /// each.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    #[cfg_attr(not(target_pointer_width = "32"), inline(always))]
    pub(crate) fn store_channels(
        &self,
        out: &mut TensorMut<'_, i8>,
        first: usize,
        sums: &mut [i32],
    ) -> Option<()> {
        let bias = self.bias.get(first..)?;
        sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum = sum.wrapping_add(*bias));
        let Residual::None = self.residual else {
            for (c, sum) in (first..).zip(sums) {
                self.store(out, c, [0, 0], 1, core::slice::from_ref(sum))?;
            }
            return Some(());
        };
        let scaled = sums.iter().zip(self.requantizer.multipliers.get(first..)?);
        let to = out.data.get_mut(first..)?.iter_mut().zip(scaled);
        to.for_each(|(to, (sum, m))| *to = self.requantizer.store(self.requantizer.multiply(*sum, *m)));
        Some(())
    }

    #[inline(always)]
    fn store_within<const SATURATES: bool>(&self, to: &mut [i8], from: &[i8], multiplier: i32, sums: &[i32]) {
        let Self { requantizer, residual, .. } = self;
        let store = |sum: i32, more: i32| {
            requantizer.store_within::<SATURATES>(requantizer.multiply(sum, multiplier).wrapping_add(more))
        };
        // Loops over arrays become straight code.
        let (to, to_rest) = to.as_chunks_mut::<TOGETHER>();
        let (sums, sums_rest) = sums.as_chunks::<TOGETHER>();
        let (from, from_rest) = from.as_chunks::<TOGETHER>();
        match *residual {
            Residual::None => {
                for (to, sums) in to.iter_mut().zip(sums) {
                    (0..TOGETHER).for_each(|i| to[i] = store(sums[i], 0));
                }
                to_rest.iter_mut().zip(sums_rest).for_each(|(to, sum)| *to = store(*sum, 0));
            }
            Residual::InPlace(factor) => {
                let store = |sum, to: i8| store(sum, i32::from(to).wrapping_mul(factor));
                for (to, sums) in to.iter_mut().zip(sums) {
                    (0..TOGETHER).for_each(|i| to[i] = store(sums[i], to[i]));
                }
                to_rest.iter_mut().zip(sums_rest).for_each(|(to, sum)| *to = store(*sum, *to));
            }
            Residual::Apart(_, factor) => {
                let store = |sum, from: i8| store(sum, i32::from(from).wrapping_mul(factor));
                for ((to, sums), from) in to.iter_mut().zip(sums).zip(from) {
                    (0..TOGETHER).for_each(|i| to[i] = store(sums[i], from[i]));
                }
                let rest = sums_rest.iter().zip(from_rest);
                to_rest.iter_mut().zip(rest).for_each(|(to, (sum, from))| *to = store(*sum, *from));
            }
        }
    }
}

/// A convolution on i8 to run.
pub(crate) struct ConvI8<'a> {
    pub(crate) spec: Conv2d,
    pub(crate) x: Tensor<'a, i8>,
    pub(crate) weights: WeightsI8<'a>,
    pub(crate) out: TensorMut<'a, i8>,
    /// Room for an offset of each entry of the longest row.
    pub(crate) scratch: &'a mut [u32],
}

/// A dense layer on i8 to run; its input has no halo.
pub(crate) struct DenseI8<'a> {
    pub(crate) x: Tensor<'a, i8>,
    pub(crate) weights: WeightsI8<'a>,
    pub(crate) out: TensorMut<'a, i8>,
}

#[cfg(test)]
mod tests {
    use super::{high, high_of_halves};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_high_word_comes_of_halves_too(sum: i32, multiplier in 0..=i32::MAX) {
            for sum in [sum, i32::MIN, i32::MAX, sum >> 16, -1] {
                for multiplier in [multiplier, i32::MAX, 0xffff] {
                    prop_assert_eq!(high_of_halves(sum, multiplier), high(sum, multiplier));
                }
            }
        }
    }
}

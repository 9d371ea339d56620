//! What kernels read from the file, one element at a time.

use half::f16;
use tfc_formats::artifact::{Columns, Values};

/// Element type of stored values, so that a loop over them is written once.
pub(crate) trait Value: Copy {
    fn f32(self) -> f32;
}

impl Value for f32 {
    #[inline(always)]
    fn f32(self) -> f32 {
        self
    }
}

impl Value for f16 {
    /// Exact, and without the branches and calls that keep compilers from vectorising.
    #[inline(always)]
    fn f32(self) -> f32 {
        const EXPONENT_SHIFT: u32 = (127 - 15) << 23;
        /// 2^-14, the smallest normal f16: added to a subnormal's bits and subtracted again.
        const SMALLEST: u32 = EXPONENT_SHIFT + (1 << 23);
        let bits = u32::from(self.to_bits());
        let magnitude = (bits & 0x7fff) << 13;
        let normal = magnitude + EXPONENT_SHIFT;
        let special = normal + EXPONENT_SHIFT;
        let subnormal = f32::from_bits(magnitude + SMALLEST) - f32::from_bits(SMALLEST);
        let wide = if magnitude < 0x0400 << 13 { subnormal.to_bits() } else { normal };
        let wide = if magnitude >= 0x7c00 << 13 { special } else { wide };
        f32::from_bits(wide | (bits & 0x8000) << 16)
    }
}

/// Values as f32: where they lie, or widened into `room`.
#[inline(always)]
pub(crate) fn widen<'a>(values: Values<'a>, room: &'a mut [f32]) -> Option<&'a [f32]> {
    match values {
        Values::F32(v) => Some(v),
        Values::F16(v) => {
            let room = room.get_mut(..v.len())?;
            room.iter_mut().zip(v).for_each(|(wide, v)| *wide = v.f32());
            Some(room)
        }
    }
}

/// Element type of stored indices, so that a loop over them is written once.
pub(crate) trait NextColumn: Copy {
    /// The column that follows `column` (0 at the start of a row).
    fn after(self, column: u32) -> u32;
}

impl NextColumn for u8 {
    #[inline(always)]
    fn after(self, column: u32) -> u32 {
        column.wrapping_add(self.into())
    }
}

impl NextColumn for u16 {
    #[inline(always)]
    fn after(self, _: u32) -> u32 {
        self.into()
    }
}

impl NextColumn for u32 {
    #[inline(always)]
    fn after(self, _: u32) -> u32 {
        self
    }
}

/// Writes the columns of one row.
#[inline(always)]
pub(crate) fn columns(columns: Columns<'_>, out: &mut [u32]) {
    match columns {
        Columns::All => (0..).zip(out).for_each(|(column, out)| *out = column),
        Columns::Delta(v) => next_columns(v, out),
        Columns::U16(v) => next_columns(v, out),
        Columns::U32(v) => next_columns(v, out),
    }
}

#[inline(always)]
fn next_columns<I: NextColumn>(index: &[I], out: &mut [u32]) {
    let mut column = 0;
    for (out, index) in out.iter_mut().zip(index) {
        column = index.after(column);
        *out = column;
    }
}

#[cfg(test)]
mod tests {
    use super::Value;
    use half::f16;

    #[test]
    fn every_half_widens_exactly() {
        for bits in 0..=u16::MAX {
            let half = f16::from_bits(bits);
            let (found, expected) = (half.f32(), half.to_f32());
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{bits:#x}"
            );
        }
    }
}

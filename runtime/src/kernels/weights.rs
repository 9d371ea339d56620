//! What kernels read from the file, one element at a time.

use half::f16;
use tfc_formats::artifact::Columns;

/// Values that are widened at a time where there is no scratch for them.
pub(crate) const ROOM: usize = 64;

/// Element type of stored values, so that a loop over them is written once.
pub(crate) trait Value: Copy {
    /// Most values that [`wide`](Self::wide) makes f32 in room for [`ROOM`].
    const AT_ONCE: usize;

    fn f32(self) -> f32;

    /// Values as f32: where they lie, or widened into `room`, as many as it holds.
    fn wide<'a>(values: &'a [Self], room: &'a mut [f32]) -> &'a [f32];
}

impl Value for f32 {
    const AT_ONCE: usize = usize::MAX;

    #[inline(always)]
    fn f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn wide<'a>(values: &'a [Self], _: &'a mut [f32]) -> &'a [f32] {
        values
    }
}

impl Value for f16 {
    const AT_ONCE: usize = ROOM;

    /// Exact, and short enough without branches and calls to be vectorised: the bits of the half,
    /// moved to where f32 has them, are a number that is too small by the difference of the biases
    /// of the exponents. Subnormal halves come out right too.
    #[inline(always)]
    fn f32(self) -> f32 {
        const RESCALE: f32 = f32::from_bits((127 + 127 - 15) << 23);
        const SPECIAL: u32 = 0x1f << 23;
        let moved = ((self.to_bits() as i16 as i32) << 13) as u32 & 0x8fff_e000;
        let infinite_or_nan = if moved & SPECIAL == SPECIAL { 0xff << 23 } else { 0 };
        f32::from_bits((f32::from_bits(moved) * RESCALE).to_bits() | infinite_or_nan)
    }

    #[inline(always)]
    fn wide<'a>(values: &'a [Self], room: &'a mut [f32]) -> &'a [f32] {
        room.iter_mut().zip(values).for_each(|(wide, value)| *wide = value.f32());
        room.get(..values.len()).unwrap_or(room)
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

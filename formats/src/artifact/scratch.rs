//! How much scratch a step uses.

use super::layout::align;
use crate::op::Op;

/// Bytes of one decoded entry of a convolution's matrix: its offset into the input (u32) and
/// its value (f32).
const ENTRY: u32 = 8;

/// Bytes of scratch that a step needs, a multiple of 16; `None` if they do not fit 32 bits.
///
/// A convolution decodes one row of its matrix at a time; `longest_row` is the largest number
/// of stored entries in a row (for a dense matrix: its columns). Other ops need none.
pub fn scratch_len(op: &Op, longest_row: u32) -> Option<u32> {
    match op {
        Op::Conv2d(_) => longest_row.checked_mul(ENTRY).and_then(align),
        _ => Some(0),
    }
}

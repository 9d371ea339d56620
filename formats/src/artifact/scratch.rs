//! How much scratch a step uses.

use super::layout::align;
use crate::op::Op;

/// Bytes of scratch that a step needs, a multiple of 16; `None` if they do not fit 32 bits.
///
/// A convolution decodes one block of its matrix at a time: of each entry its offset into the
/// input (u32) and its values (f32), one for each row of the block. `longest_row` is the largest
/// number of stored entries in a block (for a dense matrix, of blocks of one row: its columns).
/// Other ops need none.
pub fn scratch_len(op: &Op, longest_row: u32, block: u8) -> Option<u32> {
    match op {
        Op::Conv2d(_) => longest_row.checked_mul(4 * (1 + u32::from(block))).and_then(align),
        _ => Some(0),
    }
}

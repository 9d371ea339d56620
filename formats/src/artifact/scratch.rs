//! How much scratch a step uses.

use super::Element;
use super::layout::align;
use crate::op::Op;

/// Bytes of scratch that a step on these elements needs, a multiple of 16; `None` if they do not
/// fit 32 bits.
///
/// A convolution decodes one block of its matrix at a time: of each entry its offset into the
/// input (u32) and its values (f32), one for each row of the block; on i8 one word, and two words
/// more behind all of them. `longest_row` is the largest number of stored entries in a block (for a dense matrix, of blocks
/// of one row: its columns). Other ops need none.
pub fn scratch_len(op: &Op, element: Element, longest_row: u32, block: u8) -> Option<u32> {
    let (entry, more) = match element {
        Element::F32 => (4 * (1 + u32::from(block)), 0),
        Element::I8 { .. } => (4, 8),
    };
    match op {
        Op::Conv2d(_) => longest_row.checked_mul(entry)?.checked_add(more).and_then(align),
        _ => Some(0),
    }
}

/// Bytes of scratch that an output of the network needs, a multiple of 16: one of i8 is made f32
/// there. `None` if they do not fit 32 bits.
pub fn output_scratch_len(output: &super::Value) -> Option<u32> {
    match output.element {
        Element::F32 => Some(0),
        Element::I8 { .. } => output.shape.elements()?.checked_mul(4).and_then(align),
    }
}

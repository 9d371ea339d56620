//! The reference: the definition of each operation, one multiplication at a time, in the order
//! of the stored weights. It is the truth that the other kernels are held to.

mod conv;
mod dense;

pub(super) use conv::{conv, conv_i8};
pub(super) use dense::{dense, dense_i8};

use tfc_formats::artifact::Rows;

/// Calls `f` with the row, column and value of every stored weight.
fn for_weights(rows: Rows<'_>, mut f: impl FnMut(usize, usize, f32) -> Option<()>) -> Option<()> {
    for (row, entries) in rows.enumerate() {
        for (column, value) in entries {
            f(row, column as usize, value)?;
        }
    }
    Some(())
}

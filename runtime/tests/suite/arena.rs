//! Memory for sessions.

use tfc_runtime::Model;

/// A session's memory, on the heap, with leftovers in it that must not matter: NaN.
pub(crate) struct Arena(Vec<u128>);

impl Arena {
    pub(crate) fn of(model: &Model<'_>) -> Self {
        Self(vec![u128::MAX; model.arena_len().div_ceil(16)])
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

//! Memory for sessions.

use tfc_formats::artifact::AlignedBytes;
use tfc_runtime::Model;

/// A session's memory, on the heap, with leftovers in it that must not matter: NaN.
pub(crate) struct Arena(AlignedBytes);

impl Arena {
    pub(crate) fn of(model: &Model<'_>) -> Self {
        let mut bytes = AlignedBytes::zeroed(model.arena_len());
        bytes.fill(u8::MAX);
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

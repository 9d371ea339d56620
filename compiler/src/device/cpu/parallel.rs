//! How work is cut into pieces.

/// Elements that a thread takes at least: waking another costs about as much as these.
const GRAIN: usize = 1 << 15;

/// Elements of a piece of an element-wise operation; some buffers of that length fit the
/// innermost cache.
pub(super) const CHUNK: usize = 1 << 11;

/// Least number of pieces a thread takes if each touches so many elements.
pub(super) fn min_pieces(elements: usize) -> usize {
    (GRAIN / elements.max(1)).max(1)
}

/// Panics unless two buffers of an element-wise operation are equally long.
pub(super) fn assert_same_len(x: &[f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "buffers of an element-wise operation differ in length");
}

//! Places for values whose lives are known.

use alloc::vec::Vec;

use crate::tensor::LINE;

/// When a value is in use, and its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) len: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// An offset for each value that lives, and the elements of all: the longest first, each at the
/// lowest place that is free all its life.
pub(super) fn place(lives: &[Option<Life>]) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<(usize, Life)> =
        lives.iter().enumerate().filter_map(|(slot, life)| Some((slot, (*life)?))).collect();
    order.sort_by_key(|(_, life)| core::cmp::Reverse(life.len));
    let mut offsets = alloc::vec![0; lives.len()];
    let mut placed: Vec<(usize, usize, Life)> = Vec::new();
    let mut total = 0;
    for (slot, life) in order {
        let mut start = 0usize;
        for (from, end, other) in &placed {
            let together = life.first <= other.last && other.first <= life.last;
            if together && start < *end && *from < start.checked_add(life.len)? {
                start = end.checked_next_multiple_of(LINE)?;
            }
        }
        let end = start.checked_add(life.len)?;
        let at = placed.partition_point(|(from, _, _)| *from <= start);
        placed.insert(at, (start, end, life));
        offsets[slot] = start;
        total = total.max(end);
    }
    Some((offsets, total))
}

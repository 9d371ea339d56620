//! Offline memory planning: where each storage lies in the arena so that storages that live at
//! the same time do not overlap. Greedy by size, as in Pisarchyk & Lee, "Efficient memory
//! management for deep neural net inference" (2020).

use super::lower::Lowered;

/// Alignment of every value, bytes.
const ALIGN: u64 = 16;

/// Offsets of the storages of a [`Lowered`] graph.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) offsets: Vec<u32>,
    pub(super) arena_len: u32,
}

/// A storage's bytes and the steps between which it is in use, both ends included; the input is
/// written before step 0 and the output is read after the last.
struct Life {
    storage: usize,
    len: u64,
    first: usize,
    last: usize,
}

/// Places all storages, of elements of `element` bytes, behind `scratch` bytes; `None` if they do not fit 32 bits.
pub(super) fn place(graph: &Lowered<'_>, element: u32, scratch: u32) -> Option<Placed> {
    let mut lives = lives(graph, element)?;
    lives.sort_by_key(|life| (std::cmp::Reverse(life.len), life.first, life.storage));

    let mut offsets = vec![0u64; graph.storages.len()];
    let mut end = u64::from(scratch);
    let mut placed: Vec<&Life> = Vec::new();
    for life in &lives {
        // Neighbours in time, from the bottom up: the first gap that is large enough.
        let mut taken: Vec<(u64, u64)> = placed
            .iter()
            .filter(|other| other.first <= life.last && life.first <= other.last)
            .map(|other| (offsets[other.storage], offsets[other.storage] + other.len))
            .collect();
        taken.sort_unstable();
        let mut at = u64::from(scratch);
        for (from, to) in taken {
            if at + life.len <= from {
                break;
            }
            at = at.max(to);
        }
        offsets[life.storage] = at;
        end = end.max(at + life.len);
        placed.push(life);
    }
    let arena_len = u32::try_from(end).ok()?;
    Some(Placed { offsets: offsets.into_iter().map(|o| o as u32).collect(), arena_len })
}

fn lives(graph: &Lowered<'_>, element: u32) -> Option<Vec<Life>> {
    let mut lives = Vec::with_capacity(graph.storages.len());
    for (storage, room) in graph.storages.iter().enumerate() {
        let (shape, halo) = (room.shape, room.halo);
        let rows = u64::from(shape.h) + u64::from(halo.top) + u64::from(halo.bottom);
        let cols = u64::from(shape.w) + u64::from(halo.left) + u64::from(halo.right);
        let bytes = u64::from(shape.c).checked_mul(rows)?.checked_mul(cols)?.checked_mul(element.into())?;
        let len = bytes.checked_next_multiple_of(ALIGN)?;
        lives.push(Life { storage, len, first: usize::MAX, last: 0 });
    }
    let mut touch = |storage: usize, step: usize| {
        lives[storage].first = lives[storage].first.min(step);
        lives[storage].last = lives[storage].last.max(step);
    };
    touch(graph.input.storage, 0);
    for (index, step) in graph.steps.iter().enumerate() {
        step.inputs.iter().chain(&step.residual).for_each(|slot| touch(slot.storage, index));
        touch(step.output.storage, index);
    }
    touch(graph.output.storage, graph.steps.len());
    Some(lives)
}

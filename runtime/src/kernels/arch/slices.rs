//! The innermost loop of a sparse matrix-vector product: rows in the lanes of a vector.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::vector::Vector;
use crate::tensor::LINE;

/// Steps at once, each onto sums of its own. Slices are filled up to whole multiples.
const UNROLL: usize = 4;

/// Bits of a weight that the index of its input may take the place of.
const INDEX: u32 = 31;

/// Slices of as many rows as a vector has lanes. In each step of a slice every lane multiplies one
/// element of a window of the input with its weight.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Slices {
    lanes: usize,
    /// Elements of a window.
    table: usize,
    /// Elements of the input, at least a window.
    cols: usize,
    /// Whether the index is in the low bits of the weight, which are zeros.
    together: bool,
    /// First element of the window of each step; windows end inside the input.
    bases: Vec<u32>,
    /// Of each step, the element of the window for every lane and, unless they are together,
    /// behind them the weights. In whole cache lines: loads that cross them take twice as long.
    lines: Vec<Line>,
    /// Where the steps of each slice end.
    ends: Vec<usize>,
}

/// A cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u32; LINE]);

impl Slices {
    /// Whether a weight has room for an index: those that were halves have.
    pub(in crate::kernels) fn has_room(weight: f32) -> bool {
        weight.to_bits() & INDEX == 0
    }

    /// Without slices; `together` if all weights will have room. `None` if the input is shorter
    /// than a window.
    pub(in crate::kernels) fn new<V: Vector>(cols: usize, together: bool) -> Option<Self> {
        let (bases, lines, ends) = (Vec::new(), Vec::new(), Vec::new());
        let (lanes, table) = (V::LANES, V::TABLE);
        (cols >= table).then_some(Self { lanes, table, cols, together, bases, lines, ends })
    }

    /// Words of a step.
    fn stride(&self) -> usize {
        if self.together { self.lanes } else { 2 * self.lanes }
    }

    /// Adds a step in the window from `base` on, of (lane, element of the window, weight); lanes
    /// that have none rest. `None` if one of these is too large.
    pub(in crate::kernels) fn push_step(
        &mut self,
        base: usize,
        entries: impl IntoIterator<Item = (usize, u32, f32)>,
    ) -> Option<()> {
        if base.checked_add(self.table)? > self.cols {
            return None;
        }
        let step = self.bases.len();
        let base = u32::try_from(base).ok()?;
        let stride = self.stride();
        self.lines.resize((step + 1).checked_mul(stride)?.div_ceil(LINE), Line([0; LINE]));
        // SAFETY: a line is LINE words and nothing else.
        let words = unsafe {
            core::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast::<u32>(), LINE * self.lines.len())
        };
        for (lane, at, weight) in entries {
            let words = words.get_mut(step * stride..(step + 1) * stride)?;
            if lane >= self.lanes || at as usize >= self.table {
                return None;
            }
            *words.get_mut(lane)? = at;
            let weights = if self.together { words } else { words.get_mut(self.lanes..)? };
            *weights.get_mut(lane)? |= weight.to_bits();
        }
        self.bases.push(base);
        Some(())
    }

    /// Ends a slice.
    pub(in crate::kernels) fn push_slice(&mut self) -> Option<()> {
        while !self.bases.len().is_multiple_of(UNROLL) {
            self.push_step(0, [])?;
        }
        self.ends.push(self.bases.len());
        Some(())
    }

    /// Bytes of steps that a product reads.
    pub(in crate::kernels) fn step_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice()) + size_of_val(self.bases.as_slice())
    }

    /// Bytes on the heap.
    pub(in crate::kernels) fn bytes(&self) -> usize {
        self.step_bytes() + size_of_val(self.ends.as_slice())
    }

    /// Products of a slice with the input, onto `start`. `None` if there is no such slice, the
    /// input is too short, or the slices are for other vectors.
    #[inline(always)]
    pub(in crate::kernels) fn sums<V: Vector>(&self, slice: usize, x: &[f32], start: V) -> Option<V> {
        if self.together {
            self.sums_of::<V, true>(slice, x, start)
        } else {
            self.sums_of::<V, false>(slice, x, start)
        }
    }

    #[inline(always)]
    fn sums_of<V: Vector, const TOGETHER: bool>(&self, slice: usize, x: &[f32], start: V) -> Option<V> {
        if self.lanes != V::LANES || self.table != V::TABLE || x.len() < self.cols {
            return None;
        }
        let first = if slice == 0 { 0 } else { *self.ends.get(slice - 1)? };
        let steps = first..*self.ends.get(slice)?;
        let stride = self.stride();
        let mut words = self.lines.as_ptr().cast::<f32>().wrapping_add(steps.start * stride);
        let mut sums = [V::splat(0.0); UNROLL];
        sums[0] = start;
        let weight = V::splat(f32::from_bits(!INDEX));
        for bases in self.bases.get(steps)?.as_chunks::<UNROLL>().0 {
            for (sum, base) in sums.iter_mut().zip(bases) {
                // SAFETY: `push_step` is the only one to add a step: its window ends inside the
                // input and it has `stride` words.
                let (x, w) = unsafe {
                    let index = V::load(words);
                    let w = if TOGETHER { index.and(weight) } else { V::load(words.wrapping_add(V::LANES)) };
                    (V::pick(x.as_ptr().wrapping_add(*base as usize), index), w)
                };
                *sum = x.mul_add(w, *sum);
                words = words.wrapping_add(stride);
            }
        }
        Some(sums[0].add(sums[1]).add(sums[2].add(sums[3])))
    }
}

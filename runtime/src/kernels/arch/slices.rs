//! The innermost loop of a sparse matrix-vector product: rows in the lanes of a vector.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use super::rows::Element;
use super::vector::Vector;

/// Steps at once, each onto sums of its own. Slices are filled up to whole multiples.
const UNROLL: usize = 4;

/// Slices of as many rows as a vector has lanes. In each step of a slice every lane multiplies one
/// element of a window of the input with its weight.
#[derive(Clone, Debug)]
pub(in crate::kernels) struct Slices<W> {
    lanes: usize,
    /// Elements of a window.
    table: usize,
    /// Elements of the input, at least a window.
    cols: usize,
    /// First element of the window of each step; windows end inside the input.
    bases: Vec<u32>,
    /// For each lane of each step, an element of the window.
    index: Vec<u8>,
    weights: Vec<W>,
    /// Where the steps of each slice end.
    ends: Vec<usize>,
}

impl<W: Element> Slices<W> {
    /// Without slices; `None` if the input is shorter than a window.
    pub(in crate::kernels) fn new<V: Vector>(cols: usize) -> Option<Self> {
        let (lanes, table) = (V::LANES, V::TABLE);
        (cols >= table).then_some(Self {
            lanes,
            table,
            cols,
            bases: Vec::new(),
            index: Vec::new(),
            weights: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Adds a step in the window from `base` on, of (lane, element of the window, weight); lanes
    /// that have none rest. `None` if one of these is too large.
    pub(in crate::kernels) fn push_step(
        &mut self,
        base: usize,
        entries: impl IntoIterator<Item = (usize, usize, f32)>,
    ) -> Option<()> {
        if base.checked_add(self.table)? > self.cols {
            return None;
        }
        let base = u32::try_from(base).ok()?;
        let start = self.index.len();
        let end = start.checked_add(self.lanes)?;
        self.index.resize(end, 0);
        self.weights.resize(end, W::from_f32(0.0));
        self.bases.push(base);
        for (lane, at, weight) in entries {
            if lane >= self.lanes || at >= self.table {
                return None;
            }
            *self.index.get_mut(start + lane)? = u8::try_from(at).ok()?;
            *self.weights.get_mut(start + lane)? = W::from_f32(weight);
        }
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

    /// Elements of all steps, those that rest included.
    pub(in crate::kernels) fn elements(&self) -> usize {
        self.weights.len()
    }

    /// Bytes on the heap.
    pub(in crate::kernels) fn bytes(&self) -> usize {
        size_of_val(self.bases.as_slice())
            + size_of_val(self.index.as_slice())
            + size_of_val(self.weights.as_slice())
            + size_of_val(self.ends.as_slice())
    }

    /// Products of a slice with the input, onto `start`. `None` if there is no such slice, the
    /// input is too short, or the slices are for other vectors.
    #[inline(always)]
    pub(in crate::kernels) fn sums<V: Vector>(&self, slice: usize, x: &[f32], start: V) -> Option<V> {
        if self.lanes != V::LANES || self.table != V::TABLE || x.len() < self.cols {
            return None;
        }
        let first = if slice == 0 { 0 } else { *self.ends.get(slice - 1)? };
        let steps = first..*self.ends.get(slice)?;
        let lanes = steps.start * V::LANES..steps.end * V::LANES;
        let index = self.index.get(lanes.clone())?.as_ptr();
        let weights = self.weights.get(lanes)?.as_ptr();
        let bases = self.bases.get(steps)?.as_chunks::<UNROLL>().0;
        let mut sums = [V::splat(0.0); UNROLL];
        sums[0] = start;
        let mut at = 0;
        for bases in bases {
            for (sum, base) in sums.iter_mut().zip(bases) {
                // SAFETY: `push_step` is the only one to add a step: its window ends inside the
                // input, it has an index less than `TABLE` and a weight for every lane.
                let (x, w) = unsafe {
                    let table = x.as_ptr().add(*base as usize);
                    (V::pick(table, index.add(at)), W::load::<V>(weights.add(at)))
                };
                *sum = x.mul_add(w, *sum);
                at += V::LANES;
            }
        }
        Some(sums[0].add(sums[1]).add(sums[2].add(sums[3])))
    }
}

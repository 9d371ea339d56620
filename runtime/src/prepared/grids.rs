//! Which values are grids, and how they are cut.

use alloc::vec::Vec;

use tfc_formats::op::{Activation, Op, Pool};

use super::graph::{Action, Draft, Graph, INPUT};
use crate::kernels::grid::{Cut, Grid, Halo};
use crate::tensor::Layout;

/// What an operation on a grid reads: windows of its first input.
struct Window {
    kernel: [u16; 2],
    dilation: [u16; 2],
    stride: usize,
    /// Above and to the left.
    pad: [u16; 2],
}

impl<'m> Graph<'m> {
    /// Layout of a value in an arena.
    pub(super) fn layout(&self, slot: usize) -> Option<(Layout, Option<Grid>)> {
        let root = &self.slots[self.root(slot).0];
        let at = Layout::planes(self.slots[slot].shape)?;
        Some((at, root.cut.map(|cut| Grid::new(at, cut, root.halo))))
    }

    /// Chooses grids for the values that convolutions and maximum poolings write.
    pub(super) fn lay_grids(&mut self, lanes: usize) {
        let mut refused = alloc::vec![false; self.slots.len()];
        // It is written as planes in any case.
        refused[INPUT] = true;
        loop {
            self.cut(lanes, &refused);
            let off = |at: &usize| {
                let draft = &self.drafts[*at];
                let Some(cut) = self.cut_of(draft.output) else { return false };
                // No pooling is worth a copy.
                let stride = |pool: Pool| pool.stride.map(usize::from)[0];
                let copied = match draft.op() {
                    Some(Op::MaxPool(pool)) => self.cut_of(draft.inputs[0]) != Some(cut.times(stride(pool))),
                    _ => false,
                };
                copied || self.halo_of(*at).is_none()
            };
            match (0..self.drafts.len()).find(off) {
                Some(at) => refused[self.root(self.drafts[at].output).0] = true,
                None => break,
            }
        }
        self.convert();
    }

    /// Cuts all values but those refused, from the last to the first: as their readers need it, if that
    /// takes hardly more vectors than the fewest.
    fn cut(&mut self, lanes: usize, refused: &[bool]) {
        self.slots.iter_mut().for_each(|slot| slot.cut = None);
        for at in (0..self.drafts.len()).rev() {
            let root = self.root(self.drafts[at].output).0;
            if refused[root] {
                continue;
            }
            let best = |graph: &Self, slot: usize| Cut::best(graph.size(slot), lanes);
            let cut = self.slots[root].cut.or_else(|| best(self, root));
            self.slots[root].cut = cut;
            let (Some(cut), Some(window)) = (cut, self.window(at)) else { continue };
            for (i, input) in self.drafts[at].inputs.clone().into_iter().enumerate() {
                let need = if i == 0 { cut.times(window.stride) } else { cut };
                let (input, size) = (self.root(input).0, self.size(input));
                if let Some(best) = best(self, input).map(|best| best.vectors(size))
                    && self.slots[input].cut.is_none()
                    && !refused[input]
                    && need.vectors(size) <= (best + best / 5).max(best + 1)
                {
                    self.slots[input].cut = Some(need);
                }
            }
        }
    }

    fn size(&self, slot: usize) -> [usize; 2] {
        let shape = self.slots[slot].shape;
        [shape.h as usize, shape.w as usize]
    }

    /// What a task that can run on grids reads.
    fn window(&self, draft: usize) -> Option<Window> {
        let step = self.drafts[draft].step()?;
        let (kernel, dilation, stride, pad) = match step.op {
            Op::Conv2d(spec) => (spec.kernel, spec.dilation, spec.stride, spec.pad),
            Op::MaxPool(spec) if step.activation.is_none() => {
                let draft = &self.drafts[draft];
                let input = *draft.inputs.first()?;
                let (size, out) = (self.size(input), self.size(draft.output));
                let inside = |i: usize, pad: u16| {
                    let last = out[i].saturating_sub(1) * usize::from(spec.stride[i]);
                    pad == 0 && last + usize::from(spec.kernel[i]) <= size[i]
                };
                // What is outside of a plane is 0 in a grid.
                if !(inside(0, spec.pad.top) && inside(1, spec.pad.left)) && self.is_negative(input) {
                    return None;
                }
                (spec.kernel, [1, 1], spec.stride, spec.pad)
            }
            _ => return None,
        };
        let [down @ (1 | 2), across] = stride else { return None };
        let pad = [pad.top, pad.left];
        (down == across).then_some(Window { kernel, dilation, stride: down.into(), pad })
    }

    /// Whether a value may have elements below 0.
    fn is_negative(&self, slot: usize) -> bool {
        let root = self.root(slot).0;
        let mut writers =
            (0..self.drafts.len()).filter(|at| self.root(self.drafts[*at].output).0 == root).peekable();
        writers.peek().is_none()
            || writers.any(|at| {
                let step = self.drafts[at].step();
                match step.map(|step| (step.op, step.activation)) {
                    Some((_, Some(Activation::Relu | Activation::Relu6))) => false,
                    Some((Op::MaxPool(_), None)) => self.is_negative(self.drafts[at].inputs[0]),
                    _ => true,
                }
            })
    }

    /// The halo that a task needs around its first input if it writes a grid; `None` if it cannot.
    fn halo_of(&self, draft: usize) -> Option<[Halo; 2]> {
        let window = self.window(draft)?;
        let (input, output) = (*self.drafts[draft].inputs.first()?, self.drafts[draft].output);
        let cut = self.slots[self.root(output).0].cut?;
        let (x, size, extent) = (cut.times(window.stride), self.size(input), cut.extent(self.size(output)));
        let axis = |i: usize| {
            let before = usize::from(window.pad[i]);
            let reach = usize::from(window.kernel[i].checked_sub(1)?) * usize::from(window.dilation[i]);
            let last = (extent[i] - 1) * window.stride + reach;
            let halo = Halo { before, behind: (last + 1).saturating_sub(before + x.tile[i]) };
            // Pixels beyond all tiles are in the last lane only, one tile further at most.
            let over = x.extent(size)[i] - x.tile[i];
            let over = over == 0 || over < x.tile[i] && before.max(halo.behind) <= x.tile[i];
            // Lanes without pixels of the input hold any values.
            let tiles = |size: [usize; 2], cut: Cut| size[i].div_ceil(cut.tile[i]);
            (over && tiles(self.size(output), cut) <= tiles(size, x)).then_some(halo)
        };
        Some([axis(0)?, axis(1)?])
    }

    /// Inserts copies where a task does not read a value as it was written, and notes the halos.
    fn convert(&mut self) {
        // Value, how it is cut, and copy: a value is copied once.
        let mut copies = Vec::<(usize, Option<Cut>, usize)>::new();
        let mut at = 0;
        while at < self.drafts.len() {
            let cut = self.cut_of(self.drafts[at].output);
            let means =
                self.drafts[at].step().is_some_and(|s| s.op == Op::GlobalAvgPool && s.activation.is_none());
            let stride = self.window(at).map_or(1, |window| window.stride);
            for input in 0..self.drafts[at].inputs.len() {
                let mut slot = self.drafts[at].inputs[input];
                let need = if input == 0 { cut.map(|cut| cut.times(stride)) } else { cut };
                if self.cut_of(slot) == need || means {
                    continue;
                }
                let as_planes = self.cut_of(slot).is_some().then_some(None);
                for cut in as_planes.into_iter().chain(need.map(Some)) {
                    let known = copies.iter().find(|(from, to, _)| *from == slot && *to == cut);
                    slot = match known {
                        Some((_, _, copy)) => *copy,
                        None => {
                            let draft = self.copy(slot, cut);
                            copies.push((slot, cut, draft.output));
                            let to = draft.output;
                            self.drafts.insert(at, draft);
                            at += 1;
                            to
                        }
                    };
                }
                self.drafts[at].inputs[input] = slot;
            }
            if cut.is_some()
                && let Some(halo) = self.halo_of(at)
            {
                let (root, _) = self.root(self.drafts[at].inputs[0]);
                let known = self.slots[root].halo;
                self.slots[root].halo = [known[0].max(halo[0]), known[1].max(halo[1])];
            }
            at += 1;
        }
        if self.cut_of(self.output).is_some() {
            let draft = self.copy(self.output, None);
            self.output = draft.output;
            self.drafts.push(draft);
        }
    }

    fn cut_of(&self, slot: usize) -> Option<Cut> {
        self.slots[self.root(slot).0].cut
    }

    /// A copy of planes as a grid, or of a grid as planes.
    fn copy(&mut self, slot: usize, cut: Option<Cut>) -> Draft<'m> {
        let output = self.slot(self.slots[slot].shape);
        self.slots[output].cut = cut;
        Draft::copy(if cut.is_some() { Action::Scatter } else { Action::Gather }, slot, output)
    }
}

//! Which values are grids.

use alloc::vec::Vec;

use tfc_formats::op::Op;

use super::conv;
use super::graph::{Action, Draft, Graph, INPUT};
use crate::kernels::grid::{Grid, Halo};
use crate::tensor::Layout;

impl<'m> Graph<'m> {
    /// Layout of a value in an arena.
    pub(super) fn layout(&self, slot: usize, lanes: usize) -> Option<(Layout, Option<Grid>)> {
        let (root, _) = self.root(slot);
        let at = Layout::planes(self.slots[slot].shape)?;
        let grid =
            if self.slots[root].grid { Some(Grid::new(at, lanes, self.slots[root].halo)?) } else { None };
        Some((at, grid))
    }

    /// Chooses grids for the values that convolutions write and read, as far as they come from one:
    /// the network's input becomes one if that helps.
    pub(super) fn lay_grids(&mut self, lanes: usize) {
        let fits = |graph: &Self, slot: usize| {
            let at = Layout::planes(graph.slots[slot].shape);
            at.is_some_and(|at| at.plane > 1 && Grid::new(at, lanes, Default::default()).is_some())
        };
        let mut refused: Vec<bool> = (0..self.slots.len()).map(|slot| !fits(self, slot)).collect();
        loop {
            let grids = self.grids(&refused, lanes);
            // All parts of a concatenation, or none.
            let root_of = |slot: usize| self.root(slot).0;
            let mixed = (0..self.slots.len()).find(|slot| grids[*slot] && !grids[root_of(*slot)]);
            match mixed {
                Some(part) => refused[root_of(part)] = true,
                None => {
                    self.slots.iter_mut().zip(&grids).for_each(|(slot, grid)| slot.grid = *grid);
                    break;
                }
            }
        }
        // It is written as planes in any case.
        self.slots[INPUT].grid = false;
        self.convert(lanes);
    }

    /// Which values are grids, given those that are not.
    fn grids(&self, refused: &[bool], lanes: usize) -> Vec<bool> {
        let mut grids: Vec<bool> = refused.iter().map(|_| false).collect();
        grids[INPUT] = !refused[INPUT];
        for (at, draft) in self.drafts.iter().enumerate() {
            let (root, _) = self.root(draft.output);
            grids[draft.output] = !refused[draft.output]
                && !refused[root]
                && draft.inputs.iter().all(|slot| grids[*slot])
                && self.halo_of(at, lanes).is_some();
            if root != draft.output {
                let mut parts =
                    (0..self.slots.len()).filter(|slot| self.root(*slot).0 == root && *slot != root);
                grids[root] = parts.all(|part| grids[part]);
            }
        }
        grids
    }

    /// The halo that a convolution needs if it runs on grids; `None` if it cannot.
    fn halo_of(&self, draft: usize, lanes: usize) -> Option<[Halo; 2]> {
        let Some(Op::Conv2d(spec)) = self.drafts[draft].op() else { return None };
        let grid =
            |slot: usize| Grid::new(Layout::planes(self.slots[slot].shape)?, lanes, Default::default());
        conv::halo(&spec, &grid(*self.drafts[draft].inputs.first()?)?, &grid(self.drafts[draft].output)?)
    }

    /// Inserts copies where a task does not read a value as it was written, and notes the halos.
    fn convert(&mut self, lanes: usize) {
        // Value and copy: a value is copied once.
        let mut copies = Vec::<(usize, usize)>::new();
        let mut at = 0;
        while at < self.drafts.len() {
            let on_grids = self.is_grid(self.drafts[at].output);
            let means =
                self.drafts[at].step().is_some_and(|s| s.op == Op::GlobalAvgPool && s.activation.is_none());
            for input in 0..self.drafts[at].inputs.len() {
                let slot = self.drafts[at].inputs[input];
                if self.is_grid(slot) != on_grids && !means {
                    let known = copies.iter().find(|(from, _)| *from == slot).map(|(_, to)| *to);
                    self.drafts[at].inputs[input] = known.unwrap_or_else(|| {
                        let draft = self.converted(slot);
                        copies.push((slot, draft.output));
                        let to = draft.output;
                        self.drafts.insert(at, draft);
                        at += 1;
                        to
                    });
                }
            }
            if on_grids && let Some(halo) = self.halo_of(at, lanes) {
                let (root, _) = self.root(self.drafts[at].inputs[0]);
                let known = self.slots[root].halo;
                self.slots[root].halo = [known[0].max(halo[0]), known[1].max(halo[1])];
            }
            at += 1;
        }
        if self.is_grid(self.output) {
            let draft = self.converted(self.output);
            self.output = draft.output;
            self.drafts.push(draft);
        }
    }

    fn is_grid(&self, slot: usize) -> bool {
        self.slots[self.root(slot).0].grid
    }

    /// A copy of a grid as planes, or of planes as a grid.
    fn converted(&mut self, slot: usize) -> Draft<'m> {
        let is_grid = self.is_grid(slot);
        let output = self.slot(self.slots[slot].shape);
        self.slots[output].grid = !is_grid;
        Draft::copy(if is_grid { Action::Gather } else { Action::Scatter }, slot, output)
    }
}

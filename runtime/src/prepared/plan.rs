//! From the steps of a file to tasks over an arena of planes.

use alloc::vec::Vec;
use core::ops::Range;

use tfc_formats::artifact::{MAX_INPUTS, Step, Value};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Pool, Shape};

use super::PrepareError;
use super::arena::{Life, place};
use super::conv::{self, ConvPlan};
use super::dense::DensePlan;
use crate::kernels::grid::{Grid, Halo, HaloCopies};
use crate::kernels::matvec::Extent;
use crate::kernels::planes::Spread;
use crate::kernels::pool::Fold;
use crate::kernels::{Kernels, Weights};
use crate::model::Model;
use crate::tensor::Layout;

/// A value in the arena.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    /// As planes; of a grid, only its extent.
    pub(super) at: Layout,
    pub(super) grid: Option<Grid>,
}

impl Place {
    /// Where its vectors lie: those of planes in one row.
    pub(super) fn spread(&self) -> Spread {
        let planes = Spread { first: 0, row: 0, plane: self.at.plane };
        self.grid.map_or(planes, |grid| grid.spread())
    }
}

/// What a task does.
#[derive(Clone, Debug)]
pub(super) enum Work<'m> {
    /// A convolution; a second input is added to its result.
    Conv(ConvPlan),
    /// A matrix-vector product.
    Dense(DensePlan<'m>),
    /// A pooling and the activation behind it.
    Pool(Fold, Pool, Option<Activation>),
    /// The mean of each plane.
    GlobalAvgPool,
    /// Planes become a grid.
    Scatter,
    /// A grid becomes planes.
    Gather,
    /// Copies the elements in C, H, W order.
    Pack,
    /// A step as it is in the file.
    Step(Step<'m>),
}

/// A task over values.
#[derive(Clone, Debug)]
pub(super) struct Task<'m> {
    pub(super) name: &'m str,
    pub(super) work: Work<'m>,
    pub(super) inputs: heapless::Vec<Place, MAX_INPUTS>,
    pub(super) output: Place,
    /// Of the output, where it is read.
    pub(super) halo: Option<HaloCopies>,
}

/// All tasks of a model.
#[derive(Clone, Debug)]
pub(super) struct Plan<'m> {
    pub(super) tasks: Vec<Task<'m>>,
    pub(super) input: Place,
    pub(super) output: Place,
    pub(super) arena_len: usize,
    pub(super) scratch_len: usize,
}

/// A value of the plan: its shape, and the concatenation that it is a part of.
struct Slot {
    shape: Shape,
    part_of: Option<(usize, usize)>,
    /// Whether it is a grid, and the halo that is read.
    grid: bool,
    halo: [Halo; 2],
}

/// A task before its values have places.
struct Draft<'m> {
    name: &'m str,
    work: Option<Work<'m>>,
    step: Option<Step<'m>>,
    inputs: heapless::Vec<usize, MAX_INPUTS>,
    output: usize,
}

pub(super) fn plan<'m>(model: &'m Model<'m>, kernels: Kernels) -> Result<Plan<'m>, PrepareError> {
    let mut graph = Graph::read(model)?;
    graph.fuse_adds();
    graph.join_concats();
    graph.lay_grids(kernels.lanes());
    graph.place(model, kernels)
}

/// The value that the network's input is.
const INPUT: usize = 0;

/// The steps as a graph of values that are written once.
struct Graph<'m> {
    slots: Vec<Slot>,
    drafts: Vec<Draft<'m>>,
    output: usize,
}

impl<'m> Graph<'m> {
    fn read(model: &'m Model<'m>) -> Result<Self, PrepareError> {
        let header = model.header();
        if header.input.element.is_i8() {
            return Err(PrepareError::Integer);
        }
        let mut graph = Self { slots: Vec::new(), drafts: Vec::new(), output: 0 };
        // Which value lies at an offset of the file's arena now.
        let mut now: Vec<(u32, usize)> = Vec::new();
        now.push((header.input.offset, graph.slot(header.input.shape)));
        for (index, step) in (0..).zip(model.artifact().steps()) {
            if step.output.element.is_i8() {
                return Err(PrepareError::Integer);
            }
            let mut inputs = heapless::Vec::new();
            for value in &step.inputs {
                let corrupt = PrepareError::Value { step: index };
                let mut slot = graph.view(&now, value).ok_or(corrupt)?;
                if matches!(step.op, Op::Dense(_)) && !graph.is_packed(slot) {
                    slot = graph.packed(slot).ok_or(corrupt)?;
                }
                inputs.push(slot).map_err(|_| corrupt)?;
            }
            let output = graph.slot(step.output.shape);
            now.retain(|(offset, _)| *offset != step.output.offset);
            now.push((step.output.offset, output));
            graph.drafts.push(Draft { name: step.name, work: None, step: Some(step), inputs, output });
        }
        let steps = header.steps;
        let output = graph.view(&now, &header.output).ok_or(PrepareError::Value { step: steps })?;
        graph.output = if graph.is_packed(output) {
            output
        } else {
            graph.packed(output).ok_or(PrepareError::Value { step: steps })?
        };
        Ok(graph)
    }

    fn slot(&mut self, shape: Shape) -> usize {
        self.slots.push(Slot { shape, part_of: None, grid: false, halo: Default::default() });
        self.slots.len() - 1
    }

    /// The value that a step reads; one that it reads as of another shape is packed first.
    fn view(&mut self, now: &[(u32, usize)], value: &Value) -> Option<usize> {
        let &(_, slot) = now.iter().find(|(offset, _)| *offset == value.offset)?;
        let shape = self.slots[slot].shape;
        if shape == value.shape {
            return Some(slot);
        }
        let same = shape.elements() == value.shape.elements() && value.shape.is_vector();
        if same { self.packed(slot) } else { None }
    }

    fn is_packed(&self, slot: usize) -> bool {
        Layout::planes(self.slots[slot].shape).is_some_and(|at| at.is_packed())
    }

    /// A copy as a vector.
    fn packed(&mut self, slot: usize) -> Option<usize> {
        let elements = self.slots[slot].shape.elements()?;
        let output = self.slot(Shape::vector(elements));
        let inputs = [slot].into_iter().collect();
        self.drafts.push(Draft { name: "pack", work: Some(Work::Pack), step: None, inputs, output });
        Some(output)
    }

    fn readers(&self, slot: usize) -> usize {
        let reads =
            self.drafts.iter().flat_map(|draft| &draft.inputs).filter(|input| **input == slot).count();
        reads + usize::from(self.output == slot)
    }

    /// Sums of a convolution's result and another value become a part of the convolution.
    fn fuse_adds(&mut self) {
        let mut add = 0;
        while add < self.drafts.len() {
            if let Some((conv, other)) = self.fusible(add) {
                let draft = self.drafts.remove(add);
                let target = &mut self.drafts[conv];
                if target.inputs.push(other).is_ok() {
                    target.output = draft.output;
                    if let (Some(step), Some(add)) = (&mut target.step, draft.step) {
                        step.activation = add.activation;
                    }
                }
            } else {
                add += 1;
            }
        }
    }

    /// The convolution that a sum of two can be a part of, and the other value: the later of both,
    /// so that the other one is there when it runs.
    fn fusible(&self, add: usize) -> Option<(usize, usize)> {
        let draft = &self.drafts[add];
        let (Some(Op::Add), [a, b]) = (draft.step.as_ref().map(|step| step.op), draft.inputs.as_slice())
        else {
            return None;
        };
        let writer = |slot: usize| self.drafts.iter().position(|draft| draft.output == slot);
        let (slot, other) = if writer(*a) > writer(*b) { (*a, *b) } else { (*b, *a) };
        let conv = writer(slot)?;
        let step = self.drafts[conv].step.as_ref()?;
        let fits = matches!(step.op, Op::Conv2d(_)) && step.activation.is_none() && self.readers(slot) == 1;
        (fits && other != slot && self.dense(conv).is_none() && self.drafts[conv].inputs.len() == 1)
            .then_some((conv, other))
    }

    /// Of a matrix-vector product, whether the matrix is stored as `[in, out]`.
    fn dense(&self, draft: usize) -> Option<bool> {
        let draft = &self.drafts[draft];
        let vectors =
            draft.inputs.iter().chain([&draft.output]).all(|slot| self.slots[*slot].shape.is_vector());
        match draft.step.as_ref()?.op {
            Op::Conv2d(Conv2d { kernel: [1, 1], groups: 1, pad, .. }) if vectors && pad.is_zero() => {
                Some(false)
            }
            Op::Dense(Dense { transposed, .. }) => Some(transposed),
            _ => None,
        }
    }

    /// What is concatenated is written where it belongs at once.
    fn join_concats(&mut self) {
        let mut at = 0;
        while at < self.drafts.len() {
            let draft = &self.drafts[at];
            let is_concat = draft.step.as_ref().is_some_and(|s| s.op == Op::Concat && s.activation.is_none());
            let mut seen: Vec<usize> = Vec::new();
            let mut parts = Vec::new();
            let mut channel = 0;
            for &input in &draft.inputs {
                let written = self.drafts.iter().any(|draft| draft.output == input);
                if !written || self.slots[input].part_of.is_some() || seen.contains(&input) {
                    break;
                }
                seen.push(input);
                parts.push((input, channel));
                channel += self.slots[input].shape.c as usize;
            }
            if is_concat && parts.len() == draft.inputs.len() {
                let whole = draft.output;
                for (input, channel) in parts {
                    self.slots[input].part_of = Some((whole, channel));
                }
                self.drafts.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// The value whose memory a value is in, and the channels before it there.
    fn root(&self, mut slot: usize) -> (usize, usize) {
        let mut channels = 0;
        while let Some((whole, channel)) = self.slots[slot].part_of {
            channels += channel;
            slot = whole;
        }
        (slot, channels)
    }

    /// Layout of a value in an arena.
    fn layout(&self, slot: usize, lanes: usize) -> Option<(Layout, Option<Grid>)> {
        let (root, _) = self.root(slot);
        let at = Layout::planes(self.slots[slot].shape)?;
        let grid =
            if self.slots[root].grid { Some(Grid::new(at, lanes, self.slots[root].halo)?) } else { None };
        Some((at, grid))
    }

    /// Chooses grids for the values that convolutions write and read, as far as they come from one:
    /// the network's input becomes one if that helps.
    fn lay_grids(&mut self, lanes: usize) {
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
        let Some(Op::Conv2d(spec)) = self.drafts[draft].step.as_ref().map(|step| step.op) else {
            return None;
        };
        let grid =
            |slot: usize| Grid::new(Layout::planes(self.slots[slot].shape)?, lanes, Default::default());
        conv::halo(&spec, &grid(*self.drafts[draft].inputs.first()?)?, &grid(self.drafts[draft].output)?)
    }

    /// Inserts copies where a task does not read a value as it was written, and notes the halos.
    fn convert(&mut self, lanes: usize) {
        let (mut scattered, mut gathered) = (None, Vec::<(usize, usize)>::new());
        let mut at = 0;
        while at < self.drafts.len() {
            let on_grids = self.slots[self.root(self.drafts[at].output).0].grid;
            let means = self.drafts[at]
                .step
                .as_ref()
                .is_some_and(|s| s.op == Op::GlobalAvgPool && s.activation.is_none());
            for input in 0..self.drafts[at].inputs.len() {
                let slot = self.drafts[at].inputs[input];
                let grid = self.slots[self.root(slot).0].grid;
                let (work, copy) = if on_grids && !grid {
                    (Work::Scatter, &mut scattered)
                } else if grid && !on_grids && !means {
                    let known = gathered.iter().find(|(from, _)| *from == slot).map(|(_, to)| *to);
                    (Work::Gather, &mut { known })
                } else {
                    continue;
                };
                let to = match copy {
                    Some(to) => *to,
                    None => {
                        let scatter = matches!(work, Work::Scatter);
                        let output = self.slot(self.slots[slot].shape);
                        self.slots[output].grid = scatter;
                        if scatter {
                            scattered = Some(output);
                        } else {
                            gathered.push((slot, output));
                        }
                        let name = if scatter { "scatter" } else { "gather" };
                        let inputs = [slot].into_iter().collect();
                        self.drafts.insert(at, Draft { name, work: Some(work), step: None, inputs, output });
                        at += 1;
                        output
                    }
                };
                self.drafts[at].inputs[input] = to;
            }
            if on_grids && let Some(halo) = self.halo_of(at, lanes) {
                let (root, _) = self.root(self.drafts[at].inputs[0]);
                let known = self.slots[root].halo;
                self.slots[root].halo = [known[0].max(halo[0]), known[1].max(halo[1])];
            }
            at += 1;
        }
        if self.slots[self.root(self.output).0].grid {
            let (inputs, slot) =
                ([self.output].into_iter().collect(), self.slot(self.slots[self.output].shape));
            self.drafts.push(Draft {
                name: "gather",
                work: Some(Work::Gather),
                step: None,
                inputs,
                output: slot,
            });
            self.output = slot;
        }
    }

    fn place(self, model: &'m Model<'m>, kernels: Kernels) -> Result<Plan<'m>, PrepareError> {
        let lanes = kernels.lanes();
        let mut lives: Vec<Option<Life>> = self.slots.iter().map(|_| None).collect();
        let steps = self.drafts.len();
        let uses = self.drafts.iter().enumerate().flat_map(|(at, draft)| {
            draft.inputs.iter().chain([&draft.output]).map(move |slot| (at + 1, *slot))
        });
        for (at, slot) in [(0, INPUT)].into_iter().chain(uses).chain([(steps + 1, self.output)]) {
            let (root, _) = self.root(slot);
            let (planes, grid) = self.layout(root, lanes).ok_or(PrepareError::TooLarge)?;
            let len = grid.map_or(planes.len(), |grid| grid.len());
            let life = lives[root].get_or_insert(Life { len, first: at, last: at });
            life.first = life.first.min(at);
            life.last = life.last.max(at);
        }
        let (offsets, values_len) = place(&lives).ok_or(PrepareError::TooLarge)?;
        let place_of = |slot: usize| -> Option<Place> {
            let (root, channels) = self.root(slot);
            let (at, grid) = self.layout(slot, lanes)?;
            let place = Place { range: 0..0, at, grid };
            let plane = place.spread().plane;
            let start = offsets[root].checked_add(channels.checked_mul(plane)?)?;
            Some(Place { range: start..start.checked_add(at.c.checked_mul(plane)?)?, ..place })
        };
        let mut tasks = Vec::with_capacity(steps);
        let mut scratch_len = 0;
        for (index, draft) in self.drafts.iter().enumerate() {
            let corrupt = PrepareError::Value { step: index as u32 };
            let mut inputs = heapless::Vec::<Place, MAX_INPUTS>::new();
            for slot in &draft.inputs {
                inputs.push(place_of(*slot).ok_or(PrepareError::TooLarge)?).map_err(|_| corrupt)?;
            }
            let output = place_of(draft.output).ok_or(PrepareError::TooLarge)?;
            let work = match (&draft.work, &draft.step) {
                (Some(work), _) => work.clone(),
                (None, Some(step)) => {
                    let x: &Place = inputs.first().ok_or(corrupt)?;
                    let dense = self.dense(index).and_then(|transposed| {
                        let extent = Extent { inputs: x.at.len(), outputs: output.at.len(), transposed };
                        DensePlan::new(model.artifact(), step, extent, kernels)
                    });
                    match (dense, step.op) {
                        (Some(dense), _) => Work::Dense(dense),
                        (None, Op::Conv2d(spec)) => {
                            let weights = Weights::of(model.artifact(), step).ok_or(corrupt)?;
                            let (places, residual) = ([x, &output], inputs.get(1));
                            let conv =
                                ConvPlan::new(&spec, &weights, step.activation, places, residual, kernels)
                                    .ok_or(PrepareError::TooLarge)?;
                            scratch_len = scratch_len.max(conv.scratch_len());
                            Work::Conv(conv)
                        }
                        (None, Op::MaxPool(spec) | Op::AvgPool(spec)) => {
                            let fold = if matches!(step.op, Op::MaxPool(_)) { Fold::Max } else { Fold::Sum };
                            Work::Pool(fold, spec, step.activation)
                        }
                        (None, Op::GlobalAvgPool) if step.activation.is_none() => Work::GlobalAvgPool,
                        (None, _) => Work::Step(step.clone()),
                    }
                }
                (None, None) => return Err(corrupt),
            };
            let halo = output.grid.as_ref().and_then(HaloCopies::new);
            tasks.push(Task { name: draft.name, work, inputs, output, halo });
        }
        let input = place_of(INPUT).ok_or(PrepareError::TooLarge)?;
        let output = place_of(self.output).ok_or(PrepareError::TooLarge)?;
        Ok(Plan { tasks, input, output, arena_len: values_len, scratch_len })
    }
}

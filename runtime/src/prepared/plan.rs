//! From the steps of a file to tasks over an arena of planes.

use alloc::vec::Vec;
use core::ops::Range;

use tfc_formats::artifact::{MAX_INPUTS, Step, Value};
use tfc_formats::op::{Activation, Conv2d, Dense, Op, Pool, Shape};

use super::PrepareError;
use super::arena::{Life, place};
use super::conv::ConvPlan;
use crate::kernels::pool::Fold;
use crate::kernels::{Kernels, Weights};
use crate::model::Model;
use crate::tensor::Layout;

/// A value in the arena.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    pub(super) at: Layout,
}

/// What a task does.
#[derive(Clone, Debug)]
pub(super) enum Work<'m> {
    /// A convolution; a second input is added to its result.
    Conv(ConvPlan),
    /// A pooling and the activation behind it.
    Pool(Fold, Pool, Option<Activation>),
    /// The mean of each plane.
    GlobalAvgPool,
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
    graph.place(model, kernels)
}

/// The steps as a graph of values that are written once.
struct Graph<'m> {
    slots: Vec<Slot>,
    drafts: Vec<Draft<'m>>,
    output: usize,
}

impl<'m> Graph<'m> {
    fn read(model: &'m Model<'m>) -> Result<Self, PrepareError> {
        let header = model.header();
        let mut graph = Self { slots: Vec::new(), drafts: Vec::new(), output: 0 };
        // Which value lies at an offset of the file's arena now.
        let mut now: Vec<(u32, usize)> = Vec::new();
        now.push((header.input.offset, graph.slot(header.input.shape)));
        for (index, step) in (0..).zip(model.artifact().steps()) {
            let mut inputs = heapless::Vec::new();
            for value in &step.inputs {
                let slot = graph.view(&now, value).ok_or(PrepareError::Value { step: index })?;
                inputs.push(slot).map_err(|_| PrepareError::Value { step: index })?;
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
        self.slots.push(Slot { shape, part_of: None });
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
        (fits && other != slot && !self.is_dense(conv) && self.drafts[conv].inputs.len() == 1)
            .then_some((conv, other))
    }

    /// Whether a convolution is a matrix-vector product.
    fn is_dense(&self, draft: usize) -> bool {
        let draft = &self.drafts[draft];
        let vectors =
            draft.inputs.iter().chain([&draft.output]).all(|slot| self.slots[*slot].shape.is_vector());
        vectors
            && matches!(
                draft.step.as_ref().map(|s| s.op),
                Some(Op::Conv2d(Conv2d { kernel: [1, 1], groups: 1, .. }))
            )
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

    /// The value whose memory a value is in, and its first element there.
    fn root(&self, mut slot: usize) -> Option<(usize, usize)> {
        let mut start = 0usize;
        while let Some((whole, channel)) = self.slots[slot].part_of {
            start += channel * Layout::planes(self.slots[whole].shape)?.plane;
            slot = whole;
        }
        Some((slot, start))
    }

    fn place(self, model: &'m Model<'m>, kernels: Kernels) -> Result<Plan<'m>, PrepareError> {
        let mut lives: Vec<Option<Life>> = self.slots.iter().map(|_| None).collect();
        let steps = self.drafts.len();
        let uses = self.drafts.iter().enumerate().flat_map(|(at, draft)| {
            draft.inputs.iter().chain([&draft.output]).map(move |slot| (at + 1, *slot))
        });
        for (at, slot) in [(0, 0)].into_iter().chain(uses).chain([(steps + 1, self.output)]) {
            let (root, _) = self.root(slot).ok_or(PrepareError::TooLarge)?;
            let len = Layout::planes(self.slots[root].shape).ok_or(PrepareError::TooLarge)?.len();
            let life = lives[root].get_or_insert(Life { len, first: at, last: at });
            life.first = life.first.min(at);
            life.last = life.last.max(at);
        }
        let (offsets, values_len) = place(&lives).ok_or(PrepareError::TooLarge)?;
        let place_of = |slot: usize| -> Option<Place> {
            let (root, start) = self.root(slot)?;
            let at = Layout::planes(self.slots[slot].shape)?;
            let start = offsets[root].checked_add(start)?;
            Some(Place { range: start..start.checked_add(at.len())?, at })
        };
        let mut tasks = Vec::with_capacity(steps);
        let mut scratch_len = 0;
        for (index, draft) in self.drafts.iter().enumerate() {
            let corrupt = PrepareError::Value { step: index as u32 };
            let mut inputs = heapless::Vec::new();
            for slot in &draft.inputs {
                inputs.push(place_of(*slot).ok_or(PrepareError::TooLarge)?).map_err(|_| corrupt)?;
            }
            let output = place_of(draft.output).ok_or(PrepareError::TooLarge)?;
            let work = match (&draft.work, &draft.step) {
                (Some(work), _) => work.clone(),
                (None, Some(step)) => match step.op {
                    Op::Conv2d(spec) if !self.is_dense(index) => {
                        let weights = Weights::of(model.artifact(), step).ok_or(corrupt)?;
                        let x: &Place = inputs.first().ok_or(corrupt)?;
                        let conv = ConvPlan::new(&spec, &weights, step.activation, x.at, output.at, kernels)
                            .ok_or(PrepareError::TooLarge)?;
                        scratch_len = scratch_len.max(conv.scratch_len());
                        Work::Conv(conv)
                    }
                    Op::Conv2d(spec) => {
                        let op = Op::Dense(Dense { out_features: spec.out_channels, transposed: false });
                        Work::Step(Step { op, ..step.clone() })
                    }
                    Op::MaxPool(spec) | Op::AvgPool(spec) => {
                        let fold = if matches!(step.op, Op::MaxPool(_)) { Fold::Max } else { Fold::Sum };
                        Work::Pool(fold, spec, step.activation)
                    }
                    Op::GlobalAvgPool if step.activation.is_none() => Work::GlobalAvgPool,
                    _ => Work::Step(step.clone()),
                },
                (None, None) => return Err(corrupt),
            };
            tasks.push(Task { name: draft.name, work, inputs, output });
        }
        let input = place_of(0).ok_or(PrepareError::TooLarge)?;
        let output = place_of(self.output).ok_or(PrepareError::TooLarge)?;
        Ok(Plan { tasks, input, output, arena_len: values_len, scratch_len })
    }
}

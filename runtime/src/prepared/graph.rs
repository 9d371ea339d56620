//! The steps of a file as tasks over values.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tfc_formats::artifact::{MAX_INPUTS, Step, Value};
use tfc_formats::op::{Conv2d, Dense, Op, Shape};

use super::PrepareError;
use crate::kernels::grid::{Cut, Halo};
use crate::model::Model;
use crate::tensor::Layout;

/// What a task does.
#[derive(Debug)]
pub(super) enum Action<'m> {
    /// A step of the file.
    Step(Box<Step<'m>>),
    /// Copies the elements in C, H, W order.
    Pack,
    /// Planes become a grid.
    Scatter,
    /// A grid becomes planes.
    Gather,
}

/// A task before its values have places.
pub(super) struct Draft<'m> {
    pub(super) name: &'m str,
    pub(super) action: Action<'m>,
    pub(super) inputs: heapless::Vec<usize, MAX_INPUTS>,
    pub(super) output: usize,
}

impl<'m> Draft<'m> {
    /// A copy of one value to another.
    pub(super) fn copy(action: Action<'m>, from: usize, output: usize) -> Self {
        let name = match action {
            Action::Step(_) | Action::Pack => "pack",
            Action::Scatter => "scatter",
            Action::Gather => "gather",
        };
        Self { name, action, inputs: [from].into_iter().collect(), output }
    }

    pub(super) fn step(&self) -> Option<&Step<'m>> {
        if let Action::Step(step) = &self.action { Some(step) } else { None }
    }

    /// The operation of a step.
    pub(super) fn op(&self) -> Option<Op> {
        self.step().map(|step| step.op)
    }
}

/// A value of the plan: its shape, and the concatenation that it is a part of.
pub(super) struct Slot {
    pub(super) shape: Shape,
    pub(super) part_of: Option<(usize, usize)>,
    /// Of a grid, and the halo that is read.
    pub(super) cut: Option<Cut>,
    pub(super) halo: [Halo; 2],
}

/// The value that the network's input is.
pub(super) const INPUT: usize = 0;

/// The steps as a graph of values that are written once.
pub(super) struct Graph<'m> {
    pub(super) slots: Vec<Slot>,
    pub(super) drafts: Vec<Draft<'m>>,
    pub(super) output: usize,
}

impl<'m> Graph<'m> {
    pub(super) fn read(model: &'m Model<'m>) -> Result<Self, PrepareError> {
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
            graph.drafts.push(Draft {
                name: step.name,
                action: Action::Step(Box::new(step)),
                inputs,
                output,
            });
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

    pub(super) fn slot(&mut self, shape: Shape) -> usize {
        self.slots.push(Slot { shape, part_of: None, cut: None, halo: Default::default() });
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
        self.drafts.push(Draft::copy(Action::Pack, slot, output));
        Some(output)
    }

    fn readers(&self, slot: usize) -> usize {
        let reads =
            self.drafts.iter().flat_map(|draft| &draft.inputs).filter(|input| **input == slot).count();
        reads + usize::from(self.output == slot)
    }

    /// Sums of a convolution's result and another value become a part of the convolution.
    pub(super) fn fuse_adds(&mut self) {
        let mut add = 0;
        while add < self.drafts.len() {
            if let Some((conv, other)) = self.fusible(add) {
                let draft = self.drafts.remove(add);
                let target = &mut self.drafts[conv];
                if target.inputs.push(other).is_ok() {
                    target.output = draft.output;
                    if let (Action::Step(step), Action::Step(add)) = (&mut target.action, draft.action) {
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
        let (Some(Op::Add), [a, b]) = (draft.op(), draft.inputs.as_slice()) else {
            return None;
        };
        let writer = |slot: usize| self.drafts.iter().position(|draft| draft.output == slot);
        let (slot, other) = if writer(*a) > writer(*b) { (*a, *b) } else { (*b, *a) };
        let conv = writer(slot)?;
        let step = self.drafts[conv].step()?;
        let fits = matches!(step.op, Op::Conv2d(_)) && step.activation.is_none() && self.readers(slot) == 1;
        (fits && other != slot && self.dense(conv).is_none() && self.drafts[conv].inputs.len() == 1)
            .then_some((conv, other))
    }

    /// Of a matrix-vector product, whether the matrix is stored as `[in, out]`.
    pub(super) fn dense(&self, draft: usize) -> Option<bool> {
        let draft = &self.drafts[draft];
        let vectors =
            draft.inputs.iter().chain([&draft.output]).all(|slot| self.slots[*slot].shape.is_vector());
        match draft.op()? {
            Op::Conv2d(Conv2d { kernel: [1, 1], groups: 1, pad, .. }) if vectors && pad.is_zero() => {
                Some(false)
            }
            Op::Dense(Dense { transposed, .. }) => Some(transposed),
            _ => None,
        }
    }

    /// What is concatenated is written where it belongs at once.
    pub(super) fn join_concats(&mut self) {
        let mut at = 0;
        while at < self.drafts.len() {
            let draft = &self.drafts[at];
            let is_concat = draft.step().is_some_and(|s| s.op == Op::Concat && s.activation.is_none());
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
    pub(super) fn root(&self, mut slot: usize) -> (usize, usize) {
        let mut channels = 0;
        while let Some((whole, channel)) = self.slots[slot].part_of {
            channels += channel;
            slot = whole;
        }
        (slot, channels)
    }
}

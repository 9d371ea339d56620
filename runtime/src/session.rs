use core::ops::Range;

use tfc_formats::artifact::{Step, Value};

use crate::error::{RunError, SessionError};
use crate::input;
use crate::kernels::Kernels;
use crate::model::{EVERYTHING, Model};
use crate::ops::{self, Inputs, Work};
use crate::tensor::{Layout, Tensor, TensorMut};

/// A model with the memory that it runs in. Any number of sessions share a model.
#[derive(Debug)]
pub struct Session<'m, 'a, const NEEDS: u32 = EVERYTHING> {
    model: &'m Model<'m, NEEDS>,
    arena: &'a mut [f32],
    kernels: Kernels,
}

impl<'m, 'a, const NEEDS: u32> Session<'m, 'a, NEEDS> {
    /// `arena` has at least [`Model::arena_len`] bytes, of any content, and begins at a multiple of
    /// 16; [`AlignedArena`](crate::AlignedArena) does.
    pub fn new(model: &'m Model<'m, NEEDS>, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::with_kernels(model, arena, Kernels::best())
    }

    /// As [`new`](Self::new), with other kernels than the fastest.
    pub fn with_kernels(
        model: &'m Model<'m, NEEDS>,
        arena: &'a mut [u8],
        kernels: Kernels,
    ) -> Result<Self, SessionError> {
        let (needed, given) = (model.arena_len(), arena.len());
        let arena = arena.get_mut(..needed).ok_or(SessionError::ArenaLen { needed, given })?;
        if !arena.as_ptr().addr().is_multiple_of(16) {
            return Err(SessionError::ArenaAlignment);
        }
        // Values begin at multiples of 16 and hold f32, so bytes behind the last whole one are not used.
        let (arena, _) = arena.split_at_mut(needed / 4 * 4);
        let arena = bytemuck::try_cast_slice_mut(arena).map_err(|_| SessionError::ArenaAlignment)?;
        Ok(Self { model, arena, kernels })
    }

    /// Runs the network on a preprocessed sample in C, H, W order. Returns the output in the same
    /// order.
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], RunError> {
        self.run_observed(input, &mut |_, _, _| {})
    }

    /// As [`run`](Self::run), calling `observer` with the number, record and output of each step once
    /// it is done; the output is what the step stores, behind its fused activation.
    pub fn run_observed(
        &mut self,
        input: &[f32],
        observer: &mut dyn FnMut(usize, &Step<'_>, Tensor<'_>),
    ) -> Result<&[f32], RunError> {
        input::write(input, self.input()?)?;
        self.run_steps(observer)
    }

    /// Runs the network on a raw sample: bytes in the order of axes, and with the order of
    /// channels, that the file's preprocessing states.
    pub fn run_raw(&mut self, input: &[u8]) -> Result<&[f32], RunError> {
        let model = self.model;
        input::write_raw(input, model.header(), self.input()?)?;
        self.run_steps(&mut |_, _, _| {})
    }

    fn input(&mut self) -> Result<TensorMut<'_>, RunError> {
        let corrupt = RunError::Step { step: 0 };
        let value = &self.model.header().input;
        let at = Layout::of(value).ok_or(corrupt)?;
        let data = range(value, &at).and_then(|range| self.arena.get_mut(range)).ok_or(corrupt)?;
        Ok(TensorMut { data, at })
    }

    fn run_steps(
        &mut self,
        observer: &mut dyn FnMut(usize, &Step<'_>, Tensor<'_>),
    ) -> Result<&[f32], RunError> {
        let steps = self.model.header().steps as usize;
        let mut done = 0;
        for step in self.model.artifact().steps() {
            self.run_step(&step).ok_or(RunError::Step { step: done })?;
            let output = self.value(&step.output).ok_or(RunError::Step { step: done })?;
            observer(done, &step, output);
            done += 1;
        }
        let output = self.value(&self.model.header().output).filter(|_| done == steps);
        output.map(|output| output.data).ok_or(RunError::Step { step: done })
    }

    /// A value as it now lies in the arena.
    fn value(&self, value: &Value) -> Option<Tensor<'_>> {
        let at = Layout::of(value)?;
        Some(Tensor { data: self.arena.get(range(value, &at)?)?, at })
    }

    /// Parts the arena into scratch, the output, and what lies before and behind the output: inputs
    /// are shared, scratch and output exclusive.
    fn run_step(&mut self, step: &Step<'_>) -> Option<()> {
        let scratch_len = self.model.header().scratch_len as usize / size_of::<f32>();
        let at = Layout::of(&step.output)?;
        let Range { start, end } = range(&step.output, &at)?;
        let (arena, after) = self.arena.split_at_mut_checked(end)?;
        let (before, data) = arena.split_at_mut_checked(start)?;
        let (scratch, before) = before.split_at_mut_checked(scratch_len)?;

        let mut inputs = Inputs::new();
        for value in &step.inputs {
            let at = Layout::of(value)?;
            let place = range(value, &at)?;
            let data = match place.start.checked_sub(end) {
                Some(start) => after.get(start..start.checked_add(at.len())?)?,
                None => {
                    before.get(place.start.checked_sub(scratch_len)?..place.end.checked_sub(scratch_len)?)?
                }
            };
            inputs.push(Tensor { data, at }).ok()?;
        }
        let out = TensorMut { data, at };
        let work = Work { artifact: self.model.artifact(), kernels: self.kernels, inputs, out, scratch };
        ops::run::<NEEDS>(step, work)
    }
}

/// Elements of the arena that a value occupies.
fn range(value: &Value, at: &Layout) -> Option<Range<usize>> {
    let start = value.offset as usize / size_of::<f32>();
    Some(start..start.checked_add(at.len())?)
}

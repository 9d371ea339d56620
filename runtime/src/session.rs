use core::ops::Range;

use tfc_formats::artifact::{Element, Needs, Step, Value};

use crate::error::{RunError, SessionError};
use crate::input;
use crate::kernels::Kernels;
use crate::model::{EVERYTHING, Model};
use crate::ops::{self, Inputs, Work};
use crate::tensor::{Layout, Number, Stored, Tensor, TensorMut, number};

/// A model with the memory that it runs in. Any number of sessions share a model.
#[derive(Debug)]
pub struct Session<'m, 'a, const NEEDS: u32 = EVERYTHING> {
    model: &'m Model<'m, NEEDS>,
    arena: &'a mut [u8],
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
        Ok(Self { model, arena, kernels })
    }

    /// Runs the network on a preprocessed sample in C, H, W order. Returns the output in the same
    /// order. An input of i8 is rounded to that, and an output of i8 is what it stands for.
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], RunError> {
        self.run_observed(input, &mut |_, _, _| {})
    }

    /// As [`run`](Self::run), calling `observer` with the number, record and output of each step once
    /// it is done; the output is what the step stores, behind its fused activation.
    pub fn run_observed(
        &mut self,
        input: &[f32],
        observer: &mut dyn FnMut(usize, &Step<'_>, Stored<'_>),
    ) -> Result<&[f32], RunError> {
        self.write(input)?;
        self.run_written(observer)
    }

    /// Writes a preprocessed sample in C, H, W order to where the network reads it; one of i8 is rounded
    /// to that. For [`run_written`](Self::run_written), which overwrites it.
    pub fn write(&mut self, input: &[f32]) -> Result<(), RunError> {
        let model = self.model;
        match model.header().input.element {
            Element::F32 => input::write(input, self.input()?, 0.0, |x| *x),
            Element::I8 { scale, zero } => {
                // The cast saturates.
                let quantize = |x: &f32| (libm::rintf(x / scale) + f32::from(zero)) as i8;
                input::write(input, self.input()?, zero, quantize)
            }
        }
    }

    /// As [`run_observed`](Self::run_observed), on the sample that was [written](Self::write).
    pub fn run_written(
        &mut self,
        observer: &mut dyn FnMut(usize, &Step<'_>, Stored<'_>),
    ) -> Result<&[f32], RunError> {
        self.run_steps(observer)?;
        self.numbers()
    }

    /// Runs the network on a raw sample: bytes in the order of axes, and with the order of
    /// channels, that the file's preprocessing states.
    pub fn run_raw(&mut self, input: &[u8]) -> Result<&[f32], RunError> {
        self.write_raw(input)?;
        self.run_steps(&mut |_, _, _| {})?;
        self.numbers()
    }

    /// As [`run`](Self::run), without any float: the input is one of i8 already, and the output is
    /// as the network stores it. Their scales and zero points are in [`Model::header`].
    pub fn run_i8(&mut self, input: &[i8]) -> Result<&[i8], RunError> {
        let model = self.model;
        let Element::I8 { zero, .. } = model.header().input.element else { return Err(RunError::NotI8) };
        input::write(input, self.input()?, zero, |q| *q)?;
        self.run_steps(&mut |_, _, _| {})?;
        self.output()
    }

    /// As [`run_raw`](Self::run_raw), without any float: the output is as the network stores it.
    pub fn run_raw_i8(&mut self, input: &[u8]) -> Result<&[i8], RunError> {
        if !self.model.header().output.element.is_i8() {
            return Err(RunError::NotI8);
        }
        self.write_raw(input)?;
        self.run_steps(&mut |_, _, _| {})?;
        self.output()
    }

    /// Writes the input from a raw sample.
    fn write_raw(&mut self, input: &[u8]) -> Result<(), RunError> {
        let model = self.model;
        match model.header().input.element {
            Element::F32 => input::write_raw(input, model.header(), self.input()?),
            Element::I8 { zero, .. } => input::write_raw_i8(input, model.header(), zero, self.input()?),
        }
    }

    fn input<T: Number>(&mut self) -> Result<TensorMut<'_, T>, RunError> {
        let corrupt = RunError::Step { step: 0 };
        let value = &self.model.header().input;
        let at = Layout::of(value).ok_or(corrupt)?;
        let bytes = range::<T>(value, &at).and_then(|range| self.arena.get_mut(range));
        let data = bytes.and_then(|bytes| bytemuck::try_cast_slice_mut(bytes).ok()).ok_or(corrupt)?;
        Ok(TensorMut { data, at })
    }

    fn run_steps(&mut self, observer: &mut dyn FnMut(usize, &Step<'_>, Stored<'_>)) -> Result<(), RunError> {
        let steps = self.model.header().steps as usize;
        let mut done = 0;
        for step in self.model.artifact().steps() {
            self.run_step(&step).ok_or(RunError::Step { step: done })?;
            let output = self.stored(&step.output).ok_or(RunError::Step { step: done })?;
            observer(done, &step, output);
            done += 1;
        }
        if done == steps { Ok(()) } else { Err(RunError::Step { step: done }) }
    }

    /// The network's output as it is stored.
    fn output<T: Number>(&self) -> Result<&[T], RunError> {
        let output = self.value(&self.model.header().output);
        output.map(|output| output.data).ok_or(RunError::Step { step: self.model.header().steps as usize })
    }

    /// The network's output; one of i8 becomes f32 in the scratch, which no step needs any more.
    fn numbers(&mut self) -> Result<&[f32], RunError> {
        let header = self.model.header();
        let Element::I8 { scale, zero } = header.output.element else { return self.output() };
        let corrupt = RunError::Step { step: header.steps as usize };
        let at = Layout::of(&header.output).ok_or(corrupt)?;
        let place = range::<i8>(&header.output, &at).ok_or(corrupt)?;
        let (scratch, values) =
            self.arena.split_at_mut_checked(header.scratch_len as usize).ok_or(corrupt)?;
        let from = values.get(place.start - scratch.len()..place.end - scratch.len()).ok_or(corrupt)?;
        let to = scratch.get_mut(..4 * from.len()).ok_or(corrupt)?;
        let to: &mut [f32] = bytemuck::try_cast_slice_mut(to).map_err(|_| corrupt)?;
        to.iter_mut().zip(from).for_each(|(x, q)| *x = number(*q as i8, scale, zero));
        Ok(to)
    }

    /// A value as it now lies in the arena.
    fn value<T: Number>(&self, value: &Value) -> Option<Tensor<'_, T>> {
        let at = Layout::of(value)?;
        let bytes = self.arena.get(range::<T>(value, &at)?)?;
        Some(Tensor { data: bytemuck::try_cast_slice(bytes).ok()?, at })
    }

    fn stored(&self, value: &Value) -> Option<Stored<'_>> {
        Some(match value.element {
            Element::F32 => Stored::F32(self.value(value)?),
            Element::I8 { scale, zero } => Stored::I8 { tensor: self.value(value)?, scale, zero },
        })
    }

    fn run_step(&mut self, step: &Step<'_>) -> Option<()> {
        let needs = |need| Needs::from_bits(NEEDS).contains(need);
        match step.output.element {
            Element::F32 if needs(Needs::FLOATS) => ops::run::<NEEDS>(step, self.work(step)?),
            Element::I8 { .. } if needs(Needs::BYTES) => ops::run_i8::<NEEDS>(step, self.work(step)?),
            _ => None,
        }
    }

    /// Parts the arena into scratch, the output, and what lies before and behind the output: inputs
    /// are shared, scratch and output exclusive.
    fn work<T: Number>(&mut self, step: &Step<'_>) -> Option<Work<'_, T>> {
        let scratch_len = self.model.header().scratch_len as usize;
        let at = Layout::of(&step.output)?;
        let Range { start, mut end } = range::<T>(&step.output, &at)?;
        let over = step.inputs.first().filter(|input| input.offset == step.output.offset);
        let mut in_place = None;
        if let Some(input) = over {
            let from = Layout::of(input)?;
            end = range::<T>(input, &from)?.end.max(end);
            in_place = Some(from);
        }
        let (arena, after) = self.arena.split_at_mut_checked(end)?;
        let (before, data) = arena.split_at_mut_checked(start)?;
        let (scratch, before) = before.split_at_mut_checked(scratch_len)?;
        let (before, after) = (&*before, &*after);
        let input = |value: &Value| {
            let at = Layout::of(value)?;
            let place = range::<T>(value, &at)?;
            let bytes = match place.start.checked_sub(end) {
                Some(start) => after.get(start..start.checked_add(place.len())?)?,
                None => {
                    before.get(place.start.checked_sub(scratch_len)?..place.end.checked_sub(scratch_len)?)?
                }
            };
            Some(Tensor { data: bytemuck::try_cast_slice(bytes).ok()?, at })
        };

        let mut inputs = Inputs::new();
        for value in step.inputs.iter().filter(|_| in_place.is_none()) {
            inputs.push(input(value)?).ok()?;
        }
        let residual = step.requantization.and_then(|r| r.residual).map(|residual| residual.value);
        let apart = residual.filter(|value| value.offset != step.output.offset);
        let residual = match &apart {
            Some(value) => Some(input(value)?),
            None => None,
        };
        let out = TensorMut { data: bytemuck::try_cast_slice_mut(data).ok()?, at };
        let scratch = bytemuck::try_cast_slice_mut(scratch).ok()?;
        Some(Work {
            artifact: self.model.artifact(),
            kernels: self.kernels,
            inputs,
            in_place,
            residual,
            out,
            zero: T::zero(step.output.element),
            scratch,
        })
    }
}

/// Bytes of the arena that a value occupies.
fn range<T>(value: &Value, at: &Layout) -> Option<Range<usize>> {
    let start = value.offset as usize;
    Some(start..start.checked_add(at.len().checked_mul(size_of::<T>())?)?)
}

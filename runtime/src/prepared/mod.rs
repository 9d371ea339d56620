//! A model laid out for the kernels when it is loaded, for hosts: needs an allocator.
//!
//! A [`Session`](crate::Session) reads a file as it is, in a few kilobytes of memory. Here the
//! compact encodings are expanded once into what the kernels read fastest, sums are fused into the
//! convolutions before them, and values lie in planes of whole cache lines.

mod arena;
mod conv;
mod dense;
mod graph;
mod grids;
mod plan;
mod strips;

use alloc::vec::Vec;

use crate::error::RunError;
use crate::input;
use crate::kernels::Kernels;
use crate::kernels::pool::{Fold, GridMaxima, GridMeans, Means, Windows};
use crate::kernels::scatter::Scatter;
use crate::kernels::team::Team;
use crate::model::{EVERYTHING, Model};
use crate::ops::{self, Inputs};
use crate::tensor::{LINE, Tensor, TensorMut};
use plan::{Plan, Task, Work};

/// Why a model cannot be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrepareError {
    /// A step reads a value that no step before it wrote, or as of another shape.
    Value {
        /// Number of the step; the number of steps for the output.
        step: u32,
    },
    /// The network computes on i8, which is not prepared: a [`Session`](crate::Session) runs it.
    Integer,
    /// The values do not fit the address space.
    TooLarge,
    /// The system gives no more threads.
    Threads,
}

impl core::fmt::Display for PrepareError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Value { step } => {
                write!(f, "step {step} reads a value that no step before it wrote; compile the network again")
            }
            Self::Integer => write!(f, "the network computes on i8, which only sessions in place run"),
            Self::TooLarge => write!(f, "the values do not fit the address space"),
            Self::Threads => write!(f, "the system gives no more threads; ask for fewer"),
        }
    }
}

impl core::error::Error for PrepareError {}

/// A model with its weights expanded. Any number of sessions share it.
#[derive(Clone, Debug)]
pub struct Prepared<'m> {
    model: &'m Model<'m>,
    plan: Plan<'m>,
    kernels: Kernels,
}

impl<'m> Prepared<'m> {
    /// Expands the weights of a model.
    pub fn new(model: &'m Model<'m>) -> Result<Self, PrepareError> {
        Self::with_kernels(model, Kernels::best())
    }

    /// As [`new`](Self::new), with other kernels than the fastest.
    pub fn with_kernels(model: &'m Model<'m>, kernels: Kernels) -> Result<Self, PrepareError> {
        Ok(Self { model, plan: plan::plan(model, kernels)?, kernels })
    }

    /// Memory to run it in.
    pub fn session(&self) -> PreparedSession<'_, 'm> {
        let scratch_len = self.plan.scratch_len.next_multiple_of(LINE);
        PreparedSession {
            prepared: self,
            memory: alloc::vec![0.0; LINE + scratch_len + self.plan.arena_len],
            scratch_len,
            #[cfg(feature = "threads")]
            pool: None,
        }
    }

    /// As [`session`](Self::session), with several threads for each sample. Layers that take less
    /// than some 20 microseconds stay on one.
    #[cfg(feature = "threads")]
    pub fn session_on(&self, threads: usize) -> Result<PreparedSession<'_, 'm>, PrepareError> {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = if threads > 1 { Some(builder.build().map_err(|_| PrepareError::Threads)?) } else { None };
        Ok(PreparedSession { pool: pool.map(alloc::sync::Arc::new), ..self.session() })
    }

    /// Bytes of expanded weights on the heap.
    pub fn bytes(&self) -> usize {
        self.plan
            .tasks
            .iter()
            .map(|task| match &task.work {
                Work::Conv(conv) => conv.bytes(),
                Work::Dense(dense) => dense.bytes(),
                Work::Scatter(Some(pixels)) | Work::Gather(pixels) => pixels.bytes(),
                _ => 0,
            })
            .sum()
    }

    /// Names of the steps that run, in order: sums and concatenations that are a part of other
    /// steps are not among them.
    pub fn steps(&self) -> impl Iterator<Item = &'m str> {
        self.plan.tasks.iter().map(|task| task.name)
    }
}

/// A prepared model with the memory that it runs in.
#[derive(Clone, Debug)]
pub struct PreparedSession<'p, 'm> {
    prepared: &'p Prepared<'m>,
    /// Begins somewhere in a cache line; used from the next one.
    memory: Vec<f32>,
    scratch_len: usize,
    /// Where there are several threads.
    #[cfg(feature = "threads")]
    pool: Option<alloc::sync::Arc<rayon::ThreadPool>>,
}

impl PreparedSession<'_, '_> {
    /// Runs the network on a preprocessed sample in C, H, W order. Returns the output in the same
    /// order.
    pub fn run(&mut self, input: &[f32]) -> Result<&[f32], RunError> {
        self.run_observed(input, &mut |_| {})
    }

    /// As [`run`](Self::run), calling `observer` with the number of each step once it is done.
    pub fn run_observed(
        &mut self,
        input: &[f32],
        observer: &mut (dyn FnMut(usize) + Send),
    ) -> Result<&[f32], RunError> {
        input::write(input, self.input()?, 0.0, |x| *x)?;
        self.run_tasks(observer)
    }

    /// Runs the network on a raw sample, as [`Session::run_raw`](crate::Session::run_raw) does.
    pub fn run_raw(&mut self, input: &[u8]) -> Result<&[f32], RunError> {
        let header = self.prepared.model.header();
        input::write_raw(input, header, self.input()?)?;
        self.run_tasks(&mut |_| {})
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.memory.as_slice())
    }

    fn parts(&mut self) -> (&mut [f32], &mut [f32]) {
        let start = self.memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        self.memory.get_mut(start..).unwrap_or_default().split_at_mut(self.scratch_len)
    }

    fn input(&mut self) -> Result<TensorMut<'_>, RunError> {
        let place = self.prepared.plan.input.clone();
        let data = self.parts().1.get_mut(place.range).ok_or(RunError::Step { step: 0 })?;
        Ok(TensorMut { data, at: place.at })
    }

    #[cfg(feature = "threads")]
    fn run_tasks(&mut self, observer: &mut (dyn FnMut(usize) + Send)) -> Result<&[f32], RunError> {
        match self.pool.clone() {
            Some(pool) => pool.install(|| self.run_on(Team(pool.current_num_threads()), observer)),
            None => self.run_on(Team(1), observer),
        }
    }

    #[cfg(not(feature = "threads"))]
    fn run_tasks(&mut self, observer: &mut (dyn FnMut(usize) + Send)) -> Result<&[f32], RunError> {
        self.run_on(Team(1), observer)
    }

    fn run_on(&mut self, team: Team, observer: &mut (dyn FnMut(usize) + Send)) -> Result<&[f32], RunError> {
        let prepared = self.prepared;
        for (step, task) in prepared.plan.tasks.iter().enumerate() {
            let (scratch, arena) = self.parts();
            run_task(prepared, team, task, scratch, arena).ok_or(RunError::Step { step })?;
            observer(step);
        }
        let output = prepared.plan.output.range.clone();
        let step = prepared.plan.tasks.len();
        self.parts().1.get(output).ok_or(RunError::Step { step })
    }
}

/// Parts the arena into the output and what lies before and behind it.
fn run_task(
    prepared: &Prepared<'_>,
    team: Team,
    task: &Task<'_>,
    scratch: &mut [f32],
    arena: &mut [f32],
) -> Option<()> {
    let (arena, after) = arena.split_at_mut_checked(task.output.range.end)?;
    let (before, data) = arena.split_at_mut_checked(task.output.range.start)?;
    let out = TensorMut { data, at: task.output.at };
    let mut inputs = Inputs::new();
    for place in &task.inputs {
        let data = match place.range.start.checked_sub(task.output.range.end) {
            Some(start) => after.get(start..start.checked_add(place.range.len())?)?,
            None => before.get(place.range.clone())?,
        };
        inputs.push(Tensor { data, at: place.at }).ok()?;
    }
    run_work(prepared, team, task, &inputs, TensorMut { data: &mut *out.data, at: out.at }, scratch)?;
    task.halo.as_ref().map_or(Some(()), |halo| halo.run(prepared.kernels, out.data))
}

fn run_work(
    prepared: &Prepared<'_>,
    team: Team,
    task: &Task<'_>,
    inputs: &Inputs<'_>,
    mut out: TensorMut<'_>,
    scratch: &mut [f32],
) -> Option<()> {
    let kernels = prepared.kernels;
    let x = *inputs.first()?;
    match &task.work {
        Work::Conv(conv) => conv.run((kernels, team), x, inputs.get(1).copied(), out, scratch),
        Work::Scatter(Some(pixels)) => pixels.scatter(x.data, out.data),
        Work::Scatter(None) => {
            Scatter { x: x.data, at: x.at, grid: task.output.grid?, out: out.data }.run(kernels)
        }
        Work::Gather(pixels) => pixels.gather(x.data, out.data),
        Work::Dense(dense) => dense.run(prepared.kernels, *inputs.first()?, out),
        Work::Pool(fold, spec, activation) => {
            Windows { fold: *fold, spec: *spec, x, out: &mut out }.run(kernels, team)?;
            if *fold == Fold::Sum {
                ops::pool::divide(*spec, x, &mut out);
            }
            if activation.is_some() {
                out.for_rows(|row| ops::activation::apply::<EVERYTHING>(*activation, row));
            }
            Some(())
        }
        Work::GridPool(spec, grid) => {
            let (from, to, extent) = (task.inputs.first()?.spread(), grid.spread(), grid.extent());
            GridMaxima { spec: *spec, x: x.data, from, out: out.data, to, extent }.run(kernels, team)
        }
        Work::GlobalAvgPool => Means { x, out: &mut out }.run(kernels),
        Work::GridMeans(grid, own) => {
            let ([_, cols], elements) = (grid.extent(), x.at.h * x.at.w);
            GridMeans { x: x.data, from: grid.spread(), cols, own, elements, out: out.data }.run(kernels)
        }
        Work::Pack => {
            ops::flatten::run(x, &mut out);
            Some(())
        }
        Work::Step(step) => {
            let artifact = prepared.model.artifact();
            let work = ops::Work {
                artifact,
                kernels,
                inputs: inputs.clone(),
                in_place: None,
                residual: None,
                out,
                zero: 0.0,
                scratch,
            };
            ops::run::<EVERYTHING>(step, work)
        }
    }
}

//! From the steps of a file to tasks over an arena of planes.

use alloc::vec::Vec;
use core::ops::Range;

use tfc_formats::artifact::{MAX_INPUTS, Step};
use tfc_formats::op::{Activation, Op, Pool};

use super::PrepareError;
use super::arena::{Life, place};
use super::conv::ConvPlan;
use super::dense::DensePlan;
use super::graph::{Action, Graph, INPUT};
use crate::kernels::grid::{Grid, HaloCopies};
use crate::kernels::matvec::Extent;
use crate::kernels::planes::Spread;
use crate::kernels::pool::Fold;
use crate::kernels::scatter::Pixels;
use crate::kernels::{Kernels, Weights};
use crate::model::Model;
use crate::tensor::{LINE, Layout};

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
    /// A maximum pooling of a grid.
    GridPool(Pool, Grid),
    /// The mean of each plane.
    GlobalAvgPool,
    /// The mean of each channel of a grid; which of its lanes count.
    GridMeans(Grid, Vec<[u32; LINE]>),
    /// Planes become a grid.
    Scatter(Option<Pixels>),
    /// A grid becomes planes.
    Gather(Pixels),
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

pub(super) fn plan<'m>(model: &'m Model<'m>, kernels: Kernels) -> Result<Plan<'m>, PrepareError> {
    let mut graph = Graph::read(model)?;
    graph.fuse_adds();
    graph.join_concats();
    graph.lay_grids(kernels.lanes());
    graph.place(model, kernels)
}

impl<'m> Graph<'m> {
    fn place(self, model: &'m Model<'m>, kernels: Kernels) -> Result<Plan<'m>, PrepareError> {
        let mut lives: Vec<Option<Life>> = self.slots.iter().map(|_| None).collect();
        let steps = self.drafts.len();
        let uses = self.drafts.iter().enumerate().flat_map(|(at, draft)| {
            draft.inputs.iter().chain([&draft.output]).map(move |slot| (at + 1, *slot))
        });
        for (at, slot) in [(0, INPUT)].into_iter().chain(uses).chain([(steps + 1, self.output)]) {
            let (root, _) = self.root(slot);
            let (planes, grid) = self.layout(root).ok_or(PrepareError::TooLarge)?;
            let len = grid.map_or(planes.len(), |grid| grid.len());
            let life = lives[root].get_or_insert(Life { len, first: at, last: at });
            life.first = life.first.min(at);
            life.last = life.last.max(at);
        }
        let (offsets, values_len) = place(&lives).ok_or(PrepareError::TooLarge)?;
        let place_of = |slot: usize| -> Option<Place> {
            let (root, channels) = self.root(slot);
            let (at, grid) = self.layout(slot)?;
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
            let work = match &draft.action {
                Action::Pack => Work::Pack,
                Action::Scatter => {
                    let grid = output.grid.as_ref().ok_or(corrupt)?;
                    let apart = Pixels::are_apart(grid, kernels.lanes());
                    let pixels = || Pixels::new(output.at, grid).ok_or(PrepareError::TooLarge);
                    Work::Scatter(if apart { Some(pixels()?) } else { None })
                }
                Action::Gather => {
                    let grid = inputs.first().and_then(|x| x.grid.as_ref()).ok_or(corrupt)?;
                    Work::Gather(Pixels::new(output.at, grid).ok_or(PrepareError::TooLarge)?)
                }
                Action::Step(step) => {
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
                        (None, Op::MaxPool(spec)) => match output.grid {
                            Some(grid) => Work::GridPool(spec, grid),
                            None => Work::Pool(Fold::Max, spec, step.activation),
                        },
                        (None, Op::AvgPool(spec)) => Work::Pool(Fold::Sum, spec, step.activation),
                        (None, Op::GlobalAvgPool) if step.activation.is_none() => match x.grid {
                            Some(grid) => Work::GridMeans(grid, grid.own()),
                            None => Work::GlobalAvgPool,
                        },
                        (None, _) => Work::Step((**step).clone()),
                    }
                }
            };
            let halo = output.grid.as_ref().and_then(HaloCopies::new);
            tasks.push(Task { name: draft.name, work, inputs, output, halo });
        }
        let input = place_of(INPUT).ok_or(PrepareError::TooLarge)?;
        let output = place_of(self.output).ok_or(PrepareError::TooLarge)?;
        Ok(Plan { tasks, input, output, arena_len: values_len, scratch_len })
    }
}

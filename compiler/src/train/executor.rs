//! A network on a device: its buffers, and forward, backward and update over them.

use tfc_formats::network::{Network, Tensor};

use super::error::TrainError;
use super::ops::{Mode, Run, Values, elements};
use super::options::Distill;
use super::plan::{Kind, Plan};
use super::random;
use crate::device::{Device, DeviceError, Targets, Update};
use crate::prune::Masks;

/// A network on a device, with room for batches of one size.
pub(super) struct Executor<'d, D: Device> {
    device: &'d D,
    plan: Plan<D>,
    /// By value: `[C, B, H, W]`.
    values: Vec<D::Buffer>,
    /// By value.
    gradients: Vec<D::Buffer>,
    /// By value: the gradient from one more consumer, before it is added to the others.
    further: Vec<D::Buffer>,
    /// By step: what its layer keeps.
    saved: Vec<Vec<D::Buffer>>,
    params: Vec<Param<D::Buffer>>,
    labels: D::Buffer,
    teacher: D::Buffer,
    stats: D::Buffer,
}

struct Param<B> {
    weight: B,
    gradient: B,
    mask: Option<B>,
    state: Vec<B>,
}

/// Classes of a batch, and what a teacher says about it.
pub(super) struct Answers<'a> {
    /// Class index of each sample.
    pub(super) labels: &'a [f32],
    /// The teacher's logits `[K, B]`.
    pub(super) teacher: Option<(&'a [f32], Distill)>,
}

impl<'d, D: Device> Executor<'d, D> {
    /// Allocates everything for batches of up to `batch` samples. Without `states`, only
    /// [`forward`](Self::forward) and [`loss`](Self::loss) may be called; with it, that many
    /// optimizer buffers are made for each weight.
    pub(super) fn new(
        device: &'d D,
        network: &Network,
        batch: usize,
        states: Option<usize>,
    ) -> Result<Self, TrainError> {
        let plan = Plan::<D>::new(network)?;
        let most = plan.steps.iter().map(|s| s.layer.max_batch()).min().unwrap_or(batch);
        if batch > most {
            return Err(TrainError::Option(format!("batch is {batch}; this network takes at most {most}")));
        }
        let training = states.is_some();
        // Values that are not worked on get one element, since a device may not know empty buffers.
        let buffer = |wanted: bool, len: usize| device.zeros(if wanted { len } else { 1 });
        let value = |wanted: bool, v: usize| buffer(wanted, elements(plan.shapes[v]) * batch);
        let per_value = |wanted: &dyn Fn(usize) -> bool| -> Vec<D::Buffer> {
            (0..plan.shapes.len()).map(|v| value(wanted(v), v)).collect()
        };
        let live = |v: usize| plan.values[v].live;
        let gradient = |v: usize| live(v) && training && plan.values[v].gradient || v == plan.logits;
        let params = plan.params.iter().map(|p| {
            let data = &network.tensors[p.tensor].data;
            let states = states.filter(|_| p.kind.learns()).unwrap_or(0);
            Param {
                weight: device.upload(data),
                gradient: buffer(training && p.kind.learns(), data.len()),
                mask: None,
                state: (0..states).map(|_| device.zeros(data.len())).collect(),
            }
        });
        let saved =
            plan.steps.iter().map(|s| s.layer.saved(batch).iter().map(|&n| device.zeros(n)).collect());
        Ok(Self {
            device,
            values: per_value(&live),
            gradients: per_value(&gradient),
            further: per_value(&|v| gradient(v) && plan.values[v].uses > 1),
            saved: saved.collect(),
            params: params.collect(),
            labels: device.zeros(batch),
            teacher: device.zeros(plan.classes() * batch),
            stats: device.zeros(2),
            plan,
        })
    }

    /// Number of class scores.
    pub(super) fn classes(&self) -> usize {
        self.plan.classes()
    }

    /// Puts a network's weights onto the device.
    pub(super) fn load(&mut self, tensors: &[Tensor]) {
        for (param, plan) in self.params.iter_mut().zip(&self.plan.params) {
            self.device.write(&tensors[plan.tensor].data, &mut param.weight);
        }
    }

    /// Reads the weights back into the network.
    pub(super) fn store(&self, tensors: &mut [Tensor]) -> Result<(), DeviceError> {
        for (param, plan) in self.params.iter().zip(&self.plan.params) {
            tensors[plan.tensor].data = self.device.download(&param.weight)?;
        }
        Ok(())
    }

    /// Holds these masks from the next update on.
    pub(super) fn set_masks(&mut self, masks: &Masks) {
        for (param, plan) in self.params.iter_mut().zip(&self.plan.params) {
            param.mask = masks.get(plan.tensor).map(|keep| {
                let factors: Vec<f32> = keep.iter().map(|&k| f32::from(u8::from(k))).collect();
                self.device.upload(&factors)
            });
        }
    }

    /// Reads the optimizer's state back: by parameter, by state buffer.
    pub(super) fn states(&self) -> Result<Vec<Vec<Vec<f32>>>, DeviceError> {
        let states = |p: &Param<D::Buffer>| p.state.iter().map(|s| self.device.download(s)).collect();
        self.params.iter().map(states).collect()
    }

    /// Restores what [`states`](Self::states) gave, or returns `false` where it does not fit.
    pub(super) fn set_states(&mut self, states: &[Vec<Vec<f32>>]) -> bool {
        let fits = states.len() == self.params.len()
            && states.iter().zip(&self.params).all(|(from, to)| {
                from.len() == to.state.len()
                    && from.iter().zip(&to.state).all(|(from, to)| from.len() == self.device.len(to))
            });
        if fits {
            for (from, to) in states.iter().flatten().zip(self.params.iter_mut().flat_map(|p| &mut p.state)) {
                self.device.write(from, to);
            }
        }
        fits
    }

    /// Runs the network on `input [C, B, H, W]`.
    pub(super) fn forward(&mut self, input: &[f32], batch: usize, mode: Mode) {
        let Self { device, plan, values, saved, params, .. } = self;
        device.write(input, &mut values[0]);
        for (n, (step, saved)) in plan.steps.iter().zip(saved).enumerate() {
            let mut run = Run { device: *device, batch, mode: mode_of(n, mode), saved };
            let (before, after) = values.split_at_mut(step.output);
            let inputs: Vec<_> = step.inputs.iter().map(|&v| &before[v]).collect();
            let weights: Vec<_> = step.params.iter().map(|&p| &params[p].weight).collect();
            step.layer.forward(&mut run, &inputs, &weights, &mut after[0]);
            for (role, &p) in step.params.iter().enumerate() {
                step.layer.update_statistics(&mut run, role, &mut params[p].weight);
            }
        }
    }

    /// The class scores `[K, B]` of the last batch.
    pub(super) fn logits(&self) -> Result<Vec<f32>, DeviceError> {
        self.device.download(&self.values[self.plan.logits])
    }

    /// Adds the last batch to the statistics, and computes the gradient of its mean loss.
    pub(super) fn loss(&mut self, answers: &Answers<'_>) {
        let logits = self.plan.logits;
        self.device.write(answers.labels, &mut self.labels);
        let targets = match answers.teacher {
            Some((scores, Distill { temperature, weight })) => {
                self.device.write(scores, &mut self.teacher);
                Targets::Distill { labels: &self.labels, teacher: &self.teacher, temperature, weight }
            }
            None => Targets::Labels(&self.labels),
        };
        self.device.softmax_cross_entropy(
            [self.plan.classes(), answers.labels.len()],
            &self.values[logits],
            targets,
            &mut self.gradients[logits],
            &mut self.stats,
        );
    }

    /// Sum of the losses and number of errors since they were last set.
    pub(super) fn stats(&self) -> Result<[f32; 2], DeviceError> {
        let stats = self.device.download(&self.stats)?;
        Ok([stats[0], stats[1]])
    }

    /// Sets the statistics.
    pub(super) fn set_stats(&mut self, stats: [f32; 2]) {
        self.device.write(&stats, &mut self.stats);
    }

    /// Gradients of all parameters after [`forward`](Self::forward), with the same arguments,
    /// and [`loss`](Self::loss).
    pub(super) fn backward(&mut self, batch: usize, mode: Mode) {
        let Self { device, plan, values, gradients, further, saved, params, .. } = self;
        let mut reached = vec![false; values.len()];
        let mut touched = vec![false; params.len()];
        for (n, (step, saved)) in plan.steps.iter().zip(saved).enumerate().rev() {
            if !plan.values[step.output].gradient {
                continue;
            }
            let mut run = Run { device: *device, batch, mode: mode_of(n, mode), saved };
            let (before, after) = gradients.split_at_mut(step.output);
            let dy = &after[0];
            let inputs: Vec<_> = step.inputs.iter().map(|&v| &values[v]).collect();
            let weights: Vec<_> = step.params.iter().map(|&p| &params[p].weight).collect();
            step.layer.begin_backward(&mut run, &inputs, &weights, dy);
            for (role, &p) in step.params.iter().enumerate().filter(|(_, p)| plan.params[**p].kind.learns()) {
                let beta = f32::from(u8::from(std::mem::replace(&mut touched[p], true)));
                step.layer.param_gradient(&mut run, role, &inputs, dy, beta, &mut params[p].gradient);
            }
            let weights: Vec<_> = step.params.iter().map(|&p| &params[p].weight).collect();
            for (which, &v) in step.inputs.iter().enumerate().filter(|(_, v)| plan.values[**v].gradient) {
                let more = std::mem::replace(&mut reached[v], true);
                let dx = if more { &mut further[v] } else { &mut before[v] };
                let known = Values { x: &inputs, y: &values[step.output] };
                step.layer.input_gradient(&mut run, which, &weights, known, dy, dx);
                if more {
                    device.axpby(1.0, &further[v], 1.0, &mut before[v]);
                }
            }
        }
    }

    /// By tensor: what [`backward`](Self::backward) computed.
    #[cfg(test)]
    pub(super) fn gradients(&self) -> Vec<(usize, Vec<f32>)> {
        let gradient = |p: &Param<D::Buffer>| self.device.download(&p.gradient).unwrap_or_default();
        let learning = self.plan.params.iter().zip(&self.params).filter(|(plan, _)| plan.kind.learns());
        learning.map(|(plan, p)| (plan.tensor, gradient(p))).collect()
    }

    /// One optimizer step; `rule` says what to do with a tensor that decays, or does not.
    pub(super) fn update(&mut self, rule: impl Fn(bool) -> Update) {
        let learning = self.params.iter_mut().zip(&self.plan.params).filter(|(_, plan)| plan.kind.learns());
        for (param, plan) in learning {
            let Param { weight, gradient, mask, state } = param;
            self.device.update(rule(plan.kind == Kind::Weight), gradient, mask.as_ref(), state, weight);
        }
    }
}

/// The mode of one node: each has dropout masks of its own.
fn mode_of(node: usize, mode: Mode) -> Mode {
    Mode { dropout: mode.dropout.map(|seed| random::mix(&[seed, node as u64])), ..mode }
}

//! Steps on i8 that write over what they read.

use tfc_formats::op::Op;

use super::Slot;
use super::lower::{Lowered, LoweredStep};

/// Fuses sums of two values, one of which a convolution or dense layer computes for nothing else: the
/// layer adds the other one to what it stores, in the other's place where that is free.
pub(super) fn add(graph: &mut Lowered<'_>) {
    while let Some((add, layer, residual)) = (0..graph.steps.len()).find_map(|add| partner(graph, add)) {
        let removed = graph.steps.remove(add);
        let step = &mut graph.steps[layer];
        step.residual = Some(residual);
        step.activation = removed.activation;
        step.output = removed.output;
        reuse(graph, layer, residual);
    }
}

/// Puts the outputs of poolings where their inputs are, if nobody reads those later.
pub(super) fn pool(graph: &mut Lowered<'_>) {
    for at in 0..graph.steps.len() {
        let step = &graph.steps[at];
        let (Op::MaxPool(pool), [input]) = (step.op, &step.inputs[..]) else { continue };
        let (old, new) = (step.output.storage, input.storage);
        let is_packed = [old, new].iter().all(|&storage| graph.storages[storage].halo.is_zero());
        let in_order = (pool.pad.top, pool.pad.left) == (0, 0);
        if is_packed && in_order && is_free_behind(graph, new, at) {
            rename(graph, old, new);
        }
    }
}

/// Whether no step behind `at` uses a storage, nor the network's result.
fn is_free_behind(graph: &Lowered<'_>, storage: usize, at: usize) -> bool {
    let uses = |s: &LoweredStep<'_>| {
        s.inputs.iter().chain(&s.residual).chain([&s.output]).any(|slot| slot.storage == storage)
    };
    graph.output.storage != storage && !graph.steps[at + 1..].iter().any(uses)
}

/// Puts all that is in storage `old` into `new`.
fn rename(graph: &mut Lowered<'_>, old: usize, new: usize) {
    let slots = graph
        .steps
        .iter_mut()
        .flat_map(|s| s.inputs.iter_mut().chain(&mut s.residual).chain([&mut s.output]));
    slots.chain([&mut graph.output]).filter(|slot| slot.storage == old).for_each(|slot| slot.storage = new);
}

/// The layer that can take over the sum of step `add`, and the value that it adds.
fn partner(graph: &Lowered<'_>, add: usize) -> Option<(usize, usize, Slot)> {
    let step = &graph.steps[add];
    let (Op::Add, &[a, b]) = (step.op, &step.inputs[..]) else { return None };
    let writer = |slot: Slot| graph.steps[..add].iter().rposition(|s| s.output.storage == slot.storage);
    let candidates = [(a, b), (b, a)].map(|(own, other)| {
        let layer = writer(own)?;
        let writes = &graph.steps[layer];
        let plain = matches!(writes.op, Op::Conv2d(_) | Op::Dense(_))
            && writes.activation.is_none()
            && writes.residual.is_none()
            && writes.output.shape == step.output.shape;
        let readers = graph.steps.iter().flat_map(|s| s.inputs.iter().chain(&s.residual));
        let once = readers.filter(|slot| slot.storage == own.storage).count() == 1
            && graph.output.storage != own.storage;
        // The other value has to be there before.
        let known = writer(other).is_none_or(|other| other < layer);
        (plain && once && known).then_some((add, layer, other))
    });
    candidates.into_iter().flatten().max_by_key(|(_, layer, _)| *layer)
}

/// Puts the output of a step where its residual is, if nobody reads that later.
fn reuse(graph: &mut Lowered<'_>, layer: usize, residual: Slot) {
    let output = graph.steps[layer].output;
    let (old, new) = (output.storage, residual.storage);
    let read_here = graph.steps[layer].inputs.iter().any(|slot| slot.storage == new);
    let is_free = !read_here && is_free_behind(graph, new, layer) && output.shape == residual.shape;
    let halo = graph.storages[old].halo.max(graph.storages[new].halo);
    let widens = |storage: usize| graph.storages[storage].halo != halo;
    if !is_free || [old, new].into_iter().any(|s| widens(s) && !takes_halo(graph, s)) {
        return;
    }
    graph.storages[new].halo = halo;
    rename(graph, old, new);
}

/// Whether all who read a storage see it as planes, so that it may have any halo.
fn takes_halo(graph: &Lowered<'_>, storage: usize) -> bool {
    let shape = graph.storages[storage].shape;
    let reads = |s: &LoweredStep<'_>| {
        let mut inputs = s.inputs.iter().filter(|slot| slot.storage == storage);
        inputs.all(|slot| slot.shape == shape && !matches!(s.op, Op::Dense(_)))
    };
    graph.output.storage != storage && graph.steps.iter().all(reads)
}

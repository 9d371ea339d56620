//! Sums of two values, one of which a convolution or dense layer computes for nothing else: the
//! layer adds the other one to what it stores, in the other's place where that is free.

use tfc_formats::op::Op;

use super::Slot;
use super::lower::Lowered;

/// Fuses all such sums.
pub(super) fn fuse(graph: &mut Lowered<'_>) {
    while let Some((add, layer, residual)) = (0..graph.steps.len()).find_map(|add| partner(graph, add)) {
        let removed = graph.steps.remove(add);
        let step = &mut graph.steps[layer];
        step.residual = Some(residual);
        step.activation = removed.activation;
        step.output = removed.output;
        reuse(graph, layer, residual);
    }
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
    let uses = |s: &super::lower::LoweredStep<'_>| {
        s.inputs.iter().chain(&s.residual).chain([&s.output]).any(|slot| slot.storage == new)
    };
    let read_here = graph.steps[layer].inputs.iter().any(|slot| slot.storage == new);
    let is_free = !read_here
        && !graph.steps[layer + 1..].iter().any(uses)
        && graph.output.storage != new
        && output.shape == residual.shape;
    let halo = graph.storages[old].halo.max(graph.storages[new].halo);
    let widens = |storage: usize| graph.storages[storage].halo != halo;
    if !is_free || [old, new].into_iter().any(|s| widens(s) && !takes_halo(graph, s)) {
        return;
    }
    graph.storages[new].halo = halo;
    let slots = graph
        .steps
        .iter_mut()
        .flat_map(|s| s.inputs.iter_mut().chain(&mut s.residual).chain([&mut s.output]));
    for slot in slots.chain([&mut graph.output]).filter(|slot| slot.storage == old) {
        slot.storage = new;
    }
}

/// Whether all who read a storage see it as planes, so that it may have any halo.
fn takes_halo(graph: &Lowered<'_>, storage: usize) -> bool {
    let shape = graph.storages[storage].shape;
    let reads = |s: &super::lower::LoweredStep<'_>| {
        let mut inputs = s.inputs.iter().filter(|slot| slot.storage == storage);
        inputs.all(|slot| slot.shape == shape && !matches!(s.op, Op::Dense(_)))
    };
    graph.output.storage != storage && graph.steps.iter().all(reads)
}

//! The main job: a trained network in, a smaller artifact out.
//!
//! Data for choosing (masks, best epoch, rank, precision) is the training set, a part of which is
//! held out as validation set. The test set is run through the dense and the finished artifact
//! and decides nothing.

mod budget;
mod error;
mod finish;
mod low_rank;
mod options;
mod precision;
mod stage;
mod work;

pub use error::CompileError;
pub use options::{Budget, Goal, LowRank, Options};
pub use stage::Event;
pub use work::{Leftover, Work};

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tfc_formats::artifact::{AlignedBytes, Artifact, BLOCKS};
use tfc_formats::dataset::{Dataset, Samples};
use tfc_formats::network::Network;

use crate::device::Device;
use crate::encode::{Candidate, Encoded, PRODUCER, Precision, encode};
use crate::execute::{self, Score};
use crate::passes;
use crate::plan::{Unit, predict};
use crate::report::{
    CompileReport, ErrorPercent, Factorization, LayerChange, TargetReport, layers, zero_percent,
};
use crate::train;
use finish::{Finished, Limits, finish};
use stage::{Listener, Split, Stage};

/// What surrounds a compilation.
pub struct Context<'a> {
    /// Hears of every step and iteration.
    pub events: &'a mut dyn FnMut(&Event),
    /// Set to stop; a checkpoint is left in `work`.
    pub stop: &'a AtomicBool,
    /// Directory for unfinished work.
    pub work: Option<&'a Work>,
    /// Inputs to calibrate one-shot pruning with; their labels are not looked at. Without them, a
    /// part of the training set serves.
    pub calibration: Option<&'a Samples>,
}

/// A finished compilation.
#[derive(Debug)]
pub struct Compiled {
    /// The `.tfc` file.
    pub bytes: Vec<u8>,
    /// What was measured.
    pub report: CompileReport,
}

/// Compiles a checked network. Without data nothing is fine-tuned, and f16 weights are
/// accepted where they keep the predictions of random inputs.
pub fn compile<D: Device>(
    device: &D,
    original: &Network,
    data: Option<&Dataset>,
    options: &Options,
    context: Context<'_>,
) -> Result<Compiled, CompileError> {
    let start = Instant::now();
    check(original, data, context.calibration, options)?;
    if let Some(samples) = context.calibration {
        check_shape(original, "--calibration", samples)?;
    }
    let split = data.map(|data| hold_out(data, options.held_out, options.seed)).transpose()?;
    let split = split.map(|(train, validation)| Split { train, validation });
    // Folding is no merit of a smaller network, so the dense one that it is compared with has it too.
    let (baseline, _) = passes::fold(original)?;
    let dense = encode(&baseline, &vec![Precision::F32; baseline.tensors.len()])?;
    let dense_scores = data.map(|data| Scores::of(&dense, &split, data)).transpose()?;

    let mut factorizations: Vec<Factorization> = Vec::new();
    let mut listen = |event: &Event| {
        if let Event::Factorizing(iteration) = event {
            Factorization::record(&mut factorizations, iteration);
        }
        (context.events)(event);
    };
    let events: Listener<'_> = RefCell::new(&mut listen);
    let mut network = original.clone();
    let mut notes = Vec::new();
    let mut history = Vec::new();
    let calibration = calibration(context.calibration, &split, options);
    let corrects = calibration.is_some() && matches!(options.goal, Goal::Sparsity(_));
    if data.is_none() && !corrects && options.changes_weights() {
        notes.push("no data: weights changed without fine-tuning, accuracy unknown".to_owned());
    }
    match options.low_rank {
        LowRank::Svd => notes.extend(low_rank::all_by_svd(&mut network, options.rank)?),
        LowRank::Tri => {
            notes.extend(low_rank::all_by_tri(device, &mut network, &options.factors(), &mut |iteration| {
                (events.borrow_mut())(&Event::Factorizing(iteration));
            })?);
        }
        LowRank::Auto | LowRank::Off => {}
    }
    network.check()?;

    let stage = Stage {
        events: &events,
        device,
        options,
        data: split.as_ref(),
        calibration: calibration.as_ref(),
        teacher: original,
        stop: context.stop,
        checkpoint: context.work.map(|work| work.path().join("training.checkpoint")),
        resume: context.work.is_some_and(Work::resumed),
    };
    let mut untuned = None;
    let mut searched = None;
    let mut one_shot = None;
    let epochs = options.training.epochs;
    match options.goal {
        Goal::Keep if matches!(options.low_rank, LowRank::Svd | LowRank::Tri) => {
            history = stage.run(&mut network, None, epochs)?;
        }
        Goal::Keep => {}
        Goal::Sparsity(sparsity) => {
            if let Some(data) = data {
                let mut pruned = network.clone();
                stage.prune(&pruned, sparsity)?.apply(&mut pruned);
                let encoded = encode(&pruned, &vec![Precision::F32; pruned.tensors.len()])?;
                untuned = Some(Scores::of(&encoded, &split, data)?);
            }
            one_shot = stage.one_shot(&mut network, sparsity)?;
            if one_shot.is_none() {
                history = stage.run(&mut network, Some(sparsity), epochs)?;
            }
        }
        Goal::Budget(limits) => {
            let dense = dense_scores.as_ref().map(|scores| scores.validation.error_percent());
            let work = context.work.map(Work::path);
            searched = Some(budget::search(&stage, &network, limits, dense, work)?);
        }
    }
    let (finished, searched) = match searched {
        Some(budget::Outcome { finished, history: epochs, report }) => {
            history = epochs;
            (finished, Some(report))
        }
        None => {
            let default = Limits::default();
            (finish(&network, options, split.as_ref(), calibration.as_ref(), &default)?, None)
        }
    };
    let Finished { network, encoded, passes, removed, reasons, notes: more } = finished;
    notes.extend(more);
    let scores = data.map(|data| Scores::of(&encoded, &split, data)).transpose()?;
    let errors = |of: fn(&Scores) -> Option<&Score>| {
        let (dense, artifact) = (dense_scores.as_ref()?, scores.as_ref()?);
        Some(ErrorPercent::new(of(dense)?, untuned.as_ref().and_then(of), of(artifact)?))
    };

    let aligned = AlignedBytes::from(encoded.bytes.as_slice());
    let artifact = Artifact::parse(&aligned).map_err(execute::ExecuteError::from)?;
    let unit = options.target.as_ref().map(|target| target.unit);
    let layers = changes([&baseline, &network], &artifact, &encoded, &removed, &reasons, unit);
    let predicted = match &options.target {
        Some(target) => {
            let dense = AlignedBytes::from(dense.bytes.as_slice());
            let dense = Artifact::parse(&dense).map_err(execute::ExecuteError::from)?;
            Some(TargetReport::new(target, predict(target, &dense), predict(target, &artifact)))
        }
        None => None,
    };
    let report = CompileReport {
        producer: PRODUCER.to_owned(),
        network: network.name.clone(),
        device: device.name(),
        options: serde_json::to_value(options).unwrap_or_default(),
        validation: errors(|scores| Some(&scores.validation)),
        test: errors(|scores| scores.test.as_ref()),
        test_confusion: scores.as_ref().and_then(|scores| Some(scores.test.as_ref()?.confusion.clone())),
        zero_percent: zero_percent(&layers),
        layers,
        passes,
        factorizations,
        dense_bytes: baseline.tensors.iter().map(|t| 4 * t.data.len() as u64).sum(),
        file_bytes: encoded.bytes.len() as u64,
        arena_bytes: u64::from(artifact.header().arena_len),
        budget: searched,
        history,
        one_shot,
        predicted,
        footprint: None,
        notes,
        seconds: start.elapsed().as_secs_f64(),
    };
    Ok(Compiled { bytes: encoded.bytes, report })
}

/// Samples that one-shot pruning is calibrated with, evenly spread over what there is; `None`
/// where weights are fine-tuned, or nothing is pruned.
fn calibration(given: Option<&Samples>, split: &Option<Split>, options: &Options) -> Option<Samples> {
    let samples = given.or(split.as_ref().filter(|_| options.one_shot).map(|split| &split.train))?;
    Some(samples.evenly(options.calibration_samples))
}

/// Scores of one artifact.
struct Scores {
    validation: Score,
    /// Where there is a test set.
    test: Option<Score>,
}

impl Scores {
    fn of(encoded: &Encoded, split: &Option<Split>, data: &Dataset) -> Result<Self, CompileError> {
        let validation = split.as_ref().map_or(&data.train, |split| &split.validation);
        Ok(Self {
            validation: execute::score(&encoded.bytes, validation)?,
            test: (!data.test.is_empty()).then(|| execute::score(&encoded.bytes, &data.test)).transpose()?,
        })
    }
}

fn check(
    network: &Network,
    data: Option<&Dataset>,
    calibration: Option<&Samples>,
    options: &Options,
) -> Result<(), CompileError> {
    let fault = match options.goal {
        _ if !BLOCKS.contains(&options.block) => {
            format!("blocks of {} output channels; they may be of 1, 2 or 4", options.block)
        }
        Goal::Keep if options.block > 1 => {
            "blocks are a way to prune; give --sparsity or a budget, too".to_owned()
        }
        Goal::Sparsity(s) if !(0.0..1.0).contains(&s) => {
            format!("sparsity is {s}; it is a share of zeros, from 0 to below 1 (95% is 0.95)")
        }
        Goal::Budget(Budget { max_drop: Some(d), .. }) if !(d >= 0.0 && d.is_finite()) => {
            format!("the largest drop is {d}; it is in points of validation error, 0 or more")
        }
        Goal::Budget(Budget { max_drop: Some(_), .. }) if data.is_none() => {
            return Err(CompileError::NeedsData);
        }
        Goal::Budget(Budget { max_latency_us: Some(_), .. })
            if options.target.as_ref().is_some_and(|target| target.unit != Unit::Ns) =>
        {
            "a limit on latency is in time, but the target counts instructions; give a target in ns"
                .to_owned()
        }
        Goal::Budget(_) if options.one_shot || calibration.is_some() => {
            "a budget needs labelled data, or none at all; pruning in one shot needs --sparsity".to_owned()
        }
        Goal::Sparsity(_) if options.one_shot && options.scores_by_choice() => {
            "one-shot pruning chooses weights by what they cost the outputs; leave out --method and --scope"
                .to_owned()
        }
        _ => return check_data(network, data, options),
    };
    Err(CompileError::Option(fault))
}

fn check_data(network: &Network, data: Option<&Dataset>, options: &Options) -> Result<(), CompileError> {
    let Some(data) = data else { return Ok(()) };
    if !data.train.is_labelled() {
        return Err(CompileError::Unlabelled(data.name.clone()));
    }
    if options.training.epochs > 0 && options.changes_weights() && !options.one_shot {
        train::check(network)?;
    }
    let shapes = network.shapes()?;
    check_shape(network, &data.name, &data.train)?;
    let outputs = shapes[network.output].elements().unwrap_or(0);
    if data.train.classes > outputs {
        let (data, classes) = (data.name.clone(), data.train.classes);
        return Err(CompileError::Classes { data, classes, outputs });
    }
    Ok(())
}

fn check_shape(network: &Network, data: &str, samples: &Samples) -> Result<(), CompileError> {
    let (samples, network) = (samples.shape, network.input);
    let flat = (samples.is_vector() || network.is_vector()) && samples.elements() == network.elements();
    if samples != network && !flat {
        return Err(CompileError::Samples { data: data.to_owned(), samples, network });
    }
    Ok(())
}

/// Splits the training set into what is trained on and a share of it that is held out to choose
/// by, neither of them empty.
pub fn hold_out(data: &Dataset, share: f64, seed: u64) -> Result<(Samples, Samples), CompileError> {
    if !(share > 0.0 && share < 1.0) {
        let fault = format!("the held-out share is {share}; it must be above 0 and below 1");
        return Err(CompileError::Option(fault));
    }
    if data.train.is_empty() {
        return Err(CompileError::Option(format!("data set `{}` has no training set", data.name)));
    }
    let held_out = (share * data.train.len() as f64).round() as usize;
    let (train, validation) = data.train.split(held_out, seed);
    if train.is_empty() || validation.is_empty() {
        let fault = format!("data set `{}` is too small to hold out {share} of it", data.name);
        return Err(CompileError::Option(fault));
    }
    Ok((train, validation))
}

/// How many weights each layer lost by passes.
fn weights_removed(trained: &Network, passed: &Network) -> BTreeMap<String, u64> {
    let weights = |network: &Network| -> BTreeMap<String, u64> {
        let len = |node: usize| network.tensors.get(network.weight(node)?).map(|t| t.data.len() as u64);
        let named = |node: usize| Some((network.nodes[node].name.clone(), len(node)?));
        (0..network.nodes.len()).filter_map(named).collect()
    };
    let mut removed = weights(trained);
    for (name, left) in weights(passed) {
        removed.entry(name).and_modify(|count| *count -= left);
    }
    removed
}

/// Joins the layers of the artifact with those they came from. Links of a factorized layer
/// (`NAME.suffix`) count with the last of them, which keeps the name.
fn changes(
    [original, network]: [&Network; 2],
    artifact: &Artifact<'_>,
    encoded: &Encoded,
    removed: &BTreeMap<String, u64>,
    reasons: &[(String, String)],
    unit: Option<Unit>,
) -> Vec<LayerChange> {
    let shapes = original.shapes().unwrap_or_default();
    let cost = |candidate: &Candidate| {
        candidate.cost.zip(unit).map_or(String::new(), |(cost, unit)| format!(" {cost:.0} {}", unit.name()))
    };
    let why = |name: &str| {
        let node = network.nodes.iter().position(|node| node.name == name)?;
        let candidates = encoded.candidates.get(&network.weight(node)?)?;
        let weighed: Vec<String> =
            candidates.iter().map(|c| format!("{} {} B{}", c.encoding, c.bytes, cost(c))).collect();
        let reason = reasons.iter().find(|(layer, _)| layer == name);
        let reason = reason.map_or(String::new(), |(_, reason)| format!("; low rank: {reason}"));
        Some(format!("chosen of {}{reason}", weighed.join(", ")))
    };
    let before = |name: &str| {
        let index = original.nodes.iter().position(|node| node.name == name)?;
        let node = &original.nodes[index];
        let elements = node.params.iter().map(|&id| original.tensors[id].data.len() as u64);
        let macs = node.op.dense_macs(shapes[node.inputs[0]], shapes[index + 1]);
        Some((4 * elements.sum::<u64>(), macs))
    };
    let selects = |name: &str| {
        let node = original.nodes.iter().position(|node| node.name == name);
        node.is_some_and(|node| original.selection(node).is_some())
    };
    let change = |mut layer: crate::report::Layer| {
        // A selection that lost channels does not look like one any more.
        layer.selection = selects(&layer.name);
        let (bytes_before, macs_before) = before(&layer.name).unwrap_or_default();
        let why = why(&layer.name).unwrap_or_default();
        let weights_removed = removed.get(&layer.name).copied().unwrap_or_default();
        LayerChange { layer, weights_removed, bytes_before, macs_before, why }
    };
    layers(artifact).into_iter().map(change).collect()
}

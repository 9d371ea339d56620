//! The report of `tfc compile`: what went in, what came out, and why.

use std::fmt::Write as _;

use serde::Serialize;

use super::budget::BudgetReport;
use super::layers::Layer;
use super::table::{Align, bytes, percent, table};
use super::target::TargetReport;
use crate::board::{Footprint, ProgramBytes};
use crate::execute::Score;
use crate::factorize::Iteration;
use crate::one_shot::Corrected;
use crate::passes::Changes;
use crate::train::EpochStats;

/// Everything that `tfc compile` measured. `--report FILE` writes it as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct CompileReport {
    /// Name and version of the program.
    pub producer: String,
    /// Name of the network.
    pub network: String,
    /// Name of the device that trained and factorized.
    pub device: String,
    /// The options as they were understood.
    pub options: serde_json::Value,
    /// One entry a layer of the artifact.
    pub layers: Vec<LayerChange>,
    /// What passes over the graph did before it was encoded.
    pub passes: Changes,
    /// Errors on the held-out part of the training set, which every choice was made by.
    pub validation: Option<ErrorPercent>,
    /// Errors on the test set, which no choice was made by.
    pub test: Option<ErrorPercent>,
    /// Confusion on the test set: `[class][prediction]`.
    pub test_confusion: Option<Vec<Vec<usize>>>,
    /// Share of the weights of convolutions and dense layers that are zero or were removed with
    /// their channels, in percent.
    pub zero_percent: f64,
    /// Bytes of the network's tensors as f32, batch norms folded.
    pub dense_bytes: u64,
    /// Bytes of the artifact.
    pub file_bytes: u64,
    /// Bytes of arena that the artifact needs.
    pub arena_bytes: u64,
    /// Tri-factorizations in the order they were made.
    pub factorizations: Vec<Factorization>,
    /// The search under a budget, if there was one.
    pub budget: Option<BudgetReport>,
    /// Epochs of fine-tuning.
    pub history: Vec<EpochStats>,
    /// What one-shot pruning did, where weights were corrected instead of fine-tuned.
    pub one_shot: Option<OneShotReport>,
    /// What steps cost on the target, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<TargetReport>,
    /// What was tried and kept, in words.
    pub notes: Vec<String>,
    /// What the artifact takes of a microcontroller, where its flash or RAM is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footprint: Option<Footprint>,
    /// Wall time.
    pub seconds: f64,
}

/// One-shot pruning: layer-wise least squares and the optimal brain surgeon.
#[derive(Clone, Debug, Serialize)]
pub struct OneShotReport {
    /// Number of samples that it was calibrated with.
    pub samples: usize,
    /// Layers in the order of the graph.
    pub layers: Vec<Corrected>,
}

/// The objective of one tri-factorization, iteration by iteration.
#[derive(Clone, Debug, Serialize)]
pub struct Factorization {
    /// Which layers: convolution or dense.
    pub group: String,
    /// Squared Frobenius error of all relations, before the first iteration and after each.
    pub objective: Vec<f64>,
}

impl Factorization {
    /// Adds an iteration; the first of a factorization begins a new one.
    pub fn record(all: &mut Vec<Factorization>, iteration: &Iteration) {
        if iteration.done == 0 || all.is_empty() {
            all.push(Self { group: iteration.group.to_string(), objective: Vec::new() });
        }
        if let Some(last) = all.last_mut() {
            last.objective.push(iteration.objective);
        }
    }
}

/// A layer before and after.
#[derive(Clone, Debug, Serialize)]
pub struct LayerChange {
    /// The layer in the artifact.
    #[serde(flatten)]
    pub layer: Layer,
    /// Elements of its matrix that were removed with their channels.
    pub weights_removed: u64,
    /// Bytes of its weights and bias as dense f32, before.
    pub bytes_before: u64,
    /// Multiply-accumulates before.
    pub macs_before: u64,
    /// Why it is encoded so.
    pub why: String,
}

impl LayerChange {
    /// Elements of its matrix before channels were removed.
    pub fn weights_before(&self) -> u64 {
        self.layer.weights + self.weights_removed
    }
}

/// Share of the weights of convolutions and dense steps that are zero or were removed, in percent;
/// a matrix that several steps share counts once, one that only moves channels does not.
pub fn zero_percent(layers: &[LayerChange]) -> f64 {
    let own = layers.iter().filter(|change| !change.layer.shared && !change.layer.selection);
    let count = |(n, w), change: &LayerChange| (n + change.layer.nonzeros, w + change.weights_before());
    let (nonzeros, weights) = own.fold((0, 0), count);
    if weights == 0 { 0.0 } else { 100.0 * (1.0 - nonzeros as f64 / weights as f64) }
}

/// Errors in percent at three points.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorPercent {
    /// Number of samples.
    pub samples: usize,
    /// The network as it came, dense f32, in the runtime.
    pub dense: f64,
    /// Right after pruning in one shot, before any fine-tuning.
    pub pruned: Option<f64>,
    /// The artifact.
    pub artifact: f64,
}

impl ErrorPercent {
    /// From the scores at those points.
    pub fn new(dense: &Score, pruned: Option<&Score>, artifact: &Score) -> Self {
        Self {
            samples: artifact.samples,
            dense: dense.error_percent(),
            pruned: pruned.map(Score::error_percent),
            artifact: artifact.error_percent(),
        }
    }
}

impl CompileReport {
    /// The table and the lines below it.
    pub fn text(&self) -> String {
        let columns = [
            ("layer", Align::Left),
            ("encoding", Align::Left),
            ("nonzeros", Align::Right),
            ("kept", Align::Right),
            ("bytes before", Align::Right),
            ("after", Align::Right),
            ("MACs before", Align::Right),
            ("after", Align::Right),
        ];
        let weighted = self.layers.iter().filter(|change| change.layer.weights > 0);
        let mut rows: Vec<Vec<String>> = weighted
            .map(|change| {
                let layer = &change.layer;
                vec![
                    layer.name.clone(),
                    layer.encoding.clone(),
                    layer.nonzeros.to_string(),
                    if layer.selection {
                        "all".into()
                    } else {
                        percent(layer.nonzeros, change.weights_before())
                    },
                    bytes(change.bytes_before),
                    bytes(layer.bytes),
                    change.macs_before.to_string(),
                    layer.macs.to_string(),
                ]
            })
            .collect();
        let sum = |of: fn(&LayerChange) -> u64| self.layers.iter().map(of).sum::<u64>();
        let own = |of: fn(&LayerChange) -> u64| {
            self.layers.iter().filter(|c| !c.layer.shared && !c.layer.selection).map(of).sum::<u64>()
        };
        let (nonzeros, weights) = (own(|c| c.layer.nonzeros), own(|c| c.weights_before()));
        rows.push(vec![
            "total".into(),
            String::new(),
            nonzeros.to_string(),
            percent(nonzeros, weights),
            bytes(sum(|c| c.bytes_before)),
            bytes(sum(|c| c.layer.bytes)),
            sum(|c| c.macs_before).to_string(),
            sum(|c| c.layer.macs).to_string(),
        ]);
        let mut text = table(&columns, rows);
        text.push('\n');
        if let Some(budget) = &self.budget {
            text.push_str(&budget.text());
            text.push('\n');
        }
        for change in self.layers.iter().filter(|change| !change.why.is_empty()) {
            let _ = writeln!(text, "{}: {}", change.layer.name, change.why);
        }
        if let Some(predicted) = &self.predicted {
            text.push_str(&predicted.text());
        }
        let _ = writeln!(text, "passes: {}", self.passes);
        for (name, errors) in [("validation", &self.validation), ("test", &self.test)] {
            let Some(errors) = errors else { continue };
            let pruned = errors.pruned.map_or(String::new(), |e| format!(", pruned untuned {e:.2}%"));
            let _ = writeln!(
                text,
                "{name} error: dense {:.2}%{pruned}, artifact {:.2}% of {} samples",
                errors.dense, errors.artifact, errors.samples
            );
        }
        if let Some(OneShotReport { samples, layers }) = &self.one_shot {
            let _ = writeln!(
                text,
                "pruned in one shot and corrected with {samples} samples; output error by layer:"
            );
            for Corrected { layer, zeros, weights, output_error, .. } in layers {
                let zeros = percent(*zeros as u64, *weights as u64);
                let error = output_error.map_or("not corrected".to_owned(), |e| format!("{:.2}%", 100.0 * e));
                let _ = writeln!(text, "  {layer}: {zeros} zeros, {error}");
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        if let Some(footprint) = &self.footprint {
            let (flash, ram) = (bytes(footprint.flash()), bytes(footprint.ram()));
            let _ = match &footprint.program {
                Some(ProgramBytes { code, statics, stack }) => writeln!(
                    text,
                    "flash {flash}: model {} B, program {code} B; RAM {ram}: arena {} B, stack {stack} B, variables {statics} B",
                    footprint.model, footprint.arena
                ),
                None => writeln!(
                    text,
                    "flash {flash}, RAM {ram}: the model and its arena alone; the program's are not known: {}",
                    footprint.unknown.as_deref().unwrap_or_default()
                ),
            };
        }
        let (dense, file) = (self.dense_bytes as f64, self.file_bytes as f64);
        let ratio = if file <= dense {
            format!("{:.1}x smaller", dense / file)
        } else {
            format!("{:.1}x larger", file / dense)
        };
        let removed = self.layers.iter().any(|change| change.weights_removed > 0);
        let zero = if removed { "zero or removed" } else { "zero" };
        let _ = writeln!(
            text,
            "file {} ({} bytes), {ratio} than {} of dense f32; arena {}; {:.2}% of weights are {zero}; {:.1} s",
            bytes(self.file_bytes),
            self.file_bytes,
            bytes(self.dense_bytes),
            bytes(self.arena_bytes),
            self.zero_percent,
            self.seconds
        );
        text
    }
}

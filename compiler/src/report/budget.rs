//! The report of a search under a budget: the points walked, and what the plan was made by.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::table::{Align, bytes, table};
use crate::compile::Budget;

/// Layers whose zeros are listed one by one in text; JSON has them all.
const LISTED: usize = 8;

/// How a search under a budget went.
#[derive(Clone, Debug, Serialize)]
pub struct BudgetReport {
    /// What was allowed.
    #[serde(flatten)]
    pub budget: Budget,
    /// Most validation error that this allows, in percent.
    pub max_error: Option<f64>,
    /// Whether a point meets all of it.
    pub met: bool,
    /// The point that was kept: the best that meets the budget, or the nearest to it.
    pub kept: usize,
    /// Artifacts in the order they were made, each measured.
    pub front: Vec<Point>,
    /// The Pareto front that the first plan expected before any fine-tuning.
    pub predicted: Vec<Predicted>,
    /// How the loss of the network as it came, and its costs, depend on each layer.
    pub sensitivity: Vec<Curve>,
}

/// One artifact on the way to a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What led to it.
    pub what: String,
    /// Epochs of fine-tuning since the point before.
    pub epochs: usize,
    /// Zeros of all layers, in percent of their weights.
    pub zero_percent: f64,
    /// Zeros layer by layer.
    pub layers: Vec<LayerZeros>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Median time of one sample on one thread of this machine, microseconds.
    pub latency_us: f64,
    /// Error on the validation set, in percent; not known without labels.
    pub validation_error: Option<f64>,
    /// Mean cross-entropy there, in nats.
    pub validation_loss: Option<f64>,
    /// Largest part by which a limit is exceeded; 0 if it meets the budget. Infinite, in JSON `null`,
    /// where there is a note.
    pub excess: f64,
    /// Why the step failed, if its training diverged; the network is then that of the point before.
    pub note: Option<String>,
}

/// Zeros of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerZeros {
    /// Its name.
    pub layer: String,
    /// In percent of its weights.
    pub zero_percent: f64,
}

/// What pruning one layer, and no other, would cost and save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of the layer.
    pub layer: String,
    /// Its weights.
    pub weights: usize,
    /// From the layer as it is to the fewest nonzeros.
    pub levels: Vec<Level>,
}

/// A layer at one share of nonzeros.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Share of its weights that are not zero.
    pub kept: f64,
    /// Growth of the validation loss of the network in nats; without labels, share of the sum of
    /// the layer's squared weights that is lost.
    pub loss: f64,
    /// Bytes of its matrix in the file.
    pub bytes: f64,
    /// Whether it is stored with its zeros left out.
    pub sparse: bool,
    /// Multiply-accumulates of one sample.
    pub macs: f64,
    /// Time of its steps on this machine, microseconds, where there is a limit on latency.
    pub us: Option<f64>,
}

/// A point that was expected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predicted {
    /// Share of nonzeros that each layer keeps.
    pub kept: Vec<f64>,
    /// Its cost as a part of what the first step aims at; with two limits the larger part.
    pub cost: f64,
    /// Growth of the loss without fine-tuning.
    pub loss: f64,
}

impl Point {
    /// Whether it meets the budget.
    pub fn meets(&self) -> bool {
        self.excess == 0.0
    }

    /// Bytes, time and error on one line.
    pub fn text(&self) -> String {
        let error =
            self.validation_error.map_or("accuracy unknown".into(), |e| format!("validation error {e:.2}%"));
        format!(
            "{} bytes, {:.1} us, {error}, {:.2}% of weights zero",
            self.bytes, self.latency_us, self.zero_percent
        )
    }
}

impl BudgetReport {
    /// The points that were walked, as a table.
    pub(super) fn text(&self) -> String {
        let columns = [
            ("", Align::Left),
            ("point", Align::Left),
            ("epochs", Align::Right),
            ("zeros", Align::Right),
            ("by layer", Align::Left),
            ("bytes", Align::Right),
            ("us", Align::Right),
            ("validation error", Align::Right),
            ("", Align::Left),
        ];
        let rows = self.front.iter().enumerate().map(|(index, point)| {
            let layers: Vec<String> =
                point.layers.iter().map(|layer| format!("{:.1}", layer.zero_percent)).collect();
            vec![
                if index == self.kept { "*".to_owned() } else { String::new() },
                point.what.clone(),
                point.epochs.to_string(),
                format!("{:.2}%", point.zero_percent),
                if layers.len() <= LISTED { layers.join(" / ") } else { String::new() },
                bytes(point.bytes),
                format!("{:.1}", point.latency_us),
                point.validation_error.map_or("unknown".to_owned(), |error| format!("{error:.2}%")),
                match &point.note {
                    Some(note) => note.clone(),
                    None if point.meets() => "meets the budget".to_owned(),
                    None => String::new(),
                },
            ]
        });
        let mut text = table(&columns, rows);
        let verdict = if self.met { "is met" } else { "is not met; the nearest point (*) is kept" };
        let _ = writeln!(text, "\nbudget of {} {verdict}", self.budget);
        text
    }
}

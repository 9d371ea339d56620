//! What a network costs on a target, before and after.

use serde::Serialize;

use super::table::{Align, table};
use crate::plan::{Prediction, StepCost, Target, Unit};

/// Predicted costs of one sample.
#[derive(Clone, Debug, Serialize)]
pub struct TargetReport {
    /// Name of the target.
    pub target: String,
    /// What costs are counted in.
    pub unit: Unit,
    /// The network as it came, dense f32.
    pub before: Prediction,
    /// The artifact.
    pub after: Prediction,
}

impl TargetReport {
    /// From both predictions.
    pub fn new(target: &Target, before: Prediction, after: Prediction) -> Self {
        Self { target: target.name.clone(), unit: target.unit, before, after }
    }

    /// A table of the steps, those that cost nothing left out.
    pub fn text(&self) -> String {
        let title = format!("predicted on {}", self.target);
        let before = format!("{} before", self.unit.name());
        let columns = [
            (&*title, Align::Left),
            (&before, Align::Right),
            ("after", Align::Right),
            ("ratio", Align::Right),
        ];
        let row = |name: &str, before: Option<f64>, after: f64| {
            let ratio = before.filter(|_| after > 0.0).map(|before| format!("{:.2}x", before / after));
            let before = before.map(|cost| format!("{cost:.0}"));
            vec![
                name.to_owned(),
                before.unwrap_or_default(),
                format!("{after:.0}"),
                ratio.unwrap_or_default(),
            ]
        };
        // Factors of a layer (`NAME.suffix`) count with the last of them, which keeps the name.
        let cost = |name: &str| self.before.steps.iter().find(|step| step.name == name).map(|step| step.cost);
        let steps = self.after.steps.iter().filter(|step| step.cost > 0.0);
        let steps = steps.map(|StepCost { name, cost: after }| row(name, cost(name), *after));
        let total = row("total", Some(self.before.total), self.after.total);
        table(&columns, steps.chain([total])) + "\n"
    }
}

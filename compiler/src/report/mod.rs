//! What users read: layers of an artifact, tables and JSON. Every number is measured on the artifact.

mod budget;
mod compile;
mod layers;
mod table;
mod target;

pub use budget::{BudgetReport, Curve, LayerZeros, Level, Point, Predicted};
pub use compile::{CompileReport, ErrorPercent, Factorization, LayerChange, OneShotReport, zero_percent};
pub use layers::{Layer, layers};
pub use table::{Align, bytes, percent, table};
pub use target::TargetReport;

//! `tfc bench --on`: what a model costs on another processor, the dense network beside it.

use std::path::Path;

use crate::bench::ramp;
use crate::board::{Bench, Measured, Place, Unit, sources};
use crate::execute::ExecuteError;
use crate::report::{Align, Layer, bytes, layers, table};
use anyhow::Result;
use serde::Serialize;
use tfc_formats::artifact::{AlignedBytes, Artifact};
use tfc_runtime::{Kernels, Model, Session};

use super::output::{emit, emit_and_check, note};
use super::{CheckFailed, Global};

/// Largest difference from the outputs here, as a share of the largest output, where sums of f32 are
/// taken in another order.
const TOLERANCE: f32 = 1e-5;

#[derive(Debug, Serialize)]
struct Report {
    place: String,
    conditions: Vec<(String, String)>,
    models: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    file_bytes: usize,
    /// Bytes of RAM for its values.
    arena: usize,
    /// Bytes of flash of the program that measured, without the model; of a board.
    code: Option<u64>,
    /// Bytes of that program's variables.
    statics: Option<u64>,
    layers: Vec<Layer>,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Ran {
        #[serde(flatten)]
        measured: Measured,
        /// Whether the outputs have the same bits as here.
        same_bits: bool,
        /// Largest difference from the outputs here, as a share of the largest.
        differs: f32,
    },
    /// It is too large for the board.
    Refused { reason: String },
}

/// Measures the first file, and the others beside it.
pub(super) fn run(
    place: &str,
    firmware: Option<&Path>,
    names: &[String],
    files: &[Vec<u8>],
    global: Global,
) -> Result<()> {
    let on: Place = place.parse()?;
    let firmware = sources(firmware)?;
    note(global, &format!("building the program for {place}"));
    let (mut models, mut conditions) = (Vec::new(), Vec::new());
    for (name, file) in names.iter().zip(files) {
        let aligned = AlignedBytes::from(file.as_slice());
        let model = Model::new(&aligned).map_err(ExecuteError::from)?;
        let input = ramp(model.input_shape().elements().unwrap_or(0) as usize);
        let bench = Bench::prepare(&on, &firmware, model.artifact().needs())?;
        let outcome = match bench.run(file, &input) {
            Ok(measured) => compare(measured, &here(&model, &input)?),
            // The model itself is to fit; what it is compared with need not.
            Err(error) if error.is_too_large() && !models.is_empty() => {
                Outcome::Refused { reason: error.to_string() }
            }
            Err(error) => return Err(error.into()),
        };
        let layers = layers(&Artifact::parse(&aligned).map_err(ExecuteError::from)?);
        let (code, statics) = bench.sizes().unzip();
        let (name, file_bytes, arena) = (name.clone(), file.len(), model.arena_len());
        models.push(Row { name, file_bytes, arena, code, statics, layers, outcome });
        conditions = bench.conditions()?;
    }
    let report = Report { place: place.to_owned(), conditions, models };
    let check = report.models.iter().try_for_each(check);
    emit_and_check(emit(global, || text(&report), &report), check)
}

/// The outputs on this machine, by the kernels that every processor runs.
fn here(model: &Model<'_>, input: &[f32]) -> Result<Vec<f32>, ExecuteError> {
    let mut arena = AlignedBytes::zeroed(model.arena_len());
    let mut session = Session::with_kernels(model, &mut arena, Kernels::GENERIC)?;
    Ok(session.run(input)?.to_vec())
}

fn compare(measured: Measured, expected: &[f32]) -> Outcome {
    let found = &measured.output;
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let same_bits = bits(found) == bits(expected);
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / largest);
    let differs = match found.len() == expected.len() {
        _ if same_bits => 0.0,
        true => differences.fold(0.0, |most, d| if d <= most || most.is_nan() { most } else { d }),
        false => f32::INFINITY,
    };
    Outcome::Ran { measured, same_bits, differs }
}

fn check(row: &Row) -> Result<()> {
    match row.outcome {
        // A NaN is no small difference.
        Outcome::Ran { differs, .. } if differs > TOLERANCE || differs.is_nan() => Err(CheckFailed(format!(
            "{}: its outputs differ from those here by {differs:.1e} of the largest",
            row.name
        ))
        .into()),
        _ => Ok(()),
    }
}

fn text(report: &Report) -> String {
    let measured = report.models.iter().map(|row| match &row.outcome {
        Outcome::Ran { measured, .. } => Some(measured),
        Outcome::Refused { .. } => None,
    });
    let mut measured = measured.collect::<Vec<_>>().into_iter();
    let Some(Some(first)) = measured.next() else { return String::new() };
    let other = measured.next().flatten();
    format!(
        "{}\n{}\n{}",
        summary(report, first.unit),
        steps(&report.models[0].layers, first, other),
        end(report)
    )
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Instructions => "instructions",
        Unit::Cycles => "cycles",
        Unit::Ns => "ns",
    }
}

fn summary(report: &Report, counted: Unit) -> String {
    let columns = [
        ("model", Align::Left),
        (unit(counted), Align::Right),
        ("ratio", Align::Right),
        ("load", Align::Right),
        ("file", Align::Right),
        ("program", Align::Right),
        ("arena", Align::Right),
        ("stack", Align::Right),
        ("outputs", Align::Left),
    ];
    let base = report.models.iter().find_map(|row| match &row.outcome {
        Outcome::Ran { measured, .. } => Some(measured.run),
        Outcome::Refused { .. } => None,
    });
    let rows = report.models.iter().map(|row| {
        let mut cells = vec![row.name.clone()];
        match &row.outcome {
            Outcome::Ran { measured, same_bits, differs } => {
                let size = |n: Option<u64>| n.map(bytes).unwrap_or_default();
                let outputs = if *same_bits {
                    "the bits of this machine".into()
                } else {
                    format!("within {differs:.1e}")
                };
                cells.extend([
                    grouped(measured.run),
                    format!("{:.2}x", measured.run as f64 / base.unwrap_or(1).max(1) as f64),
                    grouped(measured.load),
                    bytes(row.file_bytes as u64),
                    size(row.code),
                    bytes(row.arena as u64),
                    size(measured.stack),
                    outputs,
                ]);
            }
            Outcome::Refused { .. } => {
                cells.extend(
                    ["", "", "", &bytes(row.file_bytes as u64), "", "", "", "does not fit"]
                        .map(str::to_owned),
                );
            }
        }
        cells
    });
    table(&columns, rows)
}

fn steps(layers: &[Layer], measured: &Measured, other: Option<&Measured>) -> String {
    let columns = [
        ("step", Align::Left),
        ("op", Align::Left),
        ("MACs", Align::Right),
        ("nonzeros", Align::Right),
        (unit(measured.unit), Align::Right),
        ("share", Align::Right),
        ("per MAC", Align::Right),
        ("other", Align::Right),
        ("ratio", Align::Right),
    ];
    let sum: u64 = measured.steps.iter().sum();
    let other = other.map(|other| &other.steps).filter(|steps| steps.len() == measured.steps.len());
    let rows = layers.iter().zip(&measured.steps).enumerate().map(|(index, (layer, &cost))| {
        let counted = |n: u64| if n == 0 { String::new() } else { grouped(n) };
        let other = other.map(|steps| steps[index]);
        vec![
            layer.name.clone(),
            layer.op.clone(),
            counted(layer.macs),
            counted(layer.nonzeros),
            grouped(cost),
            format!("{:.1}%", 100.0 * cost as f64 / sum.max(1) as f64),
            if layer.macs == 0 { String::new() } else { format!("{:.2}", cost as f64 / layer.macs as f64) },
            other.map(grouped).unwrap_or_default(),
            other.map(|other| format!("{:.2}x", other as f64 / cost.max(1) as f64)).unwrap_or_default(),
        ]
    });
    table(&columns, rows)
}

fn end(report: &Report) -> String {
    let mut lines = String::new();
    for row in &report.models {
        if let Outcome::Refused { reason } = &row.outcome {
            lines += &format!("{}: {reason}\n", row.name);
        }
    }
    for (name, value) in &report.conditions {
        lines += &format!("{name}: {value}\n");
    }
    lines
}

/// 1234567 as 1,234,567.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(output: &[f32]) -> Measured {
        Measured {
            unit: Unit::Instructions,
            load: 1,
            run: 10,
            steps: vec![10],
            stack: None,
            output: output.to_vec(),
        }
    }

    #[test]
    fn outputs_are_those_of_this_machine() {
        let differs = |found: &[f32], expected: &[f32]| {
            let outcome = compare(measured(found), expected);
            let row = Row {
                name: "m".into(),
                file_bytes: 0,
                arena: 0,
                code: None,
                statics: None,
                layers: Vec::new(),
                outcome,
            };
            check(&row).is_err()
        };
        assert!(!differs(&[1.0, -8.0], &[1.0, -8.0]));
        assert!(!differs(&[1.00001, -8.0], &[1.0, -8.0]));
        assert!(differs(&[1.001, -8.0], &[1.0, -8.0]));
        assert!(differs(&[1.0], &[1.0, -8.0]));
        assert!(differs(&[f32::NAN, -8.0], &[1.0, -8.0]));
        assert!(!differs(&[f32::NAN], &[f32::NAN]));
    }

    #[test]
    fn numbers_in_groups() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}

//! `tfc ops`: what each part of the program does with each operation.

use crate::factorize::GroupKind;
use crate::report::{Align, table};
use crate::train;
use anyhow::Result;
use serde::Serialize;
use tfc_formats::op::Op;

use super::Global;
use super::output::emit;

#[derive(Debug, Serialize)]
struct Row {
    op: &'static str,
    runs: bool,
    trains: bool,
    prunes: Option<String>,
}

/// Runs the verb.
pub(super) fn run(global: Global) -> Result<()> {
    let rows: Vec<Row> = Op::EXAMPLES
        .iter()
        .map(|op| Row {
            op: op.name(),
            // Every operation of the format has a kernel; there is no other kind.
            runs: true,
            trains: train::trains(op),
            prunes: GroupKind::of(op).map(|group| format!("{group} group")),
        })
        .collect();
    let columns = ["op", "runs", "trains", "pruned and factorized"].map(|name| (name, Align::Left));
    let mark = |yes: bool| String::from(if yes { "yes" } else { "no" });
    let text = || {
        let rows = rows.iter().map(|row| {
            vec![row.op.into(), mark(row.runs), mark(row.trains), row.prunes.clone().unwrap_or("no".into())]
        });
        table(&columns, rows) + "\n"
    };
    emit(global, text, &rows)
}

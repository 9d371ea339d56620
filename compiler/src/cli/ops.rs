//! `tfc ops`: the operations, all of which the runtime runs, and what else is done with each.

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
    trains: bool,
    prunes: Option<String>,
}

/// Runs the verb.
pub(super) fn run(global: Global) -> Result<()> {
    let rows: Vec<Row> = Op::EXAMPLES
        .iter()
        .map(|op| Row {
            op: op.name(),
            trains: train::trains(op),
            prunes: GroupKind::of(op).map(|group| format!("{group} group")),
        })
        .collect();
    let columns = ["op", "trains", "pruned and factorized"].map(|name| (name, Align::Left));
    let mark = |yes: bool| String::from(if yes { "yes" } else { "no" });
    let text = || {
        let rows = rows
            .iter()
            .map(|row| vec![row.op.into(), mark(row.trains), row.prunes.clone().unwrap_or("no".into())]);
        table(&columns, rows) + "\n"
    };
    emit(global, text, &rows)
}

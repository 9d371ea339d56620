//! What `tfc bench --peers` prints.

use crate::peers::{Outcome, Row};
use crate::report::{Align, table};
use anyhow::{Result, bail};

/// Median of an engine over ours, where it ran.
pub(super) fn ratio(row: &Row) -> Option<f64> {
    match &row.outcome {
        Outcome::Timed(timed) => Some(timed.ratio),
        Outcome::Failed { .. } => None,
    }
}

/// Refuses a comparison with nothing: the first row is ours.
pub(super) fn check(rows: &[Row]) -> Result<()> {
    if rows[1..].iter().all(|row| ratio(row).is_none()) {
        bail!("no engine could be timed; the table has the reasons");
    }
    Ok(())
}

/// Engines with their times, then those that failed with their reasons.
pub(super) fn text(rows: &[Row]) -> String {
    let columns = [
        ("engine", Align::Left),
        ("version", Align::Left),
        ("min us", Align::Right),
        ("p50", Align::Right),
        ("p90", Align::Right),
        ("ratio", Align::Right),
        ("min ratio", Align::Right),
        ("differs", Align::Right),
        ("runs", Align::Right),
    ];
    let timed = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Timed(t) => Some(vec![
            row.engine.clone(),
            t.version.clone(),
            format!("{:.1}", t.min_us),
            format!("{:.1}", t.p50_us),
            format!("{:.1}", t.p90_us),
            format!("{:.2}x", t.ratio),
            format!("{:.2}x", t.min_ratio),
            if t.differs > 0.0 { format!("{:.0e}", t.differs) } else { "0".into() },
            t.runs.to_string(),
        ]),
        Outcome::Failed { .. } => None,
    });
    let failed = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Timed(_) => None,
        Outcome::Failed { error } => Some(format!("{}: {error}\n", row.engine)),
    });
    let mut text = table(&columns, timed) + "\n";
    text.extend(failed);
    text
}

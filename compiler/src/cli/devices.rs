//! `tfc devices`: adapters that can train.

use crate::device::gpu;
use crate::device::select::ALLOW_SOFTWARE;
use crate::report::{Align, bytes, table};
use anyhow::Result;
use serde::Serialize;

use super::Global;
use super::output::emit;

#[derive(Debug, Serialize)]
struct Device {
    device: &'static str,
    name: String,
    interface: &'static str,
    kind: &'static str,
    driver: String,
    max_tensor_bytes: Option<u64>,
    usable: String,
}

/// Runs the verb.
pub(super) fn run(global: Global) -> Result<()> {
    let mut devices: Vec<Device> = gpu::list().into_iter().map(adapter).collect();
    devices.push(Device {
        device: "cpu",
        name: format!("{} threads", std::thread::available_parallelism().map_or(1, usize::from)),
        interface: "native",
        kind: "cpu",
        driver: String::new(),
        max_tensor_bytes: None,
        usable: "yes".into(),
    });
    let columns = ["device", "name", "interface", "kind", "driver", "largest tensor", "usable"]
        .map(|c| (c, Align::Left));
    let rows = devices.iter().map(|d| {
        let largest = d.max_tensor_bytes.map_or(String::new(), bytes);
        let (name, driver, usable) = (d.name.clone(), d.driver.clone(), d.usable.clone());
        vec![d.device.into(), name, d.interface.into(), d.kind.into(), driver, largest, usable]
    });
    emit(global, || table(&columns, rows) + "\n", &devices)
}

fn adapter(adapter: gpu::Adapter) -> Device {
    let usable = match (adapter.lacks, adapter.kind) {
        (Some(lacks), _) => format!("no: lacks {lacks}"),
        (None, "software") => format!("only with --device gpu and {}=1: slower than the cpu", ALLOW_SOFTWARE),
        _ => "yes".into(),
    };
    Device {
        device: "gpu",
        name: adapter.name,
        interface: adapter.backend,
        kind: adapter.kind,
        driver: adapter.driver,
        max_tensor_bytes: Some(adapter.max_tensor_bytes),
        usable,
    }
}

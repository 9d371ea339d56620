//! `tfc compile` under a budget: what is said to be met is met by the file, and what is not is said.

use serde_json::Value;

use crate::common::{DIGITS, Folder, trained};

/// A folder with the trained network as `m.safetensors`.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    folder
}

/// The point that a report says was kept.
fn kept(report: &Value) -> &Value {
    let budget = &report["budget"];
    &budget["front"][budget["kept"].as_u64().unwrap() as usize]
}

#[test]
fn bytes_are_filled_and_not_exceeded() {
    let folder = folder();
    for (data, limit) in [(format!("--data {DIGITS} --device cpu --epochs 4"), 2500), (String::new(), 4000)] {
        let args = format!("compile m.safetensors {data} --max-bytes {limit} -o a.tfc --force");
        let report = folder.json(&args);
        let bytes = folder.read("a.tfc").len() as u64;
        assert!(bytes <= limit && bytes as f64 > 0.97 * limit as f64, "{bytes} of {limit}");
        assert_eq!(report["budget"]["met"], true);
        assert_eq!(kept(&report)["bytes"], bytes);
        assert_eq!(kept(&report)["excess"], 0.0);
        if data.is_empty() {
            assert_eq!(kept(&report)["validation_error"], Value::Null);
            assert!(report["notes"].to_string().contains("accuracy unknown"), "{}", report["notes"]);
        } else {
            assert_eq!(kept(&report)["validation_error"], report["validation"]["artifact"]);
        }
        let layers: Vec<&str> = kept(&report)["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["layer"].as_str().unwrap())
            .collect();
        assert_eq!(layers, ["conv2d0", "dense4", "dense6"]);
        for curve in report["budget"]["sensitivity"].as_array().unwrap() {
            let losses: Vec<f64> =
                curve["levels"].as_array().unwrap().iter().map(|l| l["loss"].as_f64().unwrap()).collect();
            assert!(losses.len() > 3 && losses.is_sorted(), "{losses:?}");
        }
    }
    assert!(!folder.path("a.nearest.tfc").exists());
}

/// A budget that the network meets as it is takes nothing from it.
#[test]
fn what_fits_is_left_alone() {
    let folder = folder();
    let report = folder.json("compile m.safetensors --max-bytes 1MB --max-latency 60s -o a.tfc");
    folder.done("compile m.safetensors -o b.tfc");
    assert_eq!(folder.read("a.tfc"), folder.read("b.tfc"));
    assert_eq!(report["budget"]["front"].as_array().unwrap().len(), 1);
}

#[test]
fn limits_hold_together() {
    let folder = folder();
    let compile = |args: &str| {
        let args = format!("{args} --max-latency 60s --epochs 4 --force -o a.tfc");
        folder.tfc(&format!("-q compile m.safetensors --data {DIGITS} --device cpu {args} --format json"))
    };
    let outcome = compile("--max-drop 30 --max-bytes 2.5kB");
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let limit = report["budget"]["max_error"].as_f64().unwrap();
    let error = kept(&report)["validation_error"].as_f64().unwrap();
    assert!(error <= limit && folder.read("a.tfc").len() <= 2500, "{error} of {limit}");
    assert_eq!(report["options"]["goal"]["budget"]["max_bytes"], 2500);

    // Few enough bytes, but not without more errors: one limit is not met for the other.
    let outcome = compile("--max-drop 0 --max-bytes 700");
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let limit = report["budget"]["max_error"].as_f64().unwrap();
    let front = report["budget"]["front"].as_array().unwrap();
    let fits = |point: &&Value| point["bytes"].as_u64().unwrap() <= 700;
    assert!(front.iter().any(|point| fits(&point)), "{front:?}");
    let exceeds = |point: &Value| point["validation_error"].as_f64().unwrap() > limit;
    assert!(front.iter().filter(fits).all(exceeds), "{front:?}");
}

/// Training that diverges is a step that failed, and the others are there.
#[test]
fn a_step_that_diverges() {
    let folder = folder();
    let args = "--max-bytes 2.5kB --rate 1e30 --epochs 2 -o a.tfc --format json";
    let outcome = folder.tfc(&format!("-q compile m.safetensors --data {DIGITS} --device cpu {args}"));
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let front = report["budget"]["front"].as_array().unwrap();
    assert!(front.len() > 1, "{report}");
    assert_eq!(front[0]["note"], Value::Null);
    for point in &front[1..] {
        assert!(point["note"].as_str().unwrap().contains("training diverged in epoch 1"), "{point}");
        assert_eq!(point["excess"], Value::Null, "infinite");
    }
    assert_eq!(report["budget"]["kept"], 0);
}

/// The exit status says so, the nearest artifact is there, and nothing has the name of what was
/// asked for.
#[test]
fn a_budget_that_cannot_be_met() {
    let folder = folder();
    for limit in ["--max-bytes 10", "--max-latency 1ns"] {
        let outcome = folder.tfc(&format!("-q compile m.safetensors {limit} -o a.tfc --force --format json"));
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.starts_with("tfc: no artifact within "), "{outcome:?}");
        assert!(outcome.stderr.contains("a.nearest.tfc"), "{outcome:?}");
        let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(report["budget"]["met"], false);
        assert_eq!(kept(&report)["bytes"], folder.read("a.nearest.tfc").len());
        assert!(kept(&report)["excess"].as_f64().unwrap() > 0.0);
        assert!(!folder.path("a.tfc").exists());
    }
    let outcome = folder.tfc("-q compile m.safetensors --max-bytes 10 -o a.tfc");
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("a.nearest.tfc: exists already; --force replaces it"), "{outcome:?}");
}

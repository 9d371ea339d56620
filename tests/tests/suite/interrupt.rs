//! Ctrl-C while training leaves what is needed to go on, and going on gives the same bytes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::{DIGITS, Folder, perceptron, trained};

/// Starts a command and interrupts it once its stderr has a line with this start; returns its
/// exit status.
fn interrupted(folder: &Folder, args: &str, line: &str) -> Option<i32> {
    let mut child = folder.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|found| found.starts_with(line)), "{args}: no line starts with `{line}`");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let last = lines.last().unwrap_or_default();
    let status = child.wait().unwrap().code();
    assert!(last.starts_with("tfc: stopped; continue with --resume"), "{args}: {last}");
    status
}

/// Interrupts `args -o OUTPUT`, resumes it, and compares with a run that was left alone.
fn resumes(folder: &Folder, args: &str, line: &str) {
    folder.done(&format!("{args} -o whole"));
    let before = folder.names();
    let args = format!("{args} -o resumed");
    assert_eq!(interrupted(folder, &args, line), Some(130), "{args}");
    let after: Vec<String> = folder.names().into_iter().filter(|name| !before.contains(name)).collect();
    assert_eq!(after, ["resumed.work"], "{args}");
    assert!(folder.path("resumed.work/training.checkpoint").is_file());

    folder.done(&format!("{args} --resume"));
    assert_eq!(folder.read("resumed"), folder.read("whole"), "{args}");
    assert!(!folder.path("resumed.work").exists());
}

#[test]
fn train() {
    let folder = Folder::new();
    resumes(&folder, &format!("train lenet_300_100 --data {DIGITS} --epochs 8 --device cpu"), "epoch 1/");
}

#[test]
fn compile() {
    let folder = Folder::new();
    folder.save("m.safetensors", &perceptron(&[200, 50]));
    let args = format!("compile m.safetensors --data {DIGITS} --sparsity 0.9 --epochs 16 --device cpu");
    resumes(&folder, &args, "epoch 2/");
}

/// The search for the largest share of zeros trains several times, and may be stopped in any.
#[test]
fn search() {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    let args = format!("compile m.safetensors --data {DIGITS} --max-drop 20 --epochs 64 --device cpu");
    resumes(&folder, &args, "epoch 2/");
}

/// What was done before the stop is in the report of the run that went on.
#[test]
fn history_is_whole() {
    let folder = Folder::new();
    folder.save("m.safetensors", trained());
    let args = format!("compile m.safetensors --data {DIGITS} --max-drop 20 --epochs 64 --device cpu");
    let untimed = |report: &str| {
        let report: Value = serde_json::from_slice(&folder.read(report)).unwrap();
        let mut parts = [report["history"].clone(), report["budget"]["front"].clone()];
        for part in parts.iter_mut().flat_map(|part| part.as_array_mut().unwrap()) {
            part.as_object_mut().unwrap().retain(|key, _| !["seconds", "latency_us"].contains(&key.as_str()));
        }
        parts
    };
    folder.done(&format!("{args} -o whole --report whole.json"));
    let args = format!("{args} -o resumed --report resumed.json");
    // The last fine-tuning is the only one of so many epochs.
    assert_eq!(interrupted(&folder, &args, "epoch 2/64"), Some(130));
    folder.done(&format!("{args} --resume"));
    assert_eq!(folder.read("resumed"), folder.read("whole"));
    let [history, front] = untimed("resumed.json");
    assert!(history.as_array().unwrap().len() > 64 && front.as_array().unwrap().len() > 2);
    assert_eq!([history, front], untimed("whole.json"));
}

#[test]
fn what_cannot_be_resumed() {
    let folder = Folder::new();
    let args = format!("-q train lenet_300_100 --data {DIGITS} --epochs 8 --device cpu -o m.safetensors");
    let outcome = folder.tfc(&format!("{args} --resume"));
    assert_eq!(outcome.status, Some(2));
    let expected = "tfc: m.safetensors.work: no unfinished work to resume; run without --resume\n";
    assert_eq!(outcome.stderr, expected);
    assert!(folder.names().is_empty());

    interrupted(&folder, &args[3..], "epoch 1/");
    let outcome = folder.tfc(&format!("{args} --resume --rate 0.5"));
    assert_eq!(outcome.status, Some(2));
    assert!(outcome.stderr.contains("a run with other options"), "{outcome:?}");
    let outcome = folder.tfc(&args);
    assert_eq!(outcome.status, Some(2));
    assert!(outcome.stderr.contains("--resume goes on from it"), "{outcome:?}");
    folder.done(&format!("{args} --resume"));
}

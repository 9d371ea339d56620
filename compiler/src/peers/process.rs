//! An engine in a process of its own, which takes its turns when asked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Engine, Turn};

/// Speaks with [`Process`] over lines of JSON; says itself how.
const SCRIPT: &str = include_str!("peer.py");

/// A running engine that has loaded its network.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    stderr: File,
    pub(super) ready: Ready,
}

/// What an engine says once it has loaded its network and run it.
#[derive(Debug, Deserialize)]
pub(super) struct Ready {
    /// Version of the engine.
    pub(super) version: String,
    /// First output for the given input.
    pub(super) output: Vec<f32>,
}

impl Process {
    /// Starts an engine from a folder of virtual environments and waits until it has run once; the
    /// error is its reason, one line.
    pub(super) fn start(engine: &Engine, folder: &Path, onnx: &Path, input: &[f32]) -> Result<Self, String> {
        let python = folder.join(engine.venv).join("bin").join("python");
        let stderr = tempfile::tempfile().map_err(|e| format!("no temporary file: {e}"))?;
        let spawn = |stderr: Stdio| {
            Command::new(&python)
                .args(["-c", SCRIPT, engine.name])
                .env("OMP_NUM_THREADS", "1")
                // DeepSparse reports its use to its maker otherwise.
                .env("NM_DISABLE_ANALYTICS", "True")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(stderr)
                .spawn()
        };
        let child = stderr.try_clone().and_then(|stderr| spawn(stderr.into()));
        let mut child = child.map_err(|e| format!("{}: {e}", python.display()))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("has neither stdin nor stdout".into());
        };
        let ready = Ready { version: String::new(), output: Vec::new() };
        let mut process = Self { child, stdin, stdout: BufReader::new(stdout), stderr, ready };
        process.ready = process.ask(&json!({ "model": onnx, "input": input }))?;
        Ok(process)
    }

    /// Times of the runs of one turn.
    pub(super) fn turn(&mut self, turn: &Turn) -> Result<Vec<Duration>, String> {
        let nanoseconds: Vec<u64> = self.ask(turn)?;
        Ok(nanoseconds.into_iter().map(Duration::from_nanos).collect())
    }

    fn ask<T: DeserializeOwned>(&mut self, question: &impl serde::Serialize) -> Result<T, String> {
        let line = || -> io::Result<String> {
            // Who has failed already does not listen: what it left on stderr says more than that.
            let _ = writeln!(self.stdin, "{}", serde_json::to_string(question)?);
            let mut line = String::new();
            self.stdout.read_line(&mut line)?;
            Ok(line)
        }();
        match line {
            Ok(line) if !line.is_empty() => {
                serde_json::from_str(&line).map_err(|e| format!("answered something else than asked: {e}"))
            }
            Ok(_) => Err(self.last_words()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Why an engine that closed its stdout has ended: the last line of its stderr, or its status.
    fn last_words(&mut self) -> String {
        let status = self.child.wait();
        let mut text = Vec::new();
        let read = self.stderr.rewind().and_then(|()| self.stderr.read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match (read, last, status) {
            (Ok(_), Some(line), _) => line.to_owned(),
            (_, _, Ok(status)) => format!("ended without a word: {status}"),
            (_, _, Err(e)) => format!("ended without a word: {e}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already, and nobody waits for what it would still say.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Progress of training on stderr: a bar on a terminal, a line an epoch in a log.

use std::io::IsTerminal;
use std::time::Instant;

use crate::factorize::Iteration;
use crate::one_shot::{self, Corrected};
use crate::train::{Evaluation, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use super::Global;
use super::output::complain;

/// Shows how far training is.
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    log: bool,
    logged: Option<Evaluation>,
    start: Instant,
}

impl Bar {
    /// Nothing is shown until training begins.
    pub(super) fn new(global: Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let style = ProgressStyle::with_template(
            "{wide_bar} {percent}% {msg} [{elapsed_precise} elapsed, {eta} left]",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = (terminal && !global.quiet).then(|| ProgressBar::new(0).with_style(style));
        Self { bar, log: !terminal && !global.quiet, logged: None, start: Instant::now() }
    }

    /// Shows a step or the end of an epoch.
    pub(super) fn update(&mut self, progress: &Progress) {
        let show = |e: &Evaluation| format!("loss {:.4} error {:.2}%", e.loss, 100.0 * e.error());
        let train = show(&progress.train);
        let validation =
            progress.validation.as_ref().map_or(String::new(), |e| format!(", validation {}", show(e)));
        let text = format!("epoch {}/{}: {train}{validation}", progress.epoch, progress.epochs);
        if let Some(bar) = &self.bar {
            bar.set_length((progress.epochs * progress.steps) as u64);
            bar.set_position(((progress.epoch - 1) * progress.steps + progress.step) as u64);
            bar.set_message(text);
        } else if self.log && progress.validation != self.logged {
            self.logged = progress.validation;
            complain(&format!("{text} ({:.1} s)", self.start.elapsed().as_secs_f64()));
        }
    }

    /// Shows an iteration of a tri-factorization.
    pub(super) fn factorizing(&mut self, iteration: &Iteration) {
        let Iteration { group, done, of, objective } = iteration;
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "factorizing {group} layers, iteration {done}/{of}: squared error {objective:.4}"
            ));
        } else if self.log {
            complain(&format!(
                "factorizing {group} layers, iteration {done}/{of}: squared error {objective:.4}"
            ));
        }
    }

    /// Shows how far the measurement of layers is; in a log, that it begins.
    pub(super) fn measuring(&mut self, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            bar.set_message("measuring how much each layer matters");
        } else if self.log && done == 1 {
            complain(&format!("measuring how much each layer matters, {of} measurements"));
        }
    }

    /// Shows how many turns of timing layers are done; in a log, that they begin.
    pub(super) fn tuning(&mut self, done: usize, of: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            bar.set_message("timing layers");
        } else if self.log && done == 1 {
            complain(&format!("timing layers, {of} turns"));
        }
    }

    /// Says that an artifact on the way to a budget begins.
    pub(super) fn attempt(&mut self, number: usize, zeros: f64) {
        let text = format!("point {number}: {:.2}% of weights zero", 100.0 * zeros);
        match &self.bar {
            Some(bar) => bar.println(text),
            None if self.log => complain(&text),
            None => {}
        }
    }

    /// Shows a layer that one-shot pruning is done with.
    pub(super) fn correcting(&mut self, progress: &one_shot::Progress) {
        let one_shot::Progress { layer, corrected, done, of } = progress;
        let text = match corrected {
            None => format!("scored {layer} ({done}/{of})"),
            Some(Corrected { zeros, weights, output_error, .. }) => {
                let error =
                    output_error.map_or(String::new(), |e| format!(", output error {:.2}%", 100.0 * e));
                format!("corrected {layer} ({done}/{of}): {zeros} of {weights} weights are zero{error}")
            }
        };
        if let Some(bar) = &self.bar {
            bar.set_length(*of as u64);
            bar.set_position(*done as u64);
            bar.set_message(text);
        } else if self.log {
            complain(&format!("{text} ({:.1} s)", self.start.elapsed().as_secs_f64()));
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

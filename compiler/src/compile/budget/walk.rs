//! The walk to a budget, attempt by attempt.

use std::path::Path;

use tfc_formats::network::Network;

use super::super::CompileError;
use super::super::finish::{Finished, Limits};
use super::super::options::Budget;
use super::super::stage::Stage;
use super::attempt::{Aim, Attempt, Attempts, Task, costs};
use super::cost::{Times, artifact, latency};
use super::sensitivity::{floor, ladder, pruned};
use crate::device::Device;
use crate::prune::prunable;
use crate::report::{BudgetReport, Curve, Point, Predicted};
use crate::train::EpochStats;

/// By how much one step makes a network smaller or faster, where that is limited.
const STEP: f64 = 3.0;

/// What part of its bytes and multiply-accumulates a step leaves, where they are not limited.
const LEFT: f64 = 0.5;

/// Attempts between the last step that met a limit on error and the first that did not.
const BISECTIONS: usize = 3;

/// Attempts to come closer to a limit that the last step missed.
const CORRECTIONS: usize = 3;

/// A step that is not the last is fine-tuned for this part of the epochs that a person asked for.
const EPOCHS_PER_STEP: usize = 4;

/// Sizes of files that differ by less than this part are alike.
const ALIKE: f64 = 0.01;

/// What a search found.
pub(in super::super) struct Outcome {
    pub(in super::super) finished: Finished,
    pub(in super::super) history: Vec<EpochStats>,
    pub(in super::super) report: BudgetReport,
}

/// Searches for the artifact that meets the budget: with limits on bytes or latency the most
/// accurate, otherwise the smallest within the limit on error, `dense` and `max_drop` points. What
/// is finished is kept in `work`, so that a stopped search goes on where it was, to the same bytes.
pub(in super::super) fn search<D: Device>(
    stage: &Stage<'_, '_, D>,
    network: &Network,
    budget: Budget,
    dense: Option<f64>,
    work: Option<&Path>,
) -> Result<Outcome, CompileError> {
    let limits = Limits {
        error: dense.zip(budget.max_drop).map(|(dense, drop)| dense + drop),
        bytes: budget.max_bytes,
        us: budget.max_latency_us,
    };
    let attempts = Attempts { stage, limits, times: None, first: costs(network, stage.options)?, work };
    let mut walk = Walk { attempts, dense, best: None, front: Vec::new(), history: Vec::new(), report: None };
    if budget.limits_cost() {
        walk.within_cost(network)?;
    } else {
        walk.within_error(network)?;
    }
    let Walk { best, front, history, report, .. } = walk;
    let (kept, _, finished) = best.ok_or(CompileError::NeedsData)?;
    let (sensitivity, predicted) = report.unwrap_or_default();
    let report = BudgetReport {
        budget,
        max_error: limits.error,
        met: front[kept].meets(),
        kept,
        front,
        predicted,
        sensitivity,
    };
    Ok(Outcome { finished, history, report })
}

struct Walk<'a, 's, 'e, D> {
    attempts: Attempts<'a, 's, 'e, D>,
    /// Validation error of the network as it came, in percent.
    dense: Option<f64>,
    /// The best attempt so far: its position, network and artifact.
    best: Option<(usize, Network, Finished)>,
    front: Vec<Point>,
    history: Vec<EpochStats>,
    /// Curves and front of the first plan.
    report: Option<(Vec<Curve>, Vec<Predicted>)>,
}

impl<D: Device> Walk<'_, '_, '_, D> {
    /// Makes an artifact; returns its network and whether its aim could be met.
    fn go(
        &mut self,
        network: &Network,
        what: &str,
        aim: Option<Aim>,
        epochs: usize,
        fine: Option<f64>,
    ) -> Result<(Network, bool), CompileError> {
        let task = Task { number: self.front.len(), what, aim, epochs, fine };
        let attempt = self.attempts.run(network, &task)?;
        Ok(self.record(attempt))
    }

    fn record(&mut self, attempt: Attempt) -> (Network, bool) {
        let Attempt { network, finished, point, history, plan } = attempt;
        let fits = plan.as_ref().is_none_or(|plan| plan.fits);
        if let Some(plan) = plan {
            self.report.get_or_insert((plan.curves, plan.predicted));
        }
        self.history.extend(history);
        if self.best.as_ref().is_none_or(|(best, ..)| self.is_better(&point, &self.front[*best])) {
            self.best = Some((self.front.len(), network.clone(), finished));
        }
        self.front.push(point);
        (network, fits)
    }

    fn last(&self) -> &Point {
        &self.front[self.front.len() - 1]
    }

    fn is_better(&self, point: &Point, best: &Point) -> bool {
        if !(point.meets() && best.meets()) {
            return point.excess < best.excess;
        }
        let error =
            |point: &Point| (point.validation_error.unwrap_or(0.0), point.validation_loss.unwrap_or(0.0));
        let smaller = point.bytes as f64 / best.bytes as f64 - 1.0;
        let limits = &self.attempts.limits;
        if limits.bytes.is_none() && limits.us.is_none() && smaller.abs() > ALIKE {
            return smaller < 0.0;
        }
        error(point) < error(best)
    }

    fn full(&self) -> usize {
        if self.attempts.stage.tunes() { self.attempts.stage.options.training.epochs } else { 0 }
    }

    fn quarter(&self) -> usize {
        self.full().div_ceil(EPOCHS_PER_STEP)
    }

    /// Down to limits on bytes and latency.
    fn within_cost(&mut self, network: &Network) -> Result<(), CompileError> {
        let (mut network, _) = self.go(network, "as it is", None, 0, None)?;
        if self.last().meets() || !self.is_possible(&network)? {
            return Ok(());
        }
        let limits = self.attempts.limits;
        let (bytes, us) = (limits.bytes.map(|bytes| bytes as f64), limits.us);
        let now = (self.last().bytes as f64, self.last().latency_us);
        let above = |now: f64, limit: Option<f64>| limit.map_or(1.0, |limit| (now / limit).max(1.0));
        let far = above(now.0, bytes).max(above(now.1, us));
        let tunes = self.attempts.stage.tunes();
        let steps = if tunes { (far.ln() / STEP.ln()).ceil().max(1.0) as usize } else { 1 };
        for step in 1..=steps {
            let left = 1.0 - step as f64 / steps as f64;
            let aim = Aim::Cost {
                bytes: bytes.map(|limit| limit * above(now.0, bytes).powf(left)),
                us: us.map(|limit| limit * above(now.1, us).powf(left)),
            };
            let what = format!("step {step} of {steps}");
            network = if step < steps {
                let fine = self.attempts.limits.error.or(self.dense);
                self.go(&network, &what, Some(aim), self.quarter(), fine)?.0
            } else {
                self.go(&network, &what, Some(aim), self.full(), None)?.0
            };
        }

        // Times are not exact, and f16 may be refused.
        let (mut bytes, mut us) = (bytes, us);
        for _ in 0..CORRECTIONS {
            let over = |value: f64, limit: Option<f64>| limit.map_or(1.0, |limit| (limit / value).min(1.0));
            let (mut of_bytes, mut of_us) = (
                over(self.last().bytes as f64, limits.bytes.map(|b| b as f64)),
                over(self.last().latency_us, limits.us),
            );
            if self.last().note.is_some() {
                // Nothing was pruned: the same aim again, with fewer epochs.
                (of_bytes, of_us) = (1.0, 1.0);
            } else if of_bytes >= 1.0 && of_us >= 1.0 {
                break;
            }
            bytes = bytes.map(|aim| aim * if of_bytes < 1.0 { 0.98 * of_bytes } else { 1.0 });
            us = us.map(|aim| aim * if of_us < 1.0 { 0.98 * of_us } else { 1.0 });
            let (found, fits) =
                self.go(&network, "correction", Some(Aim::Cost { bytes, us }), self.quarter(), None)?;
            network = found;
            if !fits {
                break;
            }
        }
        let meets = self.best.as_ref().is_some_and(|(best, ..)| self.front[*best].meets());
        if tunes && !meets && limits.error.is_some() {
            self.go(&network, "fine-tuned once more", None, self.full(), None)?;
        }
        Ok(())
    }

    /// Whether the limits on bytes and latency are above those of the thinnest network that a plan
    /// leaves. If not, that network is the nearest. Measures the times of layers if one is needed.
    fn is_possible(&mut self, network: &Network) -> Result<bool, CompileError> {
        let Attempts { stage, limits, .. } = self.attempts;
        let scores = stage.scores(network)?;
        let thinnest = pruned(network, &scores, &floor(network));
        let file = artifact(&thinnest, stage.options)?;
        let mut fastest = 0.0;
        if limits.us.is_some() {
            let (ladder, prunable) = (ladder(network, &scores), prunable(network));
            let times = || Times::measure(&ladder, stage.options, &prunable);
            self.attempts.times = Some(self.attempts.saved(0, "times", times)?);
            fastest = self.attempts.saved(0, "fastest", || latency(&file, network, stage.options))?;
        }
        // Its error says nothing yet: it is not fine-tuned.
        let possible = limits.excess(None, file.len() as u64, fastest) == 0.0;
        if !possible {
            self.go(&thinnest, "as thin as pruning goes", None, 0, None)?;
        }
        Ok(possible)
    }

    /// Down until error is above its limit, and back to the last point below it.
    fn within_error(&mut self, network: &Network) -> Result<(), CompileError> {
        let (mut network, _) = self.go(network, "as it is", None, 0, None)?;
        let limit = self.attempts.limits.error;
        let (mut good, mut bad) = (2.0, None);
        loop {
            let share = good * LEFT;
            let (found, fits) = self.go(&network, "step", Some(Aim::Share(share)), self.quarter(), limit)?;
            if !self.last().meets() {
                bad = Some(share);
                break;
            }
            (network, good) = (found, share);
            if !fits {
                break;
            }
        }
        if let Some(mut bad) = bad {
            for _ in 0..BISECTIONS {
                let share = (good * bad).sqrt();
                let (found, _) =
                    self.go(&network, "between", Some(Aim::Share(share)), self.quarter(), limit)?;
                if self.last().meets() {
                    (network, good) = (found, share);
                } else {
                    bad = share;
                }
            }
        }
        if self.full() > 0 && self.best.as_ref().is_some_and(|(best, ..)| *best > 0) {
            self.go(&network, "fine-tuned once more", None, self.full(), None)?;
        }
        Ok(())
    }
}

//! Open-loop load: requests leave by the clock, whatever the answers do.
//!
//! A closed loop waits where the system is slow and so hides the requests that
//! would have failed. Here every request has its due time; each is answered or
//! failed, and dial errors are failures.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::TrialError;
use crate::line::{Answer, Ask, Failure, Line, Reply, Target};

/// Seconds' worth of requests that may be unanswered at once. Beyond that the
/// run ends and proves nothing: whatever answers is too slow for the rate, and
/// ever more requests would only slow it further.
const BACKLOG: u32 = 10;

/// What a prober sends.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to, and how.
    pub target: Target,
    /// What is sent each time.
    pub ask: Ask,
    /// Requests per second.
    pub rate: u32,
}

/// A running prober.
pub struct Prober {
    stop: oneshot::Sender<()>,
    sending: JoinHandle<Report>,
    answered: watch::Receiver<u64>,
}

impl Prober {
    /// Starts to send at once.
    #[must_use]
    pub fn start(load: Load) -> Self {
        let limit = load.rate.saturating_mul(BACKLOG).max(100) as usize;
        Self::start_with(load, limit)
    }

    fn start_with(load: Load, limit: usize) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (progress, answered) = watch::channel(0);
        Self {
            stop,
            sending: tokio::spawn(run(load, limit, stopped, progress)),
            answered,
        }
    }

    /// Waits till this many more requests have been answered or failed; the
    /// condition to wait for where a test would sleep. Returns at once if the
    /// run ended by itself, which [`Prober::stop`] then says.
    pub async fn more(&mut self, count: u64) {
        let goal = *self.answered.borrow() + count;
        // An error means that the run ended by itself.
        let _ = self.answered.wait_for(|answered| *answered >= goal).await;
    }

    /// Ends sending and waits for the answers that are still due.
    ///
    /// # Errors
    /// [`TrialError::InvalidRun`] if the run proves nothing; see [`Report::validate`].
    pub async fn stop(self) -> Result<Report, TrialError> {
        // An error here means that the task is gone; the join below tells.
        let _ = self.stop.send(());
        let report = self
            .sending
            .await
            .map_err(|error| TrialError::InvalidRun(error.to_string()))?;
        report.validate()?;
        Ok(report)
    }
}

/// What a prober saw.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests per second that were intended.
    pub rate: u32,
    /// From the first due time to the last.
    pub elapsed: Duration,
    /// Requests that were sent.
    pub sent: u64,
    /// The longest that a request left after its due time.
    pub latest: Duration,
    /// The most requests that were unanswered at once.
    pub backlog: usize,
    /// How many of them end a run.
    pub limit: usize,
    /// One for each request, by time of sending.
    pub answers: Vec<Answer>,
}

impl Report {
    /// Whole answers, of any status.
    pub fn replies(&self) -> impl Iterator<Item = (&Answer, &Reply)> {
        self.answers
            .iter()
            .filter_map(|a| a.reply().map(|reply| (a, reply)))
    }

    /// Requests without a whole answer.
    pub fn failures(&self) -> impl Iterator<Item = (&Answer, &Failure)> {
        self.answers
            .iter()
            .filter_map(|a| a.outcome.as_ref().err().map(|failure| (a, failure)))
    }

    /// Whole answers, counted.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.replies().count() as u64
    }

    /// Requests without a whole answer, counted.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures().count() as u64
    }

    /// Everything that is not a whole answer of this status, in words.
    #[must_use]
    pub fn lost(&self, status: u16) -> Vec<String> {
        let lost = |answer: &Answer| match &answer.outcome {
            Ok(reply) if reply.status == status => None,
            Ok(reply) => {
                let body = String::from_utf8_lossy(&reply.body);
                let head: String = body.chars().take(120).collect();
                Some(format!("status {}: {head}", reply.status))
            }
            Err(failure) => Some(failure.to_string()),
        };
        self.answers.iter().filter_map(lost).collect()
    }

    /// The time from sending to whole answer that this share of the answers
    /// (0 to 1) did not exceed; `None` without answers.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        let mut all: Vec<_> = self.replies().map(|(a, _)| a.received - a.sent).collect();
        all.sort_unstable();
        let last = all.len().checked_sub(1)?;
        all.get((quantile.clamp(0.0, 1.0) * last as f64).round() as usize)
            .copied()
    }

    /// Whether this run proves anything: every request is accounted for, at least
    /// 99 % of the intended rate was reached, and the answers kept up with it.
    ///
    /// # Errors
    /// Says which of these does not hold, with the figures.
    pub fn validate(&self) -> Result<(), TrialError> {
        let accounted = self.answered() + self.failed();
        if self.sent != accounted {
            return Err(TrialError::InvalidRun(format!(
                "{} sent, but {accounted} answered or failed",
                self.sent
            )));
        }
        if self.backlog >= self.limit {
            return Err(TrialError::InvalidRun(format!(
                "{} requests unanswered at once: too much for this machine at {} per second",
                self.backlog, self.rate
            )));
        }
        let intended = f64::from(self.rate) * self.elapsed.as_secs_f64();
        if (self.sent as f64) < 0.99 * intended.floor() {
            return Err(TrialError::InvalidRun(format!(
                "{} sent of {intended:.0} intended: less than 99 % of {} per second",
                self.sent, self.rate
            )));
        }
        Ok(())
    }
}

impl Answer {
    /// The whole answer, if there is one.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        self.outcome.as_ref().ok()
    }
}

async fn run(
    load: Load,
    limit: usize,
    mut stopped: oneshot::Receiver<()>,
    progress: watch::Sender<u64>,
) -> Report {
    let line = Arc::new(Line::new(load.target));
    let ask = Arc::new(load.ask);
    let rate = load.rate.max(1);
    let start = Instant::now();
    let mut end = None;
    let mut pending: JoinSet<Answer> = JoinSet::new();
    let mut answers = Vec::new();
    let mut sent = 0u32;
    let mut latest = Duration::ZERO;
    let mut backlog = 0;
    let mut take = |joined: Result<Answer, _>| {
        // A task that panicked leaves its request unaccounted: the run is invalid.
        if let Ok(answer) = joined {
            answers.push(answer);
        }
        progress.send_replace(answers.len() as u64);
    };
    loop {
        let due = start + Duration::from_secs(1) * sent / rate;
        // What was due when the end came is still sent, however late.
        if end.is_some_and(|end| due > end) {
            break;
        }
        backlog = backlog.max(pending.len());
        if backlog >= limit {
            end = end.or_else(|| Some(Instant::now()));
            break;
        }
        tokio::select! {
            biased;
            _ = &mut stopped, if end.is_none() => end = Some(Instant::now()),
            () = sleep_until(due) => {
                latest = latest.max(due.elapsed());
                let (line, ask) = (Arc::clone(&line), Arc::clone(&ask));
                pending.spawn(async move { line.send(&ask).await });
                sent += 1;
            }
            Some(joined) = pending.join_next() => take(joined),
        }
    }
    let elapsed = end.unwrap_or(start) - start;
    while let Some(joined) = pending.join_next().await {
        take(joined);
    }
    answers.sort_by_key(|answer| answer.sent);
    Report {
        rate: load.rate,
        elapsed,
        sent: u64::from(sent),
        latest,
        backlog,
        limit,
        answers,
    }
}

#[cfg(test)]
mod tests;

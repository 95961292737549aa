//! Which of the operator's replicas leads.
//!
//! *Reads* one Lease. *Gives* a word that is true while this replica leads.
//! *Never* compares clocks of two machines: a holder is dead when its record
//! has not changed for the Lease's length on this machine's own clock.
//!
//! [`Lease::hold`] does the talking, [`election`] decides.

mod election;
mod error;
mod record;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as Record;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

pub use error::LeaseError;

use election::{Election, RENEW_EVERY, Step};

/// The name of the Lease that the operator's replicas contend for.
pub const LEASE_NAME: &str = "sluice-operator";

/// One request to the API server may take this long: of the ten seconds in
/// which a leader must renew, a lost answer may not use up all.
const REQUEST_BOUND: Duration = Duration::from_secs(3);
/// Shutdown waits this long for the release. A Lease that is not released
/// lapses by itself.
const RELEASE_BOUND: Duration = Duration::from_secs(5);
/// Someone else wrote in between: look again, but never in a tight loop.
const AFTER_CONFLICT: Duration = Duration::from_millis(100);
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// One replica's claim to the Lease.
pub struct Lease {
    api: Api<Record>,
    namespace: String,
    name: String,
    identity: String,
}

impl Lease {
    /// A claim under an identity that no other process has, such as the pod's
    /// name with its uid. Nothing is asked before [`Lease::hold`].
    #[must_use]
    pub fn new(
        client: Client,
        namespace: impl Into<String>,
        name: impl Into<String>,
        identity: impl Into<String>,
    ) -> Self {
        let namespace = namespace.into();
        Self {
            api: Api::namespaced(client, &namespace),
            namespace,
            name: name.into(),
            identity: identity.into(),
        }
    }

    /// Contends until `shutdown` is ready, then releases. `leader` is true
    /// while this replica leads: it turns false ten seconds after the start of
    /// the last renewal that succeeded, five before anyone else may take over.
    /// It also turns false when this future is dropped.
    ///
    /// Failing requests are retried for ever, since a replica without the API
    /// server can do nothing better.
    ///
    /// # Errors
    /// [`LeaseError::NoIdentity`] at once, before any request.
    pub async fn hold(
        self,
        leader: watch::Sender<bool>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), LeaseError> {
        let word = Word::new(leader);
        if self.identity.is_empty() {
            return Err(LeaseError::NoIdentity {
                object: self.object(),
            });
        }
        let mut shutdown = pin!(shutdown);
        let mut contender = Contender {
            election: Election::new(&self.identity),
            lease: self,
            held: None,
            failures: 0,
        };
        loop {
            let pause = tokio::select! {
                biased;
                () = &mut shutdown => break,
                pause = contender.turn() => pause,
            };
            word.say(contender.leads());
            let mut until = Instant::now() + pause;
            if let Some(end) = contender.election.leads_until() {
                until = until.min(end);
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = sleep_until(until) => {}
            }
            word.say(contender.leads());
        }
        // First the word, then the release: the next leads as soon as it sees it.
        word.say(false);
        contender.lease.release().await;
        Ok(())
    }

    fn object(&self) -> String {
        format!("Lease {}/{}", self.namespace, self.name)
    }

    fn failed(&self, doing: &'static str, source: kube::Error) -> LeaseError {
        LeaseError::Api {
            object: self.object(),
            doing,
            source: Box::new(source),
        }
    }

    async fn look(&self) -> Result<Option<Record>, LeaseError> {
        let found = self.api.get_opt(&self.name).await;
        found.map_err(|source| self.failed("reading", source))
    }

    /// `None` where another's write came first.
    async fn write(&self, record: &Record) -> Result<Option<Record>, LeaseError> {
        let params = PostParams {
            field_manager: Some("sluice".to_owned()),
            ..PostParams::default()
        };
        let written = if record.metadata.resource_version.is_some() {
            self.api.replace(&self.name, &params, record).await
        } else {
            self.api.create(&params, record).await
        };
        match written {
            Ok(record) => Ok(Some(record)),
            // 404: deleted since it was read. 409: changed, or created by another.
            Err(kube::Error::Api(status))
                if record.metadata.resource_version.is_some() && status.is_not_found()
                    || status.is_conflict()
                    || status.is_already_exists() =>
            {
                Ok(None)
            }
            Err(source) => Err(self.failed("writing", source)),
        }
    }

    /// Reads before it writes: a renewal may be under way that nobody awaits
    /// any more. If that lands in between, the release conflicts and tries again.
    async fn release(&self) {
        let attempts = async {
            loop {
                let released = match self.look().await {
                    Ok(found) => match record::released(found, &self.identity) {
                        Some(record) => self.write(&record).await,
                        None => return,
                    },
                    Err(error) => Err(error),
                };
                match released {
                    Ok(Some(_)) => {
                        tracing::info!(lease = self.object(), "released leadership");
                        return;
                    }
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "leadership not released, trying again"),
                }
                tokio::time::sleep(AFTER_CONFLICT).await;
            }
        };
        if timeout(RELEASE_BOUND, attempts).await.is_err() {
            tracing::warn!(
                lease = self.object(),
                "leadership not released in time, it lapses by itself"
            );
        }
    }
}

struct Contender {
    lease: Lease,
    election: Election,
    /// The record as last written here. A renewal then needs no look.
    held: Option<Record>,
    failures: u32,
}

impl Contender {
    fn leads(&mut self) -> bool {
        self.election.leads(Instant::now())
    }

    /// One look or write, and how long to rest after it.
    async fn turn(&mut self) -> Duration {
        let mut bound = Instant::now() + REQUEST_BOUND;
        if let Some(end) = self.election.leads_until() {
            bound = bound.min(end);
        }
        let outcome = timeout_at(bound, self.step()).await;
        let error = match outcome {
            Ok(Ok(pause)) => {
                self.failures = 0;
                return pause;
            }
            Ok(Err(error)) => error,
            Err(_) => LeaseError::Slow {
                object: self.lease.object(),
                bound: REQUEST_BOUND,
            },
        };
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(%error, failures = self.failures, "leader election, trying again");
        retry_after(self.failures)
    }

    async fn step(&mut self) -> Result<Duration, LeaseError> {
        let asked = Instant::now();
        // Taken, not copied: if this future is dropped while it writes, what
        // the record is now is unknown, and the next turn looks.
        let found = match self.held.take() {
            Some(record) => Some(record),
            None => self.lease.look().await?,
        };
        let seen = found.as_ref().map(record::read);
        let step = self.election.decide(asked, Instant::now(), seen.as_ref());
        if let Step::Wait(pause) = step {
            return Ok(pause);
        }
        let claim = record::claim(
            found,
            &self.lease.name,
            self.election.identity(),
            Timestamp::now(),
        );
        // Counted from before the request: the record says no less.
        let start = Instant::now();
        let Some(written) = self.lease.write(&claim).await? else {
            return Ok(AFTER_CONFLICT);
        };
        if step == Step::Take {
            tracing::info!(lease = self.lease.object(), "took leadership");
        }
        self.election.wrote(start);
        self.held = Some(written);
        Ok(RENEW_EVERY)
    }
}

fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(3);
    (FIRST_RETRY * 2_u32.pow(doublings)).min(RENEW_EVERY)
}

/// What the rest of the operator is told. Falls to false with its owner: a
/// channel keeps its last value, and a leader that is gone must not stay in it.
struct Word(watch::Sender<bool>);

impl Word {
    fn new(sender: watch::Sender<bool>) -> Self {
        let word = Self(sender);
        word.say(false);
        word
    }

    fn say(&self, leads: bool) {
        let changed = self.0.send_if_modified(|said| {
            let changes = *said != leads;
            *said = leads;
            changes
        });
        if changed {
            tracing::info!(leads, "leadership");
        }
    }
}

impl Drop for Word {
    fn drop(&mut self) {
        self.say(false);
    }
}

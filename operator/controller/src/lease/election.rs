//! The decision: what was seen of the Lease and the time in, one step out.
//!
//! Why two never lead. A leader counts its ten seconds from before its renewal
//! was sent, hence from before the record changed. A rival counts its fifteen
//! from at most [`UNSEEN`] before it saw that change, hence ends no earlier
//! than twelve and a half after it. What is left, two and a half seconds, is
//! for clocks that run at unlike speed and for a late timer.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The Lease's length: a holder that was silent for so long is dead.
pub(super) const LEASE_FOR: Duration = Duration::from_secs(15);
/// The leader renews, and everyone else looks, this often.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(2);
/// A leader that could not renew for so long leads no more.
pub(super) const LEAD_FOR: Duration = Duration::from_secs(10);
/// A change may have come this long before it was seen, one round of looking.
/// Counting from the look before lets a takeover be no later than
/// [`LEASE_FOR`] after the holder's last sign.
const UNSEEN: Duration = Duration::from_millis(2500);
/// A record may ask for more time than [`LEASE_FOR`], but not for ever.
const LONGEST: Duration = Duration::from_secs(60);

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// `None` where it is released.
    pub(super) holder: Option<String>,
    pub(super) renewed: Option<Timestamp>,
    pub(super) transitions: i32,
    /// The length that its holder wrote.
    pub(super) length: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write the record with this identity as its new holder.
    Take,
    /// Write the record with a new time of renewal.
    Renew,
    /// Look again after this long.
    Wait(Duration),
}

/// Another holder, and since when it gave no sign.
#[derive(Debug)]
struct Rival {
    seen: Seen,
    silent_since: Instant,
}

impl Rival {
    fn lapses(&self) -> Instant {
        let length = self.seen.length.unwrap_or(LEASE_FOR);
        self.silent_since + length.clamp(LEASE_FOR, LONGEST)
    }
}

/// One contender's memory.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    rival: Option<Rival>,
    /// When the look before was sent.
    looked: Option<Instant>,
    /// From before the last write that succeeded was sent.
    renewed: Option<Instant>,
}

impl Election {
    pub(super) fn new(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            rival: None,
            looked: None,
            renewed: None,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Judges what a look found that was sent at `asked` and answered at `now`.
    pub(super) fn decide(&mut self, asked: Instant, now: Instant, found: Option<&Seen>) -> Step {
        let before = self.looked.replace(asked);
        let Some(seen) = found else {
            // Deleted under its holder, which may not know yet.
            return self.after(now, Step::Take);
        };
        match &seen.holder {
            None => {
                self.rival = None;
                Step::Take
            }
            Some(holder) if *holder == self.identity => {
                self.rival = None;
                Step::Renew
            }
            Some(_) => {
                self.renewed = None;
                if self.rival.as_ref().is_none_or(|rival| rival.seen != *seen) {
                    let earliest = now.checked_sub(UNSEEN).unwrap_or(now);
                    self.rival = Some(Rival {
                        seen: seen.clone(),
                        silent_since: before.map_or(now, |look| look.max(earliest)),
                    });
                }
                self.after(now, Step::Take)
            }
        }
    }

    /// `step` once the rival has lapsed, until then waiting.
    fn after(&self, now: Instant, step: Step) -> Step {
        match self.rival.as_ref().map(Rival::lapses) {
            Some(lapses) if lapses > now => Step::Wait((lapses - now).min(RENEW_EVERY)),
            _ => step,
        }
    }

    /// A write sent at `start` succeeded: this contender holds the Lease.
    pub(super) fn wrote(&mut self, start: Instant) {
        self.rival = None;
        self.renewed = Some(start);
    }

    /// The end of leading, unless renewed.
    pub(super) fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|start| start + LEAD_FOR)
    }

    pub(super) fn leads(&mut self, now: Instant) -> bool {
        if self.leads_until().is_some_and(|end| end <= now) {
            // Over until the next write succeeds.
            self.renewed = None;
        }
        self.renewed.is_some()
    }
}

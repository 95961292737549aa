//! From when to when something is valid.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, date_time_ymd};

/// How far back certificates begin: clocks of nodes differ.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A span of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Life {
    /// From a little before `now` until `lasting` after it.
    pub(crate) fn starting(now: Timestamp, lasting: SignedDuration) -> Self {
        Self {
            from: now.checked_sub(CLOCK_SKEW).unwrap_or(now),
            to: now.checked_add(lasting).unwrap_or(Timestamp::MAX),
        }
    }

    /// This one, ended with `other` at the latest.
    pub(crate) fn within(self, other: Self) -> Self {
        Self {
            to: self.to.min(other.to),
            ..self
        }
    }

    pub(crate) fn covers(self, now: Timestamp) -> bool {
        self.from <= now && now <= self.to
    }

    /// When `parts` of `of` equal parts are over.
    pub(crate) fn after(self, parts: i64, of: i64) -> Timestamp {
        let (from, to) = (self.from.as_second(), self.to.as_second());
        let passed = to.saturating_sub(from).saturating_mul(parts) / of.max(1);
        Timestamp::from_second(from.saturating_add(passed)).unwrap_or(self.to)
    }

    pub(crate) fn limit(self, params: &mut CertificateParams) {
        // Certificates count from here by way of a type that this room has no
        // other use for.
        let moment = |at: Timestamp| {
            let seconds = u64::try_from(at.as_second()).unwrap_or(0);
            date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds)
        };
        params.not_before = moment(self.from);
        params.not_after = moment(self.to);
    }
}

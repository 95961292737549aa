//! How long to wait before Envoy is started again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Waits that double with each failure in a row, each shortened at random by
/// up to half, so that Envoys that fell together do not rise together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub first: Duration,
    /// No wait is longer.
    pub most: Duration,
    /// An Envoy that ran this long counts as healthy: the next failure is a first one.
    pub calm: Duration,
}

impl Default for Backoff {
    /// 250 ms, 30 s, 60 s: a single crash costs less than a client's patience,
    /// a crash loop one start every half minute.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            most: Duration::from_secs(30),
            calm: Duration::from_secs(60),
        }
    }
}

impl Backoff {
    /// The wait after so many failures in a row; 0 and 1 give the first.
    pub(crate) fn delay(&self, failures: u32) -> Duration {
        // The standard library seeds each RandomState anew: chance enough here.
        self.delay_shortened_by(failures, RandomState::new().hash_one(failures))
    }

    fn delay_shortened_by(&self, failures: u32, chance: u64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let longest = self.first.saturating_mul(1 << doublings).min(self.most);
        let thousandths = u32::try_from(chance % 501).unwrap_or(0);
        longest - longest * thousandths / 1_000
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_most() {
        let backoff = Backoff::default();
        let longest: Vec<_> = (0..10)
            .map(|failures| backoff.delay_shortened_by(failures, 0).as_millis())
            .collect();
        assert_eq!(
            longest,
            [
                250, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000
            ]
        );
    }

    #[test]
    fn two_waits_differ() {
        let backoff = Backoff::default();
        let waits: std::collections::BTreeSet<_> = (0..50).map(|_| backoff.delay(9)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }

    proptest! {
        #[test]
        fn every_wait_is_between_half_and_the_whole(failures: u32, chance: u64) {
            let backoff = Backoff::default();
            let longest = backoff.delay_shortened_by(failures, 0);
            let wait = backoff.delay_shortened_by(failures, chance);
            prop_assert!(longest / 2 <= wait && wait <= longest);
            prop_assert!(longest >= backoff.first && longest <= backoff.most);
        }
    }
}

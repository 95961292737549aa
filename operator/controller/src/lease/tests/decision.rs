//! The pure half: a table of lives.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::lease::election::{Election, Seen, Step};
use crate::lease::{LEASE_NAME, record, retry_after};

fn seen(holder: &str, renewed: i64) -> Seen {
    Seen {
        holder: (!holder.is_empty()).then(|| holder.to_owned()),
        renewed: Timestamp::from_second(renewed).ok(),
        transitions: 0,
        length: Some(Duration::from_secs(15)),
    }
}

fn wait(seconds: f64) -> Step {
    Step::Wait(Duration::from_secs_f64(seconds))
}

/// Each table is one contender's life: at a second, what it sees, what it does.
#[test]
fn decides_by_what_it_saw_and_when() {
    type Life<'a> = &'a [(f64, Option<Seen>, Step)];
    let lives: &[(&str, Life<'_>)] = &[
        (
            "nobody holds it",
            &[
                (0.0, None, Step::Take),
                (0.0, Some(seen("", 1)), Step::Take),
            ],
        ),
        (
            "its own record, as after a write that seemed lost",
            &[(0.0, Some(seen("me", 1)), Step::Renew)],
        ),
        (
            "a stranger, silent since before the first look, however old its time",
            &[
                (0.0, Some(seen("other", 1)), wait(2.0)),
                (2.0, Some(seen("other", 1)), wait(2.0)),
                (14.0, Some(seen("other", 1)), wait(1.0)),
                (15.0, Some(seen("other", 1)), Step::Take),
            ],
        ),
        (
            "a stranger that gives a sign: counted from the look before",
            &[
                (0.0, Some(seen("other", 1)), wait(2.0)),
                (14.0, Some(seen("other", 2)), wait(2.0)),
                (26.0, Some(seen("other", 2)), wait(0.5)),
                (26.5, Some(seen("other", 2)), Step::Take),
            ],
        ),
        (
            "a clock set back is a sign, too",
            &[
                (0.0, Some(seen("other", 9)), wait(2.0)),
                (2.0, Some(seen("other", 1)), wait(2.0)),
                (14.9, Some(seen("other", 1)), wait(0.1)),
                (15.0, Some(seen("other", 1)), Step::Take),
            ],
        ),
        (
            "released: at once",
            &[
                (0.0, Some(seen("other", 1)), wait(2.0)),
                (1.0, Some(seen("", 1)), Step::Take),
            ],
        ),
        (
            "deleted under its holder: not before that has noticed",
            &[
                (0.0, Some(seen("other", 1)), wait(2.0)),
                (1.0, None, wait(2.0)),
                (15.0, None, Step::Take),
            ],
        ),
        (
            "another stranger took it",
            &[
                (0.0, Some(seen("other", 1)), wait(2.0)),
                (14.0, Some(seen("third", 1)), wait(2.0)),
                (20.0, Some(seen("third", 1)), wait(2.0)),
            ],
        ),
        (
            "a record with a longer term",
            &[
                (
                    0.0,
                    Some(Seen {
                        length: Some(Duration::from_secs(30)),
                        ..seen("other", 1)
                    }),
                    wait(2.0),
                ),
                (
                    29.0,
                    Some(Seen {
                        length: Some(Duration::from_secs(30)),
                        ..seen("other", 1)
                    }),
                    wait(1.0),
                ),
                (
                    30.0,
                    Some(Seen {
                        length: Some(Duration::from_secs(30)),
                        ..seen("other", 1)
                    }),
                    Step::Take,
                ),
            ],
        ),
        (
            "a record with a term too short to be safe",
            &[
                (
                    0.0,
                    Some(Seen {
                        length: Some(Duration::from_secs(1)),
                        ..seen("other", 1)
                    }),
                    wait(2.0),
                ),
                (
                    14.0,
                    Some(Seen {
                        length: Some(Duration::from_secs(1)),
                        ..seen("other", 1)
                    }),
                    wait(1.0),
                ),
            ],
        ),
    ];
    for (life, looks) in lives {
        let start = Instant::now();
        let mut election = Election::new("me");
        for (second, found, expected) in *looks {
            let now = start + Duration::from_secs_f64(*second);
            let step = election.decide(now, now, found.as_ref());
            let step = match step {
                // Rounding of the table's fractions.
                Step::Wait(pause) => wait((pause.as_secs_f64() * 1000.0).round() / 1000.0),
                other => other,
            };
            assert_eq!(step, *expected, "{life}, second {second}");
        }
    }
}

#[test]
fn leads_for_ten_seconds_after_a_renewal_or_until_another_is_seen() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut election = Election::new("me");
    assert!(!election.leads(start), "nothing written yet");
    election.wrote(start);
    assert!(election.leads(at(9)));
    assert!(!election.leads(at(10)));
    assert_eq!(election.leads_until(), None, "over, not to be resumed");
    election.wrote(at(11));
    assert!(election.leads(at(12)));
    election.decide(at(12), at(12), Some(&seen("other", 1)));
    assert!(!election.leads(at(12)));
}

#[test]
fn a_claim_counts_transitions_and_always_changes_the_time() {
    let now = Timestamp::from_second(1000).unwrap();
    let first = record::claim(None, LEASE_NAME, "a", now);
    let spec = |lease: &k8s_openapi::api::coordination::v1::Lease| {
        let seen = record::read(lease);
        (seen.holder, seen.transitions, seen.renewed)
    };
    assert_eq!(spec(&first), (Some("a".into()), 0, Some(now)));
    let again = record::claim(Some(first), LEASE_NAME, "a", now);
    let later = Timestamp::from_microsecond(1_000_000_001).unwrap();
    assert_eq!(spec(&again), (Some("a".into()), 0, Some(later)));
    assert_eq!(record::released(Some(again.clone()), "b"), None);
    let free = record::released(Some(again), "a").unwrap();
    assert_eq!(spec(&free), (None, 0, Some(later)));
    let taken = record::claim(Some(free), LEASE_NAME, "b", now);
    assert_eq!(spec(&taken).1, 1);
    let acquired = taken.spec.unwrap().acquire_time.unwrap().0;
    assert!(
        acquired > later,
        "a clock set back does not set the time back"
    );
}

#[test]
fn retries_slow_down_to_the_rate_of_looking() {
    let pauses: Vec<u128> = (1..6).map(|n| retry_after(n).as_millis()).collect();
    assert_eq!(pauses, [250, 500, 1000, 2000, 2000]);
}

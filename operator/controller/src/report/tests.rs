//! What is to be done with one Ingress, decided from tables; that it is done is
//! proven in `run`.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use sluice_ir::{Plan, Rejection, Verdict};

use super::*;
use crate::gateways::GatewayView;
use crate::status::IngressStatus;

const LONG: Duration = Duration::from_secs(60);

fn addresses() -> Addresses {
    Addresses::of(&Options {
        cluster_suffix: "cluster.local".into(),
        ..Options::new("sluice-system", "pod")
    })
}

fn verdict(reason: Option<Reason>) -> Verdict {
    Verdict::from_rejections(
        reason
            .into_iter()
            .map(|reason| Rejection {
                reason,
                field: "spec".into(),
                found: "this".into(),
                expected: "that".into(),
                fix: "write that".into(),
            })
            .collect(),
    )
}

fn judged(generation: i64, revision: u64, reason: Option<Reason>, since: Instant) -> Judged {
    Judged {
        generation,
        revision,
        verdict: verdict(reason),
        plan: None,
        since,
    }
}

fn stored(generation: i64, ready: Option<i64>) -> Stored {
    let status = ready.map_or_else(IngressStatus::default, |generation| {
        let before = IngressStatus::default();
        let finding = crate::status::Finding::Served;
        before.to_say(generation, finding, &addresses(), Timestamp::UNIX_EPOCH)
    });
    Stored {
        uid: "u".into(),
        generation,
        resource_version: "1".into(),
        status,
    }
}

fn refusal() -> GatewayRefusal {
    GatewayRefusal {
        ingress: None,
        kind: "route".into(),
        name: "r".into(),
        detail: "no".into(),
        gateway: "g".into(),
    }
}

fn next(
    entry: &Entry,
    floor: Option<u64>,
    refusal: Option<&GatewayRefusal>,
    leads_since: Instant,
    now: Instant,
) -> Next {
    let slices = ["a", "b", "c", "d", "e"].map(|pod| GatewayEndpoint {
        node: pod.into(),
        ip: IpAddr::from([10, 0, 0, 1]),
        ready: true,
        terminating: false,
    });
    entry.next(&Scene {
        quorum: &quorum(floor),
        slices: &BTreeMap::from([(ObjectKey::new("n", "s"), slices.into())]),
        fleet: &FleetView {
            gateways: BTreeMap::from([(
                "b".to_owned(),
                GatewayView {
                    acked: Some(5),
                    serving: true,
                },
            )]),
            refused: Vec::new(),
        },
        refusal,
        addresses: &addresses(),
        leads_since,
        now,
        time: Timestamp::UNIX_EPOCH,
    })
}

fn quorum(floor: Option<u64>) -> Quorum {
    Quorum {
        floor,
        ..Quorum::default()
    }
}

/// `(state, wait, Ready as it is to be written)` long after all began.
fn decided(
    entry: &Entry,
    floor: Option<u64>,
    refusal: Option<&GatewayRefusal>,
) -> (Option<IngressState>, Wait, Option<String>) {
    let start = Instant::now();
    let next = next(entry, floor, refusal, start, start + LONG);
    let written = next.write.map(|status| {
        let ready = status
            .conditions
            .iter()
            .find(|c| c.kind == "Ready")
            .unwrap();
        format!("{} {}", ready.status, ready.reason)
            .trim()
            .to_owned()
    });
    assert_eq!(next.wake, None, "nothing is left for later");
    (next.state, next.wait, written)
}

#[tokio::test]
async fn what_to_do_with_an_ingress() {
    use IngressState::*;
    let since = Instant::now();
    let nothing = Wait::Nothing;
    // Generation 2, published at revision 5. Columns: generation that the status
    // calls ready; rejection; floor; refused by a gateway.
    let table = [
        (
            "new, no gateway",
            None,
            None,
            None,
            false,
            NoGateway,
            Wait::Revision(5),
            Some("Unknown NoGateway"),
        ),
        (
            "new, not applied",
            None,
            None,
            Some(4),
            false,
            Waiting,
            Wait::Revision(5),
            Some("Unknown Uninitialized"),
        ),
        (
            "new, applied",
            None,
            None,
            Some(5),
            false,
            Waiting,
            Wait::Probe,
            Some("Unknown Uninitialized"),
        ),
        (
            "next generation, not applied",
            Some(1),
            None,
            Some(4),
            false,
            Waiting,
            Wait::Revision(5),
            Some("Unknown Uninitialized"),
        ),
        (
            "ready, as it was",
            Some(2),
            None,
            Some(5),
            false,
            Ready,
            nothing,
            None,
        ),
        (
            "ready, a change on its way",
            Some(2),
            None,
            Some(4),
            false,
            Ready,
            nothing,
            None,
        ),
        (
            "ready, gateways gone",
            Some(2),
            None,
            None,
            false,
            Ready,
            nothing,
            None,
        ),
        (
            "ready, then in part",
            Some(2),
            Some(Reason::SecretMissing),
            Some(5),
            false,
            Partial,
            nothing,
            Some("False SecretMissing"),
        ),
        (
            "in part, no gateway",
            None,
            Some(Reason::DomainConflict),
            None,
            false,
            Partial,
            nothing,
            Some("False DomainConflict"),
        ),
        (
            "refused",
            Some(1),
            Some(Reason::HostRequired),
            Some(5),
            false,
            Refused,
            nothing,
            Some("False HostRequired"),
        ),
        (
            "a warning only",
            None,
            Some(Reason::CertificateExpired),
            Some(5),
            false,
            Waiting,
            Wait::Probe,
            Some("Unknown Uninitialized"),
        ),
        (
            "ready, then refused by a gateway",
            Some(2),
            None,
            Some(5),
            true,
            GatewayRefused,
            nothing,
            Some("False GatewayRefused"),
        ),
        (
            "refused before any gateway",
            None,
            Some(Reason::PercentSum),
            Some(5),
            true,
            Refused,
            nothing,
            Some("False PercentSum"),
        ),
    ];
    for (name, ready, reason, floor, is_refused, state, wait, written) in table {
        let mut entry = Entry::default();
        entry.see(stored(2, ready));
        entry.judge(judged(2, 5, reason, since));
        let refusal = refusal();
        let refusal = is_refused.then_some(&refusal);
        let expected = (Some(state), wait, written.map(ToOwned::to_owned));
        assert_eq!(decided(&entry, floor, refusal), expected, "{name}");
    }
}

#[tokio::test]
async fn half_of_the_news_does_nothing() {
    let since = Instant::now();
    let mut entry = Entry::default();
    assert_eq!(decided(&entry, Some(9), None), (None, Wait::Nothing, None));
    entry.see(stored(2, None));
    assert_eq!(decided(&entry, Some(9), None), (None, Wait::Nothing, None));
    // Judged is the generation before: its verdict says nothing of this one.
    entry.judge(judged(1, 5, Some(Reason::HostRequired), since));
    let waiting = Some(IngressState::Waiting);
    assert_eq!(
        decided(&entry, Some(9), None),
        (waiting, Wait::Nothing, None)
    );
}

#[tokio::test]
async fn a_probe_confirms_what_it_was_asked_about_and_nothing_newer() {
    let since = Instant::now();
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, None, since));
    entry.probed(4, 1, None, since);
    assert_eq!(
        decided(&entry, Some(5), None).1,
        Wait::Probe,
        "an older one"
    );
    entry.probed(5, 2, None, since);
    let ready = (
        Some(IngressState::Ready),
        Wait::Nothing,
        Some("True".to_owned()),
    );
    assert_eq!(decided(&entry, Some(5), None), ready);
    // Told again, unchanged: still confirmed. A newer revision: asked again.
    entry.judge(judged(2, 5, None, since));
    assert_eq!(decided(&entry, Some(5), None), ready);
    entry.judge(judged(2, 6, None, since));
    assert_eq!(decided(&entry, Some(6), None).1, Wait::Probe);
}

#[tokio::test]
async fn a_probe_that_failed_is_repeated_after_a_growing_pause() {
    let start = Instant::now();
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, None, start));
    let next = |entry: &Entry, now| next(entry, Some(5), None, start, now);
    let mut pauses = Vec::new();
    for _ in 0..10 {
        entry.probed(5, 2, Some("404".into()), start);
        let paused = next(&entry, start);
        assert_eq!(paused.wait, Wait::Nothing);
        let until = paused.wake.unwrap();
        pauses.push((until - start).as_millis());
        assert_eq!(next(&entry, start + LONG).wait, Wait::Probe);
    }
    // The first wake is for the grace where that is sooner than the pause.
    assert_eq!(pauses[..3], [50, 100, 200]);
    entry.judge(judged(3, 6, None, start));
    entry.see(stored(3, None));
    assert_eq!(
        next(&entry, start).wait,
        Wait::Revision(6),
        "another generation: no pause"
    );
}

#[tokio::test]
async fn unknown_is_not_written_at_once_but_what_is_wrong_is() {
    let start = Instant::now();
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, None, start));
    let at = |entry: &Entry, after| {
        let now = start + Duration::from_millis(after);
        next(entry, Some(4), None, start, now)
    };
    let soon = at(&entry, 0);
    assert!(soon.write.is_none());
    assert_eq!(soon.wake, Some(start + Duration::from_millis(200)));
    assert!(at(&entry, 200).write.is_some());
    let leads_since = start + Duration::from_millis(300);
    let late = next(&entry, Some(4), None, leads_since, leads_since);
    assert!(
        late.write.is_none(),
        "who leads only now has asked nobody yet"
    );
    entry.judge(judged(2, 5, Some(Reason::ServiceMissing), start));
    assert!(at(&entry, 0).write.is_some());
}

#[tokio::test]
async fn what_is_waited_for_long_is_named() {
    let start = Instant::now();
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, None, start));
    let message = |entry: &Entry, floor, seconds| {
        let next = next(
            entry,
            Some(floor),
            None,
            start,
            start + Duration::from_secs(seconds),
        );
        let status = next.write.unwrap();
        let ready = status.conditions.iter().find(|c| c.kind == "Ready");
        (ready.unwrap().message.clone(), next.wake)
    };
    let (soon, wake) = message(&entry, 4, 1);
    assert_eq!(soon, "waiting until every gateway serves this generation");
    assert_eq!(wake, Some(start + Duration::from_secs(10)));
    let (late, wake) = message(&entry, 4, 10);
    assert_eq!(
        late,
        format!("{soon}: not acknowledged yet by a, c, d and 1 more")
    );
    assert_eq!(wake, None);
    // All of them have it, but it is not found there.
    entry.probed(5, 2, Some("404 on a".into()), start);
    let (late, _) = message(&entry, 5, 60);
    assert_eq!(late, format!("{soon}: a probe found 404 on a"));
}

#[tokio::test]
async fn one_write_at_a_time_and_a_pause_after_one_that_failed() {
    let start = Instant::now();
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, Some(Reason::ServiceMissing), start));
    entry.writing = true;
    assert_eq!(decided(&entry, Some(5), None).2, None);
    entry.written(Written::Failed("no".into()), start);
    let next = next(&entry, Some(5), None, start, start);
    assert!(next.write.is_none());
    assert_eq!(next.wake, Some(start + Duration::from_millis(50)));
    assert!(decided(&entry, Some(5), None).2.is_some());
    entry.written(Written::Gone, start);
    assert_eq!(decided(&entry, Some(5), None), (None, Wait::Nothing, None));
}

#[tokio::test]
async fn what_a_watch_tells_late_is_not_taken() {
    let mut entry = Entry::default();
    let at = |version: &str, ready| Stored {
        resource_version: version.into(),
        ..stored(2, ready)
    };
    entry.judge(judged(2, 5, None, Instant::now()));
    entry.see(at("10", Some(2)));
    entry.see(at("9", None));
    assert_eq!(decided(&entry, Some(5), None).0, Some(IngressState::Ready));
    // Made anew under the same name: another uid, and lower versions are none.
    entry.see(Stored {
        uid: "v".into(),
        ..at("11", None)
    });
    assert_eq!(
        decided(&entry, Some(5), None).0,
        Some(IngressState::Waiting)
    );
}

#[tokio::test]
async fn events_tell_each_rejection_of_a_generation_once() {
    let since = Instant::now();
    let key = ObjectKey::new("ns", "web");
    let mut entry = Entry::default();
    entry.see(stored(2, None));
    entry.judge(judged(2, 5, Some(Reason::ServiceMissing), since));
    let told = |entry: &mut Entry, refusal: Option<&GatewayRefusal>| {
        let notices = entry.notices(&key, refusal);
        notices
            .iter()
            .map(|notice| notice.rejection.reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&mut entry, None), [Reason::ServiceMissing]);
    assert_eq!(told(&mut entry, None), []);
    assert_eq!(told(&mut entry, Some(&refusal())), [Reason::GatewayRefused]);
    assert_eq!(told(&mut entry, Some(&refusal())), []);
    entry.judge(judged(2, 6, Some(Reason::ServiceMissing), since));
    assert_eq!(told(&mut entry, None), [], "the same generation");
    entry.judge(judged(3, 7, Some(Reason::ServiceMissing), since));
    assert_eq!(told(&mut entry, None), [Reason::ServiceMissing]);
}

#[tokio::test]
async fn a_thousand_rejections_are_a_few_events() {
    let mut entry = Entry::default();
    entry.see(stored(1, None));
    let mut many = judged(1, 1, None, Instant::now());
    many.verdict = Verdict::from_rejections(
        (0..1000)
            .map(|index| Rejection {
                field: format!("spec.rules[{index}]"),
                ..verdict(Some(Reason::InvalidPath)).rejections.remove(0)
            })
            .collect(),
    );
    entry.judge(many);
    let key = ObjectKey::new("ns", "web");
    assert_eq!(entry.notices(&key, None).len(), 16);
    assert_eq!(entry.notices(&key, None).len(), 0);
}

#[test]
fn targets_are_every_gateway_by_every_side_and_scheme_that_is_served() {
    let virtual_host =
        |hosts: &[&str]| json!({ "rule": 0, "hosts": hosts, "redirect": false, "routes": [] });
    let certificate = json!({ "secret": "ns/tls", "chain": "c", "key": "k" });
    let plan: Plan = serde_json::from_value(json!({
        "ingress": "ns/web",
        "hash": "h",
        "sides": {
            "external": [virtual_host(&["a.example", "b.example"]), virtual_host(&["c.example"])],
            "internal": [virtual_host(&["a.ns.svc"])],
        },
        "certificates": { "external": { "b.example": certificate } },
    }))
    .unwrap();
    let gateways: BTreeSet<IpAddr> = [1, 2].map(|byte| IpAddr::from([10, 0, 0, byte])).into();
    let targets = targets::of(Some(&plan), &gateways);
    let short: Vec<String> = targets
        .iter()
        .filter(|target| target.gateway == IpAddr::from([10, 0, 0, 1]))
        .map(|target| format!("{} {} {}", target.side, target.tls, target.host))
        .collect();
    assert_eq!(
        short,
        [
            "external false a.example",
            "external true b.example",
            "external false c.example",
            "internal false a.ns.svc",
        ]
    );
    assert_eq!(targets.len(), 8);
    assert!(targets.iter().all(|target| target.hash == "h"));
    assert_eq!(targets::of(None, &gateways), []);
    assert_eq!(targets::of(Some(&plan), &BTreeSet::new()), []);
}

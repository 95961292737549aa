use serde_json::json;
use sluice_ir::{ObjectKey, Reason};

use super::*;

const THEN: i64 = 1_700_000_000;
const NOW: i64 = 1_700_000_060;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn addresses() -> Addresses {
    Addresses::of(&Options {
        cluster_suffix: "cluster.local".into(),
        ..Options::new("sluice-system", "pod")
    })
}

fn rejection(reason: Reason) -> Rejection {
    Rejection {
        reason,
        field: "spec.rules[0]".into(),
        found: "this".into(),
        expected: "that".into(),
        fix: "write that".into(),
    }
}

fn verdict(reasons: &[Reason]) -> Verdict {
    Verdict::from_rejections(reasons.iter().copied().map(rejection).collect())
}

fn refusal() -> GatewayRefusal {
    GatewayRefusal {
        ingress: Some(ObjectKey::new("ns", "web")),
        kind: "route configuration".into(),
        name: "ext/ns/web".into(),
        detail: "no such thing".into(),
        gateway: "sluice-system/gateway-1".into(),
    }
}

fn say(before: &IngressStatus, generation: i64, finding: Finding<'_>) -> IngressStatus {
    before.to_say(generation, finding, &addresses(), at(NOW))
}

fn served(generation: i64) -> IngressStatus {
    IngressStatus::default().to_say(generation, Finding::Served, &addresses(), at(THEN))
}

/// `(NetworkConfigured, LoadBalancerReady, Ready)` with status and reason.
fn conditions(status: &IngressStatus) -> [(String, String); 3] {
    [NETWORK_CONFIGURED, LOAD_BALANCER_READY, READY].map(|kind| {
        let condition = status.condition(kind).unwrap();
        (condition.status.clone(), condition.reason.clone())
    })
}

fn expect(status: &IngressStatus, expected: [(&str, &str); 3]) {
    let expected = expected.map(|(status, reason)| (status.to_owned(), reason.to_owned()));
    assert_eq!(conditions(status), expected);
}

#[test]
fn a_served_ingress_in_full() {
    assert_eq!(
        serde_json::to_value(served(3)).unwrap(),
        json!({
            "observedGeneration": 3,
            "conditions": [
                {"type": "LoadBalancerReady", "status": "True",
                 "lastTransitionTime": "2023-11-14T22:13:20Z"},
                {"type": "NetworkConfigured", "status": "True",
                 "lastTransitionTime": "2023-11-14T22:13:20Z"},
                {"type": "Ready", "status": "True",
                 "lastTransitionTime": "2023-11-14T22:13:20Z"},
            ],
            "publicLoadBalancer": {"ingress": [
                {"domainInternal": "sluice.sluice-system.svc.cluster.local"}]},
            "privateLoadBalancer": {"ingress": [
                {"domainInternal": "sluice-internal.sluice-system.svc.cluster.local"}]},
        })
    );
}

#[test]
fn it_reads_what_it_writes_and_what_others_write() {
    let written = serde_json::to_value(served(1)).unwrap();
    let read: IngressStatus = serde_json::from_value(written).unwrap();
    assert_eq!(read, served(1));
    let others = json!({
        "conditions": null, "annotations": {"a": "b"}, "loadBalancer": {"ingress": []},
        "publicLoadBalancer": {"ingress": null}, "privateLoadBalancer": null,
    });
    let read: IngressStatus = serde_json::from_value(others).unwrap();
    assert_eq!(read.public_load_balancer, Some(LoadBalancer::default()));
    assert_eq!(read.observed_generation, 0);
}

#[test]
fn each_finding_on_a_fresh_ingress() {
    let fresh = IngressStatus::default();
    let partial = verdict(&[Reason::ServiceMissing]);
    let refused = verdict(&[Reason::HostRequired]);
    let gateway = refusal();
    let table = [
        (Finding::Served, [("True", ""), ("True", ""), ("True", "")]),
        (
            Finding::Waiting(None),
            [
                ("True", ""),
                ("Unknown", "Uninitialized"),
                ("Unknown", "Uninitialized"),
            ],
        ),
        (
            Finding::NoGateway,
            [
                ("True", ""),
                ("Unknown", "NoGateway"),
                ("Unknown", "NoGateway"),
            ],
        ),
        (
            Finding::Partial(&partial),
            [
                ("True", ""),
                ("False", "ServiceMissing"),
                ("False", "ServiceMissing"),
            ],
        ),
        (
            Finding::GatewayRefused(&gateway),
            [
                ("True", ""),
                ("False", "GatewayRefused"),
                ("False", "GatewayRefused"),
            ],
        ),
        (
            Finding::Refused(&refused),
            [
                ("False", "HostRequired"),
                ("Unknown", "Uninitialized"),
                ("False", "HostRequired"),
            ],
        ),
    ];
    for (finding, expected) in table {
        let status = say(&fresh, 2, finding);
        assert_eq!(status.observed_generation, 2, "{finding:?}");
        expect(&status, expected);
        let has_address = matches!(finding, Finding::Served | Finding::Partial(_));
        assert_eq!(
            status.public_load_balancer.is_some(),
            has_address,
            "{finding:?}"
        );
        assert_eq!(
            status.private_load_balancer.is_some(),
            has_address,
            "{finding:?}"
        );
        assert_eq!(status.is_ready(2), finding == Finding::Served);
        assert!(!status.is_ready(1) && !status.is_ready(3));
    }
}

#[test]
fn nothing_differs_when_the_same_is_said_later() {
    let partial = verdict(&[Reason::SecretMissing, Reason::CertificateExpired]);
    let refused = verdict(&[Reason::PercentSum]);
    let gateway = refusal();
    for finding in [
        Finding::Served,
        Finding::Waiting(None),
        Finding::Waiting(Some("gateway g has not acknowledged it")),
        Finding::NoGateway,
        Finding::Partial(&partial),
        Finding::GatewayRefused(&gateway),
        Finding::Refused(&refused),
    ] {
        let once = IngressStatus::default().to_say(4, finding, &addresses(), at(THEN));
        assert_eq!(say(&once, 4, finding), once, "{finding:?}");
    }
}

#[test]
fn a_new_generation_is_unknown_until_served_and_keeps_its_addresses() {
    let before = served(1);
    let waiting = say(&before, 2, Finding::Waiting(None));
    expect(
        &waiting,
        [
            ("True", ""),
            ("Unknown", "Uninitialized"),
            ("Unknown", "Uninitialized"),
        ],
    );
    assert_eq!(waiting.observed_generation, 2);
    assert_eq!(waiting.public_load_balancer, before.public_load_balancer);
    assert_eq!(waiting.private_load_balancer, before.private_load_balancer);
    assert!(say(&waiting, 2, Finding::Served).is_ready(2));
}

#[test]
fn a_generation_that_is_served_is_not_taken_back_while_gateways_take_up_a_change() {
    let before = served(2);
    assert_eq!(say(&before, 2, Finding::Waiting(None)), before);
    assert_eq!(say(&before, 2, Finding::NoGateway), before);
    // But what is wrong is said.
    let partial = verdict(&[Reason::ServiceMissing]);
    let broken = say(&before, 2, Finding::Partial(&partial));
    assert!(!broken.is_ready(2));
    // And a mended one waits for the gateways again.
    let mended = say(&broken, 2, Finding::Waiting(None));
    expect(
        &mended,
        [
            ("True", ""),
            ("Unknown", "Uninitialized"),
            ("Unknown", "Uninitialized"),
        ],
    );
}

#[test]
fn a_time_moves_with_the_status_of_its_condition_alone() {
    let partial = verdict(&[Reason::ServiceMissing]);
    let first =
        IngressStatus::default().to_say(1, Finding::Partial(&partial), &addresses(), at(THEN));
    let other = verdict(&[Reason::SecretMissing]);
    let second = say(&first, 1, Finding::Partial(&other));
    assert_eq!(second.condition(READY).unwrap().reason, "SecretMissing");
    let time = |status: &IngressStatus, kind| {
        let condition = status.condition(kind).unwrap();
        condition.last_transition_time.clone().unwrap()
    };
    assert_eq!(time(&second, READY), "2023-11-14T22:13:20Z", "still False");
    let third = say(&second, 1, Finding::Served);
    assert_eq!(time(&third, READY), "2023-11-14T22:14:20Z");
    assert_eq!(time(&third, LOAD_BALANCER_READY), "2023-11-14T22:14:20Z");
    assert_eq!(
        time(&third, NETWORK_CONFIGURED),
        "2023-11-14T22:13:20Z",
        "True all along"
    );
}

#[test]
fn a_foreign_status_is_replaced() {
    let mut foreign = served(1);
    foreign.conditions.push(Condition {
        kind: "Sparkling".into(),
        status: "True".into(),
        ..Condition::default()
    });
    let two = foreign.public_load_balancer.as_mut().unwrap();
    two.ingress.push(LoadBalancerIngress::default());
    let said = say(&foreign, 1, Finding::Served);
    assert_eq!(said, served(1), "three conditions, one entry each");
}

#[test]
fn what_is_known_at_once() {
    let gateway = refusal();
    let accepted = verdict(&[Reason::CertificateExpired, Reason::TlsNotApplied]);
    let partial = verdict(&[Reason::DomainConflict]);
    let refused = verdict(&[Reason::InvalidSpec, Reason::ServiceMissing]);
    let at_once = Finding::at_once;
    assert_eq!(at_once(&accepted, None), None, "warnings take nothing away");
    assert_eq!(at_once(&partial, None), Some(Finding::Partial(&partial)));
    assert_eq!(at_once(&refused, None), Some(Finding::Refused(&refused)));
    for verdict in [&accepted, &partial] {
        let found = at_once(verdict, Some(&gateway));
        assert_eq!(found, Some(Finding::GatewayRefused(&gateway)));
    }
    // Of a refused generation nothing was sent: the gateway refused an older one.
    let found = at_once(&refused, Some(&gateway));
    assert_eq!(found, Some(Finding::Refused(&refused)));
}

#[test]
fn the_reason_is_the_first_that_takes_something_away() {
    let mixed = verdict(&[Reason::CertificateExpired, Reason::ServiceMissing]);
    let status = say(&IngressStatus::default(), 1, Finding::Partial(&mixed));
    let ready = status.condition(READY).unwrap();
    assert_eq!(ready.reason, "ServiceMissing");
    assert_eq!(
        ready.message,
        "ServiceMissing: spec.rules[0]: found this, expected that; write that"
    );
    let refused = verdict(&[Reason::DomainConflict, Reason::HostRequired]);
    let status = say(&IngressStatus::default(), 1, Finding::Refused(&refused));
    assert_eq!(status.condition(READY).unwrap().reason, "HostRequired");
}

#[test]
fn a_message_is_short_whatever_was_rejected() {
    let many = Verdict::from_rejections(
        (0..20)
            .map(|index| Rejection {
                field: format!("spec.rules[{index}]"),
                found: "ü".repeat(300),
                ..rejection(Reason::ServiceMissing)
            })
            .collect(),
    );
    let status = say(&IngressStatus::default(), 1, Finding::Partial(&many));
    let message = &status.condition(READY).unwrap().message;
    assert!(message.len() <= MESSAGE_BYTES && message.ends_with('…'));
    let short = Verdict::from_rejections(
        (0..7)
            .map(|index| Rejection {
                field: format!("spec.rules[{index}]"),
                ..rejection(Reason::ServiceMissing)
            })
            .collect(),
    );
    let status = say(&IngressStatus::default(), 1, Finding::Partial(&short));
    assert!(
        status
            .condition(READY)
            .unwrap()
            .message
            .ends_with("; and 2 more")
    );
}

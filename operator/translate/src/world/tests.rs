use std::collections::BTreeMap;

use proptest::prelude::*;
use sluice_ir::Outcome;

use super::*;

fn config() -> Config {
    Config {
        cluster_suffix: "cluster.local".into(),
        private_gateways: BTreeSet::from([Host::parse(
            "sluice-internal.sluice-system.svc.cluster.local",
        )
        .unwrap()]),
        allow_loopback: true,
        backends: Backends::Plain,
    }
}

fn new_world() -> World {
    World::new(config(), Timestamp::UNIX_EPOCH)
}

fn metadata(namespace: &str, name: &str) -> crds::ObjectMeta {
    crds::ObjectMeta {
        namespace: namespace.into(),
        name: name.into(),
        ..crds::ObjectMeta::default()
    }
}

fn service(namespace: &str, name: &str, port: i32) -> Object {
    Object::Service(crds::Service {
        metadata: metadata(namespace, name),
        spec: crds::ServiceSpec {
            ports: vec![crds::ServicePort {
                name: "http".into(),
                port,
                ..crds::ServicePort::default()
            }],
            ..crds::ServiceSpec::default()
        },
    })
}

fn mapping_service(namespace: &str, name: &str) -> Object {
    Object::Service(crds::Service {
        metadata: metadata(namespace, name),
        spec: crds::ServiceSpec {
            kind: "ExternalName".into(),
            external_name: "sluice-internal.sluice-system.svc.cluster.local".into(),
            ports: vec![crds::ServicePort {
                name: "http2".into(),
                port: 80,
                ..crds::ServicePort::default()
            }],
        },
    })
}

fn slice(namespace: &str, service: &str, last: u8) -> Object {
    let mut metadata = metadata(namespace, &format!("{service}-x"));
    metadata
        .labels
        .insert("kubernetes.io/service-name".into(), service.into());
    Object::EndpointSlice(crds::EndpointSlice {
        metadata,
        address_type: "IPv4".into(),
        endpoints: vec![crds::Endpoint {
            addresses: vec![format!("10.0.0.{last}")],
            ..crds::Endpoint::default()
        }],
        ports: vec![crds::EndpointSlicePort {
            name: "http".into(),
            port: Some(8080),
        }],
    })
}

fn ingress(namespace: &str, name: &str, host: &str, splits: &[(&str, i64)]) -> crds::Ingress {
    let split = |&(service, percent): &(&str, i64)| crds::IngressBackendSplit {
        service_namespace: namespace.into(),
        service_name: service.into(),
        service_port: crds::IntOrString::Int(80),
        percent,
        ..crds::IngressBackendSplit::default()
    };
    crds::Ingress {
        metadata: metadata(namespace, name),
        spec: crds::IngressSpec {
            rules: vec![crds::IngressRule {
                hosts: vec![host.into()],
                visibility: crds::Visibility(crds::Visibility::EXTERNAL_IP.into()),
                http: Some(crds::HttpIngressRuleValue {
                    paths: vec![crds::HttpIngressPath {
                        splits: splits.iter().map(split).collect(),
                        ..crds::HttpIngressPath::default()
                    }]
                    .into(),
                }),
            }],
            ..crds::IngressSpec::default()
        },
    }
}

fn mapping(namespace: &str, name: &str, host: &str, target: &str) -> crds::Ingress {
    let mut ingress = ingress(namespace, name, host, &[("mapped", 100)]);
    let http = ingress.spec.rules[0].http.as_mut().unwrap();
    http.paths[0].rewrite_host = target.into();
    ingress
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

#[test]
fn an_endpoint_event_touches_one_assignment_and_no_ingress() {
    let mut world = new_world();
    world.apply(service("a", "hello", 80));
    world.apply(Object::Ingress(ingress(
        "a",
        "hello",
        "hello.example.com",
        &[("hello", 100)],
    )));
    world.settle();
    world.apply(slice("a", "hello", 1));
    let changes = world.settle();
    assert!(changes.plans.is_empty() && changes.verdicts.is_empty());
    assert_eq!(changes.endpoints.len(), 1);
    world.apply(slice("a", "hello", 1));
    assert!(world.settle().is_empty());
}

#[test]
fn equal_input_changes_nothing() {
    let mut world = new_world();
    let object = Object::Ingress(ingress("a", "x", "x.example.com", &[("hello", 100)]));
    world.apply(object.clone());
    assert_eq!(world.settle().plans.len(), 1);
    world.apply(object);
    assert!(world.settle().is_empty());
}

#[test]
fn what_was_settled_can_be_asked_for() {
    let mut world = new_world();
    world.apply(service("a", "hello", 80));
    world.apply(slice("a", "hello", 1));
    world.apply(Object::Ingress(ingress(
        "a",
        "i",
        "h.example.com",
        &[("hello", 100)],
    )));
    let changes = world.settle();
    let said = changes.endpoints.values().next().unwrap();
    assert_eq!(world.endpoints_of(&said.service_port), Some(said));
    assert_eq!(Vec::from_iter(world.endpoints()), [said]);
    let verdicts: Vec<_> = world.verdicts().collect();
    assert_eq!(verdicts, [(&key("a/i"), &changes.verdicts[&key("a/i")])]);
    // Each kind of change alone is one.
    assert!(Changes::default().is_empty());
    for part in [
        Changes {
            endpoints: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            ..changes.clone()
        },
        Changes {
            endpoints: BTreeMap::new(),
            plans: BTreeMap::new(),
            ..changes.clone()
        },
        Changes {
            plans: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            ..changes.clone()
        },
    ] {
        assert!(!part.is_empty(), "{part:?}");
    }
}

#[test]
fn a_clock_that_moves_on_judges_certificates_and_nothing_else() {
    let mut world = World::new(config(), "2026-06-01T00:00:00Z".parse().unwrap());
    let key_pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["h.example.com".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 5, 1);
    params.not_after = rcgen::date_time_ymd(2026, 6, 2);
    let pem = params.self_signed(&key_pair).unwrap().pem();
    world.apply(Object::Secret(crds::Secret {
        metadata: metadata("a", "tls"),
        string_data: BTreeMap::from([
            ("tls.crt".into(), crds::SecretValue::from(pem)),
            (
                "tls.key".into(),
                crds::SecretValue::from(key_pair.serialize_pem()),
            ),
        ]),
        ..crds::Secret::default()
    }));
    world.apply(service("a", "hello", 80));
    let mut with_tls = ingress("a", "secure", "h.example.com", &[("hello", 100)]);
    with_tls.spec.tls = vec![crds::IngressTls {
        hosts: vec!["h.example.com".into()],
        secret_name: "tls".into(),
        secret_namespace: "a".into(),
    }];
    world.apply(Object::Ingress(with_tls));
    world.apply(Object::Ingress(ingress(
        "a",
        "plain",
        "p.example.com",
        &[("hello", 100)],
    )));
    world.settle();
    world.set_now("2026-06-03T00:00:00Z".parse().unwrap());
    assert_eq!(world.dirty, BTreeSet::from([key("a/secure")]));
    let changes = world.settle();
    let reasons = changes.verdicts[&key("a/secure")].rejections.iter();
    let reasons: Vec<_> = reasons.map(|rejection| rejection.reason).collect();
    assert_eq!(reasons, [sluice_ir::Reason::CertificateExpired]);
}

#[test]
fn backends_are_unready_until_somebody_is_behind_them() {
    let mut world = new_world();
    let before = ingress("a", "i", "h.example.com", &[("old", 100)]);
    let after = ingress(
        "a",
        "i",
        "h.example.com",
        &[("old", 50), ("new", 50), ("idle", 0)],
    );
    let unready = |world: &World| {
        let found = world.unready(&after).into_iter();
        found.map(|service| service.to_string()).collect::<Vec<_>>()
    };
    world.apply(service("a", "old", 80));
    assert!(unready(&world).is_empty(), "nothing is served yet");
    world.apply(Object::Ingress(before));
    world.settle();
    assert_eq!(unready(&world), ["a/new"], "no Service");
    world.apply(service("a", "new", 80));
    assert_eq!(unready(&world), ["a/new"], "no endpoints");
    world.apply(slice("a", "new", 1));
    assert!(unready(&world).is_empty());
    world.apply(service("a", "new", 81));
    assert!(
        unready(&world).is_empty(),
        "another port is no matter of time"
    );
}

#[test]
fn a_refused_generation_holds_and_keeps_its_clusters() {
    let mut world = new_world();
    world.apply(service("a", "hello", 80));
    world.apply(Object::Ingress(ingress(
        "a",
        "x",
        "x.example.com",
        &[("hello", 100)],
    )));
    world.settle();
    world.apply(Object::Ingress(ingress(
        "a",
        "x",
        "x.example.com",
        &[("other", 90)],
    )));
    let changes = world.settle();
    assert!(matches!(changes.plans[&key("a/x")], PlanChange::Hold(_)));
    assert_eq!(changes.verdicts[&key("a/x")].outcome, Outcome::Refused);
    world.apply(slice("a", "hello", 7));
    assert_eq!(
        world.settle().endpoints.len(),
        1,
        "last good routes keep live endpoints"
    );
}

#[test]
fn deleting_the_owner_hands_the_host_over_in_one_settling() {
    let mut world = new_world();
    world.apply(Object::Ingress(ingress(
        "a",
        "x",
        "x.example.com",
        &[("hello", 100)],
    )));
    world.apply(Object::Ingress(ingress(
        "b",
        "x",
        "x.example.com",
        &[("hello", 100)],
    )));
    let changes = world.settle();
    assert!(
        changes.verdicts[&key("b/x")]
            .rejections
            .iter()
            .any(|r| r.found.contains("a/x")
                || r.expected.contains("a/x")
                || r.fix.contains("a/x"))
    );
    world.delete(ObjectKind::Ingress, &key("a/x"));
    let changes = world.settle();
    assert_eq!(changes.plans[&key("a/x")], PlanChange::Remove);
    assert!(
        matches!(&changes.plans[&key("b/x")], PlanChange::Serve(plan)
        if plan.hosts(Side::External).count() == 1)
    );
}

#[test]
fn a_mapping_follows_its_target_and_its_targets_services() {
    let mut world = new_world();
    world.apply(service("a", "hello", 80));
    world.apply(mapping_service("a", "mapped"));
    let local = "hello.a.svc.cluster.local";
    world.apply(Object::Ingress(mapping(
        "a",
        "zmap",
        "vanity.example.com",
        local,
    )));
    world.settle();
    let mut target = ingress("a", "hello", local, &[("hello", 100)]);
    target.spec.rules[0].visibility = crds::Visibility(crds::Visibility::CLUSTER_LOCAL.into());
    world.apply(Object::Ingress(target));
    let changes = world.settle();
    assert!(
        changes.plans.contains_key(&key("a/zmap")),
        "the target appeared"
    );
    world.apply(service("a", "hello", 81));
    let changes = world.settle();
    assert!(
        changes.plans.contains_key(&key("a/zmap")),
        "the target's Service changed"
    );
}

#[test]
fn a_mapping_keeps_crossing_the_last_good_target() {
    for name in ["amap", "zmap"] {
        let mut world = new_world();
        let local = "hello.a.svc.cluster.local";
        world.apply(service("a", "hello", 80));
        world.apply(mapping_service("a", "mapped"));
        world.apply(Object::Ingress(mapping(
            "a",
            name,
            "vanity.example.com",
            local,
        )));
        world.apply(Object::Ingress(ingress(
            "a",
            "hello",
            local,
            &[("hello", 100)],
        )));
        world.settle();
        let mapping = key(&format!("a/{name}"));
        let before = world.plan(&mapping).cloned();
        world.apply(Object::Ingress(ingress(
            "a",
            "hello",
            local,
            &[("hello", 10)],
        )));
        world.settle();
        assert_eq!(world.plan(&mapping).cloned(), before, "{name}");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Put(Object),
    Delete(ObjectKind, ObjectKey),
    Settle,
}

fn event() -> impl Strategy<Value = Event> {
    let namespace = prop::sample::select(vec!["a", "b"]);
    let name = prop::sample::select(vec!["x", "y"]);
    let host = prop::sample::select(vec![
        "x.example.com",
        "x.a",
        "x.a.svc.cluster.local",
        "y.b.svc.cluster.local",
        "bad host",
    ]);
    let split = prop::sample::select(vec![0_i64, 50, 100]);
    let kind = prop::sample::select(vec![
        ObjectKind::Ingress,
        ObjectKind::Service,
        ObjectKind::EndpointSlice,
    ]);
    let created = prop::sample::select(vec![None, Some(1_i64), Some(2)]);
    prop_oneof![
        (
            namespace.clone(),
            name.clone(),
            host.clone(),
            split,
            created
        )
            .prop_map(|(namespace, name, host, percent, created)| {
                let mut ingress = ingress(
                    namespace,
                    name,
                    host,
                    &[("x", percent), ("mapped", 100 - percent)],
                );
                ingress.metadata.creation_timestamp =
                    created.map(|second| Timestamp::from_second(second).unwrap());
                if percent == 50 {
                    ingress.spec.rules[0].http.as_mut().unwrap().paths[0].splits[0].percent = 49;
                }
                Event::Put(Object::Ingress(ingress))
            }),
        (namespace.clone(), name.clone(), host.clone(), host).prop_map(
            |(namespace, name, host, target)| Event::Put(Object::Ingress(mapping(
                namespace, name, host, target
            )))
        ),
        (namespace.clone(), name.clone(), 80..82_i32)
            .prop_map(|(namespace, name, port)| Event::Put(service(namespace, name, port))),
        namespace
            .clone()
            .prop_map(|namespace| Event::Put(mapping_service(namespace, "mapped"))),
        (namespace.clone(), name.clone(), 1..3_u8)
            .prop_map(|(namespace, name, last)| Event::Put(slice(namespace, name, last))),
        (kind, namespace, name).prop_map(|(kind, namespace, name)| {
            let name = match kind {
                ObjectKind::EndpointSlice => format!("{name}-x"),
                _ => name.to_owned(),
            };
            Event::Delete(kind, ObjectKey::new(namespace, name))
        }),
        Just(Event::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever the order of events and wherever the settlings fall, what is
    /// planned equals a build from scratch; only what a refused generation
    /// leaves standing depends on history.
    #[test]
    fn order_of_events_does_not_matter(events in prop::collection::vec(event(), 1..40)) {
        let mut world = new_world();
        let mut objects: BTreeMap<(ObjectKind, ObjectKey), Object> = BTreeMap::new();
        let mut published: BTreeMap<ObjectKey, PlanChange> = BTreeMap::new();
        let mut assigned: BTreeMap<ServicePort, Endpoints> = BTreeMap::new();
        let mut take = |changes: Changes| {
            for (key, change) in changes.plans {
                if change == PlanChange::Remove {
                    published.remove(&key);
                } else {
                    published.insert(key, change);
                }
            }
            assigned.extend(changes.endpoints);
        };
        for event in events {
            match event {
                Event::Put(object) => {
                    objects.insert((object.kind(), object.key()), object.clone());
                    world.apply(object);
                }
                Event::Delete(kind, key) => {
                    objects.remove(&(kind, key.clone()));
                    world.delete(kind, &key);
                }
                Event::Settle => take(world.settle()),
            }
        }
        take(world.settle());

        let mut fresh = new_world();
        let mut rewriting = BTreeSet::new();
        for object in objects.into_values() {
            if let Object::Ingress(ingress) = &object
                && !references(ingress, &config()).rewrites.is_empty()
            {
                rewriting.insert(object.key());
            }
            fresh.apply(object);
        }
        fresh.settle();
        let verdicts: Vec<_> = world.verdicts().collect();
        let historic = verdicts.iter().any(|(_, v)| v.outcome == Outcome::Refused);
        // What is wrong with a rewrite depends on its target's last good rules.
        let judged = |world: &World| -> Vec<(ObjectKey, Verdict)> {
            let verdicts = world.verdicts();
            let verdicts = verdicts.filter(|(key, _)| !(historic && rewriting.contains(key)));
            verdicts.map(|(key, verdict)| (key.clone(), verdict.clone())).collect()
        };
        prop_assert_eq!(judged(&world), judged(&fresh));
        for (key, verdict) in verdicts {
            match &published[key] {
                PlanChange::Serve(plan) => {
                    prop_assert!(verdict.outcome != Outcome::Refused);
                    prop_assert_eq!(Some(plan), world.plan(key));
                    if !historic {
                        prop_assert_eq!(Some(plan), fresh.plan(key));
                    }
                }
                PlanChange::Hold(_) => prop_assert_eq!(verdict.outcome, Outcome::Refused),
                PlanChange::Remove => unreachable!(),
            }
        }
        for endpoints in fresh.endpoints() {
            prop_assert_eq!(assigned.get(&endpoints.service_port), Some(endpoints));
        }
    }
}

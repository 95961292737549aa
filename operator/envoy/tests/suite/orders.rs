//! Any order of changes ends in the same resources as a start from scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use sluice_envoy::{Assembly, Edge, Kind, PlanChange, ProbeKey, Resource, Update};
use sluice_ir::{
    Action, Address, Backend, Certificate, Cluster, Discovery, Endpoints, Headers, Host, ObjectKey,
    Plan, PrivateKey, Protocol, RefusedPlan, Route, ServicePort, Side, Split, Transport,
    VirtualHost,
};

/// So few of each that Ingresses meet over hosts and clusters.
const INGRESSES: u8 = 4;
const HOSTS: u8 = 4;
const PORTS: u8 = 3;

/// What happens to one Ingress, or to one port's endpoints.
#[derive(Clone, Debug)]
enum Event {
    Serve(Arc<Plan>),
    Hold(Arc<RefusedPlan>),
    Remove(ObjectKey),
    Endpoints(Endpoints),
}

type Resources = BTreeMap<(Kind, String), Resource>;

/// What must be so after all events, whatever came before.
#[derive(Default)]
struct Outcome {
    good: BTreeMap<ObjectKey, PlanChange>,
    refused: BTreeMap<ObjectKey, PlanChange>,
    endpoints: BTreeMap<ServicePort, Endpoints>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn order_does_not_matter(batches in batches()) {
        let mut assembly = Assembly::new(&Edge::default());
        let mut outcome = Outcome::default();
        let mut replayed = Resources::new();
        let mut held = BTreeSet::new();
        replay(&assembly.initial(), &mut replayed, &mut held);

        for batch in batches {
            let plans = outcome.take(batch);
            let update = assembly.apply(&plans, &outcome.endpoints);
            replay(&update, &mut replayed, &mut held);
            prop_assert_eq!(&replayed, &resources(&assembly));
            consistent(&replayed);
            prop_assert!(assembly.apply(&plans, &outcome.endpoints).is_empty());
        }

        let scratch = outcome.start_from_scratch(&Edge::default());
        prop_assert_eq!(&replayed, &resources(&scratch));

        let probe_key = Some(ProbeKey::new("another name for the roots of backends"));
        let other = Edge { https_port: 8443, access_log: true, probe_key, ..Edge::default() };
        let update = assembly.configure(&other);
        prop_assert!(update.held.is_empty() && update.removals.is_empty());
        replay(&update, &mut replayed, &mut BTreeSet::new());
        prop_assert_eq!(&replayed, &resources(&outcome.start_from_scratch(&other)));
        prop_assert!(assembly.configure(&other).is_empty());
        prop_assert_eq!(held, scratch.initial().held.into_keys().collect());
    }
}

impl Outcome {
    /// Takes over a batch, and says what of it an assembly is told.
    fn take(&mut self, batch: Vec<Event>) -> BTreeMap<ObjectKey, PlanChange> {
        let mut told = BTreeMap::new();
        for event in batch {
            let (ingress, change) = match event {
                Event::Endpoints(endpoints) => {
                    self.endpoints
                        .insert(endpoints.service_port.clone(), endpoints);
                    continue;
                }
                Event::Serve(plan) => (plan.ingress.clone(), PlanChange::Serve(plan)),
                Event::Hold(refused) => (refused.ingress.clone(), PlanChange::Hold(refused)),
                Event::Remove(ingress) => (ingress, PlanChange::Remove),
            };
            told.insert(ingress, change);
        }
        for (ingress, change) in &told {
            match change {
                PlanChange::Serve(_) => {
                    self.good.insert(ingress.clone(), change.clone());
                    self.refused.remove(ingress);
                }
                PlanChange::Hold(_) => {
                    self.refused.insert(ingress.clone(), change.clone());
                }
                PlanChange::Remove => {
                    self.good.remove(ingress);
                    self.refused.remove(ingress);
                }
            }
        }
        told
    }

    /// Good plans at once, refusals after them: the one part of history that
    /// counts is what was good last.
    fn start_from_scratch(&self, edge: &Edge) -> Assembly {
        let mut assembly = Assembly::new(edge);
        assembly.apply(&self.good, &self.endpoints);
        assembly.apply(&self.refused, &self.endpoints);
        assembly
    }
}

fn resources(assembly: &Assembly) -> Resources {
    assembly
        .resources()
        .map(|resource| ((resource.kind, resource.name.clone()), resource.clone()))
        .collect()
}

/// What a server holds that hears every update. Each says only what differs.
fn replay(update: &Update, resources: &mut Resources, held: &mut BTreeSet<ObjectKey>) {
    for resource in &update.upserts {
        let key = (resource.kind, resource.name.clone());
        let before = resources.insert(key, resource.clone());
        assert_ne!(before.as_ref(), Some(resource), "sent, and no other");
    }
    for removal in &update.removals {
        assert!(
            resources.remove(removal).is_some(),
            "{removal:?} removed twice"
        );
    }
    for (ingress, is_held) in &update.held {
        let differs = if *is_held {
            held.insert(ingress.clone())
        } else {
            held.remove(ingress)
        };
        assert!(differs, "{ingress} held {is_held} twice");
    }
}

/// What Envoy and the server rely on in any state.
fn consistent(resources: &Resources) {
    let mut keys = BTreeSet::new();
    for resource in resources.values() {
        if let Some(key) = &resource.key {
            assert!(keys.insert(key), "two scopes of key {key}");
        }
        if let Some(table) = &resource.table {
            let table = (Kind::RouteTable, table.clone());
            assert!(resources.contains_key(&table), "no table {table:?}");
        }
        if resource.kind == Kind::Endpoints {
            let cluster = (Kind::Cluster, resource.name.clone());
            assert!(resources.contains_key(&cluster), "no cluster {cluster:?}");
        }
        assert!(resource.content.is_some() || resource.standby.is_some());
    }
}

fn batches() -> impl Strategy<Value = Vec<Vec<Event>>> {
    prop::collection::vec(prop::collection::vec(event(), 1..5), 1..8)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => plan().prop_map(|plan| Event::Serve(Arc::new(plan))),
        2 => refused().prop_map(|refused| Event::Hold(Arc::new(refused))),
        2 => (0..INGRESSES).prop_map(|n| Event::Remove(ingress(n))),
        3 => endpoints().prop_map(Event::Endpoints),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let side = || (hosts(), 0..PORTS, any::<bool>(), any::<bool>());
    (0..INGRESSES, side(), side(), 0..3u8).prop_map(|(n, external, internal, hash)| {
        let mut plan = Plan {
            ingress: ingress(n),
            hash: format!("hash-{hash}"),
            sides: BTreeMap::new(),
            clusters: BTreeMap::new(),
            certificates: BTreeMap::new(),
        };
        for (side, part) in [(Side::External, external), (Side::Internal, internal)] {
            let (hosts, n, redirect, secure) = part;
            if hosts.is_empty() {
                continue;
            }
            let service_port = port(n);
            plan.clusters.insert(service_port.clone(), cluster(n));
            if secure {
                plan.certificates.insert(side, certificates(&hosts, hash));
            }
            let redirect = redirect && secure && side == Side::External;
            plan.sides.insert(
                side,
                vec![VirtualHost {
                    rule: 0,
                    hosts,
                    redirect,
                    routes: vec![route(service_port)],
                }],
            );
        }
        plan
    })
}

fn refused() -> impl Strategy<Value = RefusedPlan> {
    (0..INGRESSES, hosts(), hosts(), 0..PORTS, 0..2u8).prop_map(
        |(n, external, internal, n_port, reason)| RefusedPlan {
            ingress: ingress(n),
            hosts: [(Side::External, external), (Side::Internal, internal)].into(),
            clusters: [(port(n_port), cluster(n_port))].into(),
            reason: format!("reason {reason}"),
        },
    )
}

fn endpoints() -> impl Strategy<Value = Endpoints> {
    (0..PORTS, prop::collection::btree_set(1..4u8, 0..3)).prop_map(|(n, addresses)| Endpoints {
        service_port: port(n),
        addresses: addresses
            .into_iter()
            .map(|last| Address {
                ip: [10, 0, 0, last].into(),
                port: 8012.try_into().unwrap(),
            })
            .collect(),
    })
}

fn hosts() -> impl Strategy<Value = BTreeSet<Host>> {
    prop::collection::btree_set(0..HOSTS, 0..3)
        .prop_map(|hosts| hosts.into_iter().map(host).collect())
}

fn ingress(n: u8) -> ObjectKey {
    ObjectKey::new("default", format!("ingress-{n}"))
}

fn host(n: u8) -> Host {
    format!("host-{n}.example.com").parse().unwrap()
}

fn port(n: u8) -> ServicePort {
    format!("default/service-{n}/80").parse().unwrap()
}

fn cluster(n: u8) -> Cluster {
    Cluster {
        protocol: Protocol::Http1,
        discovery: if n == 0 {
            Discovery::Dns {
                name: "far.example.org".to_owned(),
                port: 80.try_into().unwrap(),
            }
        } else {
            Discovery::Endpoints
        },
        transport: if n == 2 {
            Transport::Tls
        } else {
            Transport::Plain
        },
    }
}

fn certificates(hosts: &BTreeSet<Host>, n: u8) -> BTreeMap<Host, Certificate> {
    let certificate = Certificate {
        secret: ObjectKey::new("default", "tls"),
        chain: format!("chain {n}"),
        key: PrivateKey::new(format!("key {n}")),
    };
    hosts
        .iter()
        .map(|host| (host.clone(), certificate.clone()))
        .collect()
}

fn route(service_port: ServicePort) -> Route {
    Route {
        path: 0,
        prefix: "/".to_owned(),
        headers: Headers::new(),
        keeps_http: false,
        action: Action::Forward {
            host_rewrite: None,
            set_headers: Headers::new(),
            splits: vec![Split {
                percent: 100,
                backend: Backend::Cluster(service_port),
                set_headers: Headers::new(),
            }],
        },
    }
}

//! Any interleaving of publishes, requests, responses, refusals, broken streams
//! and time ends with every gateway holding what the store holds, and harms no
//! client on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proptest::prelude::*;
use sluice_envoy::{Kind, Resource, STANDBY, Update, name};
use sluice_xds::wire::DeltaDiscoveryResponse;

use crate::gateway::{BAD, Gateway};
use crate::scene::{Scene, cluster, endpoints, listener, scope, table};

const INGRESSES: usize = 4;
const HOSTS: usize = 5;
const CLUSTERS: usize = 5;
const PEERS: usize = 2;

/// What the world is made from: hosts have one owner each.
#[derive(Clone, Debug, Default)]
struct World {
    owners: BTreeMap<usize, usize>,
    /// Clusters by Ingress, a bit each.
    backends: [u8; INGRESSES],
    tables: [u8; INGRESSES],
    clusters: [u8; CLUSTERS],
    assignments: [u8; CLUSTERS],
}

#[derive(Clone, Debug)]
enum Edit {
    Own(usize, Option<usize>),
    Lead(usize, u8),
    /// Odd versions of a table are refused.
    Table(usize, u8),
    /// Odd versions of the last cluster are refused.
    Cluster(usize, u8),
    Assign(usize, u8),
}

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<Edit>),
    /// The stream fills responses.
    Poll(usize),
    /// The oldest response reaches its gateway.
    Deliver(usize),
    /// The gateway's oldest request reaches its stream.
    Ask(usize),
    Reconnect(usize),
    Wait(u64),
}

fn backend(i: usize) -> String {
    if i == CLUSTERS - 1 {
        "ns/bad/80".to_owned()
    } else {
        format!("ns/c{i}/80")
    }
}

impl World {
    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Own(host, Some(ingress)) => {
                self.owners.insert(host, ingress);
            }
            Edit::Own(host, None) => {
                self.owners.remove(&host);
            }
            Edit::Lead(ingress, mask) => self.backends[ingress] = mask,
            Edit::Table(ingress, version) => self.tables[ingress] = version,
            Edit::Cluster(i, version) => self.clusters[i] = version,
            Edit::Assign(i, version) => self.assignments[i] = version,
        }
    }

    fn resources(&self) -> BTreeMap<(Kind, String), Resource> {
        let mut all = vec![listener(), table(name::READINESS_TABLE, "ready")];
        let mut used = BTreeSet::new();
        let ingresses: BTreeSet<usize> = self.owners.values().copied().collect();
        for i in ingresses {
            let owned = self.owners.iter().filter(|(_, owner)| **owner == i);
            let hosts: Vec<String> = owned.map(|(h, _)| format!("h{h}.example.com")).collect();
            let mask = self.backends[i];
            let backends: BTreeSet<usize> =
                (0..CLUSTERS).filter(|c| mask & (1 << c) != 0).collect();
            let names: Vec<String> = backends.iter().map(|c| backend(*c)).collect();
            used.extend(backends);
            let bad = if self.tables[i] % 2 == 1 { BAD } else { "" };
            let body = format!(
                "hosts={};clusters={};v{}{bad}",
                hosts.join(","),
                names.join(","),
                self.tables[i]
            );
            let name = format!("ext/ns/i{i}");
            all.push(Resource {
                shape: u64::from(self.tables[i] % 4),
                ..table(&name, &body)
            });
            all.extend(hosts.iter().map(|host| scope(&format!("{name}/{host}"))));
        }
        for c in used {
            let refused = c == CLUSTERS - 1 && self.clusters[c] % 2 == 1;
            let bad = if refused { BAD } else { "" };
            all.push(cluster(&backend(c), &format!("v{}{bad}", self.clusters[c])));
            all.push(endpoints(&backend(c), &format!("v{}", self.assignments[c])));
        }
        let keyed = all.into_iter().map(|r| ((r.kind, r.name.clone()), r));
        keyed.collect()
    }
}

/// What leads from what is published to this world.
fn update(scene: &Scene, world: &World) -> Update {
    let next = world.resources();
    let gone = scene.world.keys().filter(|key| !next.contains_key(key));
    Update {
        removals: gone.cloned().collect(),
        upserts: next
            .into_iter()
            .filter(|(key, resource)| scene.world.get(key) != Some(resource))
            .map(|(_, resource)| resource)
            .collect(),
        ..Update::default()
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (0..HOSTS, prop::option::weighted(0.8, 0..INGRESSES)).prop_map(|(h, i)| Edit::Own(h, i)),
        2 => (0..INGRESSES, 0..(1u8 << CLUSTERS)).prop_map(|(i, m)| Edit::Lead(i, m)),
        2 => (0..INGRESSES, 0..8u8).prop_map(|(i, v)| Edit::Table(i, v)),
        1 => (0..CLUSTERS, 0..4u8).prop_map(|(c, v)| Edit::Cluster(c, v)),
        1 => (0..CLUSTERS, 0..4u8).prop_map(|(c, v)| Edit::Assign(c, v)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => edits().prop_map(Step::Publish),
        8 => (0..PEERS).prop_map(Step::Poll),
        8 => (0..PEERS).prop_map(Step::Deliver),
        8 => (0..PEERS).prop_map(Step::Ask),
        1 => (0..PEERS).prop_map(Step::Reconnect),
        1 => (1..6000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..160)
}

fn check(scene: &Scene, peer: usize) {
    let gateway = &scene.peers[peer].gateway;
    let quarantined: BTreeSet<(Kind, String)> = scene
        .store
        .quarantined()
        .into_iter()
        .map(|q| (q.kind, q.name))
        .collect();
    let none: Vec<String> = Vec::new();
    assert_eq!(gateway.harm, none);
    assert_eq!(scene.node(peer).acked, Some(scene.store.revision()));
    assert!(gateway.is_ready());
    let kept = gateway.held.iter().any(|((kind, name), _)| {
        *kind == Kind::RouteTable && quarantined.contains(&(*kind, name.clone()))
    });
    for (key, resource) in &scene.world {
        let (kind, name) = key;
        let body = gateway.body(*kind, name);
        if quarantined.contains(key) {
            // Last good, or what stands in; never what was refused.
            assert!(body.is_none_or(|body| !body.contains(BAD)), "{key:?}");
            assert!(body.is_some() || *kind == Kind::Cluster, "{key:?}");
            continue;
        }
        if *kind == Kind::Endpoints && gateway.body(Kind::Cluster, name).is_none() {
            continue;
        }
        let content = resource.content.as_ref().unwrap();
        let wanted = String::from_utf8_lossy(&content.body).into_owned();
        assert_eq!(body, Some(wanted.as_str()), "{key:?}");
    }
    for (kind, name) in gateway.held.keys() {
        let key = (*kind, name.clone());
        let left = kept && matches!(kind, Kind::Cluster | Kind::Endpoints);
        assert!(scene.world.contains_key(&key) || left, "{key:?} stayed");
    }
    for ((kind, name), held) in &gateway.held {
        let standby = held.version.starts_with(STANDBY);
        assert!(
            !standby || quarantined.contains(&(*kind, name.clone())),
            "{name} is not itself"
        );
    }
}

fn run(steps: Vec<Step>) {
    let mut scene = Scene::new();
    let mut world = World::default();
    let mut transit: Vec<VecDeque<DeltaDiscoveryResponse>> = vec![VecDeque::new(); PEERS];
    for peer in 0..PEERS {
        scene.join(Gateway::new(&format!("gw{peer}")));
    }
    for step in steps {
        match step {
            Step::Publish(edits) => {
                edits.iter().for_each(|edit| world.edit(edit));
                let update = update(&scene, &world);
                scene.update(update);
            }
            Step::Poll(peer) => {
                let responses = scene.poll(peer);
                transit[peer].extend(responses);
            }
            Step::Deliver(peer) => {
                if let Some(response) = transit[peer].pop_front() {
                    scene.gateway(peer).take(&response);
                }
            }
            Step::Ask(peer) => {
                scene.ask(peer);
            }
            Step::Reconnect(peer) => {
                transit[peer].clear();
                scene.reconnect(peer);
            }
            Step::Wait(ms) => scene.now += Duration::from_millis(ms),
        }
    }
    for (peer, responses) in transit.into_iter().enumerate() {
        for response in responses {
            scene.gateway(peer).take(&response);
        }
    }
    scene.settle();
    // Canaries, graces, and what waits for them in turn.
    for _ in 0..4 {
        scene.pass(Duration::from_secs(6));
    }
    for peer in 0..PEERS {
        check(&scene, peer);
    }
}

proptest! {
    // Four times the usual number; PROPTEST_CASES sets the quarter of another.
    #![proptest_config(ProptestConfig {
        cases: 4 * ProptestConfig::default().cases,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_interleaving_ends_with_what_was_published(steps in steps()) {
        run(steps);
    }
}

//! A store, a clock, and gateways on streams, moved by hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sluice_envoy::{Content, Kind, Resource, Update, name};
use sluice_ir::ObjectKey;
use sluice_xds::wire::DeltaDiscoveryResponse;
use sluice_xds::{Node, Revision, Settings, Store, Stream};

use crate::gateway::Gateway;

pub struct Peer {
    pub stream: Option<Stream>,
    pub gateway: Gateway,
}

pub struct Scene {
    pub store: Store,
    pub now: Instant,
    pub peers: Vec<Peer>,
    /// What was published, as it stands.
    pub world: BTreeMap<(Kind, String), Resource>,
}

impl Scene {
    /// A world that is nothing but a listener and the readiness table.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        let mut scene = Self {
            store: Store::new(settings),
            now: Instant::now(),
            peers: Vec::new(),
            world: BTreeMap::new(),
        };
        scene.publish(vec![listener(), table(name::READINESS_TABLE, "ready")]);
        scene
    }

    pub fn publish(&mut self, upserts: Vec<Resource>) -> Revision {
        self.change(upserts, &[])
    }

    pub fn change(&mut self, upserts: Vec<Resource>, removals: &[(Kind, &str)]) -> Revision {
        self.update(Update {
            upserts,
            removals: removals.iter().map(|(k, n)| (*k, (*n).into())).collect(),
            held: BTreeMap::new(),
        })
    }

    pub fn hold(&mut self, namespace: &str, ingress: &str, held: bool) -> Revision {
        self.update(Update {
            held: BTreeMap::from([(ObjectKey::new(namespace, ingress), held)]),
            ..Update::default()
        })
    }

    pub fn update(&mut self, update: Update) -> Revision {
        for removal in &update.removals {
            self.world.remove(removal);
        }
        for resource in &update.upserts {
            let key = (resource.kind, resource.name.clone());
            self.world.insert(key, resource.clone());
        }
        self.store.publish(update)
    }

    /// Connects a gateway; what it holds survives.
    pub fn join(&mut self, mut gateway: Gateway) -> usize {
        gateway.connect();
        self.peers.push(Peer {
            stream: Some(Stream::open(&mut self.store)),
            gateway,
        });
        self.peers.len() - 1
    }

    /// A gateway that is connected and has all there is.
    pub fn join_ready(&mut self, id: &str) -> usize {
        let peer = self.join(Gateway::new(id));
        self.settle();
        assert!(self.peers[peer].gateway.is_ready(), "{id} is not ready");
        peer
    }

    pub fn cut(&mut self, peer: usize) {
        if let Some(mut stream) = self.peers[peer].stream.take() {
            stream.close(&mut self.store);
        }
    }

    pub fn reconnect(&mut self, peer: usize) {
        self.cut(peer);
        self.peers[peer].gateway.connect();
        self.peers[peer].stream = Some(Stream::open(&mut self.store));
    }

    /// Moves the server to another process: nothing is left but the world.
    pub fn restart(&mut self, update: Update) {
        for peer in 0..self.peers.len() {
            self.cut(peer);
        }
        self.store = Store::new(Settings::default());
        self.world.clear();
        self.update(update);
        for peer in 0..self.peers.len() {
            self.reconnect(peer);
        }
    }

    pub fn poll(&mut self, peer: usize) -> Vec<DeltaDiscoveryResponse> {
        let stream = self.peers[peer].stream.as_mut().unwrap();
        stream.poll(&mut self.store, self.now)
    }

    /// Hands the gateway's next request to its stream; `false` if there is none.
    pub fn ask(&mut self, peer: usize) -> bool {
        let Peer { stream, gateway } = &mut self.peers[peer];
        match (gateway.outbox.pop_front(), stream) {
            (Some(request), Some(stream)) => {
                stream.on_request(request, &mut self.store);
                true
            }
            _ => false,
        }
    }

    /// Runs all gateways until nobody has anything to say; time stands still.
    pub fn settle(&mut self) {
        let mut turns = 0;
        let mut moved = true;
        while moved {
            moved = false;
            for peer in 0..self.peers.len() {
                if self.peers[peer].stream.is_none() {
                    continue;
                }
                while self.ask(peer) {
                    moved = true;
                }
                for response in self.poll(peer) {
                    moved = true;
                    self.peers[peer].gateway.take(&response);
                }
            }
            turns += 1;
            assert!(turns < 20_000, "the exchange never ends");
        }
    }

    /// Lets time pass, and everything that waited for it happen.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.settle();
    }

    pub fn gateway(&mut self, peer: usize) -> &mut Gateway {
        &mut self.peers[peer].gateway
    }

    pub fn node(&self, peer: usize) -> Node {
        self.peers[peer].stream.as_ref().unwrap().node()
    }

    /// What came since the last look: names by type, removals with a `-`.
    pub fn came(&mut self, peer: usize) -> Vec<String> {
        let log = std::mem::take(&mut self.peers[peer].gateway.log);
        log.iter().map(brief).collect()
    }

    #[track_caller]
    pub fn assert_unharmed(&self) {
        for peer in &self.peers {
            let none: Vec<String> = Vec::new();
            assert_eq!(peer.gateway.harm, none, "{}", peer.gateway.id);
        }
    }
}

/// `CDS a b -c`.
pub fn brief(response: &DeltaDiscoveryResponse) -> String {
    let kind = Kind::from_type_url(&response.type_url).unwrap();
    let put = response.resources.iter().map(|r| format!(" {}", r.name));
    let removed = response.removed_resources.iter();
    let removed = removed.map(|name| format!(" -{name}"));
    let names: String = put.chain(removed).collect();
    format!("{kind}{names}")
}

fn resource(kind: Kind, name: &str, body: &str) -> Resource {
    Resource {
        kind,
        name: name.to_owned(),
        content: Some(Content::new(body.as_bytes().to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: 1,
    }
}

pub fn listener() -> Resource {
    resource(Kind::Listener, "external-http", "listener")
}

pub fn cluster(name: &str, body: &str) -> Resource {
    resource(Kind::Cluster, name, body)
}

pub fn endpoints(name: &str, body: &str) -> Resource {
    resource(Kind::Endpoints, name, body)
}

pub fn secret(host: &str, body: &str) -> Resource {
    resource(Kind::Secret, host, body)
}

pub fn table(name: &str, body: &str) -> Resource {
    Resource {
        standby: Some(Content::standby(format!("standby of {name}").into_bytes())),
        ..resource(Kind::RouteTable, name, body)
    }
}

/// The scope of a host of an Ingress: `ext/ns/ingress/host`.
pub fn scope(path: &str) -> Resource {
    let (table, host) = path.rsplit_once('/').unwrap();
    let side = table.split('/').next().unwrap();
    let name = format!("{side}/{host}");
    Resource {
        content: Some(Content::leading_to(table, format!("to {table}"))),
        table: Some(table.to_owned()),
        key: name::scope_key(&name),
        ..resource(Kind::Scope, &name, "")
    }
}

/// All of one external Ingress in namespace `ns`: one cluster of its own, and
/// the hosts given.
pub fn ingress(ingress: &str, hosts: &[&str]) -> Vec<Resource> {
    let backend = format!("ns/{ingress}/80");
    let name = format!("ext/ns/{ingress}");
    let body = format!("hosts={};clusters={backend}", hosts.join(","));
    let mut resources = vec![
        cluster(&backend, "v1"),
        endpoints(&backend, "10.0.0.1"),
        table(&name, &body),
    ];
    resources.extend(hosts.iter().map(|host| scope(&format!("{name}/{host}"))));
    resources
}

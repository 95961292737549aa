//! What one change costs the server: publish, fill the response, encode it, take
//! the ACK; for worlds of growing size and one gateway that holds all of it.
//!
//! ```text
//! cargo run --release -p sluice-xds --example publish_cost
//! ```
//!
//! The columns should not grow with the number of Ingresses.

// Its output is what it is for.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use prost::Message;
use sluice_envoy::{Content, Kind, Resource, Update, name};
use sluice_xds::wire::DeltaDiscoveryRequest;
use sluice_xds::{Settings, Store, Stream};

const ROUNDS: u32 = 2_000;

fn main() {
    println!("Ingresses  load ms  endpoints us  table us  nothing us");
    for ingresses in [10, 100, 1_000, 10_000] {
        let mut gateway = Gateway::open();
        let start = Instant::now();
        gateway.load(ingresses);
        let load = start.elapsed();
        let endpoints = gateway.measure(|i, round| {
            let cluster = format!("default/service-{i}/80");
            resource(Kind::Endpoints, &cluster, round, 200)
        });
        let table = gateway.measure(|i, round| {
            let table = format!("ext/default/ingress-{i}");
            resource(Kind::RouteTable, &table, round, 1_300)
        });
        // An equal resource is no change.
        let nothing = gateway.measure(|i, _| {
            let cluster = format!("default/service-{i}/80");
            resource(Kind::Cluster, &cluster, 0, 400)
        });
        println!(
            "{ingresses:>9}  {:>7}  {:>12.1}  {:>8.1}  {:>10.1}",
            load.as_millis(),
            micros(endpoints),
            micros(table),
            micros(nothing),
        );
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn resource(kind: Kind, name: &str, salt: u32, bytes: usize) -> Resource {
    let mut body = vec![0; bytes];
    body[..4].copy_from_slice(&salt.to_be_bytes());
    let table = name.rsplit_once('/').map(|(table, _)| table.to_owned());
    Resource {
        kind,
        name: name.to_owned(),
        content: Some(Content::new(body)),
        standby: None,
        key: name::scope_key(name).filter(|_| kind == Kind::Scope),
        table: table.filter(|_| kind == Kind::Scope),
        shape: 0,
    }
}

/// A store and one stream whose gateway takes everything at once.
struct Gateway {
    store: Store,
    stream: Stream,
    ingresses: usize,
}

impl Gateway {
    fn open() -> Self {
        let mut store = Store::new(Settings::default());
        let stream = Stream::open(&mut store);
        Self {
            store,
            stream,
            ingresses: 0,
        }
    }

    fn load(&mut self, ingresses: usize) {
        self.ingresses = ingresses;
        let mut upserts = Vec::new();
        for i in 0..ingresses {
            let cluster = format!("default/service-{i}/80");
            let table = format!("ext/default/ingress-{i}");
            let scope = format!("{table}/host-{i}.example.com");
            upserts.push(resource(Kind::Cluster, &cluster, 0, 400));
            upserts.push(resource(Kind::Endpoints, &cluster, 0, 200));
            upserts.push(resource(Kind::RouteTable, &table, 0, 1_300));
            upserts.push(resource(Kind::Scope, &scope, 0, 200));
        }
        let names = |kind: Kind| {
            let of_kind = upserts.iter().filter(move |r| r.kind == kind);
            of_kind.map(|r| r.name.clone()).collect::<Vec<String>>()
        };
        for (kind, names) in [
            (Kind::Cluster, Vec::new()),
            (Kind::Endpoints, names(Kind::Endpoints)),
            (Kind::Listener, Vec::new()),
            (Kind::Scope, Vec::new()),
            (Kind::RouteTable, names(Kind::RouteTable)),
        ] {
            self.request(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: names,
                ..DeltaDiscoveryRequest::default()
            });
        }
        self.store.publish(Update {
            upserts,
            ..Update::default()
        });
        self.exchange();
        let acked = self.stream.node().acked;
        assert_eq!(acked, Some(self.store.revision()), "the load is incomplete");
    }

    fn request(&mut self, request: DeltaDiscoveryRequest) {
        self.stream.on_request(request, &mut self.store);
    }

    /// Sends and acknowledges until there is nothing to send.
    fn exchange(&mut self) {
        loop {
            let responses = self.stream.poll(&mut self.store, Instant::now());
            if responses.is_empty() {
                return;
            }
            for response in responses {
                std::hint::black_box(response.encode_to_vec());
                self.request(DeltaDiscoveryRequest {
                    type_url: response.type_url,
                    response_nonce: response.nonce,
                    ..DeltaDiscoveryRequest::default()
                });
            }
        }
    }

    /// The mean time of one change, from publish to ACK.
    fn measure(&mut self, change: impl Fn(usize, u32) -> Resource) -> Duration {
        let mut spent = Duration::ZERO;
        for round in 1..=ROUNDS {
            // Steps through the world by a stride that is prime to its size.
            let i = (round as usize * 7_919) % self.ingresses;
            let upserts = vec![change(i, round)];
            let start = Instant::now();
            self.store.publish(Update {
                upserts,
                ..Update::default()
            });
            self.exchange();
            spent += start.elapsed();
        }
        spent / ROUNDS
    }
}

use std::collections::BTreeMap;

use super::*;
use crate::fixture::{config, external, metadata, port, service};

/// What an endpoint says of itself: ready, serving, terminating.
type Conditions = [Option<bool>; 3];

const READY: Conditions = [Some(true), Some(true), Some(false)];
const NOT_READY: Conditions = [Some(false), Some(false), Some(false)];
const DRAINING: Conditions = [Some(false), Some(true), Some(true)];

fn slice(endpoints: &[(&str, Conditions)]) -> crds::EndpointSlice {
    let endpoints = endpoints.iter();
    crds::EndpointSlice {
        metadata: metadata("hello-x"),
        address_type: "IPv4".into(),
        endpoints: endpoints
            .map(|(address, [ready, serving, terminating])| crds::Endpoint {
                addresses: vec![(*address).into()],
                conditions: crds::EndpointConditions {
                    ready: *ready,
                    serving: *serving,
                    terminating: *terminating,
                },
            })
            .collect(),
        ports: vec![crds::EndpointSlicePort {
            name: "http".into(),
            port: Some(8080),
        }],
    }
}

fn copy(address: &str) -> crds::EndpointSlice {
    let mut copy = slice(&[(address, READY)]);
    copy.metadata.labels = label(MANAGED_BY_LABEL, MIRROR);
    copy
}

fn written(ip: &str) -> crds::Endpoints {
    crds::Endpoints {
        metadata: metadata("hello"),
        subsets: vec![crds::EndpointSubset {
            addresses: vec![crds::EndpointsAddress { ip: ip.into() }],
            not_ready_addresses: vec![crds::EndpointsAddress {
                ip: "10.0.0.66".into(),
            }],
            ports: vec![crds::EndpointsPort {
                name: "http".into(),
                port: 8080,
            }],
        }],
    }
}

fn label(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.into(), value.into())])
}

fn hello() -> crds::Service {
    service("hello", &[port("http", 80)])
}

fn public() -> crds::Service {
    let mut public = hello();
    public.metadata.labels = label(SERVICE_TYPE_LABEL, "Public");
    public
}

fn found(
    service: Option<&crds::Service>,
    written: Option<&crds::Endpoints>,
    slices: &[&crds::EndpointSlice],
) -> Vec<String> {
    let port = "default/hello/80".parse().unwrap();
    let endpoints = endpoints(&port, service, written, slices, &config());
    assert_eq!(endpoints.service_port, port);
    let addresses = endpoints.addresses.into_iter();
    addresses
        .map(|address| std::net::SocketAddr::from(address).to_string())
        .collect()
}

#[test]
fn serving_writes_the_endpoints_of_its_public_services_and_nobody_else() {
    let (own, copied) = (slice(&[("10.0.0.1", READY)]), copy("10.0.0.2"));
    let original = written("10.0.0.3");
    let slices = [&own, &copied];
    assert_eq!(
        found(Some(&public()), Some(&original), &slices),
        ["10.0.0.3:8080"]
    );
    assert!(found(Some(&public()), None, &slices).is_empty());
    let mut private = hello();
    private.metadata.labels = label(SERVICE_TYPE_LABEL, "Private");
    assert_eq!(
        found(Some(&private), Some(&original), &slices),
        ["10.0.0.1:8080"]
    );
}

#[test]
fn own_slices_count_before_endpoints_and_those_before_their_copies() {
    let (own, copied) = (slice(&[("10.0.0.1", READY)]), copy("10.0.0.2"));
    let original = written("10.0.0.3");
    let hello = hello();
    let of = |written, slices: &[&crds::EndpointSlice]| found(Some(&hello), written, slices);
    assert_eq!(of(Some(&original), &[&own, &copied]), ["10.0.0.1:8080"]);
    assert_eq!(of(Some(&original), &[&copied]), ["10.0.0.3:8080"]);
    assert_eq!(of(Some(&original), &[]), ["10.0.0.3:8080"]);
    assert_eq!(of(None, &[&copied]), ["10.0.0.2:8080"]);
    // An own slice that holds nothing says that there is nothing.
    assert!(of(Some(&original), &[&slice(&[]), &copied]).is_empty());
}

#[test]
fn what_is_unknown_counts_as_ready() {
    let slice = slice(&[
        ("10.0.0.1", READY),
        ("10.0.0.2", [None; 3]),
        ("10.0.0.3", NOT_READY),
        ("10.0.0.4", DRAINING),
    ]);
    assert_eq!(
        found(Some(&hello()), None, &[&slice]),
        ["10.0.0.1:8080", "10.0.0.2:8080"]
    );
}

#[test]
fn terminating_endpoints_serve_where_nobody_else_does() {
    let draining = slice(&[
        ("10.0.0.3", NOT_READY),
        ("10.0.0.4", DRAINING),
        ("10.0.0.5", [Some(false), Some(true), Some(false)]),
        ("10.0.0.6", [Some(false), Some(false), Some(true)]),
        ("10.0.0.7", [Some(false), None, Some(true)]),
        ("10.0.0.8", [Some(false), Some(true), None]),
    ]);
    assert_eq!(found(Some(&hello()), None, &[&draining]), ["10.0.0.4:8080"]);
    let ready = slice(&[("10.0.0.1", READY)]);
    assert_eq!(
        found(Some(&hello()), None, &[&draining, &ready]),
        ["10.0.0.1:8080"]
    );
}

#[test]
fn ports_are_matched_by_the_name_of_the_service_port() {
    let mut slice = slice(&[("10.0.0.1", READY)]);
    let port_of = |name: &str, port| crds::EndpointSlicePort {
        name: name.into(),
        port,
    };
    slice.ports = vec![
        port_of("http-istio", Some(8012)),
        port_of("http", Some(8012)),
        port_of("http", None),
        port_of("http", Some(0)),
        port_of("http", Some(70_000)),
        port_of("", Some(80)),
    ];
    assert_eq!(found(Some(&hello()), None, &[&slice]), ["10.0.0.1:8012"]);
    let nameless = service("hello", &[port("", 80)]);
    assert_eq!(found(Some(&nameless), None, &[&slice]), ["10.0.0.1:80"]);
    let mut original = written("10.0.0.3");
    original.subsets[0].ports.push(crds::EndpointsPort {
        name: "other".into(),
        port: 9,
    });
    original.subsets[0].ports.push(crds::EndpointsPort {
        name: "http".into(),
        port: -1,
    });
    assert_eq!(
        found(Some(&public()), Some(&original), &[]),
        ["10.0.0.3:8080"]
    );
}

#[test]
fn what_cannot_be_dialled_is_left_out() {
    let mut slice = slice(&[
        ("10.0.0.1", READY),
        ("127.0.0.1", READY),
        ("169.254.169.254", READY),
        ("name.example.com", READY),
        ("", READY),
    ]);
    slice.endpoints.push(crds::Endpoint::default());
    slice.endpoints[0].addresses.push("10.0.0.2".into());
    assert_eq!(found(Some(&hello()), None, &[&slice]), ["10.0.0.1:8080"]);
    slice.address_type = "FQDN".into();
    assert!(found(Some(&hello()), None, &[&slice]).is_empty());
    let original = written("::ffff:127.0.0.1");
    assert!(found(Some(&public()), Some(&original), &[]).is_empty());
}

#[test]
fn loopback_is_for_the_laptop() {
    let slice = slice(&[("127.0.0.1", READY), ("169.254.1.1", READY)]);
    let original = written("127.0.0.2");
    let config = Config {
        allow_loopback: true,
        backends: crate::Backends::Plain,
        ..config()
    };
    let port = "default/hello/80".parse().unwrap();
    let count = |service: &crds::Service| {
        endpoints(&port, Some(service), Some(&original), &[&slice], &config)
            .addresses
            .len()
    };
    assert_eq!(count(&hello()), 1);
    assert_eq!(count(&public()), 1);
}

#[test]
fn a_service_that_is_gone_or_elsewhere_has_none() {
    let slice = slice(&[("10.0.0.1", READY)]);
    assert!(found(None, None, &[&slice]).is_empty());
    assert!(found(Some(&external("hello", "example.com")), None, &[&slice]).is_empty());
    assert!(
        found(
            Some(&service("hello", &[port("http", 81)])),
            None,
            &[&slice]
        )
        .is_empty()
    );
    let mut udp = port("http", 80);
    udp.protocol = "UDP".into();
    assert!(found(Some(&service("hello", &[udp.clone()])), None, &[&slice]).is_empty());
    udp.name = "udp".into();
    let both = service("hello", &[udp, port("http", 80)]);
    assert_eq!(found(Some(&both), None, &[&slice]), ["10.0.0.1:8080"]);
}

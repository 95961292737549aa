use sluice_crds::IntOrString;

use super::*;
use crate::fixture::{Around, external, gateway, ingress, path, plan, port, rule, service, split};

fn upstream_of(service: &crds::Service, asked: IntOrString) -> Result<Upstream, Rejection> {
    let mut split = split(&service.metadata.name, 100);
    split.service_port = asked;
    let ingress = ingress("hello", &[]);
    let config = crate::fixture::config();
    let inputs = Inputs {
        ingress: &ingress,
        config: &config,
        now: jiff::Timestamp::UNIX_EPOCH,
        services: [(service.metadata.name.as_str(), service)].into(),
        secrets: [].into(),
        owners: [].into(),
        targets: [].into(),
    };
    upstream(&inputs, &split, crate::field::AtRule(0).path(0).split(0))
}

fn number(port: i32) -> IntOrString {
    IntOrString::Int(port)
}

fn named(name: &str) -> IntOrString {
    IntOrString::String(name.into())
}

#[test]
fn a_port_is_found_by_number_and_by_name() {
    let mut udp = port("dns", 53);
    udp.protocol = "UDP".into();
    let mut tcp = port("dns-tcp", 53);
    tcp.protocol = "TCP".into();
    let hello = service("hello", &[port("http", 80), udp, tcp, port("huge", 70_000)]);
    let of = |asked| {
        let found = upstream_of(&hello, asked);
        found.map(|upstream| upstream.service_port.to_string())
    };
    assert_eq!(of(number(80)).as_deref(), Ok("default/hello/80"));
    assert_eq!(of(named("http")).as_deref(), Ok("default/hello/80"));
    assert_eq!(of(number(53)).as_deref(), Ok("default/hello/53"));
    assert_eq!(of(named("dns-tcp")).as_deref(), Ok("default/hello/53"));
    for asked in [
        named("dns"),
        named("80"),
        named(""),
        named("HTTP"),
        named("huge"),
        number(8080),
        number(0),
        number(-1),
        number(70_000),
        number(65_536 + 80),
    ] {
        assert_eq!(
            of(asked.clone()).unwrap_err().reason,
            Reason::PortMissing,
            "{asked}"
        );
    }
    assert!(of(named("80")).unwrap_err().fix.contains("without quotes"));
    assert!(!of(named("dns")).unwrap_err().fix.contains("without quotes"));
}

#[test]
fn ports_that_there_are_are_named_within_reason() {
    let expected = |count: i32| {
        let ports: Vec<_> = (1..=count).map(|number| port("", number)).collect();
        upstream_of(&service("hello", &ports), number(99))
            .unwrap_err()
            .expected
    };
    assert_eq!(expected(0), "a TCP port, of which the Service has none");
    assert_eq!(expected(2), "one of its TCP ports: 1, 2");
    assert_eq!(expected(8), "one of its TCP ports: 1, 2, 3, 4, 5, 6, 7, 8");
    assert_eq!(
        expected(9),
        "one of its TCP ports: 1, 2, 3, 4, 5, 6, 7, 8, …"
    );
}

#[test]
fn http2_is_what_the_port_says_of_itself() {
    let protocol = |name: &str, app_protocol: &str| {
        let mut port = port(name, 80);
        port.app_protocol = app_protocol.into();
        let found = upstream_of(&service("hello", &[port]), number(80));
        found.unwrap().cluster.protocol
    };
    for name in [
        "http2",
        "http2-web",
        "h2c",
        "h2c-x",
        "grpc",
        "grpc-api",
        "grpc-webhook",
    ] {
        assert_eq!(protocol(name, ""), Protocol::Http2, "{name}");
        assert_eq!(protocol(name, "example.com/own"), Protocol::Http2, "{name}");
        assert_eq!(protocol(name, "http"), Protocol::Http1, "{name}");
        assert_eq!(
            protocol(name, "kubernetes.io/ws"),
            Protocol::Http1,
            "{name}"
        );
    }
    for name in [
        "",
        "http",
        "web",
        "http2x",
        "h2",
        "grpcx",
        "x-grpc",
        "grpc-web",
        "grpc-web-x",
    ] {
        assert_eq!(protocol(name, ""), Protocol::Http1, "{name}");
        for app_protocol in ["kubernetes.io/h2c", "h2c", "http2", "grpc"] {
            assert_eq!(protocol(name, app_protocol), Protocol::Http2, "{name}");
        }
    }
}

#[test]
fn an_external_name_is_dialled_by_dns() {
    let dns = |service: &crds::Service, asked| {
        upstream_of(service, asked).map(|found| found.cluster.discovery)
    };
    let api = |port: u16| Discovery::Dns {
        name: "api.example.com".into(),
        port: NonZeroU16::new(port).unwrap(),
    };
    assert_eq!(
        dns(&external("x", "API.example.com."), number(80)),
        Ok(api(80))
    );
    assert_eq!(
        dns(&external("x", "api.example.com"), named("http")),
        Ok(api(80))
    );
    assert!(dns(&external("x", "api.example.com"), number(81)).is_err());
    let mut portless = external("x", "api.example.com");
    portless.spec.ports.clear();
    assert_eq!(dns(&portless, number(8443)), Ok(api(8443)));
    assert!(dns(&portless, named("http")).is_err());
    assert!(dns(&portless, number(0)).is_err());
    let mut inside = service("x", &[]);
    inside.spec.external_name = "ignored.example.com".into();
    assert!(dns(&inside, number(80)).is_err());
}

#[test]
fn only_the_private_gateway_leads_back() {
    assert!(upstream_of(&gateway("x"), number(80)).unwrap().leads_back);
    let elsewhere = external("x", "sluice-internal.other.svc.cluster.local");
    assert!(!upstream_of(&elsewhere, number(80)).unwrap().leads_back);
}

#[test]
fn two_names_for_a_port_are_one_cluster() {
    let mut by_name = split("hello", 50);
    by_name.service_port = named("http");
    let around = Around {
        services: vec![service("hello", &[port("http", 80)])],
        ..Around::default()
    };
    let rule = rule(&["a.x"], &[path("", &[split("hello", 50), by_name])]);
    assert_eq!(plan(&ingress("hello", &[rule]), &around).clusters.len(), 1);
}

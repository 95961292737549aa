//! Clusters: one per Service port, a function of it and of nothing else.

use std::net::Ipv6Addr;
use std::time::Duration;

use prost::Message;
use sluice_ir::{Cluster, Discovery, Protocol, ServicePort, Transport};

use crate::shape::Shape;
use crate::{Content, Kind, Resource, name, pb, tls};

/// A pod that is gone costs a request this much at most, then it is retried on
/// another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle connections to a backend are closed before most servers close them, so
/// that fewer requests meet a connection that is just being closed.
const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How much of a request or response one connection holds for a slow peer; also
/// how long a request body may be to be sent again to another host.
pub(crate) const BUFFER_BYTES: u32 = 1 << 20;

/// HTTP/2 flow control: one stream may have as much on its way as is buffered
/// for it, one connection eight streams' worth.
pub(crate) const STREAM_WINDOW_BYTES: u32 = BUFFER_BYTES;
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 8 * BUFFER_BYTES;

/// Streams that a gateway opens on one connection to a backend; what is beyond them
/// goes by further connections. A backend may say what it allows only after many
/// streams are there, and refuses those that are too many; Go's `net/http`, hence the
/// activator, allows 250, and RFC 9113 §6.5.2 asks that it be no less than 100.
const UPSTREAM_STREAMS: u32 = 100;

/// Circuit breakers must never open on a cold burst: the activator holds what
/// scale from zero makes wait, and Envoy's own 1,024 would answer 503.
const UNREACHABLE_LIMIT: u32 = 1_000_000;

/// The `Cluster` of a Service port. `trust` names the secret with the roots that
/// backends are trusted by.
pub(crate) fn cluster(service_port: &ServicePort, cluster: &Cluster, trust: &str) -> Resource {
    let name = name::cluster(service_port);
    let mut shape = Shape::new(Kind::Cluster);
    shape.add(match cluster.protocol {
        Protocol::Http1 => "http1",
        Protocol::Http2 => "http2",
    });
    let mut message = base(&name, cluster.protocol);
    if cluster.transport == Transport::Tls {
        shape.add("tls");
        let namespace = &service_port.service.namespace;
        message.transport_socket = Some(tls::upstream(namespace, cluster.protocol, trust));
    }
    match &cluster.discovery {
        Discovery::Endpoints => {
            shape.add("eds");
            message.cluster_discovery_type = Some(pb::ClusterDiscoveryType::Type(
                pb::DiscoveryType::Eds.into(),
            ));
            message.eds_cluster_config = Some(pb::EdsClusterConfig {
                eds_config: pb::ads(),
                ..pb::EdsClusterConfig::default()
            });
        }
        Discovery::Dns { name: host, port } => {
            shape.add("dns");
            message.cluster_discovery_type =
                Some(pb::ClusterDiscoveryType::ClusterType(dns_discovery()));
            message.load_assignment = Some(pb::ClusterLoadAssignment {
                cluster_name: name.clone(),
                endpoints: vec![pb::LocalityLbEndpoints {
                    lb_endpoints: vec![endpoint(host, port.get())],
                    ..pb::LocalityLbEndpoints::default()
                }],
                ..pb::ClusterLoadAssignment::default()
            });
            // A name that does not resolve must not hold the acknowledgement of
            // all other clusters: it answers 503 until it does.
            message.wait_for_warm_on_init = pb::bool(false);
        }
    }
    Resource {
        kind: Kind::Cluster,
        name,
        content: Some(Content::new(message.encode_to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: shape.finish(),
    }
}

/// All that clusters have in common, however their endpoints are found.
fn base(name: &str, protocol: Protocol) -> pb::Cluster {
    pb::Cluster {
        name: name.to_owned(),
        connect_timeout: pb::duration(CONNECT_TIMEOUT),
        per_connection_buffer_limit_bytes: pb::uint32(BUFFER_BYTES),
        lb_policy: pb::LbPolicy::LeastRequest.into(),
        circuit_breakers: Some(pb::CircuitBreakers {
            thresholds: vec![pb::Thresholds {
                priority: pb::RoutingPriority::Default.into(),
                max_connections: pb::uint32(UNREACHABLE_LIMIT),
                max_pending_requests: pb::uint32(UNREACHABLE_LIMIT),
                max_requests: pb::uint32(UNREACHABLE_LIMIT),
                max_retries: pb::uint32(UNREACHABLE_LIMIT),
                ..pb::Thresholds::default()
            }],
            ..pb::CircuitBreakers::default()
        }),
        outlier_detection: Some(outlier_detection()),
        upstream_connection_options: Some(pb::UpstreamConnectionOptions {
            // By TCP, not by HTTP/2 PING: gRPC servers end a connection that
            // pings an idle stream more often than they allow.
            tcp_keepalive: Some(pb::TcpKeepalive {
                keepalive_time: pb::uint32(30),
                keepalive_interval: pb::uint32(5),
                keepalive_probes: pb::uint32(3),
            }),
            ..pb::UpstreamConnectionOptions::default()
        }),
        typed_extension_protocol_options: [(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(),
            pb::any(&protocol_options(protocol)),
        )]
        .into(),
        ..pb::Cluster::default()
    }
}

fn protocol_options(protocol: Protocol) -> pb::UpstreamProtocolOptions {
    let explicit = match protocol {
        Protocol::Http1 => {
            pb::ProtocolConfig::HttpProtocolOptions(pb::Http1ProtocolOptions::default())
        }
        Protocol::Http2 => pb::ProtocolConfig::Http2ProtocolOptions(pb::Http2ProtocolOptions {
            max_concurrent_streams: pb::uint32(UPSTREAM_STREAMS),
            ..http2_options()
        }),
    };
    pb::UpstreamProtocolOptions {
        common_http_protocol_options: Some(pb::HttpProtocolOptions {
            idle_timeout: pb::duration(UPSTREAM_IDLE_TIMEOUT),
            ..pb::HttpProtocolOptions::default()
        }),
        upstream_protocol_options: Some(pb::UpstreamProtocol::ExplicitHttpConfig(
            pb::ExplicitHttpConfig {
                protocol_config: Some(explicit),
            },
        )),
        ..pb::UpstreamProtocolOptions::default()
    }
}

/// HTTP/2 on either side of a gateway. Extended CONNECT carries a WebSocket to
/// an HTTP/2 backend, or from gateway to gateway; no route matches a plain one.
pub(crate) fn http2_options() -> pb::Http2ProtocolOptions {
    pb::Http2ProtocolOptions {
        allow_connect: true,
        initial_stream_window_size: pb::uint32(STREAM_WINDOW_BYTES),
        initial_connection_window_size: pb::uint32(CONNECTION_WINDOW_BYTES),
        ..pb::Http2ProtocolOptions::default()
    }
}

/// Leaves out, for some seconds, a host to which no connection can be made:
/// a request whose body outgrew the buffer cannot be sent again to another. Never
/// judges by answers: a 5xx is the application's own.
fn outlier_detection() -> pb::OutlierDetection {
    pb::OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: pb::uint32(1),
        enforcing_consecutive_local_origin_failure: pb::uint32(100),
        consecutive_5xx: pb::uint32(0),
        enforcing_consecutive_5xx: pb::uint32(0),
        consecutive_gateway_failure: pb::uint32(0),
        enforcing_consecutive_gateway_failure: pb::uint32(0),
        enforcing_success_rate: pb::uint32(0),
        enforcing_local_origin_success_rate: pb::uint32(0),
        enforcing_failure_percentage: pb::uint32(0),
        enforcing_failure_percentage_local_origin: pb::uint32(0),
        interval: pb::duration(Duration::from_secs(1)),
        base_ejection_time: pb::duration(Duration::from_secs(5)),
        max_ejection_time: pb::duration(Duration::from_secs(10)),
        max_ejection_percent: pb::uint32(50),
        ..pb::OutlierDetection::default()
    }
}

/// One logical host over all addresses that the name has at the moment, tried
/// in turn (both families). Not a host per address: names that rotate through
/// addresses would drain connections at every answer.
fn dns_discovery() -> pb::CustomClusterType {
    let dns = pb::DnsCluster {
        dns_refresh_rate: pb::duration(Duration::from_secs(5)),
        dns_failure_refresh_rate: Some(pb::RefreshRate {
            base_interval: pb::duration(Duration::from_secs(1)),
            max_interval: pb::duration(Duration::from_secs(10)),
        }),
        respect_dns_ttl: true,
        dns_lookup_family: pb::DnsLookupFamily::All.into(),
        all_addresses_in_single_endpoint: true,
        ..pb::DnsCluster::default()
    };
    pb::CustomClusterType {
        name: "envoy.clusters.dns".to_owned(),
        typed_config: Some(pb::any(&dns)),
    }
}

/// An endpoint at an IP or a name.
pub(crate) fn endpoint(host: &str, port: u16) -> pb::LbEndpoint {
    lb_endpoint(socket_address(host, port))
}

/// An endpoint at any address.
pub(crate) fn lb_endpoint(address: pb::Address) -> pb::LbEndpoint {
    pb::LbEndpoint {
        host_identifier: Some(pb::HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(address),
            ..pb::Endpoint::default()
        })),
        ..pb::LbEndpoint::default()
    }
}

/// A TCP address.
pub(crate) fn socket_address(host: &str, port: u16) -> pb::Address {
    pb::Address {
        address: Some(pb::AddressKind::SocketAddress(pb::SocketAddress {
            address: host.to_owned(),
            port_specifier: Some(pb::PortSpecifier::PortValue(port.into())),
            // `::` means both families, where it is listened on.
            ipv4_compat: host.parse() == Ok(Ipv6Addr::UNSPECIFIED),
            ..pb::SocketAddress::default()
        })),
    }
}

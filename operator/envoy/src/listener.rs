//! The listeners of a gateway, constant for its life: a changed listener cuts
//! WebSockets and long requests at the end of its drain, so nothing that belongs
//! to one Ingress stands in any of them.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use sluice_ir::Side;

use crate::shape::Shape;
use crate::{
    Content, Edge, Kind, Resource, cluster, connection_manager, name, pb, route_table, tls,
};

/// A handshake that waits for its certificate is cut after this long; Envoy
/// itself has no bound.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// The listeners, and the readiness table that is sent after all else.
#[must_use]
pub fn listeners(edge: &Edge) -> Vec<Resource> {
    let traffic = |name: &str, address, side, secure: bool| {
        let manager = connection_manager::traffic(name, side, edge);
        let transport_socket = secure.then(tls::downstream);
        pb::Listener {
            traffic_direction: pb::TrafficDirection::Inbound.into(),
            per_connection_buffer_limit_bytes: pb::uint32(cluster::BUFFER_BYTES),
            max_connections_to_accept_per_socket_event: pb::uint32(1),
            // Requests and WebSockets may be silent for ever: only this tells a
            // client that is gone.
            tcp_keepalive: Some(pb::TcpKeepalive {
                keepalive_time: pb::uint32(60),
                keepalive_interval: pb::uint32(15),
                keepalive_probes: pb::uint32(4),
            }),
            ..listener(name, address, &manager, transport_socket)
        }
    };
    // Traffic must not keep a prober or a scraper out.
    let own = |name: &str, address, manager| pb::Listener {
        ignore_global_conn_limit: true,
        bypass_overload_manager: true,
        ..listener(name, address, &manager, None)
    };
    let [
        external_http,
        external_https,
        internal_http,
        internal_https,
        ready,
        stats,
    ] = name::LISTENERS;
    let messages = [
        traffic(external_http, edge.external_http, Side::External, false),
        traffic(external_https, edge.external_https, Side::External, true),
        traffic(internal_http, edge.internal_http, Side::Internal, false),
        traffic(internal_https, edge.internal_https, Side::Internal, true),
        own(ready, edge.readiness, connection_manager::readiness(ready)),
        own(
            stats,
            edge.statistics,
            connection_manager::statistics(stats),
        ),
    ];
    messages
        .into_iter()
        .map(|message| {
            let mut shape = Shape::new(Kind::Listener);
            shape.add(&message.name);
            Resource {
                kind: Kind::Listener,
                content: Some(Content::new(message.encode_to_vec())),
                name: message.name,
                standby: None,
                table: None,
                key: None,
                shape: shape.finish(),
            }
        })
        .chain([route_table::readiness()])
        .collect()
}

fn listener(
    name: &str,
    address: SocketAddr,
    manager: &pb::HttpConnectionManager,
    transport_socket: Option<pb::TransportSocket>,
) -> pb::Listener {
    let secure = transport_socket.is_some();
    pb::Listener {
        name: name.to_owned(),
        stat_prefix: name.to_owned(),
        address: Some(cluster::socket_address(
            &address.ip().to_string(),
            address.port(),
        )),
        filter_chains: vec![pb::FilterChain {
            filters: vec![pb::Filter {
                name: "envoy.filters.network.http_connection_manager".to_owned(),
                config_type: Some(pb::FilterConfig::TypedConfig(pb::any(manager))),
            }],
            transport_socket,
            transport_socket_connect_timeout: if secure {
                pb::duration(HANDSHAKE_TIMEOUT)
            } else {
                None
            },
            ..pb::FilterChain::default()
        }],
        ..pb::Listener::default()
    }
}

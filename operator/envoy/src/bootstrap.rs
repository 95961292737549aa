//! What an Envoy is started with: who it is, where its configuration comes
//! from, and what it may consume.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::{EnvoyError, cluster, dump, name, overload, pb};

/// The facts of one gateway that its bootstrap states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// `node.id`: unique among the gateways of one operator.
    pub node: String,
    /// `node.cluster`: the fleet.
    pub cluster: String,
    /// Where the xDS server answers.
    pub xds: XdsAddress,
    /// Unix socket of the admin interface; only its owner may connect.
    pub admin: PathBuf,
    /// Bytes of heap at which the gateway begins to refuse new work, if bounded.
    pub heap_limit: Option<u64>,
    /// Client connections that the gateway holds at most, over all its
    /// listeners but readiness and statistics.
    pub connection_limit: u32,
}

/// Where the xDS server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XdsAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// An absolute host name or an IP, and a port.
    Tcp(String, u16),
}

/// The bootstrap in the JSON that `envoy --config-path` reads (file name ending
/// in `.json`).
///
/// # Errors
/// [`EnvoyError`] only where the built-in descriptors are damaged.
pub fn bootstrap(bootstrap: &Bootstrap) -> Result<Value, EnvoyError> {
    dump::message(&message(bootstrap))
}

fn message(bootstrap: &Bootstrap) -> pb::Bootstrap {
    pb::Bootstrap {
        node: Some(pb::Node {
            id: bootstrap.node.clone(),
            cluster: bootstrap.cluster.clone(),
            ..pb::Node::default()
        }),
        admin: Some(pb::Admin {
            address: Some(unix(&bootstrap.admin, 0o600)),
            ..pb::Admin::default()
        }),
        static_resources: Some(pb::StaticResources {
            clusters: vec![
                xds_cluster(&bootstrap.xds),
                fixed(name::UNAVAILABLE_CLUSTER, None),
                fixed(name::ADMIN_CLUSTER, Some(unix(&bootstrap.admin, 0))),
            ],
            ..pb::StaticResources::default()
        }),
        dynamic_resources: Some(pb::DynamicResources {
            ads_config: Some(ads()),
            cds_config: pb::ads(),
            lds_config: pb::ads(),
            ..pb::DynamicResources::default()
        }),
        typed_dns_resolver_config: Some(dns_resolver()),
        stats_config: Some(stats()),
        deferred_stat_options: Some(pb::DeferredStatOptions {
            enable_deferred_creation_stats: true,
        }),
        layered_runtime: Some(runtime()),
        overload_manager: Some(overload::overload_manager(
            bootstrap.connection_limit,
            bootstrap.heap_limit,
        )),
        ..pb::Bootstrap::default()
    }
}

/// The delta stream. Reconnects within 2 s, where Envoy's own bound is 30 s: a
/// fleet that comes back at once costs little, since nothing unchanged is sent.
fn ads() -> pb::ApiConfigSource {
    pb::ApiConfigSource {
        api_type: pb::ApiType::DeltaGrpc.into(),
        transport_api_version: pb::ApiVersion::V3.into(),
        set_node_on_first_message_only: true,
        grpc_services: vec![pb::GrpcService {
            target_specifier: Some(pb::TargetSpecifier::EnvoyGrpc(pb::EnvoyGrpc {
                cluster_name: name::XDS_CLUSTER.to_owned(),
                retry_policy: Some(pb::GrpcRetryPolicy {
                    retry_back_off: Some(pb::BackoffStrategy {
                        base_interval: pb::duration(Duration::from_millis(100)),
                        max_interval: pb::duration(Duration::from_secs(2)),
                    }),
                    ..pb::GrpcRetryPolicy::default()
                }),
                ..pb::EnvoyGrpc::default()
            })),
            ..pb::GrpcService::default()
        }],
        ..pb::ApiConfigSource::default()
    }
}

fn xds_cluster(address: &XdsAddress) -> pb::Cluster {
    let (discovery, address) = match address {
        XdsAddress::Unix(path) => (pb::DiscoveryType::Static, unix(path, 0)),
        XdsAddress::Tcp(host, port) => (
            pb::DiscoveryType::StrictDns,
            cluster::socket_address(host, *port),
        ),
    };
    pb::Cluster {
        cluster_discovery_type: Some(pb::ClusterDiscoveryType::Type(discovery.into())),
        typed_extension_protocol_options: [(
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned(),
            pb::any(&pb::UpstreamProtocolOptions {
                upstream_protocol_options: Some(pb::UpstreamProtocol::ExplicitHttpConfig(
                    pb::ExplicitHttpConfig {
                        protocol_config: Some(pb::ProtocolConfig::Http2ProtocolOptions(
                            pb::Http2ProtocolOptions {
                                // A server that is gone is noticed while it is silent.
                                connection_keepalive: Some(pb::KeepaliveSettings {
                                    interval: pb::duration(Duration::from_secs(30)),
                                    timeout: pb::duration(Duration::from_secs(5)),
                                    ..pb::KeepaliveSettings::default()
                                }),
                                ..pb::Http2ProtocolOptions::default()
                            },
                        )),
                    },
                )),
                ..pb::UpstreamProtocolOptions::default()
            }),
        )]
        .into(),
        ..fixed(name::XDS_CLUSTER, Some(address))
    }
}

/// Names are absolute, as an ExternalName is to Kubernetes: the search list of
/// the gateway's own pod must not lead them elsewhere. A trailing dot would do the
/// same, but such names are not looked up in the hosts file.
fn dns_resolver() -> pb::TypedExtensionConfig {
    pb::extension(
        "envoy.network.dns_resolver.cares",
        &pb::CaresDnsResolverConfig {
            dns_resolver_options: Some(pb::DnsResolverOptions {
                no_default_search_domain: true,
                ..pb::DnsResolverOptions::default()
            }),
            ..pb::CaresDnsResolverConfig::default()
        },
    )
}

/// A cluster with one address or none.
fn fixed(name: &str, address: Option<pb::Address>) -> pb::Cluster {
    let endpoints = address
        .map(|address| pb::LocalityLbEndpoints {
            lb_endpoints: vec![cluster::lb_endpoint(address)],
            ..pb::LocalityLbEndpoints::default()
        })
        .into_iter()
        .collect();
    pb::Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(pb::ClusterDiscoveryType::Type(
            pb::DiscoveryType::Static.into(),
        )),
        connect_timeout: pb::duration(Duration::from_secs(1)),
        load_assignment: Some(pb::ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints,
            ..pb::ClusterLoadAssignment::default()
        }),
        ..pb::Cluster::default()
    }
}

/// A Unix socket; `mode` is for the one that listens.
fn unix(path: &Path, mode: u32) -> pb::Address {
    pb::Address {
        address: Some(pb::AddressKind::Pipe(pb::Pipe {
            path: path.to_string_lossy().into_owned(),
            mode,
        })),
    }
}

/// Which statistics there are. All of them would be 123 lines and 40 KB per
/// Service port; these are 17 lines and tell traffic, failures and configuration.
fn stats() -> pb::StatsConfig {
    const PREFIXES: [&str; 8] = [
        "server.",
        "cluster_manager.",
        "listener_manager.",
        "control_plane.",
        "runtime.",
        "overload.",
        "cluster.xds.",
        "main_thread.",
    ];
    const PATTERNS: [&str; 4] = [
        r"http\.[^.]+\.(downstream_(rq|cx)_(total|active|[2-5]xx|time|overload_close)|no_route)",
        r"http\.[^.]+\.scoped_rds\..*update_(success|rejected|failure)",
        r"cluster\.[^.]+\.(upstream_rq_(total|[2-5]xx|time|timeout|retry|pending_overflow|active)|upstream_cx_(total|active|connect_fail)|membership_(total|healthy))",
        r"listener\.[^.]+\.(downstream_cx_(total|active|overflow)|ssl\.connection_error|on_demand_secret\..*)",
    ];
    let prefixes = PREFIXES.map(|prefix| pb::MatchPattern::Prefix(prefix.to_owned()));
    let patterns = PATTERNS.map(|pattern| {
        pb::MatchPattern::SafeRegex(pb::RegexMatcher {
            regex: pattern.to_owned(),
            ..pb::RegexMatcher::default()
        })
    });
    // Envoy's own rule ends the name at its first dot: what is left of a host would be
    // a metric of its own for each.
    let certificate = pb::TagSpecifier {
        tag_name: "certificate".to_owned(),
        tag_value: Some(pb::TagValue::Regex(
            r"\.ssl\.certificate\.((.+)\.)expiration_unix_time_seconds$".to_owned(),
        )),
    };
    pb::StatsConfig {
        stats_tags: vec![certificate],
        stats_matcher: Some(pb::StatsMatcher {
            stats_matcher: Some(pb::StatsMatcherKind::InclusionList(pb::ListStringMatcher {
                patterns: prefixes
                    .into_iter()
                    .chain(patterns)
                    .map(pb::pattern)
                    .collect(),
            })),
        }),
        ..pb::StatsConfig::default()
    }
}

/// Runtime values, and no layer that could change them from outside. They bound
/// what one HTTP/2 client can make a worker do: streams reset before an answer,
/// and requests taken from one connection before another gets its turn.
fn runtime() -> pb::LayeredRuntime {
    const VALUES: [(&str, f64); 3] = [
        ("http.max_requests_per_io_cycle", 1.0),
        ("overload.premature_reset_min_stream_lifetime_seconds", 1.0),
        ("overload.premature_reset_total_stream_count", 500.0),
    ];
    let fields = VALUES
        .into_iter()
        .map(|(name, value)| {
            let kind = Some(pb::ValueKind::NumberValue(value));
            (name.to_owned(), pb::Value { kind })
        })
        .collect();
    pb::LayeredRuntime {
        layers: vec![pb::RuntimeLayer {
            name: "sluice".to_owned(),
            layer_specifier: Some(pb::LayerSpecifier::StaticLayer(pb::Struct { fields })),
        }],
    }
}

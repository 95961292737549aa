//! HTTP connection managers: what a listener does with a request before any
//! route of an Ingress sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_ir::{CONTROL_HEADERS, Side};

use crate::{Edge, answer, cluster, name, pb, route, scope};

/// Set by a DomainMapping's own hop on its way in again by the internal side,
/// so it goes only where it comes from outside.
const ORIGINAL_HOST: &str = "k-original-host";

/// Scope keys are compared byte for byte, host names are not. Envoy forbids
/// header mutations to touch the authority; its Lua filter may.
const LOWER_CASE_AUTHORITY: &str = r#"function envoy_on_request(request)
  local headers = request:headers()
  local authority = headers:get(":authority")
  if authority ~= nil then
    local lower = string.lower(authority)
    if lower ~= authority then
      headers:replace(":authority", lower)
      request:clearRouteCache()
    end
  end
end
"#;

/// Slow headers cost an attacker a connection for this long.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// Longer than the idle timeouts of common balancers, so that they close first.
const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// The manager of a listener that serves Ingresses.
pub(crate) fn traffic(listener: &str, side: Side, edge: &Edge) -> pb::HttpConnectionManager {
    pb::HttpConnectionManager {
        route_specifier: Some(pb::RouteSpecifier::ScopedRoutes(scoped_routes(side))),
        http_filters: vec![lower_case_authority(), traffic_router()],
        early_header_mutation_extensions: vec![strip_control_headers(side)],
        xff_num_trusted_hops: match side {
            Side::External => edge.trusted_hops,
            // The peer is a workload of the cluster or another gateway, and what
            // it says of its own client passes on: nothing internal is routed by
            // it, and `https` must survive a second hop.
            Side::Internal => 1,
        },
        // Clients outside cannot choose the id of a trace; workloads pass theirs on.
        preserve_external_request_id: side == Side::Internal,
        http2_protocol_options: Some(pb::Http2ProtocolOptions {
            max_concurrent_streams: pb::uint32(edge.client_streams),
            ..cluster::http2_options()
        }),
        common_http_protocol_options: Some(pb::HttpProtocolOptions {
            idle_timeout: pb::duration(CLIENT_IDLE_TIMEOUT),
            headers_with_underscores_action: pb::HeadersWithUnderscoresAction::Allow.into(),
            ..pb::HttpProtocolOptions::default()
        }),
        upgrade_configs: vec![pb::UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..pb::UpgradeConfig::default()
        }],
        server_header_transformation: if edge.server_header {
            pb::ServerHeaderTransformation::AppendIfAbsent.into()
        } else {
            pb::ServerHeaderTransformation::PassThrough.into()
        },
        // Applications own their URLs: a path reaches them as it was sent.
        normalize_path: pb::bool(false),
        merge_slashes: false,
        path_with_escaped_slashes_action: pb::PathWithEscapedSlashesAction::KeepUnchanged.into(),
        strip_trailing_host_dot: true,
        local_reply_config: Some(answer::local_replies()),
        access_log: if edge.access_log {
            vec![access_log()]
        } else {
            Vec::new()
        },
        ..base(listener)
    }
}

/// The manager of the readiness listener. Its table comes by RDS, not by scope,
/// so that it can be sent after all else.
pub(crate) fn readiness(listener: &str) -> pb::HttpConnectionManager {
    pb::HttpConnectionManager {
        route_specifier: Some(pb::RouteSpecifier::Rds(pb::Rds {
            config_source: pb::ads(),
            route_config_name: name::READINESS_TABLE.to_owned(),
        })),
        http_filters: vec![router()],
        ..base(listener)
    }
}

/// The manager of the statistics listener: one path of the admin interface, by
/// GET, and nothing else of it.
pub(crate) fn statistics(listener: &str) -> pb::HttpConnectionManager {
    let forward = pb::RouteAction {
        timeout: pb::duration(Duration::from_secs(30)),
        cluster_specifier: Some(pb::ClusterSpecifier::Cluster(
            name::ADMIN_CLUSTER.to_owned(),
        )),
        ..pb::RouteAction::default()
    };
    pb::HttpConnectionManager {
        route_specifier: Some(pb::RouteSpecifier::RouteConfig(pb::RouteConfiguration {
            name: "sluice/statistics".to_owned(),
            virtual_hosts: vec![pb::VirtualHost {
                name: "statistics".to_owned(),
                domains: vec!["*".to_owned()],
                routes: vec![pb::Route {
                    r#match: Some(route::get("/stats/prometheus")),
                    action: Some(pb::Action::Route(forward)),
                    ..pb::Route::default()
                }],
                ..pb::VirtualHost::default()
            }],
            ..pb::RouteConfiguration::default()
        })),
        http_filters: vec![router()],
        ..base(listener)
    }
}

/// What holds on every listener.
fn base(listener: &str) -> pb::HttpConnectionManager {
    pb::HttpConnectionManager {
        codec_type: pb::CodecType::Auto.into(),
        stat_prefix: listener.to_owned(),
        use_remote_address: pb::bool(true),
        // `internal_address_config` stays unset: no address is trusted for being
        // private. Present but empty, Envoy 1.40 trusts all private ones.
        request_headers_timeout: pb::duration(HEADERS_TIMEOUT),
        // Revisions may be silent for their whole timeout, WebSockets for ever.
        stream_idle_timeout: pb::duration(Duration::ZERO),
        generate_request_id: pb::bool(true),
        ..pb::HttpConnectionManager::default()
    }
}

fn scoped_routes(side: Side) -> pb::ScopedRoutes {
    let host = pb::FragmentBuilder {
        r#type: Some(pb::FragmentBuilderType::HeaderValueExtractor(
            pb::HeaderValueExtractor {
                name: ":authority".to_owned(),
                // Leaves out the port without taking it from the request.
                element_separator: ":".to_owned(),
                extract_type: Some(pb::ExtractType::Index(0)),
            },
        )),
    };
    pb::ScopedRoutes {
        name: "hosts".to_owned(),
        scope_key_builder: Some(pb::ScopeKeyBuilder {
            fragments: vec![host; scope::arity(side)],
        }),
        rds_config_source: pb::ads(),
        config_specifier: Some(pb::ScopedRoutesConfig::ScopedRds(pb::ScopedRds {
            scoped_rds_config_source: pb::ads(),
            ..pb::ScopedRds::default()
        })),
    }
}

fn strip_control_headers(side: Side) -> pb::TypedExtensionConfig {
    let from_outside = (side == Side::External).then_some(ORIGINAL_HOST);
    let mut actions: Vec<_> = CONTROL_HEADERS
        .into_iter()
        .chain(from_outside)
        .map(|name| pb::HeaderMutationAction::Remove(name.to_owned()))
        .collect();
    // What steers Envoy itself: timeouts, retries, internal marks.
    actions.push(pb::HeaderMutationAction::RemoveOnMatch(pb::RemoveOnMatch {
        key_matcher: Some(pb::pattern(pb::MatchPattern::Prefix("x-envoy-".to_owned()))),
    }));
    pb::extension(
        "envoy.http.early_header_mutation.header_mutation",
        &pb::EarlyHeaderMutation {
            mutations: actions
                .into_iter()
                .map(|action| pb::HeaderMutation {
                    action: Some(action),
                })
                .collect(),
        },
    )
}

fn lower_case_authority() -> pb::HttpFilter {
    http_filter(
        "envoy.filters.http.lua",
        pb::any(&pb::Lua {
            default_source_code: pb::inline(LOWER_CASE_AUTHORITY),
            ..pb::Lua::default()
        }),
    )
}

fn router() -> pb::HttpFilter {
    router_with(Vec::new())
}

/// The router whose backends are applications: they do not speak for the gateway.
fn traffic_router() -> pb::HttpFilter {
    router_with(vec![
        http_filter(
            "envoy.filters.http.header_mutation",
            pb::any(&answer::strip_from_backends()),
        ),
        http_filter(
            "envoy.filters.http.upstream_codec",
            pb::any(&pb::UpstreamCodec {}),
        ),
    ])
}

fn router_with(upstream_http_filters: Vec<pb::HttpFilter>) -> pb::HttpFilter {
    http_filter(
        "envoy.filters.http.router",
        pb::any(&pb::Router {
            suppress_envoy_headers: true,
            upstream_http_filters,
            ..pb::Router::default()
        }),
    )
}

fn http_filter(name: &str, config: pb::Any) -> pb::HttpFilter {
    pb::HttpFilter {
        name: name.to_owned(),
        config_type: Some(pb::HttpFilterConfig::TypedConfig(config)),
        ..pb::HttpFilter::default()
    }
}

/// One JSON line per request, when it ends.
fn access_log() -> pb::AccessLog {
    const FIELDS: [(&str, &str); 21] = [
        ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
        ("authority", "%REQ(:AUTHORITY)%"),
        ("bytes_received", "%BYTES_RECEIVED%"),
        ("bytes_sent", "%BYTES_SENT%"),
        ("client", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("duration_ms", "%DURATION%"),
        ("first_byte_ms", "%RESPONSE_DURATION%"),
        ("flags", "%RESPONSE_FLAGS%"),
        ("method", "%REQ(:METHOD)%"),
        ("namespace", "%REQ(KNATIVE-SERVING-NAMESPACE)%"),
        ("path", "%REQ(:PATH)%"),
        ("protocol", "%PROTOCOL%"),
        ("request_id", "%REQ(X-REQUEST-ID)%"),
        ("revision", "%REQ(KNATIVE-SERVING-REVISION)%"),
        ("route", "%ROUTE_NAME%"),
        ("sni", "%REQUESTED_SERVER_NAME%"),
        ("status", "%RESPONSE_CODE%"),
        ("status_details", "%RESPONSE_CODE_DETAILS%"),
        ("time", "%START_TIME%"),
        ("upstream", "%UPSTREAM_CLUSTER%"),
        ("upstream_address", "%UPSTREAM_HOST%"),
    ];
    let fields: BTreeMap<String, pb::Value> = FIELDS
        .into_iter()
        .map(|(name, format)| {
            let kind = Some(pb::ValueKind::StringValue(format.to_owned()));
            (name.to_owned(), pb::Value { kind })
        })
        .collect();
    let log = pb::StdoutAccessLog {
        log_format: Some(pb::JsonFormat {
            json_format: Some(pb::OrderedStruct { fields }),
        }),
    };
    pb::AccessLog {
        name: "envoy.access_loggers.stdout".to_owned(),
        config_type: Some(pb::access_log::ConfigType::TypedConfig(pb::any(&log))),
        ..pb::AccessLog::default()
    }
}

//! The one fence around Envoy's generated messages: every other file says
//! `pb::Route`, and only this one knows where that comes from.

use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) use envoy_types::pb::envoy::config::accesslog::v3::{
    AccessLog, AccessLogFilter, ComparisonFilter, ResponseFlagFilter, StatusCodeFilter,
    access_log, access_log_filter::FilterSpecifier as AccessLogFilterSpecifier,
    comparison_filter::Op as ComparisonOp,
};
pub(crate) use envoy_types::pb::envoy::config::bootstrap::v3::{
    Admin, Bootstrap, LayeredRuntime, RuntimeLayer,
    bootstrap::{DeferredStatOptions, DynamicResources, StaticResources},
    runtime_layer::LayerSpecifier,
};
pub(crate) use envoy_types::pb::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster, OutlierDetection, UpstreamConnectionOptions,
    circuit_breakers::Thresholds,
    cluster::{
        ClusterDiscoveryType, CustomClusterType, DiscoveryType, EdsClusterConfig, LbPolicy,
    },
};
pub(crate) use envoy_types::pb::envoy::config::common::mutation_rules::v3::{
    HeaderMutation, header_mutation::Action as HeaderMutationAction,
    header_mutation::RemoveOnMatch,
};
pub(crate) use envoy_types::pb::envoy::config::core::v3::{
    Address, AggregatedConfigSource, DnsResolverOptions, ApiConfigSource, ApiVersion, ConfigSource, DataSource,
    GrpcService, HeaderValue, HeaderValueOption, Http1ProtocolOptions, Http2ProtocolOptions,
    HttpProtocolOptions, KeepaliveSettings, Node, Pipe, RoutingPriority, RuntimeUInt32,
    SocketAddress,
    TcpKeepalive, TrafficDirection, TransportSocket, TypedExtensionConfig,
    BackoffStrategy, RetryPolicy as GrpcRetryPolicy,
    address::Address as AddressKind,
    api_config_source::ApiType,
    config_source::ConfigSourceSpecifier,
    data_source::Specifier as DataSpecifier,
    grpc_service::{EnvoyGrpc, TargetSpecifier},
    header_value_option::HeaderAppendAction,
    http_protocol_options::HeadersWithUnderscoresAction,
    socket_address::PortSpecifier,
    transport_socket,
};
pub(crate) use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};
pub(crate) use envoy_types::pb::envoy::config::listener::v3::{
    Filter, FilterChain, Listener, filter::ConfigType as FilterConfig,
};
pub(crate) use envoy_types::pb::envoy::config::metrics::v3::{
    StatsConfig, StatsMatcher, TagSpecifier, stats_matcher::StatsMatcher as StatsMatcherKind,
    tag_specifier::TagValue,
};
pub(crate) use envoy_types::pb::envoy::config::overload::v3::{
    LoadShedPoint, OverloadAction, OverloadManager, ResourceMonitor, ThresholdTrigger, Trigger,
    resource_monitor::ConfigType as ResourceMonitorConfig, trigger::TriggerOneof,
};
pub(crate) use envoy_types::pb::envoy::config::route::v3::{
    DirectResponseAction, HeaderMatcher, RedirectAction, RetryPolicy, Route, RouteAction,
    RouteConfiguration, RouteMatch, ScopedRouteConfiguration, VirtualHost, WeightedCluster,
    header_matcher::HeaderMatchSpecifier,
    redirect_action::{RedirectResponseCode, SchemeRewriteSpecifier},
    retry_policy::{RetryBackOff, RetryHostPredicate, retry_host_predicate},
    route::Action,
    route_action::{ClusterSpecifier, HostRewriteSpecifier},
    route_match::PathSpecifier,
    scoped_route_configuration::{
        Key as ScopeKey,
        key::{Fragment, fragment},
    },
    weighted_cluster::ClusterWeight,
};
pub(crate) use envoy_types::pb::envoy::extensions::clusters::common::dns::v3::DnsLookupFamily;
pub(crate) use envoy_types::pb::envoy::extensions::clusters::dns::v3::{
    DnsCluster, dns_cluster::RefreshRate,
};
pub(crate) use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3::{
    HeaderMutation as ResponseHeaderMutation, Mutations,
};
pub(crate) use envoy_types::pb::envoy::extensions::filters::http::lua::v3::Lua;
pub(crate) use envoy_types::pb::envoy::extensions::filters::http::router::v3::Router;
pub(crate) use envoy_types::pb::envoy::extensions::filters::http::upstream_codec::v3::UpstreamCodec;
pub(crate) use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, LocalReplyConfig, Rds, ResponseMapper, ScopedRds,
    ScopedRoutes,
    http_connection_manager::{
        CodecType, PathWithEscapedSlashesAction, RouteSpecifier,
        ServerHeaderTransformation, UpgradeConfig,
    },
    http_filter::ConfigType as HttpFilterConfig,
    scoped_routes::{
        ConfigSpecifier as ScopedRoutesConfig, ScopeKeyBuilder,
        scope_key_builder::{
            FragmentBuilder,
            fragment_builder::{
                HeaderValueExtractor, Type as FragmentBuilderType,
                header_value_extractor::ExtractType,
            },
        },
    },
};
pub(crate) use envoy_types::pb::envoy::extensions::http::early_header_mutation::header_mutation::v3::HeaderMutation as EarlyHeaderMutation;
pub(crate) use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig;
pub(crate) use envoy_types::pb::envoy::extensions::resource_monitors::{
    downstream_connections::v3::DownstreamConnectionsConfig, fixed_heap::v3::FixedHeapConfig,
};
pub(crate) use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate;
pub(crate) use envoy_types::pb::envoy::extensions::transport_sockets::tls::{
    cert_mappers::sni::v3::Sni,
    cert_selectors::on_demand_secret::v3::Config as OnDemandSecret,
    v3::{
        CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
        Secret, SubjectAltNameMatcher, TlsCertificate, TlsParameters, UpstreamTlsContext,
        common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
        downstream_tls_context::SessionTicketKeysType,
        secret,
        subject_alt_name_matcher::SanType,
        tls_parameters::TlsProtocol,
    },
};
pub(crate) use envoy_types::pb::envoy::extensions::upstreams::http::v3::{
    HttpProtocolOptions as UpstreamProtocolOptions,
    http_protocol_options::{
        ExplicitHttpConfig, UpstreamProtocolOptions as UpstreamProtocol,
        explicit_http_config::ProtocolConfig,
    },
};
pub(crate) use envoy_types::pb::envoy::r#type::matcher::v3::{
    ListStringMatcher, RegexMatcher, StringMatcher, string_matcher::MatchPattern,
};
pub(crate) use envoy_types::pb::google::protobuf::{
    Any, BoolValue, Duration as ProtoDuration, Struct, UInt32Value, Value, value::Kind as ValueKind,
};

/// A message with its type.
pub(crate) fn any<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// An extension under the name that Envoy documents for it.
pub(crate) fn extension<M: prost::Message + prost::Name>(
    name: &str,
    message: &M,
) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(any(message)),
    }
}

pub(crate) fn bool(value: bool) -> Option<BoolValue> {
    Some(BoolValue { value })
}

pub(crate) fn uint32(value: u32) -> Option<UInt32Value> {
    Some(UInt32Value { value })
}

/// A duration of whole milliseconds; Envoy knows no finer one in what is set here.
pub(crate) fn duration(duration: Duration) -> Option<ProtoDuration> {
    Some(ProtoDuration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_millis() * 1_000_000).unwrap_or_default(),
    })
}

pub(crate) fn inline(text: impl Into<String>) -> Option<DataSource> {
    Some(DataSource {
        specifier: Some(DataSpecifier::InlineString(text.into())),
        ..DataSource::default()
    })
}

pub(crate) fn exact(text: impl Into<String>) -> StringMatcher {
    pattern(MatchPattern::Exact(text.into()))
}

pub(crate) fn pattern(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(pattern),
        ..StringMatcher::default()
    }
}

/// Resources by the aggregated stream. Never opens without an answer: with
/// Envoy's default of 15 s a silent server would end in 404 for every host.
pub(crate) fn ads() -> Option<ConfigSource> {
    Some(ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
        resource_api_version: ApiVersion::V3.into(),
        initial_fetch_timeout: duration(Duration::ZERO),
        ..ConfigSource::default()
    })
}

/// A header set to a literal value, replacing what the client sent. The value
/// is a format string to Envoy, hence `%%`; an empty one must be kept expressly,
/// else the client's own would stand.
pub(crate) fn set_header(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.replace('%', "%%"),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        keep_empty_value: value.is_empty(),
        ..HeaderValueOption::default()
    }
}

/// `envoy.extensions.access_loggers.stream.v3.StdoutAccessLog` with a JSON
/// format. The generated message keeps a `Struct` in a hash map, so that two
/// encodings of equal logs would differ; this one is ordered.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StdoutAccessLog {
    #[prost(message, optional, tag = "1")]
    pub(crate) log_format: Option<JsonFormat>,
}

/// `envoy.config.core.v3.SubstitutionFormatString` with `json_format` alone.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct JsonFormat {
    #[prost(message, optional, tag = "2")]
    pub(crate) json_format: Option<OrderedStruct>,
}

/// `google.protobuf.Struct`, ordered.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct OrderedStruct {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) fields: BTreeMap<String, Value>,
}

impl prost::Name for StdoutAccessLog {
    const NAME: &'static str = "StdoutAccessLog";
    const PACKAGE: &'static str = "envoy.extensions.access_loggers.stream.v3";

    fn type_url() -> String {
        format!("type.googleapis.com/{}.{}", Self::PACKAGE, Self::NAME)
    }
}

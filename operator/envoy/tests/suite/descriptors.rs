//! `descriptors.bin` is what protobuf's own sources of `envoy-types` say.
//!
//! `SLUICE_UPDATE_GOLDEN=1` writes it anew; a difference fails otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message;
use prost_reflect::DescriptorPool;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, field_descriptor_proto,
};

/// Every message that this crate encodes on its own, be it a resource, the
/// bootstrap or the value of an `Any`; all others are fields of these.
const ROOTS: [(&str, &str); 24] = [
    (
        "envoy/config/bootstrap/v3/bootstrap.proto",
        "envoy.config.bootstrap.v3.Bootstrap",
    ),
    (
        "envoy/config/cluster/v3/cluster.proto",
        "envoy.config.cluster.v3.Cluster",
    ),
    (
        "envoy/config/endpoint/v3/endpoint.proto",
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
    ),
    (
        "envoy/config/listener/v3/listener.proto",
        "envoy.config.listener.v3.Listener",
    ),
    (
        "envoy/config/route/v3/route.proto",
        "envoy.config.route.v3.RouteConfiguration",
    ),
    (
        "envoy/config/route/v3/scoped_route.proto",
        "envoy.config.route.v3.ScopedRouteConfiguration",
    ),
    (
        "envoy/extensions/transport_sockets/tls/v3/secret.proto",
        "envoy.extensions.transport_sockets.tls.v3.Secret",
    ),
    (
        "envoy/extensions/access_loggers/stream/v3/stream.proto",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    ),
    (
        "envoy/extensions/clusters/dns/v3/dns_cluster.proto",
        "envoy.extensions.clusters.dns.v3.DnsCluster",
    ),
    (
        "envoy/extensions/filters/http/header_mutation/v3/header_mutation.proto",
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
    ),
    (
        "envoy/extensions/filters/http/upstream_codec/v3/upstream_codec.proto",
        "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
    ),
    (
        "envoy/extensions/filters/http/lua/v3/lua.proto",
        "envoy.extensions.filters.http.lua.v3.Lua",
    ),
    (
        "envoy/extensions/filters/http/router/v3/router.proto",
        "envoy.extensions.filters.http.router.v3.Router",
    ),
    (
        "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    ),
    (
        "envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation.proto",
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
    ),
    (
        "envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections.proto",
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
    ),
    (
        "envoy/extensions/resource_monitors/fixed_heap/v3/fixed_heap.proto",
        "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
    ),
    (
        "envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto",
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    ),
    (
        "envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver.proto",
        "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
    ),
    (
        "envoy/extensions/transport_sockets/tls/v3/tls.proto",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    ),
    (
        "envoy/extensions/transport_sockets/tls/v3/tls.proto",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    ),
    (
        "envoy/extensions/transport_sockets/tls/cert_mappers/sni/v3/config.proto",
        "envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3.SNI",
    ),
    (
        "envoy/extensions/transport_sockets/tls/cert_selectors/on_demand_secret/v3/config.proto",
        "envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config",
    ),
    (
        "envoy/extensions/upstreams/http/v3/http_protocol_options.proto",
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    ),
];

#[test]
fn descriptors_are_those_of_envoy_types() {
    let made = generate();
    DescriptorPool::decode(made.as_slice()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors.bin");
    if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &made).unwrap();
        return;
    }
    let stored = std::fs::read(&path).unwrap();
    assert!(
        stored == made,
        "descriptors.bin differs from what envoy-types says; run hack/generate-descriptors"
    );
}

fn generate() -> Vec<u8> {
    let files = protox::Compiler::new(includes())
        .unwrap()
        .include_imports(true)
        .open_files(ROOTS.iter().map(|(file, _)| *file))
        .unwrap()
        .file_descriptor_set();
    prune(files, ROOTS.iter().map(|(_, message)| *message)).encode_to_vec()
}

/// The import roots within the `proto` folder of `envoy-types`.
fn includes() -> Vec<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let manifest = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|package| package["name"] == "envoy-types")
        .and_then(|package| package["manifest_path"].as_str())
        .unwrap();
    let proto = Path::new(manifest).parent().unwrap().join("proto");
    let mut includes: Vec<PathBuf> = std::fs::read_dir(&proto)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    includes.push(proto.join("cel-spec/proto"));
    includes.sort();
    includes
}

/// Keeps the messages and enums that the roots reach by their fields, without
/// comments, options and services; and the files that still hold something.
fn prune<'a>(set: FileDescriptorSet, roots: impl Iterator<Item = &'a str>) -> FileDescriptorSet {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in &set.file {
        for message in &file.message_type {
            collect(&format!(".{}", file.package()), message, &mut fields);
        }
    }
    let mut reached = BTreeSet::new();
    let mut queue: Vec<String> = roots.map(|root| format!(".{root}")).collect();
    while let Some(name) = queue.pop() {
        if !reached.insert(name.clone()) {
            continue;
        }
        // A type inside a message needs the message around it.
        if let Some((outer, _)) = name.rsplit_once('.')
            && fields.contains_key(outer)
        {
            queue.push(outer.to_owned());
        }
        queue.extend(fields.get(&name).into_iter().flatten().cloned());
    }
    let mut file: Vec<FileDescriptorProto> = set
        .file
        .into_iter()
        .filter_map(|file| prune_file(file, &reached))
        .collect();
    let left: BTreeSet<String> = file.iter().map(|file| file.name().to_owned()).collect();
    for file in &mut file {
        file.dependency.retain(|name| left.contains(name));
    }
    FileDescriptorSet { file }
}

fn collect(scope: &str, message: &DescriptorProto, fields: &mut BTreeMap<String, Vec<String>>) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        collect(&name, nested, fields);
    }
    let types = message
        .field
        .iter()
        .filter(|field| is_named(field))
        .map(|field| field.type_name().to_owned())
        .collect();
    fields.insert(name, types);
}

fn is_named(field: &FieldDescriptorProto) -> bool {
    use field_descriptor_proto::Type;
    matches!(field.r#type(), Type::Message | Type::Enum | Type::Group)
}

fn prune_file(
    mut file: FileDescriptorProto,
    reached: &BTreeSet<String>,
) -> Option<FileDescriptorProto> {
    let scope = format!(".{}", file.package());
    file.source_code_info = None;
    file.options = None;
    file.service.clear();
    file.extension.clear();
    file.public_dependency.clear();
    file.weak_dependency.clear();
    file.enum_type
        .retain(|kept| reached.contains(&format!("{scope}.{}", kept.name())));
    prune_enums(&mut file.enum_type);
    file.message_type = prune_messages(&scope, file.message_type, reached);
    (!file.message_type.is_empty() || !file.enum_type.is_empty()).then_some(file)
}

fn prune_messages(
    scope: &str,
    messages: Vec<DescriptorProto>,
    reached: &BTreeSet<String>,
) -> Vec<DescriptorProto> {
    let mut kept = Vec::new();
    for mut message in messages {
        let name = format!("{scope}.{}", message.name());
        if !reached.contains(&name) {
            continue;
        }
        // Of the options, only whether it is the entry of a map has a meaning
        // on the wire.
        let is_entry = message.options.as_ref().is_some_and(|o| o.map_entry());
        message.options = is_entry.then(|| {
            let mut options = message.options.clone().unwrap();
            options.uninterpreted_option.clear();
            options
        });
        for field in &mut message.field {
            field.options = None;
        }
        for oneof in &mut message.oneof_decl {
            oneof.options = None;
        }
        message.extension.clear();
        message
            .enum_type
            .retain(|kept| reached.contains(&format!("{name}.{}", kept.name())));
        prune_enums(&mut message.enum_type);
        message.nested_type = prune_messages(&name, message.nested_type, reached);
        kept.push(message);
    }
    kept
}

fn prune_enums(enums: &mut [EnumDescriptorProto]) {
    for kept in enums {
        // `allow_alias` must stay, or values of one number are refused.
        let alias = kept
            .options
            .as_ref()
            .and_then(|options| options.allow_alias);
        kept.options = alias.map(|alias| EnumOptions {
            allow_alias: Some(alias),
            ..Default::default()
        });
        for value in &mut kept.value {
            value.options = None;
        }
    }
}

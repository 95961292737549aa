//! What this crate builds is accepted by the real Envoy: the bootstrap, the
//! listeners, and every golden case as static resources.
//!
//! Envoy is `$ENVOY`, or `envoy` on the PATH. Without one these tests say so and
//! check nothing; with `SLUICE_REQUIRE_ENVOY=1` they fail instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{Secret, secret};
use prost::Message;
use serde_json::{Map, Value, json};
use sluice_envoy::{
    Assembly, Bootstrap, Edge, Kind, PlanChange, Resource, XdsAddress, bootstrap, dump,
    dump_content, secret_named,
};
use sluice_ir::{Certificate, Host, ObjectKey, Plan, PrivateKey, Side, VirtualHost};

use crate::cases;

#[test]
fn the_bootstrap_is_accepted() {
    let Some(envoy) = envoy() else { return };
    let unix = XdsAddress::Unix("/run/sluice/xds.sock".into());
    let tcp = XdsAddress::Tcp("sluice.sluice-system.svc".to_owned(), 18000);
    for (xds, heap_limit) in [(unix, None), (tcp, Some(1 << 30))] {
        let made = bootstrap(&Bootstrap {
            xds,
            heap_limit,
            ..facts()
        });
        validate(&envoy, "bootstrap", &made.unwrap());
    }
}

#[test]
fn the_listeners_are_accepted() {
    let Some(envoy) = envoy() else { return };
    let choices = Edge {
        access_log: true,
        server_header: true,
        trusted_hops: 1,
        ..Edge::at("::".parse().unwrap())
    };
    for edge in [Edge::default(), choices] {
        let assembly = Assembly::new(&edge);
        let of = |kind| assembly.resources().filter(move |r| r.kind == kind);
        let mut listeners: Vec<Value> = of(Kind::Listener).map(|r| dump(r).unwrap()).collect();
        for table in of(Kind::RouteTable) {
            listeners.push(listener_of(&listeners[0], &dump(table).unwrap()));
        }
        let config = with_static(listeners, Vec::new(), Vec::new());
        validate(&envoy, "listeners", &config);
    }
}

#[test]
fn every_golden_case_is_accepted() {
    let Some(envoy) = envoy() else { return };
    for (name, case) in cases::all() {
        let (assembly, _) = case.run();
        validate(&envoy, &name, &as_static(&assembly));
    }
}

/// Else the tests here would prove nothing.
#[test]
fn what_envoy_refuses_is_noticed() {
    let Some(envoy) = envoy() else { return };
    let assembly = cases::all()["basics"].run().0;
    let mut config = as_static(&assembly);
    let table = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config";
    let virtual_hosts = config
        .pointer_mut(&format!("{table}/virtual_hosts"))
        .and_then(Value::as_array_mut)
        .unwrap();
    let again = virtual_hosts[0].clone();
    virtual_hosts.push(again);
    let said = ask(&envoy, &config).unwrap_err();
    assert!(said.contains("unique"), "{said}");
}

/// As Envoy reads it off the wire: body without a name, the asked one in front.
/// The key goes through in full, though no dump shows it.
#[test]
fn a_secret_is_accepted_under_any_name() {
    let Some(envoy) = envoy() else { return };
    let host: Host = "secure.example.com".parse().unwrap();
    let made = rcgen::generate_simple_self_signed([host.to_string()]).unwrap();
    let mut assembly = Assembly::new(&Edge::default());
    let plan = Plan {
        ingress: ObjectKey::new("default", "secure"),
        hash: "hash".to_owned(),
        sides: [(
            Side::External,
            vec![VirtualHost {
                rule: 0,
                hosts: [host.clone()].into(),
                redirect: false,
                routes: Vec::new(),
            }],
        )]
        .into(),
        clusters: BTreeMap::new(),
        certificates: [(
            Side::External,
            [(
                host,
                Certificate {
                    secret: ObjectKey::new("default", "secure-tls"),
                    chain: made.cert.pem(),
                    key: PrivateKey::new(made.signing_key.serialize_pem()),
                },
            )]
            .into(),
        )]
        .into(),
    };
    let change = PlanChange::Serve(Arc::new(plan));
    let plans = [(ObjectKey::new("default", "secure"), change)].into();
    assembly.apply(&plans, &BTreeMap::new());
    let secret = assembly
        .resources()
        .find(|resource| resource.kind == Kind::Secret)
        .unwrap();
    let shown = dump(secret).unwrap().to_string();
    assert!(shown.contains("BEGIN CERTIFICATE") && !shown.contains("PRIVATE KEY"));

    let content = secret.content.as_ref().unwrap();
    let read = Secret::decode(secret_named(content, "SECURE.Example.com")).unwrap();
    let Some(secret::Type::TlsCertificate(certificate)) = read.r#type else {
        panic!("no certificate in {secret:?}");
    };
    let text = |source: Option<DataSource>| match source.and_then(|source| source.specifier) {
        Some(Specifier::InlineString(text)) => json!({ "inline_string": text }),
        other => panic!("not inline: {other:?}"),
    };
    let secrets = vec![json!({
        "name": read.name,
        "tls_certificate": {
            "certificate_chain": text(certificate.certificate_chain),
            "private_key": text(certificate.private_key),
        },
    })];
    let listeners = assembly
        .resources()
        .filter(|resource| resource.name == "external-https")
        .map(|resource| {
            let mut listener = dump(resource).unwrap();
            let tls = listener
                .pointer_mut("/filter_chains/0/transport_socket/typed_config/common_tls_context")
                .and_then(Value::as_object_mut)
                .unwrap();
            tls.remove("custom_tls_certificate_selector");
            let named = json!([{ "name": read.name }]);
            tls.insert("tls_certificate_sds_secret_configs".to_owned(), named);
            listener
        })
        .collect();
    validate(
        &envoy,
        "secret",
        &with_static(listeners, Vec::new(), secrets),
    );
}

/// A case as Envoy reads it at its start: one listener per table, in which the
/// real connection manager holds the table itself; clusters with their endpoints.
fn as_static(assembly: &Assembly) -> Value {
    let resources: Vec<&Resource> = assembly.resources().collect();
    let of = |kind| resources.iter().filter(move |r| r.kind == kind);
    let model = of(Kind::Listener).map(|r| dump(r).unwrap()).next().unwrap();
    let mut listeners = Vec::new();
    for table in of(Kind::RouteTable) {
        for content in [&table.content, &table.standby].into_iter().flatten() {
            let shown = dump_content(table.kind, &table.name, content).unwrap();
            listeners.push(listener_of(&model, &shown));
        }
    }
    let loads: Map<String, Value> = of(Kind::Endpoints)
        .map(|load| (load.name.clone(), dump(load).unwrap()))
        .collect();
    let clusters = of(Kind::Cluster)
        .map(|cluster| {
            let mut shown = dump(cluster).unwrap();
            if let Some(load) = loads.get(&cluster.name) {
                let fields = shown.as_object_mut().unwrap();
                fields.remove("eds_cluster_config");
                fields.insert("type".to_owned(), json!("STATIC"));
                fields.insert("load_assignment".to_owned(), load.clone());
            }
            let context = "/transport_socket/typed_config/common_tls_context\
                           /combined_validation_context/validation_context_sds_secret_config";
            if let Some(asked) = shown.pointer_mut(context) {
                asked.as_object_mut().unwrap().remove("sds_config");
            }
            shown
        })
        .collect();
    // Certificates have a test of their own, for no dump shows their keys.
    let roots = of(Kind::Secret).map(|secret| dump(secret).unwrap());
    let roots = roots.filter(|secret| secret.get("validation_context").is_some());
    with_static(listeners, clusters, roots.collect())
}

/// A listener like `model` that serves one table from within.
fn listener_of(model: &Value, table: &Value) -> Value {
    let mut listener = model.clone();
    let manager = listener
        .pointer_mut("/filter_chains/0/filters/0/typed_config")
        .and_then(Value::as_object_mut)
        .unwrap();
    manager.remove("scoped_routes");
    manager.insert("route_config".to_owned(), table.clone());
    listener.as_object_mut().unwrap().remove("name");
    listener["address"]["socket_address"]["port_value"] = json!(0);
    listener
}

fn with_static(listeners: Vec<Value>, clusters: Vec<Value>, secrets: Vec<Value>) -> Value {
    let mut config = bootstrap(&facts()).unwrap();
    let fixed = &mut config["static_resources"];
    fixed["listeners"] = Value::Array(listeners);
    fixed["secrets"] = Value::Array(secrets);
    if let Some(own) = fixed["clusters"].as_array_mut() {
        own.extend(clusters);
    }
    config
}

fn facts() -> Bootstrap {
    Bootstrap {
        node: "gateway-0".to_owned(),
        cluster: "sluice".to_owned(),
        xds: XdsAddress::Unix("/run/sluice/xds.sock".into()),
        admin: "/run/sluice/admin.sock".into(),
        heap_limit: None,
        connection_limit: 50_000,
    }
}

fn validate(envoy: &Path, name: &str, config: &Value) {
    if let Err(said) = ask(envoy, config) {
        panic!("{name}: {said}");
    }
}

/// What Envoy says against a configuration. A warning counts: it is of a field
/// that Envoy does not know, or will take away.
fn ask(envoy: &Path, config: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, serde_json::to_vec_pretty(config).unwrap()).unwrap();
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--log-level", "warning"])
        .arg("--config-path")
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && said.trim().is_empty() {
        Ok(())
    } else {
        Err(said)
    }
}

/// The Envoy to ask.
fn envoy() -> Option<PathBuf> {
    let found = std::env::var_os("ENVOY").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join("envoy"))
            .find(|file| file.is_file())
    });
    if found.is_none() {
        assert!(
            std::env::var_os("SLUICE_REQUIRE_ENVOY").is_none(),
            "no envoy by $ENVOY or on the PATH, and SLUICE_REQUIRE_ENVOY is set"
        );
        println!("no envoy by $ENVOY or on the PATH: left out");
    }
    found
}

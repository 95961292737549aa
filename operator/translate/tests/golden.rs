//! Golden pairs: `testdata/<name>.in.yaml`, what somebody would apply to a
//! cluster, and `testdata/<name>.out.yaml`, all that comes of it.
//!
//! `SLUICE_UPDATE_GOLDEN=1 cargo test -p sluice-translate` writes the outputs
//! anew; read what changed before you keep it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_ir::{Host, PlanChange, Reason};
use sluice_translate::{Backends, Config, Object, World, trust_roots};

/// The clock of every case; certificates in the inputs are made around it.
const NOW: &str = "2026-06-01T00:00:00Z";

const CLASS: &str = "networking.knative.dev/ingress.class";

fn world() -> World {
    let gateways = [
        "sluice-internal.sluice-system",
        "sluice-internal.sluice-system.svc",
        "sluice-internal.sluice-system.svc.cluster.local",
    ];
    let config = Config {
        cluster_suffix: "cluster.local".into(),
        private_gateways: gateways.map(|host| Host::parse(host).unwrap()).into(),
        allow_loopback: false,
        backends: Backends::Plain,
    };
    World::new(config, NOW.parse().unwrap())
}

/// Ingresses of another class are left to whom they are for, as every caller of
/// [`World`] does.
fn object(document: Value) -> Option<Object> {
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    Some(match kind.as_str() {
        "Ingress" => {
            let class = document["metadata"]["annotations"][CLASS].as_str();
            if class != Some("sluice.ingress.networking.knative.dev") {
                return None;
            }
            Object::Ingress(serde_json::from_value(document).unwrap())
        }
        "Service" => Object::Service(serde_json::from_value(document).unwrap()),
        "Endpoints" => Object::Endpoints(serde_json::from_value(document).unwrap()),
        "EndpointSlice" => Object::EndpointSlice(serde_json::from_value(document).unwrap()),
        // Read by `backends`, as a cluster's controller does.
        "ConfigMap" => return None,
        "Secret" => Object::Secret(serde_json::from_value(document).unwrap()),
        other => panic!("no object: kind {other:?}"),
    })
}

/// The chain in few words: whose, and how many certificates.
fn shorten_chains(plan: &mut Value) {
    let sides = plan["certificates"].as_object_mut().into_iter().flatten();
    for (_, hosts) in sides {
        for (_, certificate) in hosts.as_object_mut().unwrap() {
            let chain = certificate["chain"].as_str().unwrap();
            let count = chain.matches("BEGIN CERTIFICATE").count();
            certificate["chain"] = json!(format!("{count} × CERTIFICATE"));
        }
    }
}

/// A side that serves what the other one does is not written twice.
fn fold_sides(plan: &mut Value) {
    if plan["sides"]["internal"] == plan["sides"]["external"] {
        plan["sides"]["internal"] = json!("as external");
    }
}

/// How backends are spoken to, by what Serving keeps in its own namespace.
fn backends(documents: &[Value]) -> Backends {
    let named = |name: &str| {
        let mut documents = documents.iter();
        documents.find(|document| document["metadata"]["name"] == name)
    };
    let network = named("config-network");
    if network.is_none_or(|map| map["data"]["system-internal-tls"] != "Enabled") {
        return Backends::Plain;
    }
    let roots = named("routing-serving-certs").and_then(|secret| {
        let secret: sluice_crds::Secret = serde_json::from_value(secret.clone()).unwrap();
        let text = secret.bytes("ca.crt").unwrap().unwrap_or_default();
        trust_roots([("ca.crt", text.as_slice())]).pem
    });
    roots.map_or(Backends::Untrusted, |_| Backends::Tls)
}

fn outcome(input: &str) -> (Value, BTreeSet<Reason>) {
    let mut world = world();
    let documents = serde_saphyr::from_multiple::<Value>(input).unwrap();
    world.set_backends(backends(&documents));
    for document in documents {
        if let Some(object) = object(document) {
            world.apply(object);
        }
    }
    let changes = world.settle();
    let mut plans = serde_json::Map::new();
    let mut refused = serde_json::Map::new();
    for (key, change) in &changes.plans {
        match change {
            PlanChange::Serve(plan) => {
                let mut plan = serde_json::to_value(&**plan).unwrap();
                shorten_chains(&mut plan);
                fold_sides(&mut plan);
                plans.insert(key.to_string(), plan);
            }
            PlanChange::Hold(plan) => {
                let plan = serde_json::to_value(&**plan).unwrap();
                refused.insert(key.to_string(), plan);
            }
            PlanChange::Remove => panic!("{key} was never there"),
        }
    }
    let endpoints: BTreeMap<String, Vec<String>> = changes
        .endpoints
        .iter()
        .map(|(port, endpoints)| {
            let sockets = endpoints.addresses.iter();
            let sockets = sockets.map(|a| std::net::SocketAddr::from(*a).to_string());
            (port.to_string(), sockets.collect())
        })
        .collect();
    let verdicts: BTreeMap<String, _> = changes
        .verdicts
        .iter()
        .map(|(key, verdict)| (key.to_string(), verdict))
        .collect();
    let reasons = changes
        .verdicts
        .values()
        .flat_map(|verdict| &verdict.rejections)
        .map(|rejection| rejection.reason)
        .collect();
    let value = json!({
        "verdicts": verdicts,
        "plans": plans,
        "refused": refused,
        "endpoints": endpoints,
    });
    (value, reasons)
}

fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Names of the cases that have a file with this ending.
fn names(ending: &str) -> BTreeSet<String> {
    fs::read_dir(testdata())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(ending)?.to_owned())
        })
        .collect()
}

#[test]
fn every_input_gives_its_output() {
    let update = std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for name in names(".in.yaml") {
        let input = fs::read_to_string(testdata().join(format!("{name}.in.yaml"))).unwrap();
        let found = serde_saphyr::to_string(&outcome(&input).0).unwrap();
        let path = testdata().join(format!("{name}.out.yaml"));
        if update {
            fs::write(&path, &found).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            let mut lines = found.lines().zip(expected.lines()).enumerate();
            let differs = lines.find(|(_, (found, expected))| found != expected);
            let place = match differs {
                Some((line, (found, expected))) => {
                    format!("line {}: found {found:?}, expected {expected:?}", line + 1)
                }
                None => format!("{} bytes, expected {}", found.len(), expected.len()),
            };
            wrong.push(format!("{name}.out.yaml: {place}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_output_has_an_input() {
    assert_eq!(names(".out.yaml"), names(".in.yaml"));
}

#[test]
fn every_reason_appears() {
    let mut missing = BTreeSet::from([
        Reason::InvalidSpec,
        Reason::HostRequired,
        Reason::PercentSum,
        Reason::CrossNamespaceBackend,
        Reason::InvalidHost,
        Reason::WildcardHost,
        Reason::DuplicateHost,
        Reason::DomainConflict,
        Reason::ForeignLocalName,
        Reason::InvalidPath,
        Reason::InvalidHeaderName,
        Reason::InvalidHeaderValue,
        Reason::InvalidRewriteHost,
        Reason::ServiceMissing,
        Reason::PortMissing,
        Reason::ForbiddenExternalName,
        Reason::RewriteLoop,
        Reason::CrossNamespaceRewrite,
        Reason::TrustMissing,
        Reason::SecretMissing,
        Reason::CrossNamespaceSecret,
        Reason::CertificateInvalid,
        Reason::KeyMismatch,
        Reason::CertificateExpired,
        Reason::CertificateNotYetValid,
        Reason::CertificateHostMismatch,
        Reason::TlsNotApplied,
    ]);
    for name in names(".in.yaml") {
        let input = fs::read_to_string(testdata().join(format!("{name}.in.yaml"))).unwrap();
        missing = &missing - &outcome(&input).1;
    }
    assert!(missing.is_empty(), "in no output: {missing:?}");
}

/// No line of any private key, whatever it is written as, reaches an output.
#[test]
fn no_output_shows_a_key() {
    for name in names(".in.yaml") {
        let input = fs::read_to_string(testdata().join(format!("{name}.in.yaml"))).unwrap();
        let (output, _) = outcome(&input);
        let output = serde_json::to_string(&output).unwrap();
        for document in serde_saphyr::from_multiple::<Value>(&input).unwrap() {
            let Some(Object::Secret(secret)) = object(document) else {
                continue;
            };
            let key = secret
                .bytes("tls.key")
                .unwrap_or_default()
                .unwrap_or_default();
            let key = String::from_utf8(key).unwrap();
            for line in key
                .lines()
                .filter(|line| line.len() > 20 && !line.contains("---"))
            {
                assert!(!output.contains(line), "{name}");
            }
        }
    }
}

//! Whatever stands in a manifest, translation ends, in time and with a plan that
//! a gateway will take.

#![expect(
    clippy::unwrap_used,
    reason = "a failed unwrap is the failing assertion itself"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use sluice_ir::{Action, Backend, Host, Outcome, Plan, PlanChange, Side};
use sluice_translate::{Backends, Changes, Config, Object, World};

fn world() -> World {
    let config = Config {
        cluster_suffix: "cluster.local".into(),
        private_gateways: BTreeSet::from([Host::parse("gateway.sluice.svc").unwrap()]),
        allow_loopback: false,
        backends: Backends::Plain,
    };
    World::new(config, "2026-06-01T00:00:00Z".parse().unwrap())
}

fn object(document: &Value) -> Object {
    let document = document.clone();
    match document["kind"].as_str().unwrap() {
        "Ingress" => Object::Ingress(serde_json::from_value(document).unwrap()),
        "Service" => Object::Service(serde_json::from_value(document).unwrap()),
        "Endpoints" => Object::Endpoints(serde_json::from_value(document).unwrap()),
        "EndpointSlice" => Object::EndpointSlice(serde_json::from_value(document).unwrap()),
        _ => Object::Secret(serde_json::from_value(document).unwrap()),
    }
}

fn settled(documents: &[Value]) -> Changes {
    let mut world = world();
    for document in documents {
        world.apply(object(document));
    }
    world.settle()
}

/// What `envoy` relies on and does not check again.
fn check(plan: &Plan) -> Result<(), TestCaseError> {
    let mut named = BTreeSet::new();
    for (side, virtual_hosts) in &plan.sides {
        let mut hosts = BTreeSet::new();
        for virtual_host in virtual_hosts {
            prop_assert!(!virtual_host.hosts.is_empty());
            for host in &virtual_host.hosts {
                prop_assert!(hosts.insert(host), "{host} twice");
            }
            let shown = plan.certificates.get(side);
            let covered = |host| shown.is_some_and(|shown| shown.contains_key(host));
            let secure = *side == Side::External && virtual_host.hosts.iter().all(covered);
            prop_assert!(!virtual_host.redirect || secure);
            for route in &virtual_host.routes {
                prop_assert!(route.prefix.starts_with('/'));
                prop_assert!(route.prefix.bytes().all(|b| b.is_ascii_graphic()));
                check_headers(&route.headers)?;
                match &route.action {
                    Action::Respond { status, reason } => {
                        prop_assert!([404, 503].contains(status));
                        prop_assert!(!reason.contains('\n'));
                    }
                    Action::Forward {
                        host_rewrite,
                        set_headers,
                        splits,
                    } => {
                        prop_assert!(host_rewrite.iter().all(|host| is_visible(host)));
                        check_headers(set_headers)?;
                        let sum: u32 = splits.iter().map(|split| u32::from(split.percent)).sum();
                        prop_assert_eq!(sum, 100);
                        for split in splits {
                            prop_assert!(split.percent > 0);
                            check_headers(&split.set_headers)?;
                            if let Backend::Cluster(port) = &split.backend {
                                prop_assert_eq!(&port.service.namespace, &plan.ingress.namespace);
                                named.insert(port.clone());
                            }
                        }
                    }
                }
            }
        }
        let shown = plan.certificates.get(side).into_iter().flatten();
        for (host, _) in shown {
            prop_assert!(hosts.contains(host));
        }
    }
    prop_assert_eq!(
        named,
        plan.clusters.keys().cloned().collect::<BTreeSet<_>>()
    );
    prop_assert_eq!(plan.hash.len(), 64);
    Ok(())
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), TestCaseError> {
    prop_assert!(headers.len() < 1000);
    for (name, value) in headers {
        prop_assert!(!name.is_empty() && is_visible(name) && !name.contains([':', '(', '"']));
        prop_assert_eq!(name, &name.to_ascii_lowercase());
        prop_assert!(!value.contains(['\r', '\n', '\0']));
        prop_assert!(name != "host" && !name.starts_with("x-envoy-"));
    }
    Ok(())
}

/// Texts: mostly what makes sense somewhere, sometimes anything.
fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "a",
        "b",
        "default",
        "other",
        "A.example.com",
        "a.example.com.",
        "*.example.com",
        "a.default",
        "a.default.svc.cluster.local",
        "a.other.svc.cluster.local",
        "/",
        "/a",
        "/a/b",
        "a b",
        "gateway.sluice.svc",
        "169.254.169.254",
        "127.0.0.1",
        "10.0.0.1",
        "fe80::1",
        "http",
        "grpc",
        "ExternalIP",
        "ClusterLocal",
        "Redirected",
        "Enabled",
        "ExternalName",
        "Host",
        "x-a",
        "X-A",
        "k-network-hash",
        "x-envoy-x",
        "a\r\nb",
        "%",
        "é",
        "FQDN",
        "IPv4",
        "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----",
        "LS0tLS0=",
        "UDP",
    ];
    prop_oneof![
        9 => select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// What is right in its place for the most part, and anything otherwise: faults
/// are found beside what works, not only one at a time.
fn mostly(right: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        30 => select(right).prop_map(str::to_owned),
        1 => text(),
    ]
}

fn texts() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

fn headers() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = mostly(&["x-a", "X-A", "x-b", "knative-serving-tag"]);
    btree_map(name, mostly(&["1", "2", "100%"]), 0..2)
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => select(vec![0, 1, 50, 80, 99, 100]),
        1 => any::<i32>().prop_map(i64::from),
    ]
}

fn port() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => Just(json!(80)),
        8 => Just(json!("http")),
        1 => number().prop_map(|n| json!(n)),
        1 => text().prop_map(|t| json!(t)),
    ]
}

const NAMES: &[&str] = &["a", "b", "gateway", "a.example.com"];

/// Names and namespaces of objects are checked before they get here.
fn metadata() -> impl Strategy<Value = Value> {
    let namespace = select(vec!["default", "default", "default", "other"]);
    let label = select(vec!["Public", "Private"]);
    let managed = select(vec!["endpointslicemirroring-controller.k8s.io", "x"]);
    (select(NAMES), namespace, label, select(NAMES), managed).prop_map(
        |(name, namespace, label, service, managed)| {
            json!({"name": name, "namespace": namespace, "labels": {
                "networking.internal.knative.dev/serviceType": label,
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": managed,
            }})
        },
    )
}

fn split() -> impl Strategy<Value = Value> {
    let named = (mostly(&["default"]), mostly(NAMES));
    (named, port(), number(), headers()).prop_map(|((namespace, name), port, percent, headers)| {
        json!({"serviceNamespace": namespace, "serviceName": name, "servicePort": port,
            "percent": percent, "appendHeaders": headers})
    })
}

/// Splits whose percentages add up more often than not.
fn splits() -> impl Strategy<Value = Vec<Value>> {
    let shares = prop_oneof![
        6 => Just(vec![100]),
        1 => Just(vec![0]),
        3 => Just(vec![50, 50]),
        1 => Just(vec![100, 0]),
    ];
    let adding_up = shares.prop_flat_map(|shares| {
        let count = shares.len();
        vec(split(), count).prop_map(move |mut splits| {
            for (split, percent) in splits.iter_mut().zip(&shares) {
                split["percent"] = json!(percent);
            }
            splits
        })
    });
    prop_oneof![40 => adding_up, 1 => vec(split(), 0..3)]
}

fn path() -> impl Strategy<Value = Value> {
    let prefix = mostly(&["", "/", "/a", "/a/b", "/.well-known/acme-challenge/x"]);
    let rewrite = mostly(&["", "", "b.example.com", "a.default.svc.cluster.local"]);
    (prefix, rewrite, headers(), splits(), headers()).prop_map(
        |(path, rewrite, headers, splits, set)| {
            let headers: BTreeMap<String, Value> = headers
                .into_iter()
                .map(|(name, exact)| (name, json!({"exact": exact})))
                .collect();
            json!({"path": path, "rewriteHost": rewrite, "headers": headers, "splits": splits,
                "appendHeaders": set})
        },
    )
}

fn ingress() -> impl Strategy<Value = Value> {
    let host = || {
        mostly(&[
            "a.example.com",
            "b.example.com",
            "a.default",
            "a.default.svc.cluster.local",
        ])
    };
    let hosts = prop_oneof![30 => vec(host(), 1..4), 1 => vec(host(), 0..4)];
    let paths = option::weighted(
        0.97,
        prop_oneof![15 => vec(path(), 1..4), 1 => vec(path(), 0..2)],
    );
    let visibility = mostly(&["", "ExternalIP", "ClusterLocal"]);
    let rule = (hosts, visibility, paths).prop_map(|(hosts, visibility, paths)| {
        let http = paths.map(|paths| json!({"paths": paths}));
        json!({"hosts": hosts, "visibility": visibility, "http": http})
    });
    let all = [
        "a.example.com",
        "b.example.com",
        "a.default",
        "a.default.svc.cluster.local",
    ];
    let all = all.map(str::to_owned).to_vec();
    let covering = prop_oneof![2 => Just(all), 1 => vec(host(), 0..4)];
    let tls = (covering, select(NAMES), mostly(&["default"]));
    let tls = tls.prop_map(|(hosts, name, namespace)| {
        json!({"hosts": hosts, "secretName": name, "secretNamespace": namespace})
    });
    let option = mostly(&["", "Enabled", "Redirected"]);
    let rules = prop_oneof![15 => vec(rule.boxed(), 1..4), 1 => Just(Vec::new())];
    (metadata(), rules, vec(tls, 0..2), option).prop_map(|(metadata, rules, tls, option)| {
        json!({"kind": "Ingress", "metadata": metadata,
            "spec": {"rules": rules, "tls": tls, "httpOption": option}})
    })
}

fn service() -> impl Strategy<Value = Value> {
    let app_protocol = mostly(&["", "kubernetes.io/h2c"]);
    let port = (
        mostly(&["http", "grpc"]),
        number(),
        app_protocol,
        mostly(&["", "TCP"]),
    );
    let port = port.prop_map(|(name, port, app, protocol)| {
        json!({"name": name, "port": port, "appProtocol": app, "protocol": protocol})
    });
    let usual = json!({"name": "http", "port": 80});
    let ports = vec(port, 0..3).prop_map(move |mut ports| {
        ports.push(usual.clone());
        ports
    });
    let kind = mostly(&["", "ClusterIP", "ExternalName"]);
    let name = mostly(&["gateway.sluice.svc", "api.example.net"]);
    (metadata(), ports, kind, name).prop_map(|(metadata, ports, kind, name)| {
        json!({"kind": "Service", "metadata": metadata,
            "spec": {"ports": ports, "type": kind, "externalName": name}})
    })
}

fn endpoints() -> impl Strategy<Value = Value> {
    let port = (mostly(&["http"]), number());
    let port = port.prop_map(|(name, port)| json!({"name": name, "port": port}));
    let address = || mostly(&["10.0.0.1", "10.0.0.2"]).prop_map(|ip| json!({"ip": ip}));
    let subset = (vec(address(), 0..3), vec(address(), 0..2), vec(port, 0..3));
    let subset = subset.prop_map(|(addresses, not_ready, ports)| {
        json!({"addresses": addresses, "notReadyAddresses": not_ready, "ports": ports})
    });
    (metadata(), vec(subset, 0..3)).prop_map(|(metadata, subsets)| {
        json!({"kind": "Endpoints", "metadata": metadata, "subsets": subsets})
    })
}

fn slice() -> impl Strategy<Value = Value> {
    let port = (mostly(&["http"]), option::of(number()));
    let port = port.prop_map(|(name, port)| json!({"name": name, "port": port}));
    let flag = || option::of(any::<bool>());
    let address = mostly(&["10.0.0.1", "10.0.0.2", "fd00::1"]);
    let endpoint = (vec(address, 0..3), flag(), flag(), flag()).prop_map(
        |(addresses, ready, serving, terminating)| {
            json!({"addresses": addresses, "conditions":
                {"ready": ready, "serving": serving, "terminating": terminating}})
        },
    );
    let kind = mostly(&["IPv4", "IPv6"]);
    (metadata(), kind, vec(endpoint, 0..4), vec(port, 0..3)).prop_map(
        |(metadata, kind, endpoints, ports)| {
            json!({"kind": "EndpointSlice", "metadata": metadata, "addressType": kind,
                "endpoints": endpoints, "ports": ports})
        },
    )
}

/// Pairs that are right, and some that are not.
fn secret() -> impl Strategy<Value = Value> {
    let pair = || {
        let made = rcgen::generate_simple_self_signed(vec!["a.example.com".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let pairs = [pair(), pair()];
    let chains = vec![pairs[0].0.clone(), pairs[1].0.clone(), pairs[0].1.clone()];
    let keys = vec![pairs[0].1.clone(), pairs[0].1.clone(), pairs[0].0.clone()];
    let chain = option::weighted(0.9, prop_oneof![6 => select(chains), 1 => text()]);
    let key = option::weighted(0.9, prop_oneof![6 => select(keys), 1 => text()]);
    (metadata(), texts(), chain, key).prop_map(|(metadata, data, chain, key)| {
        let mut plain = BTreeMap::new();
        plain.extend(chain.map(|chain| ("tls.crt", chain)));
        plain.extend(key.map(|key| ("tls.key", key)));
        json!({"kind": "Secret", "metadata": metadata, "data": data, "stringData": plain})
    })
}

fn document() -> impl Strategy<Value = Value> {
    prop_oneof![5 => ingress(), 5 => service(), 1 => endpoints(), 2 => slice(), 2 => secret()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn anything_translates_to_what_a_gateway_takes(documents in vec(document(), 1..16)) {
        let changes = settled(&documents);
        for (key, change) in &changes.plans {
            let verdict = &changes.verdicts[key];
            match change {
                PlanChange::Serve(plan) => {
                    prop_assert!(verdict.outcome != Outcome::Refused);
                    check(plan)?;
                }
                PlanChange::Hold(plan) => {
                    prop_assert_eq!(verdict.outcome, Outcome::Refused);
                    prop_assert!(!plan.reason.contains('\n'));
                }
                PlanChange::Remove => prop_assert!(false, "{} was never there", key),
            }
            for rejection in &verdict.rejections {
                let line = rejection.to_string();
                prop_assert!(!line.contains(['\r', '\n', '\0']), "{:?}", line);
                prop_assert!(line.len() < 4_000, "{}", line.len());
            }
        }
        for endpoints in changes.endpoints.values() {
            for address in &endpoints.addresses {
                prop_assert!(!address.ip.is_loopback() && !address.ip.is_unspecified());
            }
        }
        // The same objects give the same bytes.
        prop_assert_eq!(changes, settled(&documents));
    }
}

/// Large manifests, each about as large as an API server would take (1.5 MB).
fn large() -> Vec<(&'static str, Vec<Value>)> {
    let split = |service: &str, percent: i64| {
        json!({"serviceNamespace": "default", "serviceName": service, "servicePort": 80,
            "percent": percent})
    };
    let ingress = |name: &str, rules: Vec<Value>| {
        json!({"kind": "Ingress", "metadata": {"name": name, "namespace": "default"},
            "spec": {"rules": rules}})
    };
    let rule =
        |hosts: Vec<String>, paths: Vec<Value>| json!({"hosts": hosts, "http": {"paths": paths}});
    let service = json!({"kind": "Service", "metadata": {"name": "a", "namespace": "default"},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    let gateway = json!({"kind": "Service", "metadata": {"name": "g", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "gateway.sluice.svc",
            "ports": [{"name": "http", "port": 80}]}});
    let many = |count: usize, of: &dyn Fn(usize) -> Value| (0..count).map(of).collect::<Vec<_>>();
    let paths_of = |service: &str| vec![json!({"splits": [split(service, 100)]})];
    let local = |n: usize| format!("h{n}.default.svc.cluster.local");
    let paths = many(
        9_000,
        &|n| json!({"path": format!("/{n}/{}", "x".repeat(40)), "splits": [split("a", 100)]}),
    );
    let faults = many(
        9_000,
        &|n| json!({"path": format!("no-slash-{n}"), "splits": [split("gone", 100)]}),
    );
    let rewrites = many(
        6_000,
        &|n| json!({"path": format!("/{n}"), "rewriteHost": local(n), "splits": [split("g", 100)]}),
    );
    let headers: BTreeMap<String, String> = (0..30_000)
        .map(|n| (format!("x-{n}"), "%".repeat(20)))
        .collect();
    let mut half_covered = ingress(
        "i",
        many(8_000, &|n| {
            rule(vec![format!("a{n}.x"), format!("b{n}.x")], paths_of("a"))
        }),
    );
    half_covered["spec"]["tls"] = json!(many(8_000, &|n| {
        json!({"hosts": [format!("b{n}.x")], "secretName": "s", "secretNamespace": "default"})
    }));
    vec![
        ("8,000 certificates for half a rule", vec![half_covered]),
        (
            "9,000 paths",
            vec![
                service.clone(),
                ingress("i", vec![rule(vec!["a.x".into()], paths)]),
            ],
        ),
        (
            "9,000 faulty paths",
            vec![ingress("i", vec![rule(vec!["a.x".into()], faults)])],
        ),
        (
            "30,000 local hosts",
            vec![
                service.clone(),
                ingress(
                    "i",
                    vec![rule(
                        (0..30_000).map(local).collect(),
                        vec![json!({"splits": [split("a", 100)]})],
                    )],
                ),
            ],
        ),
        (
            "1,000 splits on each of 12 paths",
            vec![
                service.clone(),
                ingress(
                    "i",
                    vec![rule(
                        vec!["a.x".into()],
                        many(12, &|n| {
                            json!({"path": format!("/{n}"),
                    "splits": many(1_000, &|split_index| split("a", i64::from(split_index < 100)))})
                        }),
                    )],
                ),
            ],
        ),
        (
            "30,000 headers",
            vec![
                service.clone(),
                ingress(
                    "i",
                    vec![rule(
                        vec!["a.x".into()],
                        vec![json!({"splits": [split("a", 100)], "appendHeaders": headers})],
                    )],
                ),
            ],
        ),
        (
            "6,000 rewrites into an Ingress of 6,000 rules",
            vec![
                service,
                gateway,
                ingress(
                    "target",
                    many(6_000, &|n| {
                        rule(vec![local(n)], vec![json!({"splits": [split("a", 100)]})])
                    }),
                ),
                ingress("mapping", vec![rule(vec!["a.x".into()], rewrites)]),
            ],
        ),
    ]
}

#[test]
fn large_manifests_translate_in_time() {
    for (name, documents) in large() {
        let bytes = serde_json::to_string(&documents).unwrap().len();
        let mut world = world();
        for document in &documents {
            world.apply(object(document));
        }
        let start = Instant::now();
        let changes = world.settle();
        let took = start.elapsed();
        println!("{name}: {bytes} bytes in {took:?}");
        assert!(!changes.plans.is_empty());
        // Linear work takes well under a second without optimisation; what grows
        // with the square of the manifest would take minutes.
        assert!(took < Duration::from_secs(30), "{name} took {took:?}");
    }
}

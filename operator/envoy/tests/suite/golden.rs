//! Golden pairs: plans in, resources out, split by type.
//!
//! `SLUICE_UPDATE_GOLDEN=1` writes the outputs anew; read them before you keep
//! them. A difference fails, and so does an output without an input.

use std::fs;

use serde_json::{Map, Value, json};
use sluice_envoy::{
    Bootstrap, Kind, Resource, Update, XdsAddress, bootstrap, dump_all, name, yaml,
};

use crate::cases;

#[test]
fn plans_become_these_resources() {
    let update = std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    let cases = cases::all();
    for (name, case) in &cases {
        let shown = yaml(&show(case)).unwrap();
        let path = cases::testdata().join(format!("{name}.out.yaml"));
        if update {
            fs::write(&path, &shown).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != shown {
            differing.push(name);
        }
    }
    assert!(
        differing.is_empty(),
        "these outputs differ: {differing:?}; run with SLUICE_UPDATE_GOLDEN=1 and read what changed"
    );
    for name in cases::files(".out.yaml").keys() {
        assert!(cases.contains_key(name), "{name}.out.yaml has no input");
    }
    assert!(cases.len() >= 30, "only {} cases", cases.len());
}

/// The bootstrap as a child of `sluice dev` gets it, and as a pod does.
#[test]
fn a_gateway_starts_with_this() {
    let dev = Bootstrap {
        node: "dev".to_owned(),
        cluster: "sluice".to_owned(),
        xds: XdsAddress::Unix("/run/sluice/xds.sock".into()),
        admin: "/run/sluice/admin.sock".into(),
        heap_limit: None,
        connection_limit: 10_000,
    };
    let pod = Bootstrap {
        node: "gateway-7d9f".to_owned(),
        xds: XdsAddress::Tcp("sluice.sluice-system.svc.cluster.local".to_owned(), 18_000),
        heap_limit: Some(800 << 20),
        connection_limit: 50_000,
        ..dev.clone()
    };
    for (name, facts) in [("dev", dev), ("pod", pod)] {
        let shown = yaml(&bootstrap(&facts).unwrap()).unwrap();
        let path = cases::testdata().join(format!("bootstrap-{name}.yaml"));
        if std::env::var_os("SLUICE_UPDATE_GOLDEN").is_some() {
            fs::write(&path, &shown).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), shown);
    }
}

#[test]
fn equal_plans_give_equal_bytes() {
    for (name, case) in cases::all() {
        let first: Vec<Resource> = case.run().0.resources().cloned().collect();
        for _ in 0..3 {
            assert!(case.run().0.resources().eq(&first), "{name}");
        }
    }
}

fn show(case: &cases::Case) -> Value {
    let (assembly, last) = case.run();
    let (mut served, mut held) = (Vec::new(), Vec::new());
    for resource in assembly.resources() {
        if resource.content.is_none() {
            held.push(resource);
        } else if case.show_listeners || !is_edge(resource) {
            served.push(resource);
        }
    }
    let mut shown = Map::new();
    shown.insert("resources".to_owned(), dump_all(served).unwrap());
    if !held.is_empty() {
        shown.insert("standby".to_owned(), dump_all(held).unwrap());
    }
    if case.steps.len() > 1 || !last.held.is_empty() {
        shown.insert("last update".to_owned(), show_update(&last));
    }
    Value::Object(shown)
}

fn is_edge(resource: &Resource) -> bool {
    resource.kind == Kind::Listener || resource.name == name::READINESS_TABLE
}

fn show_update(update: &Update) -> Value {
    let named = |kind: Kind, name: &str| format!("{kind} {name}");
    let upserts: Vec<String> = update
        .upserts
        .iter()
        .map(|resource| named(resource.kind, &resource.name))
        .collect();
    let removals: Vec<String> = update
        .removals
        .iter()
        .map(|(kind, name)| named(*kind, name))
        .collect();
    json!({ "upserts": upserts, "removals": removals, "held": update.held })
}

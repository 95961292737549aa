//! Every input that translation is tested with, on a real Envoy: each resource
//! is acknowledged, and each host answers on each side with the hash of its
//! Ingress wherever a backend is to be had.

use std::path::Path;

use serde_json::{Value, json};
use sluice_ir::{Cluster, Discovery, Plan, PlanChange, Side};
use sluice_translate::Object;
use sluice_trial::backend::Backend;
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::manifest;

use crate::stage::{Stage, backends, stage};

const CLASS: &str = "networking.knative.dev/ingress.class";

/// The objects of a case, with this backend in place of every endpoint, for
/// nobody answers at the addresses that stand there.
fn objects(text: &str, backend: &Backend) -> Vec<Object> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let ours = |document: &&Value| match document["kind"].as_str() {
        Some("Ingress") => {
            document["metadata"]["annotations"][CLASS] == "sluice.ingress.networking.knative.dev"
        }
        // What a case sets, not what it serves; the backend here speaks no TLS.
        Some("ConfigMap") => false,
        _ => true,
    };
    let (ip, port) = (backend.address().ip().to_string(), backend.address().port());
    let redirect = |document: &Value| {
        let mut document = document.clone();
        let each = |list: &mut Value, change: &dyn Fn(&mut Value)| {
            list.as_array_mut().into_iter().flatten().for_each(change);
        };
        match document["kind"].as_str() {
            Some("EndpointSlice") => {
                document["addressType"] = json!("IPv4");
                each(&mut document["endpoints"], &|endpoint| {
                    endpoint["addresses"] = json!([ip]);
                });
                each(&mut document["ports"], &|p| p["port"] = json!(port));
            }
            Some("Endpoints") => each(&mut document["subsets"], &|subset| {
                each(&mut subset["addresses"], &|address| {
                    address["ip"] = json!(ip);
                });
                each(&mut subset["ports"], &|p| p["port"] = json!(port));
            }),
            Some("Service") => {
                // A name of the outside world would be asked for by DNS.
                let name = document["spec"]["externalName"]
                    .as_str()
                    .unwrap_or_default();
                if [".com", ".org", ".net"]
                    .iter()
                    .any(|top| name.ends_with(top))
                {
                    document["spec"]["externalName"] = json!("localhost");
                }
            }
            _ => {}
        }
        document
    };
    let kept = documents.iter().filter(ours).map(redirect);
    kept.map(|document| manifest::object(&document).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_acknowledged_and_answers() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translate/testdata");
    let mut cases: Vec<_> = std::fs::read_dir(testdata)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".in.yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut tally = Tally::default();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let objects = objects(&std::fs::read_to_string(case).unwrap(), &backend);
        let keys: Vec<_> = objects.iter().map(|o| (o.kind(), o.key())).collect();
        let published = stage.server.change(objects, &[]).await;
        let published = published.unwrap_or_else(|error| panic!("{name}: {error}"));
        for change in published.changes.plans.values() {
            if let PlanChange::Serve(plan) = change {
                check(&name, plan, &stage, &mut tally).await;
            }
        }
        let gone = stage.server.change(Vec::new(), &keys).await;
        gone.unwrap_or_else(|error| panic!("{name}, removed: {error}"));
    }
    println!("{} inputs, nothing refused: {tally:?}", cases.len());
    assert!(tally.hashes > 100, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    /// Hosts that answered with the hash of their Ingress.
    hashes: usize,
    /// Hosts that answered with 301.
    redirects: usize,
    /// Hosts that answered 404 by themselves, for the target of their rewrite
    /// is absent.
    answers: usize,
    /// Hosts whose share has no backend.
    unavailable: usize,
}

/// Asks every host of a plan, on each side, for the hash it serves. Not where
/// DNS says who answers: that is for whoever has the name on this machine.
async fn check(case: &str, plan: &Plan, stage: &Stage, tally: &mut Tally) {
    let by_dns = |cluster: &Cluster| matches!(cluster.discovery, Discovery::Dns { .. });
    if plan.clusters.values().any(by_dns) {
        return;
    }
    for (side, virtual_hosts) in &plan.sides {
        let address = match side {
            Side::External => stage.edge().external_http,
            Side::Internal => stage.edge().internal_http,
        };
        let line = Line::new(Target::plain(address, Mode::KeepAlive));
        for virtual_host in virtual_hosts {
            for host in &virtual_host.hosts {
                let probe = Ask::get(host.as_str(), "/healthz")
                    .header("k-network-probe", "probe")
                    .header("k-network-hash", "override");
                let reply = line.send(&probe).await.outcome.unwrap();
                let hash = reply.header("k-network-hash");
                match reply.status {
                    200 => {
                        assert_eq!(hash, plan.hash, "{case}: {side:?} {host}");
                        tally.hashes += 1;
                    }
                    301 => {
                        assert!(virtual_host.redirect, "{case}: {side:?} {host}");
                        tally.redirects += 1;
                    }
                    404 => {
                        assert_eq!(hash, plan.hash, "{case}: {side:?} {host}: 404");
                        tally.answers += 1;
                    }
                    503 => tally.unavailable += 1,
                    other => panic!("{case}: {side:?} {host}: {other}"),
                }
            }
        }
    }
}

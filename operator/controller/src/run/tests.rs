//! The whole controller against an API server in memory and a clock that stands
//! still while anything runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_ir::{ObjectKey, PlanChange};
use sluice_translate::Changes;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::*;
use crate::fake_cluster::FakeCluster;
use crate::gateways::{FleetView, GatewayRefusal, GatewayView};
use crate::health::IngressState;
use crate::inspect::{Inspector, Unanswered, WaitsFor, inspector};
use crate::probe::{Found, Target, Unconfirmed};

const CLASS: &str = "sluice.ingress.networking.knative.dev";
const GATEWAY: &str = "sluice-system/gateway-1";

/// Gateways that apply what they are told to.
struct Fleet {
    published: Mutex<Vec<Changes>>,
    view: watch::Sender<FleetView>,
    /// Whether each revision is applied at once.
    applies: Mutex<bool>,
}

impl Fleet {
    fn revision(&self) -> u64 {
        self.published.lock().unwrap().len() as u64
    }

    fn apply(&self) {
        let view = GatewayView {
            acked: Some(self.revision()),
            serving: true,
        };
        self.view.send_modify(|fleet| {
            fleet.gateways.insert(GATEWAY.into(), view);
        });
    }
}

impl Gateways for Fleet {
    fn publish(&self, changes: Changes) -> u64 {
        self.published.lock().unwrap().push(changes);
        if *self.applies.lock().unwrap() {
            self.apply();
        }
        self.revision()
    }

    fn fleet(&self) -> watch::Receiver<FleetView> {
        self.view.subscribe()
    }
}

/// Confirms while it is told to.
#[derive(Clone)]
struct Prober {
    confirms: Arc<Mutex<bool>>,
    asked: Arc<Mutex<Vec<Vec<Target>>>>,
}

impl Confirm for Prober {
    async fn confirm(&self, targets: Vec<Target>) -> Result<(), Unconfirmed> {
        let first = targets.first().cloned();
        self.asked.lock().unwrap().push(targets);
        let confirms = *self.confirms.lock().unwrap();
        match first {
            Some(target) if !confirms => Err(Unconfirmed {
                gateway: (target.gateway, 8080).into(),
                side: target.side,
                tls: target.tls,
                host: target.host,
                expected: target.hash,
                found: Found::Status(404),
            }),
            _ => Ok(()),
        }
    }
}

struct Lab {
    cluster: Arc<FakeCluster>,
    fleet: Arc<Fleet>,
    prober: Prober,
    health: Arc<Health>,
    leader: watch::Sender<bool>,
    inspector: Inspector,
    task: JoinHandle<Result<(), ControllerError>>,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lab {
    fn start(cluster: Arc<FakeCluster>, leads: bool) -> Self {
        let fleet = Arc::new(Fleet {
            published: Mutex::default(),
            view: watch::Sender::new(FleetView::default()),
            applies: Mutex::new(true),
        });
        let prober = Prober {
            confirms: Arc::new(Mutex::new(true)),
            asked: Arc::default(),
        };
        let health = Arc::new(Health::default());
        let leader = watch::Sender::new(leads);
        let options = Options {
            cluster_suffix: "cluster.local".into(),
            ..Options::new("sluice-system", "pod")
        };
        let (inspector, questions) = inspector();
        let wires = Wires {
            gateways: Arc::clone(&fleet) as Arc<dyn Gateways>,
            leader: leader.subscribe(),
            prober: prober.clone(),
            health: Arc::clone(&health),
            questions,
        };
        let task = tokio::spawn(run(
            cluster.client(),
            options,
            wires,
            std::future::pending(),
        ));
        Self {
            cluster,
            fleet,
            prober,
            health,
            leader,
            inspector,
            task,
        }
    }

    /// A cluster with a gateway and a Service, led by this replica.
    fn usual() -> Self {
        let cluster = FakeCluster::new();
        cluster.put("endpointslices", gateway_slice());
        cluster.put("services", service("app"));
        Self::start(cluster, true)
    }

    fn status(&self, name: &str) -> Value {
        self.cluster.object("ingresses", name)["status"].clone()
    }

    fn condition(&self, name: &str, kind: &str) -> String {
        let status = self.status(name);
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == kind);
        found.map_or_else(String::new, |condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("status"), text("reason"))
                .trim()
                .to_owned()
        })
    }

    fn ready(&self, name: &str) -> String {
        self.condition(name, "Ready")
    }

    fn writes(&self) -> usize {
        let writes = self.cluster.writes();
        writes
            .iter()
            .filter(|write| write.ends_with("/status"))
            .count()
    }
}

async fn until(what: &str, check: impl Fn() -> bool) {
    for _ in 0..6000 {
        if check() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute: {what}");
}

/// Lets all happen that is going to.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn gateway_slice() -> Value {
    json!({
        "metadata": {
            "namespace": "sluice-system", "name": "sluice-internal-1",
            "labels": { "kubernetes.io/service-name": "sluice-internal" },
        },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.0.0.1"],
            "conditions": { "ready": true },
            "targetRef": { "kind": "Pod", "namespace": "sluice-system", "name": "gateway-1" },
        }],
        "ports": [],
    })
}

fn service(name: &str) -> Value {
    json!({
        "metadata": { "namespace": "ns", "name": name },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    })
}

fn ingress(name: &str, generation: i64, service: &str) -> Value {
    json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
        "metadata": {
            "namespace": "ns", "name": name, "uid": format!("uid-{name}"),
            "generation": generation,
            "annotations": { "networking.knative.dev/ingress.class": CLASS },
        },
        "spec": { "rules": [{ "hosts": [format!("{name}.example")], "http": { "paths": [{ "splits": [
            { "serviceNamespace": "ns", "serviceName": service, "servicePort": 80, "percent": 100 },
        ] }] } }] },
    })
}

#[tokio::test(start_paused = true)]
async fn an_ingress_becomes_ready_by_one_write_and_then_nothing_is_written() {
    let lab = Lab::usual();
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    until("ready", || lab.ready("web") == "True").await;
    let status = lab.status("web");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(
        status["privateLoadBalancer"]["ingress"],
        json!([{ "domainInternal": "sluice-internal.sluice-system.svc.cluster.local" }])
    );
    rest().await;
    assert_eq!(lab.writes(), 1);
    let asked = lab.prober.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].len(), 2, "external and internal, plain");
    assert_eq!(lab.health.snapshot().ingresses[&IngressState::Ready], 1);
    assert_eq!(lab.health.snapshot().readiness.count(), 1);
    assert_eq!(lab.health.snapshot().status_conflicts, 0);
    assert_eq!(lab.health.ready(), Ok(()));
    // A list after a gap in which nothing happened changes nothing either.
    lab.cluster.gap(|_| {});
    rest().await;
    assert_eq!(lab.writes(), 1);
    assert_eq!(lab.prober.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_the_gateway_then_for_the_probe() {
    let lab = Lab::usual();
    *lab.fleet.applies.lock().unwrap() = false;
    *lab.prober.confirms.lock().unwrap() = false;
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    until("unknown", || lab.ready("web") == "Unknown Uninitialized").await;
    rest().await;
    assert_eq!(lab.writes(), 1);
    assert!(
        lab.prober.asked.lock().unwrap().is_empty(),
        "not applied, not asked"
    );
    assert_eq!(lab.health.snapshot().awaiting_gateways, 1);
    lab.fleet.apply();
    rest().await;
    assert_eq!(lab.ready("web"), "Unknown Uninitialized");
    let asked = lab.prober.asked.lock().unwrap().len();
    assert!((5..15).contains(&asked), "{asked} rounds in 5 s");
    rest().await;
    let what = || lab.status("web")["conditions"][2]["message"].to_string();
    until("what is missing is named", || {
        what().contains("a probe found")
    })
    .await;
    rest().await;
    assert_eq!(lab.writes(), 2, "named once");
    *lab.prober.confirms.lock().unwrap() = true;
    until("ready", || lab.ready("web") == "True").await;
    assert_eq!(lab.writes(), 3);
    assert!(lab.health.snapshot().probe_failures >= 5);
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_goes_through_it_again_and_keeps_its_addresses() {
    let lab = Lab::usual();
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    until("ready", || lab.ready("web") == "True").await;
    *lab.fleet.applies.lock().unwrap() = false;
    lab.cluster.put("services", service("other"));
    let mut next = ingress("web", 2, "other");
    next["status"] = lab.status("web");
    lab.cluster.put("ingresses", next);
    until("unknown", || lab.ready("web") == "Unknown Uninitialized").await;
    let status = lab.status("web");
    assert_eq!(status["observedGeneration"], 2);
    assert!(status["publicLoadBalancer"]["ingress"].is_array());
    lab.fleet.apply();
    until("ready", || lab.ready("web") == "True").await;
}

#[tokio::test(start_paused = true)]
async fn no_gateway_is_said_and_healed() {
    let cluster = FakeCluster::new();
    cluster.put("services", service("app"));
    cluster.put("ingresses", ingress("web", 1, "app"));
    let lab = Lab::start(cluster, true);
    *lab.fleet.applies.lock().unwrap() = false;
    until("no gateway", || lab.ready("web") == "Unknown NoGateway").await;
    lab.cluster.put("endpointslices", gateway_slice());
    until("waits", || lab.ready("web") == "Unknown Uninitialized").await;
    lab.fleet.apply();
    until("ready", || lab.ready("web") == "True").await;
    // Gone again: what is served stays said, since all would flap at once.
    lab.cluster.gap(|cluster| {
        let mut none = gateway_slice();
        none["endpoints"] = json!([]);
        cluster.put("endpointslices", none);
    });
    lab.fleet.view.send_modify(|fleet| fleet.gateways.clear());
    rest().await;
    assert_eq!(lab.ready("web"), "True");
}

#[tokio::test(start_paused = true)]
async fn a_missing_service_is_said_by_status_and_event_and_heals() {
    let lab = Lab::usual();
    lab.cluster.put("ingresses", ingress("web", 1, "absent"));
    until("partial", || lab.ready("web") == "False ServiceMissing").await;
    assert_eq!(
        lab.condition("web", "LoadBalancerReady"),
        "False ServiceMissing"
    );
    assert_eq!(lab.condition("web", "NetworkConfigured"), "True");
    rest().await;
    let events = lab.cluster.objects("events");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["reason"], "ServiceMissing");
    assert_eq!(events[0]["type"], "Warning");
    assert_eq!(events[0]["regarding"]["uid"], "uid-web");
    lab.cluster.put("services", service("absent"));
    until("ready", || lab.ready("web") == "True").await;
    lab.cluster.delete("services", "absent");
    until("partial", || lab.ready("web") == "False ServiceMissing").await;
    rest().await;
    assert_eq!(
        lab.cluster.objects("events").len(),
        1,
        "the same generation"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_generation_says_so() {
    let lab = Lab::usual();
    let mut bad = ingress("web", 1, "app");
    bad["spec"]["rules"][0]["hosts"] = json!([]);
    lab.cluster.put("ingresses", bad);
    until("refused", || lab.ready("web") == "False HostRequired").await;
    assert_eq!(
        lab.condition("web", "NetworkConfigured"),
        "False HostRequired"
    );
    assert_eq!(lab.health.snapshot().ingresses[&IngressState::Refused], 1);
    lab.cluster.delete("ingresses", "web");
    until("forgotten", || lab.health.snapshot().ingresses.is_empty()).await;
    assert!(lab.health.snapshot().rejections.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_gateway_refused_is_said_and_taken_back() {
    let lab = Lab::usual();
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    until("ready", || lab.ready("web") == "True").await;
    let refusal = GatewayRefusal {
        ingress: Some(ObjectKey::new("ns", "web")),
        kind: "route configuration".into(),
        name: "ext/ns/web".into(),
        detail: "no".into(),
        gateway: GATEWAY.into(),
    };
    lab.fleet
        .view
        .send_modify(|fleet| fleet.refused.push(refusal));
    until("refused", || lab.ready("web") == "False GatewayRefused").await;
    lab.fleet.view.send_modify(|fleet| fleet.refused.clear());
    until("ready again", || lab.ready("web") == "True").await;
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_writes_and_a_new_one_writes_what_is_due() {
    let lab = Lab::usual();
    lab.leader.send_replace(false);
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    lab.cluster.put("ingresses", ingress("broken", 1, "absent"));
    until("published", || lab.health.ready().is_ok()).await;
    rest().await;
    assert_eq!(lab.cluster.writes(), [] as [&str; 0]);
    assert!(lab.prober.asked.lock().unwrap().is_empty());
    assert!(!lab.health.snapshot().leads);
    lab.leader.send_replace(true);
    until("ready", || lab.ready("web") == "True").await;
    until("said", || lab.ready("broken") == "False ServiceMissing").await;
    assert_eq!(lab.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_start_finds_what_is_ready_and_neither_probes_nor_writes() {
    let first = Lab::usual();
    first.cluster.put("ingresses", ingress("web", 1, "app"));
    until("ready", || first.ready("web") == "True").await;
    let cluster = Arc::clone(&first.cluster);
    drop(first);
    let writes = cluster.writes().len();
    let second = Lab::start(Arc::clone(&cluster), true);
    until("published", || second.health.ready().is_ok()).await;
    rest().await;
    assert_eq!(cluster.writes().len(), writes);
    assert!(second.prober.asked.lock().unwrap().is_empty());
    assert_eq!(second.health.snapshot().ingresses[&IngressState::Ready], 1);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_read_again_and_written() {
    let cluster = FakeCluster::new();
    cluster.put("endpointslices", gateway_slice());
    cluster.put("services", service("app"));
    let lab = Lab::start(cluster, true);
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    lab.cluster.refuse("PATCH", "status", Some(409));
    until("conflicts", || lab.health.snapshot().status_conflicts > 2).await;
    assert_eq!(lab.ready("web"), "");
    lab.cluster.refuse("PATCH", "status", None);
    until("ready", || lab.ready("web") == "True").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_writes_holds_up_no_publication() {
    let lab = Lab::usual();
    lab.cluster.refuse("PATCH", "status", Some(500));
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    until("tried", || lab.health.snapshot().status_failures > 3).await;
    let before = lab.fleet.revision();
    lab.cluster.put("ingresses", ingress("next", 1, "app"));
    until("published", || lab.fleet.revision() > before).await;
    lab.cluster.refuse("PATCH", "status", None);
    until("ready", || {
        lab.ready("web") == "True" && lab.ready("next") == "True"
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_ingress_deleted_meanwhile_is_forgotten() {
    let lab = Lab::usual();
    lab.cluster.refuse("PATCH", "status", Some(404));
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    rest().await;
    assert_eq!(lab.writes(), 1, "not tried again");
    assert_eq!(lab.health.snapshot().status_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_or_missing_resource_is_waited_for_and_named() {
    let cluster = FakeCluster::new();
    cluster.put("ingresses", ingress("web", 1, "app"));
    cluster.refuse("GET", "ingresses", Some(404));
    cluster.refuse("GET", "secrets", Some(403));
    let lab = Lab::start(cluster, true);
    rest().await;
    let missing = lab.health.ready().unwrap_err();
    assert_eq!(missing.len(), 3);
    assert!(
        missing[0].contains("CustomResourceDefinitions"),
        "{}",
        missing[0]
    );
    assert!(
        missing[1].contains("grant get, list and watch on secrets"),
        "{}",
        missing[1]
    );
    assert!(
        missing[2].contains("routing-serving-certs"),
        "{}",
        missing[2]
    );
    assert_eq!(lab.fleet.revision(), 0, "nothing is published");
    lab.cluster.refuse("GET", "ingresses", None);
    rest().await;
    assert_eq!(lab.fleet.revision(), 0);
    lab.cluster.refuse("GET", "secrets", None);
    until("published", || lab.fleet.revision() == 1).await;
    assert_eq!(lab.health.ready(), Ok(()));
    assert!(!lab.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_vanished_in_a_gap_is_removed() {
    let lab = Lab::usual();
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    lab.cluster.put("ingresses", ingress("stays", 1, "app"));
    until("ready", || {
        lab.ready("web") == "True" && lab.ready("stays") == "True"
    })
    .await;
    lab.cluster
        .gap(|cluster| cluster.delete("ingresses", "web"));
    let removed = || {
        let published = lab.fleet.published.lock().unwrap();
        let mut plans = BTreeMap::new();
        for changes in published.iter() {
            plans.extend(changes.plans.clone());
        }
        plans
    };
    until("removed", || {
        removed()[&ObjectKey::new("ns", "web")] == PlanChange::Remove
    })
    .await;
    rest().await;
    assert!(matches!(
        removed()[&ObjectKey::new("ns", "stays")],
        PlanChange::Serve(_)
    ));
    assert_eq!(lab.health.snapshot().ingresses[&IngressState::Ready], 1);
}

#[tokio::test(start_paused = true)]
async fn many_ingresses_become_ready_by_one_write_each() {
    let lab = Lab::usual();
    for index in 0..300 {
        lab.cluster
            .put("ingresses", ingress(&format!("web-{index}"), 1, "app"));
    }
    let ready = || lab.health.snapshot().ingresses.get(&IngressState::Ready) == Some(&300);
    until("ready", ready).await;
    rest().await;
    assert_eq!(lab.writes(), 300);
    assert_eq!(lab.health.snapshot().running, 0);
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_told_and_not_before() {
    let cluster = FakeCluster::new();
    let fleet = Arc::new(Fleet {
        published: Mutex::default(),
        view: watch::Sender::new(FleetView::default()),
        applies: Mutex::new(true),
    });
    let prober = Prober {
        confirms: Arc::new(Mutex::new(true)),
        asked: Arc::default(),
    };
    // The sender of the leader's word is gone: this replica does not lead.
    let (_, leader) = watch::channel(true);
    let ended = run(
        cluster.client(),
        Options::new("sluice-system", "pod"),
        Wires {
            gateways: fleet,
            leader,
            prober,
            health: Arc::default(),
            questions: inspector().1,
        },
        tokio::time::sleep(Duration::from_secs(30)),
    );
    assert!(ended.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_what_an_ingress_waits_for() {
    let lab = Lab::usual();
    *lab.fleet.applies.lock().unwrap() = false;
    *lab.prober.confirms.lock().unwrap() = false;
    lab.cluster.put("ingresses", ingress("web", 1, "app"));
    lab.cluster.put("ingresses", ingress("bad", 1, "absent"));
    until("partial", || lab.ready("bad").starts_with("False")).await;
    let ask = || async {
        let found = lab.inspector.ingresses(None).await.unwrap();
        assert_eq!(found.len(), 2);
        found.into_iter().find(|view| view.ingress.name == "web")
    };
    let web = ask().await.unwrap();
    assert_eq!(web.state, Some(IngressState::Waiting));
    assert_eq!(web.hash.as_ref().map(String::len), Some(64));
    let revision = web.revision;
    let gateways = vec![GATEWAY.to_owned()];
    assert_eq!(
        web.waits_for,
        Some(WaitsFor::Revision { revision, gateways })
    );
    lab.fleet.apply();
    rest().await;
    let Some(WaitsFor::Probe { found: Some(found) }) = ask().await.unwrap().waits_for else {
        panic!("{:?}", ask().await);
    };
    assert!(found.contains("found status 404"), "{found}");
    *lab.prober.confirms.lock().unwrap() = true;
    until("ready", || lab.ready("web") == "True").await;
    assert_eq!(ask().await.unwrap().waits_for, None);
    lab.fleet.view.send_modify(|fleet| fleet.gateways.clear());
    lab.cluster.put("endpointslices", {
        let mut empty = gateway_slice();
        empty["endpoints"] = json!([]);
        empty
    });
    lab.cluster.put("ingresses", ingress("late", 1, "app"));
    until("late", || lab.ready("late") == "Unknown NoGateway").await;
    let late = lab.inspector.ingress(ObjectKey::new("ns", "late")).await;
    let (late, planned) = late.unwrap().unwrap();
    assert_eq!(late.waits_for, Some(WaitsFor::Gateway));
    let planned = planned.unwrap();
    assert_eq!(planned.plan.hash, late.hash.unwrap());
    assert_eq!(planned.endpoints.len(), 1, "those of its cluster");
    let nobody = lab.inspector.ingress(ObjectKey::new("ns", "nobody")).await;
    assert_eq!(nobody, Ok(None));
    let other = lab.inspector.ingresses(Some("other".into())).await;
    assert_eq!(other, Ok(Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_which_gateways_have_to_agree() {
    let lab = Lab::usual();
    until("listed", || lab.health.ready().is_ok()).await;
    let gateways = lab.inspector.gateways().await.unwrap();
    let gateway = &gateways[GATEWAY];
    assert!(gateway.ready && gateway.required && !gateway.terminating);
    assert_eq!(gateway.address, Some([10, 0, 0, 1].into()));
    let (alone, _) = inspector();
    assert_eq!(alone.gateways().await, Err(Unanswered));
}

//! What the ingress that most clusters have today gets wrong on these paths: each fault
//! as it is met, and served here. A WebSocket through a DomainMapping is in `mapping`,
//! the ACME challenge under redirect in `tls`, more than 1,024 streams in `streams`.

use serde_json::{Value, json};
use sluice_controller::probe::{Ports, Prober, Target};
use sluice_envoy::ProbeKey;
use sluice_ir::{Host, Outcome, Reason, Side};
use sluice_translate::ObjectKind;
use sluice_trial::backend::NAME_HEADER;
use sluice_trial::certificate::issue;
use sluice_trial::line::Ask;
use sluice_xds::Settings;

use crate::stage::{
    NAMESPACE, ask, backends, get, ingress, path, rule, service, split, stage, stage_at,
};

const KEY: &str = "0123456789abcdef";

/// A DomainMapping may lead to a Service that is none of Knative's, whose targetPort is
/// a name: what listens is known from its EndpointSlice alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_named_target_port_behind_a_domain_mapping() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["plain"]).await;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": "plain"},
        "spec": {"ports": [{"name": "web", "port": 80, "targetPort": "web-port"}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": NAMESPACE, "name": "plain-1",
            "labels": {"kubernetes.io/service-name": "plain"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": backend.address().port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": true}}],
    });
    let mapping = ingress(
        "mapped",
        &json!({"rules": [rule("mapped.example.com", &[json!({
            "rewriteHost": "plain.trial.svc.cluster.local",
            "splits": [split("plain", 100)],
        })])]}),
    );
    stage.apply(&[service, slice, mapping]).await;
    let reply = get(stage.edge().external_http, "mapped.example.com", "/").await;
    assert_eq!((reply.status, reply.header(NAME_HEADER)), (200, "plain"));
    assert_eq!(
        backend.received()[0].host,
        "plain.trial.svc.cluster.local",
        "the Host is rewritten"
    );
}

/// A split whose Service is not there takes its share and no more: the other share is
/// served, the next generation of the Ingress too, and so is the Service once it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_backend_does_not_freeze_its_ingress() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [old, new, late] = backends(["old", "new", "late"]).await;
    let mut objects = service("old", &[old.address()]);
    objects.extend(service("new", &[new.address()]));
    let with = |there: &str| {
        let half = json!({"path": "/half", "splits": [split(there, 50), split("late", 50)]});
        let spec = json!({"rules": [rule("s.example.com", &[half, path(&[split(there, 100)])])]});
        ingress("s", &spec)
    };
    objects.push(with("old"));
    let address = stage.edge().external_http;
    let half = async || {
        let mut answers = std::collections::BTreeSet::new();
        // 2^-99 that a fair split answers in one way only.
        for _ in 0..100 {
            let reply = get(address, "s.example.com", "/half").await;
            answers.insert((reply.status, reply.header(NAME_HEADER).to_owned()));
        }
        answers
    };
    for (there, objects) in [("old", objects), ("new", vec![with("new")])] {
        stage.apply(&objects).await;
        let (_, verdict) = stage.server.world().verdicts().next().unwrap();
        assert_eq!(verdict.outcome, Outcome::Partial, "{verdict:?}");
        assert_eq!(verdict.rejections[0].reason, Reason::ServiceMissing);
        let whole = get(address, "s.example.com", "/").await;
        assert_eq!((whole.status, whole.header(NAME_HEADER)), (200, there));
        let missing = (503, String::new());
        assert_eq!(half().await, [(200, there.to_owned()), missing].into());
    }
    stage.apply(&service("late", &[late.address()])).await;
    let (_, verdict) = stage.server.world().verdicts().next().unwrap();
    assert_eq!(verdict.outcome, Outcome::Accepted, "{verdict:?}");
    let both = ["late", "new"].map(|name| (200, name.to_owned()));
    assert_eq!(half().await, both.into());
}

/// What a status says of https was asked by https: as long as a certificate is missing
/// the host is not ready, though all of it is answered in plain text.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_of_https_is_asked_by_https() {
    let with_key = |edge: &mut sluice_envoy::Edge| edge.probe_key = Some(ProbeKey::new(KEY));
    let Some(mut stage) = stage_at(Settings::default(), with_key).await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.push(ingress("s", &json!({
        "tls": [{"hosts": ["s.example.com"], "secretName": "tls", "secretNamespace": NAMESPACE}],
        "rules": [rule("s.example.com", &[path(&[split("b", 100)])])],
    })));
    stage.apply(&objects).await;
    let edge = stage.edge().clone();
    let ports = Ports {
        external_http: edge.external_http.port(),
        external_https: edge.external_https.port(),
        internal_http: edge.internal_http.port(),
        internal_https: edge.internal_https.port(),
    };
    let prober = Prober::new(ports, KEY.to_owned(), 1).unwrap();
    let probe = Ask::get("s.example.com", "/healthz")
        .header("user-agent", "Knative-Ingress-Probe")
        .header("k-network-probe", "probe")
        .header("k-network-hash", "override")
        .header("x-sluice-probe", KEY);
    let hash = ask(edge.external_http, probe).await;
    let on = |tls| {
        [Target {
            gateway: edge.external_http.ip(),
            side: Side::External,
            tls,
            host: Host::parse("s.example.com").unwrap(),
            hash: hash.header("k-network-hash").to_owned(),
        }]
    };
    prober.confirm(&on(false)).await.unwrap();
    let unconfirmed = prober.confirm(&on(true)).await.unwrap_err();
    assert!(unconfirmed.tls, "{unconfirmed:?}");

    let secret: Value = issue(&["s.example.com"]).unwrap().secret(NAMESPACE, "tls");
    stage.apply(&[secret]).await;
    prober.confirm(&on(true)).await.unwrap();
    stage.delete(ObjectKind::Secret, "tls").await;
    prober.confirm(&on(true)).await.unwrap_err();
    prober.confirm(&on(false)).await.unwrap();
}

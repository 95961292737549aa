//! Hosts that change hands, and Ingresses that go.

use serde_json::json;
use sluice_ir::{ObjectKey, Outcome, Reason};
use sluice_translate::ObjectKind;
use sluice_trial::backend::NAME_HEADER;
use sluice_trial::line::{Ask, Mode, Target};
use sluice_trial::prober::{Load, Prober};

use crate::stage::{
    NAMESPACE, alone, backends, get, ingress, path, rule, service, simple, split, stage,
};

const HOST: &str = "contested.example.com";

/// Fifty times the elder Ingress gives up a host and takes it back, while both
/// live on with other hosts. The younger one serves in between, without a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_handover_has_no_404() {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let [elder, younger] = backends(["elder", "younger"]).await;
    let mut objects = service("elder", &[elder.address()]);
    objects.extend(service("younger", &[younger.address()]));
    let spec = |service: &str, own: &str, contested: bool| {
        let mut hosts = vec![json!(own)];
        hosts.extend(contested.then(|| json!(HOST)));
        let mut rule = rule(own, &[path(&[split(service, 100)])]);
        rule["hosts"] = json!(hosts);
        json!({"rules": [rule]})
    };
    let elder_ingress = |contested| {
        let mut ingress = ingress("elder", &spec("elder", "elder.example.com", contested));
        ingress["metadata"]["creationTimestamp"] = json!("2024-01-01T00:00:00Z");
        ingress
    };
    let mut young = ingress("younger", &spec("younger", "younger.example.com", true));
    young["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
    objects.extend([elder_ingress(true), young]);
    let published = stage.apply(&objects).await;
    let verdict = &published.changes.verdicts[&ObjectKey::new(NAMESPACE, "younger")];
    assert_eq!(verdict.outcome, Outcome::Partial);
    assert_eq!(verdict.rejections[0].reason, Reason::DomainConflict);

    let address = stage.edge().external_http;
    let start = |mode| {
        Prober::start(Load {
            target: Target::plain(address, mode),
            ask: Ask::get(HOST, "/?size=1"),
            rate: 200,
        })
    };
    let mut probers = [
        start(Mode::KeepAlive),
        start(Mode::Http2),
        start(Mode::Fresh),
    ];
    for number in 0..50 {
        probers[0].more(2).await;
        let contested = number % 2 == 1;
        stage.apply(&[elder_ingress(contested)]).await;
        let owner = if contested { "elder" } else { "younger" };
        assert_eq!(get(address, HOST, "/").await.header(NAME_HEADER), owner);
        for own in ["elder", "younger"] {
            let host = format!("{own}.example.com");
            assert_eq!(get(address, &host, "/").await.header(NAME_HEADER), own);
        }
    }
    for prober in probers {
        let report = prober.stop().await.unwrap();
        println!(
            "50 handovers: {} sent, {} failed",
            report.sent,
            report.failed()
        );
        assert_eq!(report.lost(200), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_ingress_is_404_and_its_neighbours_serve() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.push(simple("goes", "goes.example.com", "b"));
    objects.push(simple("stays", "stays.example.com", "b"));
    stage.apply(&objects).await;
    let edge = stage.edge().clone();
    let both = [edge.external_http, edge.internal_http];
    for address in both {
        assert_eq!(get(address, "goes.example.com", "/").await.status, 200);
    }
    stage.delete(ObjectKind::Ingress, "goes").await;
    for address in both {
        assert_eq!(get(address, "goes.example.com", "/").await.status, 404);
        assert_eq!(get(address, "stays.example.com", "/").await.status, 200);
    }
    stage
        .apply(&[simple("goes", "goes.example.com", "b")])
        .await;
    for address in both {
        assert_eq!(get(address, "goes.example.com", "/").await.status, 200);
    }
}

/// Requests under way on what goes are finished.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_breaks_nothing_that_is_under_way() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.push(simple("goes", "goes.example.com", "b"));
    stage.apply(&objects).await;
    let address = stage.edge().external_http;
    let slow = tokio::spawn(get(
        address,
        "goes.example.com",
        "/?delay-ms=500&pause-ms=500",
    ));
    crate::stage::eventually("the slow request at the backend", || async {
        backend.hits() == 1
    })
    .await;
    stage.delete(ObjectKind::Ingress, "goes").await;
    assert_eq!(get(address, "goes.example.com", "/").await.status, 404);
    assert_eq!(slow.await.unwrap().status, 200);
}

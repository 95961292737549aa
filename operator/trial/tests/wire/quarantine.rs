//! A resource that Envoy refuses harms only itself.

use bytes::Bytes;
use sluice_envoy::{Content, Kind, Resource, Update};
use sluice_trial::line::{Ask, Mode, Target};
use sluice_trial::prober::{Load, Prober};

use crate::stage::{Stage, backends, get, service, simple, stage};

/// A resource that decodes as nothing, or that Envoy's own rules forbid.
fn bad(kind: Kind, name: &str, body: impl Into<Bytes>) -> Resource {
    Resource {
        kind,
        name: name.to_owned(),
        content: Some(Content::new(body)),
        standby: None,
        table: None,
        key: None,
        shape: 0,
    }
}

async fn build() -> Option<(Stage, [sluice_trial::backend::Backend; 1], usize)> {
    let mut stage = stage().await?;
    let backends = backends(["b"]).await;
    let mut objects = service("b", &[backends[0].address()]);
    for number in 0..20 {
        objects.push(simple(
            &format!("good-{number}"),
            &format!("good-{number}.example.com"),
            "b",
        ));
    }
    stage.apply(&objects).await;
    Some((stage, backends, 20))
}

/// One response with good and bad neighbours of each type: the bad ones are
/// named, the good ones serve, and nothing is lost meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn bad_neighbours_are_named_and_good_ones_serve() {
    let Some((mut stage, backends, good)) = build().await else {
        return;
    };
    let mut prober = Prober::start(Load {
        target: Target::plain(stage.edge().external_http, Mode::KeepAlive),
        ask: Ask::get("good-0.example.com", "/?size=1"),
        rate: 200,
    });
    prober.more(10).await;

    // A body that is a name (field 1 in all these types) and nothing else
    // breaks a rule of every type: no cluster discovery, no scope key.
    let named = |name: &str| {
        let mut body = vec![0x0a, u8::try_from(name.len()).unwrap()];
        body.extend_from_slice(name.as_bytes());
        body
    };
    let mut update = Update::default();
    let truncated = vec![0x0a, 0xff];
    for (kind, name) in [
        (Kind::Cluster, "trial/truncated/80"),
        (Kind::Scope, "ext/trial/truncated/truncated.example.com"),
    ] {
        let mut resource = bad(kind, name, truncated.clone());
        if kind == Kind::Scope {
            resource.key = Some("ext|truncated.example.com".to_owned());
        }
        update.upserts.push(resource);
    }
    let scope = "ext/trial/empty/empty.example.com";
    let mut resource = bad(Kind::Scope, scope, named(scope));
    resource.key = Some("ext|empty.example.com".to_owned());
    update.upserts.push(resource);
    let refused: Vec<(Kind, String)> = update
        .upserts
        .iter()
        .map(|r| (r.kind, r.name.clone()))
        .collect();
    stage.server.publish(update).await.unwrap();

    let quarantined = stage.server.fleet().quarantined;
    let found: Vec<(Kind, String)> = quarantined
        .iter()
        .map(|q| (q.kind, q.name.clone()))
        .collect();
    for culprit in &refused {
        assert!(
            found.contains(culprit),
            "{culprit:?} is not in {quarantined:?}"
        );
    }
    assert_eq!(found.len(), refused.len(), "{quarantined:?}");
    assert!(quarantined.iter().all(|q| !q.detail.is_empty()));

    // Neighbours that change afterwards are not held up, and new ones come.
    let mut objects = service("b2", &[backends[0].address()]);
    objects.push(simple("late", "late.example.com", "b2"));
    let objects: Vec<_> = objects
        .iter()
        .map(sluice_trial::manifest::object)
        .collect::<Result<_, _>>()
        .unwrap();
    // `apply` would report the quarantine as an error, which it is not here.
    let outcome = stage.server.apply_objects(objects).await;
    assert!(outcome.is_err_and(|error| error.to_string().contains("truncated")));
    let address = stage.edge().external_http;
    assert_eq!(get(address, "late.example.com", "/").await.status, 200);
    for number in 0..good {
        let host = format!("good-{number}.example.com");
        assert_eq!(get(address, &host, "/").await.status, 200);
    }
    prober.more(10).await;
    let report = prober.stop().await.unwrap();
    assert_eq!(report.lost(200), Vec::<String>::new());

    // What goes, goes from the quarantine too.
    let update = Update {
        removals: refused,
        ..Update::default()
    };
    stage.server.publish(update).await.unwrap();
    crate::stage::eventually("an empty quarantine", || async {
        stage.server.fleet().quarantined.is_empty()
    })
    .await;
}

/// A new version of a live table is refused: the old one serves on.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_table_keeps_its_last_good_version() {
    let Some((mut stage, _backends, _)) = build().await else {
        return;
    };
    let name = "ext/trial/good-3";
    let old = stage
        .server
        .assembly()
        .resources()
        .find(|resource| resource.kind == Kind::RouteTable && resource.name == name)
        .cloned()
        .unwrap();
    // The same table with a virtual host that breaks Envoy's own rule (no name).
    let mut body = old.content.as_ref().unwrap().body.to_vec();
    // Field 2 (`virtual_hosts`) of length 0.
    body.extend_from_slice(&[0x12, 0x00]);
    let mut new = old.clone();
    new.content = Some(Content::new(body));
    let good_neighbour = simple("fresh", "fresh.example.com", "b");
    let update = Update {
        upserts: vec![new],
        ..Update::default()
    };
    stage.server.publish(update).await.unwrap();
    let quarantined = stage.server.fleet().quarantined;
    assert_eq!(quarantined.len(), 1, "{quarantined:?}");
    assert_eq!(quarantined[0].name, name);
    let address = stage.edge().external_http;
    assert_eq!(get(address, "good-3.example.com", "/").await.status, 200);
    // Mended: the old version again, and a neighbour in the same breath.
    let update = Update {
        upserts: vec![old],
        ..Update::default()
    };
    stage.server.publish(update).await.unwrap();
    assert!(stage.server.fleet().quarantined.is_empty());
    stage.apply(&[good_neighbour]).await;
    assert_eq!(get(address, "fresh.example.com", "/").await.status, 200);
}

/// A gateway that starts anew never had the table, and gets its stand-in: 503,
/// while everything else serves.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_never_had_a_refused_table_answers_503() {
    let Some((mut stage, _backends, good)) = build().await else {
        return;
    };
    let name = "ext/trial/good-3";
    let mut table = stage
        .server
        .assembly()
        .resources()
        .find(|resource| resource.kind == Kind::RouteTable && resource.name == name)
        .cloned()
        .unwrap();
    assert!(table.standby.is_some(), "every table has a stand-in");
    let mut body = table.content.as_ref().unwrap().body.to_vec();
    body.extend_from_slice(&[0x12, 0x00]);
    table.content = Some(Content::new(body));
    let update = Update {
        upserts: vec![table],
        ..Update::default()
    };
    stage.server.publish(update).await.unwrap();

    let stage = stage.anew().await;
    for number in 0..good {
        let expected = if number == 3 { 503 } else { 200 };
        let reply = get(
            stage.edge().external_http,
            &format!("good-{number}.example.com"),
            "/",
        )
        .await;
        assert_eq!(reply.status, expected, "good-{number}");
    }
}

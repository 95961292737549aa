//! One change sends one resource, however many Ingresses there are.

use std::time::Duration;

use serde_json::Value;
use sluice_trial::backend::{Backend, NAME_HEADER};
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::remote::Sent;
use tokio::time::Instant;

use crate::stage::{
    Stage, alone, backends, echo, endpoints_of, ingress, path, rule, service, simple,
    split_setting, stage,
};

/// A world of this many Ingresses, each with a Service of its own.
async fn world(count: usize, backend: &Backend) -> Option<Stage> {
    let mut stage = stage().await?;
    let objects: Vec<Value> = (0..count)
        .flat_map(|number| {
            let mut objects = service(&format!("s-{number}"), &[backend.address()]);
            let host = format!("h-{number}.example.com");
            objects.push(simple(
                &format!("i-{number}"),
                &host,
                &format!("s-{number}"),
            ));
            objects
        })
        .collect();
    let published = stage.apply(&objects).await;
    println!(
        "{count} Ingresses: {} resources in {:?}",
        published.upserts, published.took
    );
    Some(stage)
}

fn version(number: usize, version: usize) -> Value {
    let split = split_setting(
        &format!("s-{number}"),
        100,
        "x-version",
        &version.to_string(),
    );
    let rule = rule(&format!("h-{number}.example.com"), &[path(&[split])]);
    ingress(
        &format!("i-{number}"),
        &serde_json::json!({"rules": [rule]}),
    )
}

fn sent(stage: &Stage) -> Sent {
    Sent::of(&stage.server.fleet())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_sends_one_resource_among_10() {
    count(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_sends_one_resource_among_2000() {
    count(2_000).await;
}

async fn count(ingresses: usize) {
    let [backend, other] = backends(["b", "other"]).await;
    let Some(mut stage) = world(ingresses, &backend).await else {
        return;
    };
    for (number, round) in [(0, 1), (ingresses / 2, 2), (ingresses - 1, 3)] {
        let before = sent(&stage);
        stage.apply(&[version(number, round)]).await;
        let after = sent(&stage).since(&before);
        // One table for each side that the Ingress is served on.
        assert_eq!(after.kinds.keys().collect::<Vec<_>>(), ["RDS"], "{after:?}");
        assert_eq!(after.kinds["RDS"].0, 2, "{after:?}");
        assert_eq!((after.removals, after.nacks), (0, 0));

        let before = sent(&stage);
        let endpoints = endpoints_of(&format!("s-{number}"), "http", &[other.address()]);
        stage.apply(&[endpoints]).await;
        let after = sent(&stage).since(&before);
        assert_eq!(after.kinds.keys().collect::<Vec<_>>(), ["EDS"], "{after:?}");
        assert_eq!(after.kinds["EDS"].0, 1, "{after:?}");
        assert_eq!((after.removals, after.nacks), (0, 0));

        // The same once more is no change.
        let before = sent(&stage);
        stage.apply(&[version(number, round)]).await;
        assert_eq!(sent(&stage), before);
    }
}

/// Figures, not bars: how long create, update and flip take, to the ACK and to
/// the first request that sees it.
#[tokio::test(flavor = "multi_thread")]
async fn measured_times() {
    let _turn = alone().await;
    for ingresses in [100, 2_000] {
        let [backend, other] = backends(["b", "other"]).await;
        let Some(mut stage) = world(ingresses, &backend).await else {
            return;
        };
        let line = Line::new(Target::plain(stage.edge().external_http, Mode::KeepAlive));
        const ROUNDS: usize = 15;
        let (mut create, mut update, mut flip) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let name = format!("new-{round}");
            let host = format!("{name}.example.com");
            let mut objects = service(&name, &[backend.address()]);
            objects.push(simple(&name, &host, &name));
            create.push(
                timed(&mut stage, &line, &objects, &host, |reply| {
                    reply.status == 200
                })
                .await,
            );

            let number = round * 7 % ingresses;
            let host = format!("h-{number}.example.com");
            let wanted = (round + 1).to_string();
            let objects = [version(number, round + 1)];
            update.push(
                timed(&mut stage, &line, &objects, &host, |reply| {
                    echo(reply).received.values("x-version") == [wanted.as_str()]
                })
                .await,
            );

            let to = if round % 2 == 0 { &other } else { &backend };
            let objects = [endpoints_of("s-1", "http", &[to.address()])];
            flip.push(
                timed(&mut stage, &line, &objects, "h-1.example.com", |reply| {
                    reply.header(NAME_HEADER) == to.name()
                })
                .await,
            );
        }
        for (what, mut times) in [("create", create), ("update", update), ("flip", flip)] {
            times.sort_unstable();
            let (acked, visible): (Vec<_>, Vec<_>) = times.iter().copied().unzip();
            let mut visible = visible;
            visible.sort_unstable();
            println!(
                "{ingresses} Ingresses, {what}: ACK p50 {:?} max {:?}; seen by a request p50 {:?} max {:?}",
                acked[ROUNDS / 2],
                acked[ROUNDS - 1],
                visible[ROUNDS / 2],
                visible[ROUNDS - 1],
            );
        }
    }
}

/// From handing objects in to the ACK, and to the first answer that fits.
async fn timed(
    stage: &mut Stage,
    line: &Line,
    objects: &[Value],
    host: &str,
    fits: impl Fn(&sluice_trial::line::Reply) -> bool,
) -> (Duration, Duration) {
    let begun = Instant::now();
    let published = stage.apply(objects).await;
    let reply = line.send(&Ask::get(host, "/")).await.outcome.unwrap();
    assert!(
        fits(&reply),
        "the first request after the ACK sees the change"
    );
    (published.took, begun.elapsed())
}

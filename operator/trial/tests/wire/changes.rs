//! Changes under load: nothing is lost, and nothing old is seen after the ACK.

use std::time::Duration;

use serde_json::json;
use sluice_trial::backend::NAME_HEADER;
use sluice_trial::line::{Ask, Mode, Reply, Target};
use sluice_trial::prober::{Load, Prober, Report};
use sluice_xds::Settings;
use tokio::time::Instant;

use crate::stage::{
    Stage, alone, backends, echo, endpoints_of, ingress, path, rule, service, simple,
    split_setting, stage, stage_with,
};

const CHANGES: usize = 200;
const RATE: u32 = 500;
const HOST: &str = "change.example.com";

/// HTTP/1.1 keep-alive takes most of the rate; new connections and streams of
/// one HTTP/2 connection take the rest.
const SHARES: [(Mode, u32); 3] = [
    (Mode::KeepAlive, RATE - 100),
    (Mode::Fresh, 50),
    (Mode::Http2, 50),
];

fn probers(stage: &Stage) -> Vec<Prober> {
    SHARES
        .map(|(mode, rate)| {
            Prober::start(Load {
                target: Target::plain(stage.edge().external_http, mode),
                ask: Ask::get(HOST, "/"),
                rate,
            })
        })
        .into()
}

/// Checks that no request sent after change `n` was acknowledged saw one before `n`.
fn judge(report: &Report, acked: &[Instant], version: impl Fn(&Reply) -> usize) {
    assert_eq!(report.lost(200), Vec::<String>::new());
    let mut newest_needed = 0;
    for (answer, reply) in report.replies() {
        let needed = acked.partition_point(|acked| *acked < answer.sent);
        let seen = version(reply);
        assert!(seen >= needed, "sent after the ACK of {needed}, saw {seen}");
        newest_needed = newest_needed.max(needed);
    }
    assert_eq!(
        newest_needed,
        acked.len(),
        "requests were sent after the last ACK"
    );
    println!(
        "{} changes: {} requests, 0 lost, p50 {:?}, p99 {:?}, latest {:?}",
        acked.len(),
        report.sent,
        report.latency(0.5).unwrap(),
        report.latency(0.99).unwrap(),
        report.latest,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_header_changes() {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let version = |number: usize| {
        let split = split_setting("b", 100, "x-version", &number.to_string());
        ingress("change", &json!({"rules": [rule(HOST, &[path(&[split])])]}))
    };
    let mut objects = service("b", &[backend.address()]);
    objects.push(version(0));
    stage.apply(&objects).await;
    let mut probers = probers(&stage);
    let mut acked = Vec::new();
    for number in 1..=CHANGES {
        probers[0]
            .more(std::env::var("PACE").map_or(4, |p| p.parse().unwrap()))
            .await;
        stage.apply(&[version(number)]).await;
        acked.push(Instant::now());
    }
    for mut prober in probers {
        prober.more(10).await;
        let report = prober.stop().await.unwrap();
        judge(&report, &acked, |reply| {
            echo(reply).received.values("x-version")[0].parse().unwrap()
        });
    }
}

/// Endpoints change, as on a flip between activator and pods: by EDS alone.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_backend_swaps_by_endpoints() {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let [even, odd] = backends(["even", "odd"]).await;
    let mut objects = service("b", &[even.address()]);
    objects.push(simple("change", HOST, "b"));
    stage.apply(&objects).await;
    swap(&mut stage, |number| {
        let next = if number % 2 == 0 { &even } else { &odd };
        vec![endpoints_of("b", "http", &[next.address()])]
    })
    .await;
}

/// The Ingress names another Service each time: by route, with clusters that
/// leave and come back. The grace that they have is short here, so that it ends
/// many times in the run, while its cluster is in use again, has just left
/// again, or is really gone.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_backend_swaps_by_service() {
    let _turn = alone().await;
    let settings = Settings {
        cluster_grace: Duration::from_millis(250),
        ..Settings::default()
    };
    let Some(mut stage) = stage_with(settings).await else {
        return;
    };
    let [even, odd] = backends(["even", "odd"]).await;
    let mut objects = service("even", &[even.address()]);
    objects.extend(service("odd", &[odd.address()]));
    objects.push(simple("change", HOST, "even"));
    stage.apply(&objects).await;
    swap(&mut stage, |number| {
        let next = if number % 2 == 0 { "even" } else { "odd" };
        vec![simple("change", HOST, next)]
    })
    .await;
}

/// With two backends that take turns, "old" is whatever is not of the parity
/// of some change at or after the newest one that was acknowledged.
async fn swap(stage: &mut Stage, next: impl Fn(usize) -> Vec<serde_json::Value>) {
    let mut probers = probers(stage);
    let (mut begun, mut acked) = (Vec::new(), Vec::new());
    for number in 1..=CHANGES {
        probers[0]
            .more(std::env::var("PACE").map_or(4, |p| p.parse().unwrap()))
            .await;
        begun.push(Instant::now());
        let took = stage.apply(&next(number)).await.took;
        if took > Duration::from_millis(300) {
            println!("change {number} took {took:?}");
        }
        acked.push(Instant::now());
    }
    let parity = |reply: &Reply| usize::from(reply.header(NAME_HEADER) == "odd");
    for (mut prober, (mode, _)) in probers.into_iter().zip(SHARES) {
        prober.more(10).await;
        let report = prober.stop().await.unwrap();
        let mut judged = 0;
        for (answer, reply) in report.replies() {
            let least = acked.partition_point(|acked| *acked < answer.sent);
            let most = begun.partition_point(|begun| *begun < answer.received);
            let fits = (least..=most).any(|number| number % 2 == parity(reply));
            let after = least.checked_sub(1).map(|n| answer.sent - acked[n]);
            assert!(
                fits,
                "{mode:?}, sent {after:?} after the ACK of {least}, answered before {most}, saw {}",
                parity(reply)
            );
            judged += usize::from(least == most);
        }
        println!("{judged} of {} requests between two changes", report.sent);
        judge(&report, &acked, |_| usize::MAX);
    }
}

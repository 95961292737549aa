//! Splits over 10,000 requests, judged by how unlikely their counts are.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sluice_trial::backend::NAME_HEADER;
use sluice_trial::judge::judge_split;
use sluice_trial::line::{Ask, Line, Mode, Target};

use crate::stage::{alone, backends, ingress, path, rule, service, service_h2c, split, stage};

const REQUESTS: u64 = 10_000;

/// Percentages, 0 among them, as Knative's conformance suite has them.
const PERCENTAGES: [u8; 6] = [1, 4, 10, 35, 50, 0];

const NAMES: [&str; 6] = ["one", "four", "ten", "thirty-five", "fifty", "none"];

#[tokio::test(flavor = "multi_thread")]
async fn http1_keep_alive() {
    judge(Mode::KeepAlive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_streams_on_one_connection() {
    judge(Mode::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_calls_on_one_connection() {
    judge(Mode::Grpc).await;
}

async fn judge(mode: Mode) {
    let _turn = alone().await;
    let Some(mut stage) = stage().await else {
        return;
    };
    let backends = backends(NAMES).await;
    let service_of = if mode == Mode::Grpc {
        service_h2c
    } else {
        service
    };
    let mut objects: Vec<_> = backends
        .iter()
        .flat_map(|backend| service_of(backend.name(), &[backend.address()]))
        .collect();
    let splits: Vec<_> = NAMES
        .iter()
        .zip(PERCENTAGES)
        .map(|(n, p)| split(n, p))
        .collect();
    let spec = json!({"rules": [rule("split.example.com", &[path(&splits)])]});
    objects.push(ingress("split", &spec));
    stage.apply(&objects).await;

    let target = Target::plain(stage.edge().external_http, mode);
    let line = Arc::new(Line::new(target));
    let ask = match mode {
        Mode::Grpc => Ask::ping("split.example.com", "hello"),
        _ => Ask::get("split.example.com", "/?size=1"),
    };
    let ask = Arc::new(ask);
    let mut tasks = tokio::task::JoinSet::new();
    const TASKS: u64 = 8;
    for _ in 0..TASKS {
        let (line, ask) = (Arc::clone(&line), Arc::clone(&ask));
        tasks.spawn(async move {
            let mut counts = BTreeMap::<String, u64>::new();
            for _ in 0..REQUESTS / TASKS {
                let reply = line.send(&ask).await.outcome.unwrap();
                assert_eq!(reply.status, 200);
                *counts
                    .entry(reply.header(NAME_HEADER).to_owned())
                    .or_default() += 1;
            }
            counts
        });
    }
    let mut counts = BTreeMap::<String, u64>::new();
    for part in tasks.join_all().await {
        for (name, count) in part {
            *counts.entry(name).or_default() += count;
        }
    }
    println!("{mode:?}: {counts:?}");
    let shares = NAMES.iter().zip(PERCENTAGES).map(|(name, percent)| {
        let count = counts.get(*name).copied().unwrap_or(0);
        (*name, count, f64::from(percent))
    });
    judge_split(shares, REQUESTS).unwrap();
    for backend in &backends {
        let count = counts.get(backend.name()).copied().unwrap_or(0);
        assert_eq!(
            backend.hits(),
            count,
            "{} was reached once per answer",
            backend.name()
        );
    }
}

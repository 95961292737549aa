//! What is tried again, and what never is.

use serde_json::json;
use sluice_trial::line::{Ask, Line, Mode, Target};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::stage::{
    backends, endpoints_of, ingress, path, rule, service, service_h2c, simple, split, stage,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_503_passes_through_once_and_is_reached_once() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [one, two] = backends(["one", "two"]).await;
    let mut objects = service("b", &[one.address(), two.address()]);
    objects.extend(service_h2c("b2", &[one.address(), two.address()]));
    objects.push(simple("r", "r.example.com", "b"));
    objects.push(simple("r2", "r2.example.com", "b2"));
    stage.apply(&objects).await;
    let mut asked = 0;
    for mode in [Mode::KeepAlive, Mode::Http2] {
        let line = Line::new(Target::plain(stage.edge().external_http, mode));
        for host in ["r.example.com", "r2.example.com"] {
            for status in [500, 502, 503, 504, 429, 404] {
                for ask in [
                    Ask::get(host, &format!("/?status={status}")),
                    Ask::post(host, &format!("/?status={status}"), vec![b'.'; 200_000]),
                ] {
                    let reply = line.send(&ask).await.outcome.unwrap();
                    assert_eq!(reply.status, status);
                    asked += 1;
                    assert_eq!(one.hits() + two.hits(), asked, "{mode:?} {host} {status}");
                }
            }
        }
    }
}

/// A request that a backend has read is never sent again: it may have acted on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_after_reading_is_not_tried_again() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [one, two] = backends(["one", "two"]).await;
    let mut objects = service("b", &[one.address(), two.address()]);
    objects.extend(service_h2c("b2", &[one.address(), two.address()]));
    objects.push(simple("r", "r.example.com", "b"));
    objects.push(simple("r2", "r2.example.com", "b2"));
    stage.apply(&objects).await;
    let line = Line::new(Target::plain(stage.edge().external_http, Mode::KeepAlive));
    let mut asked = 0;
    for host in ["r.example.com", "r2.example.com"] {
        for body in [0, 1_000, 200_000] {
            let ask = Ask::post(host, "/?reset", vec![b'.'; body]);
            let reply = line.send(&ask).await.outcome.unwrap();
            assert!([502, 503].contains(&reply.status), "{}", reply.status);
            asked += 1;
            assert_eq!(one.hits() + two.hits(), asked, "{host}, {body} bytes");
        }
    }
}

/// One of two endpoints refuses connections. What was never sent goes to the
/// other; the dead one is ejected, so that even a body beyond every buffer
/// soon does not meet it.
#[tokio::test(flavor = "multi_thread")]
async fn one_dead_endpoint_of_two_costs_nothing_that_was_not_sent() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [alive] = backends(["alive"]).await;
    // Bound and not listening: nobody else can take it, every connection is refused.
    let dead = tokio::net::TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let dead_address = dead.local_addr().unwrap();
    let mut objects = Vec::new();
    for size in ["small", "middle", "large"] {
        objects.extend(service(size, &[alive.address(), dead_address]));
        objects.push(simple(size, &format!("{size}.example.com"), size));
    }
    stage.apply(&objects).await;
    let line = Line::new(Target::plain(stage.edge().external_http, Mode::KeepAlive));
    for (size, bytes, requests) in [("small", 1_000, 100), ("middle", 200_000, 50)] {
        let ask = Ask::post(&format!("{size}.example.com"), "/", vec![b'.'; bytes]);
        for number in 0..requests {
            let reply = line.send(&ask).await.outcome.unwrap();
            assert_eq!(reply.status, 200, "{size}, request {number}");
            assert_eq!(crate::stage::echo(&reply).body_bytes, bytes as u64);
        }
    }
    let ask = Ask::post("large.example.com", "/", vec![b'.'; 3_000_000]);
    let mut statuses = Vec::new();
    let begun = Instant::now();
    for _ in 0..30 {
        statuses.push(line.send(&ask).await.outcome.unwrap().status);
    }
    let lost = statuses.iter().filter(|status| **status != 200).count();
    println!(
        "3 MB bodies, one dead endpoint of two: {lost} of {} lost",
        statuses.len()
    );
    // More than the retry buffer holds had left the client before the dead
    // endpoint showed itself: once per worker, and once more whenever the time
    // of its ejection (5 s) is over.
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let returns = usize::try_from(begun.elapsed().as_secs() / 5).unwrap();
    assert!(lost <= workers + returns, "{statuses:?}");
    // 507: the retry buffer was full when the connection failed.
    let known = |status: &u16| [200, 503, 507].contains(status);
    assert!(statuses.iter().all(known), "{statuses:?}");
    assert_eq!(alive.hits() as usize, 150 + statuses.len() - lost);
}

/// Endpoints that are gone are 503, never 404; they are used as soon as they are back.
#[tokio::test(flavor = "multi_thread")]
async fn no_endpoints_are_503_and_back_at_once() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[]);
    let spec = json!({"rules": [
        rule("e.example.com", &[path(&[split("b", 100)])]),
        rule("m.example.com", &[path(&[split("missing", 100)])]),
    ]});
    objects.push(ingress("e", &spec));
    stage.apply(&objects).await;
    let address = stage.edge().external_http;
    assert_eq!(
        crate::stage::get(address, "e.example.com", "/")
            .await
            .status,
        503
    );
    assert_eq!(
        crate::stage::get(address, "m.example.com", "/")
            .await
            .status,
        503
    );
    assert_eq!(
        crate::stage::get(address, "x.example.com", "/")
            .await
            .status,
        404
    );
    for _ in 0..3 {
        stage
            .apply(&[endpoints_of("b", "http", &[backend.address()])])
            .await;
        assert_eq!(
            crate::stage::get(address, "e.example.com", "/")
                .await
                .status,
            200
        );
        stage.apply(&[endpoints_of("b", "http", &[])]).await;
        assert_eq!(
            crate::stage::get(address, "e.example.com", "/")
                .await
                .status,
            503
        );
    }
}

/// A backend that dies is found dead on the first request, and used again as
/// soon as it is back on the same port.
#[tokio::test(flavor = "multi_thread")]
async fn a_sole_endpoint_that_comes_back_is_used_at_once() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut objects = service("b", &[address]);
    objects.push(simple("b", "b.example.com", "b"));
    stage.apply(&objects).await;
    let external = stage.edge().external_http;
    for _ in 0..5 {
        assert_eq!(
            crate::stage::get(external, "b.example.com", "/")
                .await
                .status,
            503
        );
    }
    let backend = sluice_trial::backend::Backend::listen("b", address)
        .await
        .unwrap();
    assert_eq!(
        crate::stage::get(external, "b.example.com", "/")
            .await
            .status,
        200
    );
    assert_eq!(backend.hits(), 1);
}

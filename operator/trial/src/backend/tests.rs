use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::line::{Ask, Failure, Line, Mode, Reply, Target};

async fn ask(backend: &Backend, mode: Mode, ask: Ask) -> Result<Reply, Failure> {
    let line = Line::new(Target::plain(backend.address(), mode));
    line.send(&ask).await.outcome
}

#[tokio::test]
async fn both_versions_of_http_on_one_port() {
    let backend = Backend::start("b").await.unwrap();
    for (mode, version) in [(Mode::KeepAlive, "HTTP/1.1"), (Mode::Http2, "HTTP/2.0")] {
        let question = Ask::post("h.example.com:81", "/p?q=1", "12345").header("x-a", "1");
        let reply = ask(&backend, mode, question.header("x-a", "2"))
            .await
            .unwrap();
        assert_eq!((reply.status, reply.header(NAME_HEADER)), (200, "b"));
        let echo: Echo = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(echo.name, "b");
        assert_eq!(echo.body_bytes, 5);
        assert_eq!(echo.received.version, version);
        assert_eq!(echo.received.host, "h.example.com:81");
        assert_eq!(echo.received.path, "/p?q=1");
        assert_eq!(echo.received.values("x-a"), ["1", "2"]);
    }
    assert_eq!((backend.hits(), backend.connections()), (2, 2));
    assert_eq!(backend.received().len(), 2);
}

#[tokio::test]
async fn a_query_steers_the_answer() {
    let backend = Backend::start("b").await.unwrap();
    let reply = ask(&backend, Mode::Http2, Ask::get("h", "/?status=503&size=9")).await;
    let reply = reply.unwrap();
    assert_eq!((reply.status, reply.body.len()), (503, 9));
    let begun = Instant::now();
    let slow = Ask::get("h", "/?delay-ms=30&pause-ms=30");
    assert_eq!(ask(&backend, Mode::Fresh, slow).await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    for mode in [Mode::Fresh, Mode::Http2] {
        let reset = ask(&backend, mode, Ask::post("h", "/?reset", "x")).await;
        assert!(matches!(reset, Err(Failure::Broken(_))), "{reset:?}");
    }
    assert_eq!(backend.hits(), 4);
}

#[tokio::test]
async fn probes_are_answered_apart() {
    let backend = Backend::start("b").await.unwrap();
    let probe = Ask::get("h", "/?status=503").header("k-network-probe", "probe");
    let reply = ask(&backend, Mode::Fresh, probe.clone()).await.unwrap();
    assert_eq!(reply.status, 400);
    let probe = probe.header("k-network-hash", "abc");
    let reply = ask(&backend, Mode::Fresh, probe).await.unwrap();
    assert_eq!((reply.status, reply.header("k-network-hash")), (200, "abc"));
    assert_eq!((backend.hits(), backend.probes()), (0, 2));
}

#[tokio::test]
async fn grpc_pings_end_with_a_status() {
    let backend = Backend::start("b").await.unwrap();
    let reply = ask(&backend, Mode::Grpc, Ask::ping("h", "hello")).await;
    assert_eq!(reply.unwrap().body, "b: hello");
    let unknown = ask(&backend, Mode::Grpc, Ask::post("h", "/no.Such/Call", "x")).await;
    assert_eq!(unknown.unwrap_err(), Failure::Grpc("12".to_owned()));
}

#[tokio::test]
async fn websockets_echo_and_end_with_their_backend() {
    let backend = Backend::start("b").await.unwrap();
    let line = Line::new(Target::plain(backend.address(), Mode::WebSockets(1)));
    for text in ["one", "two"] {
        let reply = line.send(&Ask::post("h", "/", text)).await.outcome.unwrap();
        assert_eq!((reply.status, reply.body.as_ref()), (101, text.as_bytes()));
        assert_eq!(reply.header(NAME_HEADER), "b");
    }
    drop(backend);
    let text = Ask::post("h", "/", "three");
    assert!(line.send(&text).await.outcome.is_err());
    assert!(line.send(&text).await.outcome.is_err(), "it stays broken");
}

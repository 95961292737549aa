use tokio::net::TcpListener;

use super::*;
use crate::backend::Backend;

#[tokio::test]
async fn connections_are_kept_shared_or_fresh() {
    for (mode, connections) in [
        (Mode::KeepAlive, 1),
        (Mode::Fresh, 5),
        (Mode::Http2, 1),
        (Mode::Grpc, 1),
        (Mode::WebSockets(2), 2),
    ] {
        let backend = Backend::start("b").await.unwrap();
        let line = Line::new(Target::plain(backend.address(), mode));
        for _ in 0..5 {
            let ask = match mode {
                Mode::Grpc => Ask::ping("h", "hello"),
                _ => Ask::post("h", "/", "hello"),
            };
            let answer = line.send(&ask).await;
            assert!(answer.outcome.is_ok(), "{mode:?}: {:?}", answer.outcome);
            assert!(answer.received >= answer.sent);
        }
        assert_eq!(backend.connections(), connections, "{mode:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_dial_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for mode in [Mode::KeepAlive, Mode::Http2, Mode::WebSockets(1)] {
        let line = Line::new(Target::plain(address, mode));
        let outcome = line.send(&Ask::get("h", "/")).await.outcome;
        assert!(matches!(outcome, Err(Failure::Dial(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn silence_is_a_failure_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target {
        timeout: Duration::from_millis(30),
        ..Target::plain(listener.local_addr().unwrap(), Mode::KeepAlive)
    };
    let outcome = Line::new(target).send(&Ask::get("h", "/")).await.outcome;
    assert_eq!(outcome.unwrap_err(), Failure::Timeout);
}

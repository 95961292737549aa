//! Long and two-way traffic: gRPC, WebSockets, slow answers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use sluice_trial::backend::{Backend, NAME_HEADER};
use sluice_trial::grpc;
use sluice_trial::line::{Ask, Line, Mode, Target};
use sluice_trial::websocket::Socket;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::stage::{
    backends, eventually, ingress, path, rule, service, service_h2c, simple, split, split_setting,
    stage,
};

/// A gRPC message as bytes, without a schema.
#[derive(Clone, Default)]
struct Bytes(Vec<u8>);

/// tonic's framing, trailers and flow control around plain bytes.
#[derive(Clone, Copy, Default)]
struct BytesCodec;

impl tonic::codec::Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for BytesCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Bytes,
        buffer: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(buffer, &item.0);
        Ok(())
    }
}

impl tonic::codec::Decoder for BytesCodec {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        buffer: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<Bytes>, tonic::Status> {
        let length = bytes::Buf::remaining(buffer);
        let message = bytes::Buf::copy_to_bytes(buffer, length);
        Ok(Some(Bytes(message.to_vec())))
    }
}

/// A client that was not written here; each message is sent only when the one
/// before was answered, so nothing on the way may buffer.
#[tokio::test(flavor = "multi_thread")]
async fn a_bidirectional_grpc_call_of_100_messages() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service_h2c("b", &[backend.address()]);
    objects.push(simple("g", "g.example.com", "b"));
    stage.apply(&objects).await;

    let origin = "http://g.example.com:80".parse().unwrap();
    let channel = Endpoint::from_shared(format!("http://{}", stage.edge().external_http))
        .unwrap()
        .origin(origin)
        .connect()
        .await
        .unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let request = tonic::Request::new(ReceiverStream::new(receiver));
    let call = grpc::STREAM.parse().unwrap();
    let response = client.streaming(request, call, BytesCodec).await.unwrap();
    let content_type = response.metadata().get("content-type").unwrap().clone();
    assert_eq!(content_type, "application/grpc");
    let mut replies = response.into_inner();
    for number in 0..100 {
        let text = format!("ping {number}");
        sender.send(Bytes(text.clone().into_bytes())).await.unwrap();
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!(String::from_utf8(reply.0).unwrap(), format!("b: {text}"));
    }
    drop(sender);
    assert!(
        replies.next().await.is_none(),
        "status 0 and no more messages"
    );
    assert_eq!(backend.hits(), 1);
    let received = backend.received().remove(0);
    assert_eq!(received.values("content-type"), ["application/grpc"]);
    assert_eq!(received.version, "HTTP/2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_echo_and_split() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [one, two] = backends(["one", "two"]).await;
    let mut objects = service("one", &[one.address()]);
    objects.extend(service("two", &[two.address()]));
    let spec =
        json!({"rules": [rule("w.example.com", &[path(&[split("one", 50), split("two", 50)])])]});
    objects.push(ingress("w", &spec));
    stage.apply(&objects).await;
    let target = Target::plain(stage.edge().external_http, Mode::Fresh);
    let mut reached = BTreeSet::new();
    for _ in 0..100 {
        let mut socket = Socket::open(&target, &Ask::get("w.example.com", "/ws"))
            .await
            .unwrap();
        for number in 0..11 {
            let text = format!("message {number}");
            let reply = socket.echo(&text, &mut Instant::now()).await.unwrap();
            assert_eq!(reply.body, text);
            reached.insert(reply.header(NAME_HEADER).to_owned());
        }
    }
    // 2^-99 that a fair split reaches one of them only.
    assert_eq!(reached.len(), 2);
}

/// Unrelated: other Ingresses come, change and go, and so do their clusters,
/// endpoints and certificates. A gateway's drain time is 600 s, longer than any
/// test; what shows that nothing began to drain is the listener's own counter.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_websockets_live_through_100_unrelated_changes() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend, other] = backends(["b", "other"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.extend(service("other", &[other.address()]));
    objects.push(simple("w", "w.example.com", "b"));
    stage.apply(&objects).await;
    let line = Line::new(Target::plain(
        stage.edge().external_http,
        Mode::WebSockets(20),
    ));
    let message = Ask::post("w.example.com", "/ws", "still there?");
    for _ in 0..20 {
        line.send(&message).await.outcome.unwrap();
    }
    for number in 0..100 {
        let name = format!("other-{}", number % 7);
        match number % 4 {
            0 => {
                let mut objects = service(&format!("new-{number}"), &[other.address()]);
                objects.push(simple(
                    &name,
                    &format!("{name}.example.com"),
                    &format!("new-{number}"),
                ));
                stage.apply(&objects).await;
            }
            1 => {
                let split = split_setting("other", 100, "x-number", &number.to_string());
                let spec =
                    json!({"rules": [rule(&format!("{name}.example.com"), &[path(&[split])])]});
                stage.apply(&[ingress(&name, &spec)]).await;
            }
            2 => {
                let endpoints = if number % 8 == 2 {
                    vec![]
                } else {
                    vec![other.address()]
                };
                stage.apply(&service("other", &endpoints)).await;
            }
            _ => {
                stage
                    .delete(sluice_translate::ObjectKind::Ingress, &name)
                    .await;
            }
        }
        line.send(&message).await.outcome.unwrap();
    }
    for _ in 0..20 {
        let reply = line.send(&message).await.outcome.unwrap();
        assert_eq!(
            (reply.header(NAME_HEADER), reply.body.as_ref()),
            ("b", &b"still there?"[..])
        );
    }
    assert_eq!(backend.hits(), 20, "twenty handshakes and no more");
    let draining = stage
        .gateway
        .admin()
        .stats("listener_manager.")
        .await
        .unwrap();
    let draining: Vec<_> = draining
        .iter()
        .filter(|(name, value)| name.contains("draining") && **value > 0)
        .collect();
    assert!(draining.is_empty(), "{draining:?}");
}

/// More than Envoy's own limit of 1,024, and more than a connection may carry, all of
/// them there before the backend has said how much that is: what an activator meets
/// that is to hold the requests of a cold start.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_at_once_before_a_backend_says_that_it_allows_250_on_a_connection() {
    const AT_ONCE: u32 = 2_000;
    let Some(mut stage) = stage().await else {
        return;
    };
    // Connections are made, and nobody answers on them yet.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut objects = service_h2c("b", &[listener.local_addr().unwrap()]);
    objects.push(simple("s", "s.example.com", "b"));
    stage.apply(&objects).await;
    let external = stage.edge().external_http;
    let mut asks = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        asks.spawn(async move {
            let line = Line::new(Target::plain(external, Mode::Fresh));
            let answer = line
                .send(&Ask::get("s.example.com", "/?delay-ms=1000"))
                .await;
            answer.outcome.map(|reply| reply.status)
        });
    }
    eventually("all at the gateway", async || {
        let stats = stage
            .gateway
            .admin()
            .stats_matching(r"http\..*downstream_rq_active$")
            .await;
        stats.unwrap().values().sum::<u64>() >= u64::from(AT_ONCE)
    })
    .await;
    let backend = Backend::accept_from("b", listener).unwrap();
    let mut outcomes = BTreeMap::new();
    for outcome in asks.join_all().await {
        *outcomes.entry(format!("{outcome:?}")).or_insert(0) += 1;
    }
    assert_eq!(outcomes, [("Ok(200)".to_owned(), AT_ONCE)].into());
    assert_eq!(backend.hits(), u64::from(AT_ONCE), "none was sent twice");
    let retries = "cluster.trial/b/80.upstream_rq_retry";
    let counted = stage.gateway.admin().stats(retries).await.unwrap();
    assert_eq!(counted, [(retries.to_owned(), 0)].into());
}

/// All slow ways at once, since each takes 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_before_headers_and_before_the_body() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let [backend] = backends(["b"]).await;
    let mut objects = service("b", &[backend.address()]);
    objects.extend(service_h2c("b2", &[backend.address()]));
    objects.push(simple("s", "s.example.com", "b"));
    objects.push(simple("s2", "s2.example.com", "b2"));
    stage.apply(&objects).await;
    let mut asks = tokio::task::JoinSet::new();
    for mode in [Mode::KeepAlive, Mode::Http2] {
        for host in ["s.example.com", "s2.example.com"] {
            for query in [
                "delay-ms=10000",
                "pause-ms=10000",
                "delay-ms=10000&pause-ms=10000",
            ] {
                let line = Line::new(Target::plain(stage.edge().external_http, mode));
                let ask = Ask::post(host, &format!("/?{query}"), "body");
                asks.spawn(async move { (ask.path.clone(), line.send(&ask).await) });
            }
        }
    }
    for (path, answer) in asks.join_all().await {
        let reply = answer.outcome.unwrap();
        assert_eq!(reply.status, 200, "{path}");
        assert!(answer.received - answer.sent >= Duration::from_secs(10));
    }
    assert_eq!(backend.hits(), 12);
}

//! The header by which the gateway says why it answered by itself, and which no
//! backend can say in its name.

use std::net::SocketAddr;

use serde_json::json;
use sluice_trial::certificate::issue;
use sluice_trial::line::{Ask, Line, Mode, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{
    NAMESPACE, backends, get, ingress, local_rule, path, rule, service, simple, split, stage,
};

const HEADER: &str = "x-sluice-reason";

/// A backend that reads the head of a request, answers with these bytes, and
/// closes.
async fn saying(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if !head(&mut stream).await.is_empty() {
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    address
}

/// Everything up to the empty line, or what came before the end.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The head of the answer to these bytes.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    head(&mut stream).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_the_gateways_own_says_why() {
    let Some(mut stage) = stage().await else {
        return;
    };
    // An address where nobody listens.
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut objects = Vec::new();
    for (name, endpoints) in [
        ("empty", vec![]),
        ("refusing", vec![nobody]),
        ("closing", vec![saying(b"").await]),
        ("babbling", vec![saying(b"hello\r\n\r\n").await]),
    ] {
        objects.extend(service(name, &endpoints));
        objects.push(simple(name, &format!("{name}.example.com"), name));
    }
    let [backend] = backends(["b"]).await;
    objects.extend(service("b", &[backend.address()]));
    objects.push(simple("absent", "absent.example.com", "absent"));
    let half = json!({"path": "/half", "splits": [split("b", 100)]});
    objects.push(ingress(
        "half",
        &json!({"rules": [
            rule("half.example.com", &[half]),
            local_rule("inside.trial.svc.cluster.local", &[path(&[split("b", 100)])]),
        ]}),
    ));
    objects.push(
        issue(&["tls.example.com"])
            .unwrap()
            .secret(NAMESPACE, "tls"),
    );
    objects.push(ingress("tls", &json!({
        "httpOption": "Redirected",
        "tls": [{"hosts": ["tls.example.com"], "secretName": "tls", "secretNamespace": NAMESPACE}],
        "rules": [rule("tls.example.com", &[path(&[split("b", 100)])])],
    })));
    stage.apply(&objects).await;
    let outside = stage.edge().external_http;
    for mode in [Mode::Fresh, Mode::Http2] {
        let line = Line::new(Target::plain(outside, mode));
        for (host, status, code) in [
            ("nobody.example.com", 404, "NoSuchHost"),
            ("inside.trial.svc.cluster.local", 404, "NoSuchHost"),
            ("half.example.com", 404, "NoSuchPath"),
            ("absent.example.com", 503, "NotServed"),
            ("empty.example.com", 503, "NoEndpoints"),
            ("refusing.example.com", 503, "ConnectFailed"),
            ("closing.example.com", 503, "BackendClosed"),
            ("babbling.example.com", 502, "BackendProtocol"),
            ("tls.example.com", 301, "HttpsRequired"),
        ] {
            let reply = line.send(&Ask::get(host, "/")).await.outcome.unwrap();
            let said = reply.header(HEADER);
            let first = said.split(':').next().unwrap();
            assert_eq!((reply.status, first), (status, code), "{host}: {said}");
        }
    }
    // From outside, what is inside looks like what is not there.
    let [unknown, inside] = ["nobody.example.com", "inside.trial.svc.cluster.local"]
        .map(|host| async move { get(outside, host, "/").await });
    let (unknown, inside) = (unknown.await, inside.await);
    assert_eq!(unknown.body, inside.body);
    assert_eq!(unknown.header(HEADER), inside.header(HEADER));

    let garbage = raw(outside, b"GET / NONSENSE/7\r\n\r\n").await;
    assert!(
        garbage.contains("x-sluice-reason: BadRequest: "),
        "{garbage}"
    );
    let long = format!(
        "GET / HTTP/1.1\r\nhost: half.example.com\r\nx-long: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    let long = raw(outside, long.as_bytes()).await;
    assert!(
        long.contains("x-sluice-reason: HeadersTooLarge: "),
        "{long}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_backend_says_why_in_the_gateways_name() {
    let Some(mut stage) = stage().await else {
        return;
    };
    let backend = saying(
        b"HTTP/1.1 503 Service Unavailable\r\nX-Sluice-Reason: NoEndpoints: faked\r\n\
          x-own: kept\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmine",
    )
    .await;
    let mut objects = service("b", &[backend]);
    objects.push(simple("one", "one.example.com", "b"));
    let splits = [split("b", 50), split("absent", 50)];
    objects.push(ingress(
        "two",
        &json!({"rules": [rule("two.example.com", &[path(&splits)])]}),
    ));
    stage.apply(&objects).await;
    let outside = stage.edge().external_http;
    let reply = get(outside, "one.example.com", "/").await;
    assert_eq!((reply.status, &*reply.body), (503, b"mine".as_slice()));
    assert_eq!((reply.header(HEADER), reply.header("x-own")), ("", "kept"));
    // Of a share that is not there the gateway says why, of the other nobody.
    let mut said = std::collections::BTreeSet::new();
    // 2^-99 that a fair split answers in one way only.
    for _ in 0..100 {
        let reply = get(outside, "two.example.com", "/").await;
        let first = reply.header(HEADER).split(':').next().unwrap().to_owned();
        said.insert((first, reply.header("x-own").to_owned()));
    }
    let own = ("NotServed".to_owned(), String::new());
    assert_eq!(said, [own, (String::new(), "kept".to_owned())].into());
}

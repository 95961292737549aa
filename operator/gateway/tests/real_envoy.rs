//! The real Envoy: `$ENVOY`, or `envoy` on `PATH`.

// Clippy counts functions marked as tests only, not what they call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sluice_gateway::{
    Backoff, Envoy, Event, GatewayError, ListenAddress, LocateEnvoy, RunDir, ServerState,
    Supervised, locate,
};
use support::{free_port, hello, is_alive, listener, real_envoy, real_options, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends one request on an open connection and reads to the end of its body,
/// which is `hello`.
async fn ask(stream: &mut TcpStream) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(stream, "hello").await
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    while !answer.ends_with(end) {
        let mut block = [0; 1024];
        let read = stream.read(&mut block).await.unwrap();
        assert!(read > 0, "closed early: {answer}");
        answer.push_str(std::str::from_utf8(&block[..read]).unwrap());
    }
    answer
}

async fn connect(port: u16) -> TcpStream {
    TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap()
}

#[tokio::test]
async fn it_will_do() {
    let Some(binary) = real_envoy("it_will_do") else {
        return;
    };
    let request = LocateEnvoy {
        named: Some(binary.clone()),
        ..LocateEnvoy::default()
    };
    let began = Instant::now();
    assert_eq!(locate(&request, drop).await.unwrap(), binary);
    eprintln!("checked in {:?}", began.elapsed());
}

#[tokio::test]
async fn it_starts_serves_answers_and_stops() {
    let Some(binary) = real_envoy("it_starts_serves_answers_and_stops") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let port = free_port();
    let options = real_options(
        binary,
        &run,
        &[listener("external-http", port, &hello())],
        &[],
    );
    let began = Instant::now();
    let envoy = Envoy::start(options).await.unwrap();
    eprintln!("started in {:?}", began.elapsed());
    let pid = envoy.pid();

    // The listeners of the bootstrap are open once `start` returns.
    assert!(
        ask(&mut connect(port).await)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );

    let admin = envoy.admin();
    let info = admin.server_info().await.unwrap();
    assert_eq!(info.state, ServerState::Live);
    assert_eq!(info.node_id, "gateway-test");
    assert!(info.version.contains("/1."), "{}", info.version);
    let stats = admin.stats("http.external-http.").await.unwrap();
    assert_eq!(
        stats.get("http.external-http.downstream_rq_2xx"),
        Some(&1),
        "{stats:?}"
    );
    assert!(
        stats
            .keys()
            .all(|name| name.starts_with("http.external-http."))
    );
    let dump = admin.config_dump().await.unwrap();
    assert!(
        dump["configs"]
            .as_array()
            .is_some_and(|configs| configs.len() > 2),
        "{dump}"
    );
    assert_eq!(admin.certs().await.unwrap(), json!({"certificates": []}));
    let error = admin.get("/nowhere").await.unwrap_err();
    assert!(
        matches!(error, GatewayError::AdminRefused { .. }),
        "{error:?}"
    );
    // A GET must not change anything: Envoy refuses it.
    let error = admin.get("/healthcheck/fail").await.unwrap_err();
    assert!(
        matches!(error, GatewayError::AdminRefused { .. }),
        "{error:?}"
    );

    for name in ["bootstrap.json", "admin.sock"] {
        let mode = fs::metadata(run.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let began = Instant::now();
    let exit = envoy.stop(Duration::ZERO).await;
    eprintln!("stopped in {:?}", began.elapsed());
    assert_eq!(exit.status.unwrap().code(), Some(0));
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_listener_of_the_bootstrap_with_a_taken_port_is_named() {
    let Some(binary) = real_envoy("a_listener_of_the_bootstrap_with_a_taken_port_is_named") else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = RunDir::create().unwrap();
    let options = real_options(
        binary,
        &run,
        &[listener("external-http", port, &hello())],
        &[],
    );
    let error = Envoy::start(options).await.unwrap_err();
    let GatewayError::Bind { failure } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(failure.listener, "external-http");
    assert_eq!(failure.address, format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_listener_that_comes_later_with_a_taken_port_is_an_event() {
    let Some(binary) = real_envoy("a_listener_that_comes_later_with_a_taken_port_is_an_event")
    else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let run = RunDir::create().unwrap();
    // Discovery from a file takes the same way through Envoy as from a server.
    let mut resource = listener("external-http", address.port(), &hello());
    resource["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    let discovery = run.path().join("listeners.json");
    fs::write(&discovery, json!({"resources": [resource]}).to_string()).unwrap();
    let mut options = real_options(binary, &run, &[], &[]);
    options.bootstrap["dynamic_resources"] =
        json!({"lds_config": {"path_config_source": {"path": discovery}}});
    let (supervised, mut events) = Supervised::start(options, Backoff::default())
        .await
        .unwrap();
    let failure = loop {
        match events.recv().await.expect("the supervision goes on") {
            Event::Started { .. } => {}
            Event::BindFailed { failure } => break failure,
            other => panic!("{other}"),
        }
    };
    assert_eq!(failure.listener, "external-http");
    assert_eq!(failure.address, address.to_string());
    assert_eq!(failure.reason, "Address already in use");
    supervised.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_second_one_on_the_same_port_is_noticed_before_it_starts() {
    let Some(binary) = real_envoy("a_second_one_on_the_same_port_is_noticed_before_it_starts")
    else {
        return;
    };
    let port = free_port();
    let listeners = [listener("external-http", port, &hello())];
    let (run, second_run) = (RunDir::create().unwrap(), RunDir::create().unwrap());
    let first = Envoy::start(real_options(binary.clone(), &run, &listeners, &[]))
        .await
        .unwrap();

    // The reason for `listens`: Envoy itself starts without a word.
    let mut second = real_options(binary, &second_run, &listeners, &[]);
    let unnoticed = Envoy::start(second.clone()).await.unwrap();
    unnoticed.stop(Duration::ZERO).await;

    second.listens = vec![ListenAddress {
        listener: "external-http".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
    }];
    let error = Envoy::start(second.clone()).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::AddressInUse { .. }),
        "{error:?}"
    );
    first.stop(Duration::ZERO).await;
    // And once the first has gone, the port is free at once.
    Envoy::start(second)
        .await
        .unwrap()
        .stop(Duration::ZERO)
        .await;
}

#[tokio::test]
async fn a_bad_bootstrap_is_told_in_envoys_words() {
    let Some(binary) = real_envoy("a_bad_bootstrap_is_told_in_envoys_words") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let mut options = real_options(binary, &run, &[], &[]);
    options.bootstrap["typo"] = json!(1);
    let error = Envoy::start(options).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::BootstrapRefused { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("no such field: 'typo'"),
        "{error}"
    );
}

/// A backend that answers a WebSocket upgrade and then holds the connection.
async fn upgrading_backend() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 2048];
                let _ = stream.read(&mut request).await;
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello";
                let _ = stream.write_all(switch).await;
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            });
        }
    });
    port
}

fn cluster(port: u16) -> Value {
    json!({
        "name": "backend",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [{
            "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}},
        }]}]},
    })
}

#[tokio::test]
async fn draining_turns_clients_away_and_lets_requests_finish() {
    let Some(binary) = real_envoy("draining_turns_clients_away_and_lets_requests_finish") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let port = free_port();
    let routes = json!([
        {"match": {"path": "/socket"}, "route": {"cluster": "backend", "timeout": "0s"}},
        hello()[0],
    ]);
    let options = real_options(
        binary,
        &run,
        &[listener("external-http", port, &routes)],
        &[cluster(upgrading_backend().await)],
    );
    let envoy = Envoy::start(options).await.unwrap();
    let admin = envoy.admin().clone();
    let pid = envoy.pid();

    let mut kept_alive = connect(port).await;
    let answer = ask(&mut kept_alive).await;
    assert!(!answer.contains("connection: close"), "{answer}");
    let mut socket = connect(port).await;
    socket
        .write_all(
            b"GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .await
        .unwrap();
    assert!(
        read_until(&mut socket, "hello")
            .await
            .starts_with("HTTP/1.1 101")
    );

    let stopping = tokio::spawn(envoy.stop(Duration::from_secs(600)));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until("new connections are refused", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    assert_eq!(
        admin.server_info().await.unwrap().state,
        ServerState::Draining
    );
    let answer = ask(&mut kept_alive).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    // The WebSocket counts as a request under way, for longer than an idle
    // connection would.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(is_alive(pid) && !stopping.is_finished());

    let began = Instant::now();
    drop(socket);
    let exit = stopping.await.unwrap();
    eprintln!("ended {:?} after the last request", began.elapsed());
    assert_eq!(exit.status.unwrap().code(), Some(0));
}

#[tokio::test]
async fn one_without_clients_drains_at_once() {
    let Some(binary) = real_envoy("one_without_clients_drains_at_once") else {
        return;
    };
    for listeners in [
        vec![],
        vec![listener("external-http", free_port(), &hello())],
    ] {
        let run = RunDir::create().unwrap();
        let envoy = Envoy::start(real_options(binary.clone(), &run, &listeners, &[]))
            .await
            .unwrap();
        let began = Instant::now();
        envoy.stop(Duration::from_secs(600)).await;
        let took = began.elapsed();
        eprintln!(
            "drained and stopped in {took:?} with {} listeners",
            listeners.len()
        );
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn one_that_is_killed_serves_again_on_the_same_port() {
    let Some(binary) = real_envoy("one_that_is_killed_serves_again_on_the_same_port") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let port = free_port();
    let mut options = real_options(
        binary,
        &run,
        &[listener("external-http", port, &hello())],
        &[],
    );
    options.listens = vec![ListenAddress {
        listener: "external-http".to_owned(),
        address: SocketAddr::from(([127, 0, 0, 1], port)),
    }];
    let (supervised, mut events) = Supervised::start(options, Backoff::default())
        .await
        .unwrap();
    let Some(Event::Started { pid: first }) = events.recv().await else {
        panic!("expected a start");
    };
    // An open connection leaves the port in TIME_WAIT or the like: no hindrance.
    let mut open = connect(port).await;
    ask(&mut open).await;
    let began = Instant::now();
    kill_process(
        Pid::from_raw(i32::try_from(first).unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    let second = loop {
        match events.recv().await.expect("the supervision goes on") {
            Event::Started { pid } => break pid,
            Event::Exited { pid, exit } => {
                assert_eq!((pid, exit.status_text().as_str()), (first, "signal 9"));
            }
            Event::Restarting { failures, .. } => assert_eq!(failures, 1),
            other => panic!("{other}"),
        }
    };
    eprintln!("serves again {:?} after SIGKILL", began.elapsed());
    assert_ne!(first, second);
    assert!(
        ask(&mut connect(port).await)
            .await
            .starts_with("HTTP/1.1 200 OK")
    );
    assert_eq!(
        supervised.admin().server_info().await.unwrap().state,
        ServerState::Live
    );
    supervised.stop(Duration::ZERO).await;
    assert!(!is_alive(second));
}

#[tokio::test]
async fn a_refused_secret_does_not_show_its_key() {
    let Some(binary) = real_envoy("a_refused_secret_does_not_show_its_key") else {
        return;
    };
    let run = RunDir::create().unwrap();
    let (discovery, secret) = (run.path().join("secret.json"), "aSecretThatNobodySees");
    // The empty path breaks a rule of the schema, and Envoy repeats it all.
    let resource = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": "certificate",
        "tls_certificate": {
            "watched_directory": {"path": ""},
            "certificate_chain": {"inline_string": "chain"},
            "private_key": {"inline_string": secret},
        },
    });
    fs::write(&discovery, json!({"resources": [resource]}).to_string()).unwrap();
    let mut https = listener("external-https", free_port(), &hello());
    https["filter_chains"][0]["transport_socket"] = json!({
        "name": "tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificate_sds_secret_configs": [{
                "name": "certificate",
                "sds_config": {"path_config_source": {"path": discovery}},
            }]},
        },
    });
    let envoy = Envoy::start(real_options(binary, &run, &[https], &[]))
        .await
        .unwrap();
    until("the secret is refused", || {
        envoy
            .last_lines()
            .iter()
            .any(|line| line.contains("Proto constraint validation failed"))
    })
    .await;
    let log = envoy.last_lines().join("\n");
    assert!(
        log.contains("inline_string: \"[redacted]\"") && !log.contains(secret),
        "{log}"
    );
    envoy.stop(Duration::ZERO).await;
}

//! What the tests of this crate share: an Envoy played by a shell script, its
//! admin interface, and the real one.

// Each test file is a crate of its own and uses a part of this; clippy sees
// tests only in functions marked as such, not in what they call.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_gateway::{EnvoyOptions, RunDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Waits for a condition of the outside world, at most 20 s.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited 20 s in vain until {what}");
}

/// Whether a process exists and is more than a zombie.
pub fn is_alive(pid: u32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        // "<pid> (<name>) <state> …"
        Ok(stat) => !matches!(
            stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]),
            Some(b'Z' | b'X')
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("/proc/{pid}/stat: {error}"),
    }
}

/// Writes an executable shell script, by another process: a file that this one
/// had open for writing could not be executed while any child, forked by a test
/// at the same time, still holds the descriptor ("text file busy").
pub fn script(path: &Path, body: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!("#!/bin/sh\n{body}\n");
    let mut stdin = writer.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    assert!(writer.wait().unwrap().success());
}

/// An Envoy played by a shell script. In the script, `$run` is the run
/// directory; once it has made the file `$run/up`, its admin interface answers.
pub struct FakeEnvoy {
    pub run: RunDir,
    pub admin: FakeAdmin,
    pub options: EnvoyOptions,
    _folder: tempfile::TempDir,
}

impl FakeEnvoy {
    pub fn new(body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("envoy");
        // `$2` is the value of --config-path.
        script(&binary, &format!("run=$(dirname \"$2\")\n{body}"));
        let run = RunDir::create().unwrap();
        let socket = run.socket("admin.sock").unwrap();
        let admin = FakeAdmin::start(&socket, run.path().join("up"));
        let options = EnvoyOptions::new(
            binary,
            json!({"admin": {"address": {"pipe": {"path": socket}}}}),
            run.path().to_owned(),
        );
        Self {
            run,
            admin,
            options,
            _folder: folder,
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.run.path().join(name)
    }
}

/// The admin interface of a [`FakeEnvoy`].
pub struct FakeAdmin {
    /// Method and path of each request but those for the server's state.
    pub requests: Arc<Mutex<Vec<String>>>,
    /// What `/stats` answers: connections, requests under way.
    pub open: Arc<Mutex<(u64, u64)>>,
    task: tokio::task::JoinHandle<()>,
}

impl FakeAdmin {
    fn start(socket: &Path, up: PathBuf) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(Mutex::new((0, 0)));
        let socket = socket.to_owned();
        let (seen, numbers) = (Arc::clone(&requests), Arc::clone(&open));
        let task = tokio::spawn(async move {
            let mut serving: Option<tokio::task::JoinHandle<()>> = None;
            loop {
                if fs::remove_file(&up).is_ok() {
                    if let Some(task) = serving.take() {
                        task.abort();
                    }
                    let listener = UnixListener::bind(&socket).unwrap();
                    let (seen, numbers) = (Arc::clone(&seen), Arc::clone(&numbers));
                    serving = Some(tokio::spawn(async move {
                        while let Ok((stream, _)) = listener.accept().await {
                            answer(stream, &seen, &numbers).await;
                        }
                    }));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        Self {
            requests,
            open,
            task,
        }
    }
}

impl Drop for FakeAdmin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: UnixStream, seen: &Mutex<Vec<String>>, numbers: &Mutex<(u64, u64)>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut block = [0; 1024];
        match stream.read(&mut block).await {
            Ok(read) if read > 0 => request.extend(&block[..read]),
            _ => return,
        }
    }
    let request = String::from_utf8(request).unwrap();
    let line = request
        .lines()
        .next()
        .unwrap()
        .trim_end_matches(" HTTP/1.1");
    let body = if line == "GET /server_info" {
        json!({"state": "LIVE", "version": "c0ffee/1.40.0/Clean/RELEASE/BoringSSL"}).to_string()
    } else if line.starts_with("GET /stats?") {
        let (connections, requests) = *numbers.lock().unwrap();
        json!({"stats": [
            {"name": "listener.a.downstream_cx_active", "value": connections},
            {"name": "http.a.downstream_rq_active", "value": requests},
        ]})
        .to_string()
    } else {
        seen.lock().unwrap().push(line.to_owned());
        "OK\n".to_owned()
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // A client that has gone away is what some tests are about.
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

/// The real Envoy of this machine: `$ENVOY`, or `envoy` on `PATH`. Without one
/// the test says in one line that it was left out, unless
/// `SLUICE_REQUIRE_ENVOY=1` makes that a failure.
pub fn real_envoy(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("ENVOY")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let found = named.or_else(|| {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|folder| folder.join("envoy"))
            .find(|path| path.is_file())
    });
    if found.is_none() {
        let required = std::env::var("SLUICE_REQUIRE_ENVOY").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "{test}: no envoy in $ENVOY or on PATH, but one is required"
        );
        eprintln!("{test}: left out, no envoy in $ENVOY or on PATH");
    }
    found
}

/// Options for the real Envoy: one worker, and a bootstrap with these listeners
/// and clusters.
pub fn real_options(
    binary: PathBuf,
    run: &RunDir,
    listeners: &[Value],
    clusters: &[Value],
) -> EnvoyOptions {
    let bootstrap = json!({
        "node": {"id": "gateway-test", "cluster": "sluice"},
        "admin": {"address": {"pipe": {"path": run.socket("admin.sock").unwrap(), "mode": 0o600}}},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    let mut options = EnvoyOptions::new(binary, bootstrap, run.path().to_owned());
    options.concurrency = std::num::NonZeroU32::new(1);
    options
}

/// A plain HTTP listener with these routes.
pub fn listener(name: &str, port: u16, routes: &Value) -> Value {
    const EXTENSIONS: &str = "type.googleapis.com/envoy.extensions.filters";
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{
            "name": "hcm",
            "typed_config": {
                "@type": format!("{EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": name,
                "upgrade_configs": [{"upgrade_type": "websocket"}],
                "route_config": {"virtual_hosts": [
                    {"name": "all", "domains": ["*"], "routes": routes},
                ]},
                "http_filters": [{
                    "name": "router",
                    "typed_config": {"@type": format!("{EXTENSIONS}.http.router.v3.Router")},
                }],
            },
        }]}],
    })
}

/// Routes that answer everything with 200 and `hello`.
pub fn hello() -> Value {
    json!([{
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": "hello"}},
    }])
}

/// A port of the loopback interface that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

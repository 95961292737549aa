//! A `sluice dev` process, backends and traffic for tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Envoy from `$ENVOY` or PATH; without one, says so or fails.
pub fn envoy() -> Option<OsString> {
    if let Some(envoy) = std::env::var_os("ENVOY").filter(|path| !path.is_empty()) {
        return Some(envoy);
    }
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("envoy"))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("SLUICE_REQUIRE_ENVOY").is_none(),
            "no envoy in $ENVOY or PATH"
        );
        println!("no envoy in $ENVOY or PATH: not tested");
    }
    found.map(Into::into)
}

/// Manifests of an Ingress for `hello.example.com` over backends on this machine.
pub fn ingress(backends: &[(&str, u16, u8)]) -> String {
    let mut splits = String::new();
    let mut others = String::new();
    for (name, port, percent) in backends {
        if *percent > 0 {
            write!(
                splits,
                "
              - serviceNamespace: default
                serviceName: {name}
                servicePort: 80
                percent: {percent}"
            )
            .unwrap();
        }
        write!(
            others,
            "---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: http, port: 80}}]}}
---
apiVersion: v1
kind: Endpoints
metadata: {{name: {name}}}
subsets: [{{addresses: [{{ip: 127.0.0.1}}], ports: [{{name: http, port: {port}}}]}}]
"
        )
        .unwrap();
    }
    format!(
        "apiVersion: networking.internal.knative.dev/v1alpha1
kind: Ingress
metadata: {{name: hello}}
spec:
  rules:
    - hosts: [hello.example.com]
      visibility: ExternalIP
      http:
        paths:
          - splits:{splits}
{others}"
    )
}

/// A backend that answers every request with its name.
pub struct Backend {
    pub name: &'static str,
    pub port: u16,
}

impl Backend {
    pub fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer(&stream, name));
            }
        });
        Self { name, port }
    }
}

/// Answers requests without bodies until the connection ends.
fn answer(stream: &TcpStream, name: &str) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut stream = stream;
    loop {
        loop {
            if lines.next()?.ok()?.is_empty() {
                break;
            }
        }
        let length = name.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}"
        )
        .ok()?;
    }
}

/// `GET /` over a connection of its own: the body of a 200, `None` for any other
/// status.
pub fn get(address: SocketAddr, host: &str) -> std::io::Result<Option<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok(body.filter(|_| text.starts_with("HTTP/1.1 200")))
}

/// `sluice dev` on free ports, telling events as JSON.
pub fn command(envoy: &OsString, folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.arg("dev").arg(folder).arg("--envoy").arg(envoy);
    command.args(["--output", "json", "--workers", "1"]);
    for port in [
        "http",
        "https",
        "internal-http",
        "internal-https",
        "readiness",
        "statistics",
    ] {
        let flag = format!("--{port}-port");
        if !more.contains(&flag.as_str()) {
            command.args([&flag, "0"]);
        }
    }
    command.args(more).env_remove("RUST_LOG");
    command
}

/// A running `sluice dev`; killed when dropped.
pub struct Session {
    child: Child,
    events: mpsc::Receiver<Value>,
    seen: Vec<Value>,
    http: Option<SocketAddr>,
    runtime: TempDir,
}

impl Session {
    pub fn start(envoy: &OsString, folder: &Path, more: &[&str]) -> Self {
        let runtime = tempfile::tempdir().unwrap();
        let mut child = command(envoy, folder, more)
            .env("XDG_RUNTIME_DIR", runtime.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap();
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            events,
            seen: Vec::new(),
            http: None,
            runtime,
        }
    }

    /// The next event of this kind.
    pub fn wait_for(&mut self, kind: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = match self.events.recv_timeout(left) {
                Ok(event) => event,
                Err(error) => panic!("no event {kind} ({error}); seen: {:#?}", self.seen),
            };
            self.seen.push(event.clone());
            if event["event"] == "started" {
                self.http = event["listen"]["http"].as_str().map(|a| a.parse().unwrap());
            }
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Waits until what was just edited is served; gives the milliseconds it took.
    pub fn wait_for_edit(&mut self) -> f64 {
        let revision = loop {
            let plan = self.wait_for("plan");
            if plan["change"] == "serve" {
                break plan["revision"].as_u64();
            }
        };
        loop {
            let applied = self.wait_for("applied");
            if applied["revision"].as_u64() >= revision {
                return applied["milliseconds"].as_f64().unwrap();
            }
        }
    }

    pub fn last_event(&mut self) -> Value {
        self.seen.extend(self.events.iter());
        self.seen.last().cloned().unwrap()
    }

    pub fn get(&self, host: &str) -> std::io::Result<Option<String>> {
        get(self.http.unwrap(), host)
    }

    /// Sends requests at a rate, whatever the answers, until it is stopped.
    pub fn traffic(&self, host: &'static str, rate: u32) -> Traffic {
        let address = self.http.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sending = thread::spawn(move || {
            let start = Instant::now();
            let mut requests = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let due =
                    start + Duration::from_secs(1) / rate * u32::try_from(requests.len()).unwrap();
                thread::sleep(due.saturating_duration_since(Instant::now()));
                requests.push(thread::spawn(move || get(address, host)));
            }
            let mut answers = Answers::default();
            for request in requests {
                match request.join().unwrap() {
                    Ok(Some(name)) => *answers.by_name.entry(name).or_default() += 1,
                    Ok(None) | Err(_) => answers.failed += 1,
                }
            }
            answers
        });
        Traffic { stop, sending }
    }

    pub fn signal(&self, signal: &str) {
        kill(self.child.id().into(), signal);
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("sluice has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends it as a person would, and sees that it ends well.
    pub fn terminate(mut self) {
        self.signal("TERM");
        assert_eq!(self.wait_for_end().code(), Some(0));
    }

    /// How many run directories there are.
    pub fn run_dirs(&self) -> usize {
        self.runtime.path().read_dir().unwrap().count()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has mostly ended by now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests under way.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<Answers>,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answers {
    pub failed: usize,
    pub by_name: BTreeMap<String, usize>,
}

impl Traffic {
    pub fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.join().unwrap()
    }
}

/// Sends a signal by its name; the shell's own `kill` is everywhere.
pub fn kill(pid: u64, signal: &str) {
    let status = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {pid}")])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Whether a process runs: there, and no zombie.
pub fn alive(pid: u64) -> bool {
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    std::fs::read_to_string(stat).is_ok_and(|stat| {
        !stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .starts_with('Z')
    })
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

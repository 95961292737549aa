//! What the demo plays on: sample backends, a copy of the manifests that leads
//! to them, and `sluice dev` as a child.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use super::DemoError;
use crate::backend::Backend;
use crate::certificate;

/// The sample backends, by the port that the samples name.
const BACKENDS: [(u16, &str); 6] = [
    (19001, "hello-00001"),
    (19002, "hello-00002"),
    (19003, "greeter-00001"),
    (19004, "echo-00001"),
    (19005, "secure-00001"),
    (19006, "internal-00001"),
];

/// How long anything that must happen may take, a first fetch of Envoy included.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Everything that runs; dropping it ends all of it.
pub(super) struct Stage {
    folder: TempDir,
    backends: Vec<Backend>,
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

/// The addresses of the gateway's listeners, as `sluice dev` says them.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listen {
    pub(super) http: std::net::SocketAddr,
    pub(super) https: std::net::SocketAddr,
    pub(super) internal_http: std::net::SocketAddr,
}

impl Stage {
    /// Copies the samples, starts backends, starts `sluice dev` on the copy.
    pub(super) async fn set(sluice: &Path, samples: &Path) -> Result<Self, DemoError> {
        let folder = TempDir::with_prefix("sluice-demo-")
            .map_err(DemoError::io("make a folder for the manifests"))?;
        let mut backends = Vec::new();
        for (_, name) in BACKENDS {
            backends.push(Backend::start(name).await?);
        }
        copy(samples, folder.path(), &backends)?;
        let mut child = Command::new(sluice)
            .arg("dev")
            .arg(folder.path())
            .args(["-o", "json", "--drain", "1"])
            .args(["--http-port", "0", "--https-port", "0"])
            .args(["--internal-http-port", "0", "--internal-https-port", "0"])
            .args(["--readiness-port", "0", "--statistics-port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(DemoError::io(format!("start {}", sluice.display())))?;
        let stdout = child.stdout.take().ok_or_else(|| DemoError::Unexpected {
            what: "sluice dev".into(),
            found: "no standard output".into(),
        })?;
        Ok(Self {
            folder,
            backends,
            child,
            events: BufReader::new(stdout).lines(),
        })
    }

    /// Waits for an event and gives it. What Envoy's fetching has to say on the
    /// way is passed on.
    pub(super) async fn event(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Value) -> bool,
        mut passing: impl FnMut(&str),
    ) -> Result<Value, DemoError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let line = timeout_at(until, self.events.next_line())
                .await
                .map_err(|_| DemoError::never(what))?
                .map_err(DemoError::io("read what sluice dev says"))?
                .ok_or_else(|| DemoError::Unexpected {
                    what: what.to_owned(),
                    found: "sluice dev ended; see above".to_owned(),
                })?;
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if event["event"] == "locating"
                && event.get("bytes").is_none()
                && let Some(message) = event["message"].as_str()
            {
                passing(message);
            }
            if wanted(&event) {
                return Ok(event);
            }
        }
    }

    /// Writes a manifest of the copy, as an editor would.
    pub(super) fn edit(
        &self,
        file: &str,
        change: impl FnOnce(String) -> String,
    ) -> Result<(), DemoError> {
        let path = self.path(file);
        let action = format!("edit {file}");
        let text = std::fs::read_to_string(&path).map_err(DemoError::io(action.clone()))?;
        std::fs::write(&path, change(text)).map_err(DemoError::io(action))
    }

    /// A file of the copy.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Requests that a backend got so far.
    pub(super) fn hits(&self, name: &str) -> u64 {
        let named = self.backends.iter().find(|backend| backend.name() == name);
        named.map_or(0, Backend::hits)
    }

    /// Asks `sluice dev` to end, and waits till it has.
    pub(super) async fn strike(mut self) -> Result<(), DemoError> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
                .map_err(|error| DemoError::io("end sluice dev")(error.into()))?;
        }
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .map_err(|_| DemoError::never("the end of sluice dev"))?
            .map_err(DemoError::io("wait for sluice dev"))?;
        if !status.success() {
            return Err(DemoError::Unexpected {
                what: "the end of sluice dev".into(),
                found: status.to_string(),
            });
        }
        Ok(())
    }
}

/// Copies the samples with the backends' real ports, and with a certificate
/// that nobody had before.
fn copy(samples: &Path, folder: &Path, backends: &[Backend]) -> Result<(), DemoError> {
    let action = || format!("copy {}", samples.display());
    let entries = std::fs::read_dir(samples).map_err(DemoError::io(action()))?;
    for entry in entries {
        let path = entry.map_err(DemoError::io(action()))?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        let mut text = std::fs::read_to_string(&path).map_err(DemoError::io(action()))?;
        for ((written, _), backend) in BACKENDS.iter().zip(backends) {
            let port = backend.address().port();
            text = text.replace(&format!("port: {written}"), &format!("port: {port}"));
        }
        if name == "secure.yaml" {
            text = with_new_certificate(&text)?;
        }
        std::fs::write(folder.join(name), text).map_err(DemoError::io(action()))?;
    }
    Ok(())
}

/// Puts a new pair in place of the sample's.
fn with_new_certificate(text: &str) -> Result<String, DemoError> {
    let issued = certificate::issue(&["secure.default.example.com"])?;
    let secret = issued.secret("default", "");
    let replaced: Vec<String> = text
        .lines()
        .map(|line| {
            let key = line.trim_start().split(':').next().unwrap_or_default();
            match secret["data"][key].as_str() {
                Some(value) => format!("  {key}: {value}"),
                None => line.to_owned(),
            }
        })
        .collect();
    Ok(replaced.join("\n") + "\n")
}

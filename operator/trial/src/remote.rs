//! The xDS server as a process of its own, that can be killed and started again.
//!
//! The two ends speak in lines: a path of a YAML file to apply goes in, what
//! was sent to gateways so far comes out as JSON once all have acknowledged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sluice_envoy::Edge;
use sluice_xds::Fleet;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::TrialError;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a server has sent since it started, over all streams that are open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// By discovery service (`CDS`, …) that sent any: resources and bytes of
    /// their bodies.
    pub kinds: BTreeMap<String, (u64, u64)>,
    /// Removals of any type.
    pub removals: u64,
    /// Responses that a gateway refused.
    pub nacks: u64,
}

impl Sent {
    /// Sums up a fleet.
    #[must_use]
    pub fn of(fleet: &Fleet) -> Self {
        let mut sent = Self::default();
        for (kind, traffic) in fleet.nodes.values().flat_map(|node| &node.kinds) {
            let (resources, bytes) = sent.kinds.entry(kind.service().to_owned()).or_default();
            *resources += traffic.sent;
            *bytes += traffic.bytes;
            sent.removals += traffic.removed;
            sent.nacks += traffic.nacks;
        }
        sent.kinds.retain(|_, counts| *counts != (0, 0));
        sent
    }

    /// Resources of all types.
    #[must_use]
    pub fn resources(&self) -> u64 {
        self.kinds.values().map(|(resources, _)| resources).sum()
    }

    /// Bytes of the bodies of all resources.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kinds.values().map(|(_, bytes)| bytes).sum()
    }

    /// What was sent after `earlier` was taken.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let kinds = self.kinds.iter().map(|(kind, (resources, bytes))| {
            let (r, b) = earlier.kinds.get(kind).copied().unwrap_or_default();
            (kind.clone(), (resources - r, bytes - b))
        });
        Self {
            kinds: kinds.filter(|(_, counts)| *counts != (0, 0)).collect(),
            removals: self.removals - earlier.removals,
            nacks: self.nacks - earlier.nacks,
        }
    }
}

/// A running server process; it is killed when this is dropped.
#[derive(Debug)]
pub struct Remote {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    /// Starts `program` (`sluice-trial-xds`) with a world read from these files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: &Path,
        edge: &Edge,
        socket: &Path,
        files: &[PathBuf],
    ) -> Result<Self, TrialError> {
        let action = || format!("start {}", program.display());
        let addresses = [
            edge.external_http,
            edge.external_https,
            edge.internal_http,
            edge.internal_https,
            edge.readiness,
            edge.statistics,
        ];
        let mut child = Command::new(program)
            .arg("serve")
            .arg(socket)
            .args(addresses.map(|address| address.to_string()))
            .arg("--")
            .args(files)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(TrialError::io(action()))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (commands, answers) =
            pipes.ok_or_else(|| TrialError::io(action())(std::io::ErrorKind::BrokenPipe.into()))?;
        Ok(Self {
            child,
            commands,
            answers: BufReader::new(answers).lines(),
        })
    }

    /// Applies a YAML file and waits until every gateway has acknowledged.
    ///
    /// # Errors
    /// The process is gone, or gateways never acknowledge.
    pub async fn apply(&mut self, file: &Path) -> Result<Sent, TrialError> {
        self.ask(&file.display().to_string()).await
    }

    /// Waits until what there is has been acknowledged by a gateway.
    ///
    /// # Errors
    /// As [`Remote::apply`].
    pub async fn settled(&mut self) -> Result<Sent, TrialError> {
        self.ask("").await
    }

    async fn ask(&mut self, command: &str) -> Result<Sent, TrialError> {
        let exchange = async {
            self.commands.write_all(command.as_bytes()).await?;
            self.commands.write_all(b"\n").await?;
            self.commands.flush().await?;
            let answer = self.answers.next_line().await?;
            let answer = answer.ok_or(std::io::ErrorKind::UnexpectedEof)?;
            serde_json::from_str(&answer).map_err(std::io::Error::other)
        };
        match timeout(PATIENCE, exchange).await {
            Ok(sent) => sent.map_err(TrialError::io("talk to the xDS server process")),
            Err(_) => Err(TrialError::NeverCame {
                what: "an answer of the xDS server process".to_owned(),
                waited: PATIENCE,
                state: format!("after {command:?}"),
            }),
        }
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// It could not be killed.
    pub async fn kill(mut self) -> Result<(), TrialError> {
        self.child
            .kill()
            .await
            .map_err(TrialError::io("kill the xDS server process"))
    }
}

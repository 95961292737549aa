//! One Envoy as a child process.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::admin::Admin;
use crate::drain::drained;
use crate::error::GatewayError;
use crate::failure::{self, BindFailure};
use crate::launch::{self, ParentThread};
use crate::listen;
use crate::log::{self, LogReader};
use crate::options::EnvoyOptions;
use crate::run_dir;

/// How long Envoy may take until its admin interface answers. It takes about
/// 0.1 s when the machine is idle.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long Envoy may take to end after SIGTERM. It takes about 10 ms.
const TERM_LIMIT: Duration = Duration::from_secs(5);

/// How often a condition inside Envoy is looked at while something waits for it.
const POLL: Duration = Duration::from_millis(20);

/// How long the rest of the log is waited for once the process has ended.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// How an Envoy ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Code or signal; `None` if another part of this process took the status.
    pub status: Option<ExitStatus>,
    /// The last messages of its log, oldest first, at most 40.
    pub last_lines: Vec<String>,
}

impl Exit {
    /// The status in words: `exit code 1`, `signal 9`.
    #[must_use]
    pub fn status_text(&self) -> String {
        match self.status {
            None => "unknown status".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => status.to_string(),
            },
        }
    }
}

impl fmt::Display for Exit {
    /// The status and the last three messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.status_text())?;
        let lines = &self.last_lines[self.last_lines.len().saturating_sub(3)..];
        if lines.is_empty() {
            return Ok(());
        }
        write!(f, "; its last lines: {}", lines.join(" | "))
    }
}

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    // Before the thread: a child whose parent thread ends first is killed too,
    // but this order says who decides.
    child: Child,
    _parent: ParentThread,
    pid: Pid,
    log: LogReader,
    admin: Admin,
}

impl Envoy {
    /// Starts Envoy and waits until its admin interface answers; by then it has
    /// accepted its bootstrap and opened the listeners in it. What comes by xDS
    /// is not waited for.
    ///
    /// # Errors
    /// Bad options ([`GatewayError::NoAdminSocket`],
    /// [`GatewayError::RunDirNotPrivate`], [`GatewayError::SocketPathTooLong`],
    /// [`GatewayError::AddressInUse`]), no process ([`GatewayError::Spawn`]), or
    /// an Envoy that did not come up ([`GatewayError::Bind`],
    /// [`GatewayError::BootstrapRefused`], [`GatewayError::ExitedAtStart`],
    /// [`GatewayError::StartTimedOut`]). None of them leaves a process behind.
    pub async fn start(options: EnvoyOptions) -> Result<Self, GatewayError> {
        let admin_socket = options.admin_socket()?;
        run_dir::check_socket(&admin_socket)?;
        run_dir::ensure_private(&options.run_dir)?;
        listen::ensure_free(&options.listens)?;
        let bootstrap = options.run_dir.join("bootstrap.json");
        run_dir::write_private(&bootstrap, options.bootstrap.to_string().as_bytes())?;
        // An Envoy that was killed leaves its socket; it must not answer for this one.
        run_dir::remove_if_there(&admin_socket)?;

        // This process's own standard output belongs to what it prints.
        let output = match &options.output {
            Some(path) => run_dir::append_private(path)?.into(),
            None => Stdio::null(),
        };
        let mut command = launch::command(options.launcher.as_ref(), &options.binary);
        command
            .arg("--config-path")
            .arg(&bootstrap)
            // Its shared memory would tie together Envoys that have nothing to do
            // with each other.
            .arg("--disable-hot-restart")
            .args(["--log-level", options.log_level.name()])
            .args(["--log-format", log::FORMAT, "--log-format-escaped"])
            // What is told of requests is told within a second, not ten.
            .args(["--file-flush-interval-msec", "1000"])
            .args(["--drain-time-s", &options.drain_time.as_secs().to_string()])
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal goes to the whole group,
            // and would end Envoy before it is drained.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(concurrency) = options.concurrency {
            command.args(["--concurrency", &concurrency.to_string()]);
        }
        let program = PathBuf::from(command.as_std().get_program());
        let spawn_error = |source| GatewayError::Spawn {
            program: program.clone(),
            source,
        };
        let (mut child, parent) = launch::spawn(command).await.map_err(spawn_error)?;
        let no_child = || spawn_error(std::io::Error::other("it ended before it was seen"));
        let pid = child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .ok_or_else(no_child)?;
        let log = LogReader::start(child.stderr.take().ok_or_else(no_child)?);
        let mut envoy = Self {
            child,
            _parent: parent,
            pid,
            log,
            admin: Admin::new(admin_socket),
        };
        envoy.wait_until_up(&bootstrap).await?;
        tracing::info!(pid = envoy.pid(), binary = %options.binary.display(), "envoy started");
        Ok(envoy)
    }

    async fn wait_until_up(&mut self, bootstrap: &std::path::Path) -> Result<(), GatewayError> {
        let admin = self.admin.clone().with_timeout(START_LIMIT);
        let answers = async {
            while admin.server_info().await.is_err() {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            biased;
            exit = self.child.wait() => {
                let exit = self.exit(exit).await;
                Err(failure::recognise(&exit.last_lines, bootstrap)
                    .unwrap_or(GatewayError::ExitedAtStart { exit }))
            }
            up = timeout(START_LIMIT, answers) => up.map_err(|_| GatewayError::StartTimedOut {
                socket: self.admin.socket().to_owned(),
                after: START_LIMIT,
                last_lines: self.log.last_lines(),
            }),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Its admin interface.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The last messages of its log, oldest first, at most 40.
    #[must_use]
    pub fn last_lines(&self) -> Vec<String> {
        self.log.last_lines()
    }

    /// The latest listener that came by xDS and whose address could not be had.
    #[must_use]
    pub fn bind_failures(&self) -> watch::Receiver<Option<BindFailure>> {
        self.log.bind_failures()
    }

    /// Waits until it ends, whatever the reason. May be dropped and called again.
    pub async fn exited(&mut self) -> Exit {
        let status = self.child.wait().await;
        self.exit(status).await
    }

    /// Ends it without breaking what is under way.
    ///
    /// First every answer asks its client to leave and no new connection is
    /// taken. When no connection is left, or no request was under way for a
    /// second, or `drain` has passed, SIGTERM; SIGKILL if that is not obeyed
    /// within 5 s. With a `drain` of zero, SIGTERM at once.
    ///
    /// Who has a load balancer in front calls [`Admin::fail_health_check`] first
    /// and waits until it has noticed.
    pub async fn stop(mut self, drain: Duration) -> Exit {
        if !drain.is_zero() {
            let drained = timeout(drain, drained(&self.admin));
            tokio::select! {
                biased;
                status = self.child.wait() => return self.exit(status).await,
                in_time = drained => if in_time.is_err() {
                    tracing::warn!(pid = self.pid(), "drain time is over, connections are cut");
                },
            }
        }
        // `id` is `None` once the status was taken: no other process is hit.
        if self.child.id().is_some()
            && let Err(error) = kill_process(self.pid, Signal::TERM)
        {
            tracing::warn!(pid = self.pid(), %error, "envoy could not be signalled");
        }
        let status = match timeout(TERM_LIMIT, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                tracing::warn!(
                    pid = self.pid(),
                    "envoy ignored the request to end, it is killed"
                );
                if let Err(error) = self.child.start_kill() {
                    tracing::warn!(pid = self.pid(), %error, "envoy could not be killed");
                }
                self.child.wait().await
            }
        };
        self.exit(status).await
    }

    async fn exit(&mut self, status: std::io::Result<ExitStatus>) -> Exit {
        self.log.ended(LOG_LIMIT).await;
        Exit {
            status: status
                .inspect_err(|error| tracing::warn!(%error, "envoy's exit status was lost"))
                .ok(),
            last_lines: self.log.last_lines(),
        }
    }
}

//! What an Envoy is started with.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::error::GatewayError;
use crate::launch::Launcher;
use crate::listen::ListenAddress;

/// What an Envoy is started with.
#[derive(Clone, Debug)]
pub struct EnvoyOptions {
    /// A checked binary, as [`crate::locate()`] gives it.
    pub binary: PathBuf,
    /// The bootstrap. Its admin interface must be a socket: `admin.address.pipe.path`.
    pub bootstrap: Value,
    /// A directory of mode 0700, such as a [`crate::RunDir`]; made if absent.
    /// The bootstrap is written there as `bootstrap.json`, with mode 0600.
    pub run_dir: PathBuf,
    /// Worker threads; `None` for one per processor.
    pub concurrency: Option<NonZeroU32>,
    /// How long connections of a listener that xDS changes or removes may go on.
    pub drain_time: Duration,
    /// From which level on Envoy logs.
    pub log_level: LogLevel,
    /// Binds Envoy's life to this process; `None` leaves Envoy behind if this
    /// process is killed by SIGKILL.
    pub launcher: Option<Launcher>,
    /// A file that standard output is added to, which is where a gateway tells of
    /// requests; `None`: it is thrown away.
    pub output: Option<PathBuf>,
    /// What Envoy is going to listen on, checked to be free before each start.
    pub listens: Vec<ListenAddress>,
}

impl EnvoyOptions {
    /// The three that have no default; one worker per processor, Envoy's own
    /// drain time of 600 s, warnings and errors, no launcher, nothing checked.
    #[must_use]
    pub fn new(binary: PathBuf, bootstrap: Value, run_dir: PathBuf) -> Self {
        Self {
            binary,
            bootstrap,
            run_dir,
            concurrency: None,
            drain_time: Duration::from_secs(600),
            log_level: LogLevel::Warning,
            launcher: None,
            output: None,
            listens: Vec::new(),
        }
    }

    /// Where the bootstrap puts the admin interface.
    pub(crate) fn admin_socket(&self) -> Result<PathBuf, GatewayError> {
        let found = self.bootstrap.pointer("/admin/address/pipe/path");
        match found.and_then(Value::as_str) {
            // `@` is the abstract namespace, open to every user.
            Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
            _ => Err(GatewayError::NoAdminSocket {
                found: found.map_or_else(|| "nothing".to_owned(), Value::to_string),
            }),
        }
    }
}

/// Levels of Envoy's log that keep its errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Every event; slow.
    Trace,
    /// Every request.
    Debug,
    /// Start, and each configuration update.
    Info,
    /// What is amiss, refused configuration included.
    #[default]
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// As `--log-level` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

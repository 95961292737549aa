//! `sluice operator`: what programs the gateways of a cluster.

use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use sluice_controller::{Options, Secrets};
use tokio::sync::watch;

use crate::cli::signals::Signals;
use crate::serve::{OperatorOptions, operator};
use crate::traces::Traces;

/// Turn a cluster's Knative Ingresses into the configuration of its gateways.
///
/// Runs in a pod, in as many replicas as you like: each serves gateways, one of
/// them writes statuses. Everything else is read from the API server.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// This pod's name.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pod_name: String,

    /// The namespace that Sluice and its gateways run in.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAME",
        default_value = "sluice-system"
    )]
    namespace: String,

    /// The namespace of Knative Serving, which holds config-network.
    #[arg(
        long,
        env = "SYSTEM_NAMESPACE",
        value_name = "NAME",
        default_value = "knative-serving"
    )]
    system_namespace: String,

    /// The cluster's DNS suffix. Left out: the search list of this pod says it.
    #[arg(long, env = "CLUSTER_DOMAIN", value_name = "DOMAIN")]
    cluster_domain: Option<String>,

    /// Which Secrets are read: every one of type kubernetes.io/tls, or those that
    /// Knative's own certificates wrote.
    #[arg(long, env = "SLUICE_SECRETS", value_enum, default_value_t = ReadSecrets::Tls)]
    secrets: ReadSecrets,

    /// Port of the gateways' streams, which takes mutual TLS.
    #[arg(long, value_name = "PORT", default_value_t = 18000)]
    xds_port: u16,

    /// Port at which gateways get their certificates.
    #[arg(long, value_name = "PORT", default_value_t = 18001)]
    enrolment_port: u16,

    /// Port of /healthz, /readyz and /metrics.
    #[arg(long, value_name = "PORT", default_value_t = 9090)]
    http_port: u16,

    /// Port of /status/v1, on the loopback alone: reach it by port-forward.
    #[arg(long, value_name = "PORT", default_value_t = 9091)]
    status_port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReadSecrets {
    Tls,
    Labelled,
}

pub(super) fn run(args: Args, traces: Traces) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::new().context("listening to signals")?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("told to end");
            stop.send_replace(true);
        });
        operator(options(args), traces, stopped).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn options(args: Args) -> OperatorOptions {
    let mut controller = Options::new(&*args.namespace, &*args.pod_name);
    controller.system_namespace = args.system_namespace;
    controller.secrets = match args.secrets {
        ReadSecrets::Tls => Secrets::AllTls,
        ReadSecrets::Labelled => Secrets::Labelled,
    };
    if let Some(suffix) = args.cluster_domain {
        controller.cluster_suffix = suffix;
    }
    OperatorOptions {
        // The container of a pod may start again: its process is another one.
        identity: format!("{}_{}", args.pod_name, std::process::id()),
        names: vec![format!("sluice-operator.{}.svc", args.namespace)],
        controller,
        xds: args.xds_port,
        enrolment: args.enrolment_port,
        http: args.http_port,
        status: args.status_port,
    }
}

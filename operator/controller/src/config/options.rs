//! What is chosen at the start and stays.

use std::collections::BTreeSet;
use std::path::Path;

use sluice_ir::Host;
use sluice_translate::{Backends, Config};

use crate::ControllerError;

/// The public gateway's Service.
pub(crate) const PUBLIC_SERVICE: &str = "sluice";
/// The private gateway's Service; its endpoints are the gateways.
pub(crate) const PRIVATE_SERVICE: &str = "sluice-internal";

/// The suffix of cluster-local names where nothing names another.
const DEFAULT_SUFFIX: &str = "cluster.local";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How the controller is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The class of the Ingresses that are Sluice's.
    pub class: String,
    /// The namespace that Sluice and its gateways run in.
    pub namespace: String,
    /// The namespace of Knative Serving, which holds `config-network`.
    pub system_namespace: String,
    /// The cluster's DNS suffix.
    pub cluster_suffix: String,
    /// Which Secrets are read.
    pub secrets: Secrets,
    /// The name of this replica, which events carry.
    pub instance: String,
}

/// Which Secrets are read. The API server filters, so what is not asked for never
/// comes to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// All of type `kubernetes.io/tls`: certificates that users bring as well.
    #[default]
    AllTls,
    /// Those that Knative's certificates wrote, by the label
    /// `networking.internal.knative.dev/certificate-uid`.
    Labelled,
}

impl Options {
    /// Sluice's class, Serving in `knative-serving`, the suffix that this machine
    /// finds, every TLS Secret.
    #[must_use]
    pub fn new(namespace: impl Into<String>, instance: impl Into<String>) -> Self {
        Self {
            class: "sluice.ingress.networking.knative.dev".into(),
            namespace: namespace.into(),
            system_namespace: "knative-serving".into(),
            cluster_suffix: found_cluster_suffix(),
            secrets: Secrets::default(),
            instance: instance.into(),
        }
    }

    /// What translation is told of the cluster.
    pub(crate) fn translation(&self) -> Result<Config, ControllerError> {
        let suffix =
            Host::parse(&self.cluster_suffix).map_err(|source| ControllerError::Option {
                option: "cluster suffix",
                found: self.cluster_suffix.clone(),
                example: DEFAULT_SUFFIX,
                source,
            })?;
        let short = format!("{PRIVATE_SERVICE}.{}", self.namespace);
        let names = [
            short.clone(),
            format!("{short}.svc"),
            format!("{short}.svc.{suffix}"),
        ];
        let mut private_gateways = BTreeSet::new();
        for name in names {
            let host = Host::parse(&name).map_err(|source| ControllerError::Option {
                option: "namespace",
                found: self.namespace.clone(),
                example: "sluice-system",
                source,
            })?;
            private_gateways.insert(host);
        }
        Ok(Config {
            cluster_suffix: suffix.to_string(),
            private_gateways,
            allow_loopback: false,
            backends: Backends::Plain,
        })
    }

    /// The cluster-local name of a Service of this namespace.
    pub(crate) fn local_name(&self, service: &str) -> String {
        let suffix = self.cluster_suffix.trim_matches('.');
        format!("{service}.{}.svc.{suffix}", self.namespace)
    }
}

/// The cluster's DNS suffix: `CLUSTER_DOMAIN` where it is set, else the entry
/// `svc.<suffix>` of the search list, else `cluster.local`.
#[must_use]
pub fn cluster_suffix(environment: Option<&str>, resolv_conf: &str) -> String {
    let named = environment
        .map(|name| name.trim().trim_matches('.'))
        .filter(|name| !name.is_empty());
    let searched = || {
        // The last search line counts, as the resolver has it.
        resolv_conf
            .lines()
            .filter_map(|line| line.trim().strip_prefix("search"))
            .next_back()?
            .split_whitespace()
            .filter_map(|entry| entry.trim_end_matches('.').strip_prefix("svc."))
            .find(|suffix| !suffix.is_empty())
    };
    named.or_else(searched).unwrap_or(DEFAULT_SUFFIX).to_owned()
}

/// [`cluster_suffix`] of this process.
#[must_use]
pub fn found_cluster_suffix() -> String {
    let environment = std::env::var("CLUSTER_DOMAIN").ok();
    // Without the file there is no search list to read: the default is right.
    let resolv_conf = std::fs::read_to_string(Path::new(RESOLV_CONF)).unwrap_or_default();
    cluster_suffix(environment.as_deref(), &resolv_conf)
}

//! What the API server says, as events for the loop.
//!
//! One task per resource. Each lists, then watches; a refusal or a resource that
//! is not there waits with back-off and says for what. A fresh list after a gap
//! is compared with what was known, so that the loop never needs to forget and
//! learn again.

mod follow;
mod relist;
mod slim;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use kube::runtime::watcher;
use kube::{Api, Client};
use sluice_crds as crds;
use sluice_ir::ObjectKey;
use sluice_translate::{Object, ObjectKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::{
    CONFIG_NETWORK, CONFIG_OBSERVABILITY, CONFIG_SLUICE, Options, PRIVATE_SERVICE,
    ROUTING_CERTIFICATES, Secrets,
};
use crate::health::Health;
use crate::status::IngressStatus;

pub(crate) use slim::{BESIDE_ANNOTATION, CLASS_ANNOTATION, Slim, StoredIngress};

use follow::follow;
use slim::{ConfigMap, GatewaySlice, RootsSecret, TrustBundle};

/// How long a watch lasts, in seconds, before it is begun again from where it was.
pub const WATCH_SECONDS: u32 = 30;
/// ConfigMaps with it hold roots (`networking/pkg/apis/networking/register.go`).
const TRUST_BUNDLE_LABEL: &str = "networking.knative.dev/trust-bundle";

/// A resource that is watched, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Knative's Ingresses.
    Ingresses,
    /// Services.
    Services,
    /// Core Endpoints.
    Endpoints,
    /// EndpointSlices.
    EndpointSlices,
    /// Secrets with certificates.
    Secrets,
    /// Serving's ConfigMap `config-network`.
    ConfigNetwork,
    /// Sluice's ConfigMap `config-sluice`.
    ConfigSluice,
    /// Serving's ConfigMap `config-observability`.
    ConfigObservability,
    /// Serving's Secret `routing-serving-certs`: the authority of its own
    /// certificates.
    RoutingCertificates,
    /// Serving's ConfigMaps with more roots to trust.
    TrustBundles,
    /// EndpointSlices of the private gateway Service.
    Gateways,
}

impl Source {
    /// All of them.
    pub const ALL: [Source; 11] = [
        Source::Ingresses,
        Source::Services,
        Source::Endpoints,
        Source::EndpointSlices,
        Source::Secrets,
        Source::ConfigNetwork,
        Source::ConfigSluice,
        Source::ConfigObservability,
        Source::RoutingCertificates,
        Source::TrustBundles,
        Source::Gateways,
    ];

    /// The resource as a rule of RBAC names it.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Source::Ingresses => "ingresses.networking.internal.knative.dev",
            Source::Services => "services",
            Source::Endpoints => "endpoints",
            Source::EndpointSlices | Source::Gateways => "endpointslices.discovery.k8s.io",
            Source::Secrets | Source::RoutingCertificates => "secrets",
            Source::ConfigNetwork
            | Source::ConfigSluice
            | Source::ConfigObservability
            | Source::TrustBundles => "configmaps",
        }
    }
}

/// For people and for metrics: `ingresses`, `config-network`, `gateways`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Source::Ingresses => "ingresses",
            Source::Services => "services",
            Source::Endpoints => "endpoints",
            Source::EndpointSlices => "endpointslices",
            Source::Secrets => "secrets",
            Source::ConfigNetwork => CONFIG_NETWORK,
            Source::ConfigSluice => CONFIG_SLUICE,
            Source::ConfigObservability => CONFIG_OBSERVABILITY,
            Source::RoutingCertificates => ROUTING_CERTIFICATES,
            Source::TrustBundles => "trust-bundles",
            Source::Gateways => "gateways",
        })
    }
}

/// An event on its way to the loop.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) input: Input,
    pub(crate) since: Instant,
}

impl Queued {
    /// One that came just now.
    pub(crate) fn now(input: Input) -> Self {
        Self {
            input,
            since: Instant::now(),
        }
    }
}

/// One event for the loop.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// An Ingress as it now is, of whatever class.
    Ingress(Box<SeenIngress>),
    /// An Ingress is gone.
    IngressGone(ObjectKey),
    /// Another object as it now is.
    Object(Object),
    /// Another object is gone.
    ObjectGone(ObjectKind, ObjectKey),
    /// The data of a ConfigMap; `None` where it is gone.
    ConfigMap(Source, Option<BTreeMap<String, String>>),
    /// Roots that backends are trusted by, as one place now has them; `None` where
    /// it is gone.
    Roots(RootsPlace, Option<Roots>),
    /// A slice of gateways as it now is; `None` where it is gone.
    GatewaySlice(ObjectKey, Option<Vec<GatewayEndpoint>>),
    /// A resource was listed whole; what was not in the list was told to be gone.
    Listed(Source),
}

/// A Secret or a ConfigMap that holds roots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RootsPlace {
    pub(crate) source: Source,
    pub(crate) key: ObjectKey,
}

/// What stands there by key of its data: PEM, in a Secret or not.
pub(crate) type Roots = BTreeMap<String, Vec<u8>>;

/// An Ingress as the API server has it.
#[derive(Clone, Debug)]
pub(crate) struct SeenIngress {
    pub(crate) ingress: crds::Ingress,
    pub(crate) stored: Stored,
}

/// What a status is written against.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stored {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) resource_version: String,
    pub(crate) status: IngressStatus,
}

impl Stored {
    /// Whether this was stored before the other one, as far as versions tell.
    pub(crate) fn is_older_than(&self, other: &Self) -> bool {
        let number = |stored: &Self| stored.resource_version.parse::<u128>().ok();
        self.uid == other.uid
            && matches!((number(self), number(other)), (Some(a), Some(b)) if a < b)
    }
}

/// One gateway, as its Service's slices have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GatewayEndpoint {
    /// `<namespace>/<pod>`.
    pub(crate) node: String,
    pub(crate) ip: IpAddr,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

/// Starts every watch.
pub(crate) fn start(
    client: &Client,
    options: &Options,
    inputs: &mpsc::Sender<Queued>,
    health: &Arc<Health>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    // The server ends each watch after so long, and it goes on from where it was: whoever
    // waits longer for a word waits for a server that is gone.
    let all = || watcher::Config::default().timeout(WATCH_SECONDS);
    let one = |name: &str| all().fields(&format!("metadata.name={name}"));
    macro_rules! watch {
        ($source:expr, $api:expr, $config:expr) => {
            tasks.spawn(follow(
                $source,
                $api,
                $config,
                inputs.clone(),
                Arc::clone(health),
            ))
        };
    }
    let own = &options.namespace;
    watch!(
        Source::Ingresses,
        Api::<Slim<StoredIngress>>::all(client.clone()),
        all()
    );
    watch!(
        Source::Services,
        Api::<Slim<crds::Service>>::all(client.clone()),
        all()
    );
    watch!(
        Source::Endpoints,
        Api::<Slim<crds::Endpoints>>::all(client.clone()),
        all()
    );
    watch!(
        Source::EndpointSlices,
        Api::<Slim<crds::EndpointSlice>>::all(client.clone()),
        all()
    );
    let secrets = match options.secrets {
        Secrets::AllTls => all().fields("type=kubernetes.io/tls"),
        Secrets::Labelled => all().labels("networking.internal.knative.dev/certificate-uid"),
    };
    watch!(
        Source::Secrets,
        Api::<Slim<crds::Secret>>::all(client.clone()),
        secrets
    );
    watch!(
        Source::ConfigNetwork,
        Api::<Slim<ConfigMap>>::namespaced(client.clone(), &options.system_namespace),
        one(CONFIG_NETWORK)
    );
    watch!(
        Source::ConfigObservability,
        Api::<Slim<ConfigMap>>::namespaced(client.clone(), &options.system_namespace),
        one(CONFIG_OBSERVABILITY)
    );
    watch!(
        Source::ConfigSluice,
        Api::<Slim<ConfigMap>>::namespaced(client.clone(), own),
        one(CONFIG_SLUICE)
    );
    watch!(
        Source::RoutingCertificates,
        Api::<Slim<RootsSecret>>::namespaced(client.clone(), &options.system_namespace),
        one(ROUTING_CERTIFICATES)
    );
    watch!(
        Source::TrustBundles,
        Api::<Slim<TrustBundle>>::namespaced(client.clone(), &options.system_namespace),
        all().labels(TRUST_BUNDLE_LABEL)
    );
    watch!(
        Source::Gateways,
        Api::<Slim<GatewaySlice>>::namespaced(client.clone(), own),
        all().labels(&format!("kubernetes.io/service-name={PRIVATE_SERVICE}"))
    );
    tasks
}

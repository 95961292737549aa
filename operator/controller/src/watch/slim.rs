//! Objects as watches read them: what is used, and nothing else.
//!
//! Reading is per object and never fails: one object that cannot be read must not
//! take down the list that it stands in, and with it the start of the operator.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sluice_crds as crds;
use sluice_ir::ObjectKey;
use sluice_translate::{Object, ObjectKind};

use super::{GatewayEndpoint, Input, Roots, RootsPlace, SeenIngress, Source, Stored};
use crate::status::IngressStatus;

/// Decides whose Ingress it is.
pub(crate) const CLASS_ANNOTATION: &str = "networking.knative.dev/ingress.class";
/// Has an Ingress of another class served too, and never written to: `sluice migrate`
/// sets it, through whatever owns the Ingress.
pub(crate) const BESIDE_ANNOTATION: &str = "sluice.ingress.networking.knative.dev/beside";
/// How many fields that an Ingress does not have are named.
const NAMED_FIELDS: usize = 4;

/// A kind that is watched.
pub(crate) trait Watched: Clone + fmt::Debug + Send + Sync + 'static {
    const GROUP: &'static str;
    const VERSION: &'static str;
    const KIND: &'static str;
    const PLURAL: &'static str;

    /// Reads what is used of a document; on failure says of what, never what
    /// stood there.
    fn read(document: Value) -> Result<Self, String>;

    /// What in a readable document is odd.
    fn warnings(_document: &Value) -> Vec<String> {
        Vec::new()
    }

    fn input(self, source: Source, meta: ObjectMeta) -> Input;
    fn gone(source: Source, key: ObjectKey) -> Input;
}

/// An object of a watch.
#[derive(Clone)]
pub(crate) struct Slim<T> {
    /// Name, namespace, uid and version only.
    meta: ObjectMeta,
    /// `None` where it cannot be read: what was known of it before is better than
    /// nothing.
    object: Option<T>,
    pub(crate) warnings: Vec<String>,
}

/// Without the object, which may be a Secret.
impl<T> fmt::Debug for Slim<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slim")
            .field("namespace", &self.meta.namespace)
            .field("name", &self.meta.name)
            .field("resource_version", &self.meta.resource_version)
            .finish_non_exhaustive()
    }
}

impl<T> Slim<T> {
    pub(crate) fn key(&self) -> ObjectKey {
        ObjectKey::new(
            self.meta.namespace.clone().unwrap_or_default(),
            self.meta.name.clone().unwrap_or_default(),
        )
    }
}

impl<T: Watched> Slim<T> {
    pub(crate) fn into_input(self, source: Source) -> Option<Input> {
        let Self { meta, object, .. } = self;
        Some(object?.input(source, meta))
    }
}

impl Slim<StoredIngress> {
    /// What a status is written against; `None` for an answer without an object.
    pub(crate) fn into_stored(self) -> Option<Stored> {
        let Self { meta, object, .. } = self;
        let StoredIngress { ingress, status } = object?;
        Some(stored(&ingress, &meta, status))
    }
}

impl<'de, T: Watched> Deserialize<'de> for Slim<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(deserializer)?;
        let text = |field: &str| {
            let text = document.get("metadata")?.get(field)?.as_str()?;
            Some(text.to_owned())
        };
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        let mut slim = Self {
            meta,
            object: None,
            warnings: T::warnings(&document),
        };
        match T::read(document) {
            Ok(object) => slim.object = Some(object),
            Err(why) => slim.warnings.push(why),
        }
        Ok(slim)
    }
}

impl<T: Watched> Resource for Slim<T> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        T::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

const UNREADABLE: &str = "cannot be read, what was known before it stays";

/// Reads a document of a kind that holds nothing secret.
fn read<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    serde_json::from_value(document).map_err(|error| format!("{UNREADABLE}: {error}"))
}

/// Reads a Secret: what the reader says of it may quote it.
fn read_secret<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    serde_json::from_value(document).map_err(|_| UNREADABLE.to_owned())
}

/// An Ingress and its status.
#[derive(Clone, Debug)]
pub(crate) struct StoredIngress {
    ingress: crds::Ingress,
    status: IngressStatus,
}

fn stored(ingress: &crds::Ingress, meta: &ObjectMeta, status: IngressStatus) -> Stored {
    Stored {
        uid: meta.uid.clone().unwrap_or_default(),
        generation: ingress.metadata.generation,
        resource_version: meta.resource_version.clone().unwrap_or_default(),
        status,
    }
}

impl Watched for StoredIngress {
    const GROUP: &'static str = "networking.internal.knative.dev";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Ingress";
    const PLURAL: &'static str = "ingresses";

    fn read(mut document: Value) -> Result<Self, String> {
        let status = document.get_mut("status").map(Value::take);
        // A status that cannot be read is not what Sluice would write: it will be
        // written anew.
        let status = status
            .and_then(|status| serde_json::from_value(status).ok())
            .unwrap_or_default();
        let metadata = document.get("metadata").cloned().unwrap_or_default();
        let mut ingress: crds::Ingress = match serde_json::from_value(document) {
            Ok(ingress) => ingress,
            // A spec that cannot be read is refused like one that says nothing:
            // last good keeps serving, and the status says so.
            Err(error) => {
                let metadata: crds::ObjectMeta = read(metadata)?;
                tracing::warn!(
                    object = %ObjectKey::new(&*metadata.namespace, &*metadata.name),
                    "ingress: spec: cannot be read, refused: {error}"
                );
                crds::Ingress {
                    metadata,
                    ..crds::Ingress::default()
                }
            }
        };
        let annotations = &mut ingress.metadata.annotations;
        annotations.retain(|name, _| name == CLASS_ANNOTATION || name == BESIDE_ANNOTATION);
        Ok(Self { ingress, status })
    }

    fn warnings(document: &Value) -> Vec<String> {
        let unknown = crds::unknown_fields(crds::Kind::Ingress, document);
        let more = unknown.len().saturating_sub(NAMED_FIELDS);
        let mut warnings: Vec<String> = unknown
            .iter()
            .take(NAMED_FIELDS)
            .map(|field| format!("{field}; it counts for nothing"))
            .collect();
        if more > 0 {
            warnings.push(format!("and {more} more unknown fields"));
        }
        warnings
    }

    fn input(self, _: Source, meta: ObjectMeta) -> Input {
        let Self { ingress, status } = self;
        let stored = stored(&ingress, &meta, status);
        Input::Ingress(Box::new(SeenIngress { ingress, stored }))
    }

    fn gone(_: Source, key: ObjectKey) -> Input {
        Input::IngressGone(key)
    }
}

/// The kinds that go to the world as they are.
macro_rules! watched {
    ($kind:ident, $group:literal, $plural:literal, $read:ident, $slim:expr) => {
        impl Watched for crds::$kind {
            const GROUP: &'static str = $group;
            const VERSION: &'static str = "v1";
            const KIND: &'static str = stringify!($kind);
            const PLURAL: &'static str = $plural;

            fn read(document: Value) -> Result<Self, String> {
                let mut object: Self = $read(document)?;
                // Whatever else wrote there, such as a whole last-applied copy.
                object.metadata.annotations.clear();
                let slim: fn(&mut Self) = $slim;
                slim(&mut object);
                Ok(object)
            }

            fn input(self, _: Source, _: ObjectMeta) -> Input {
                Input::Object(Object::$kind(self))
            }

            fn gone(_: Source, key: ObjectKey) -> Input {
                Input::ObjectGone(ObjectKind::$kind, key)
            }
        }
    };
}

watched!(Service, "", "services", read, |_| ());
watched!(Endpoints, "", "endpoints", read, |_| ());
watched!(
    EndpointSlice,
    "discovery.k8s.io",
    "endpointslices",
    read,
    |_| ()
);
watched!(Secret, "", "secrets", read_secret, |secret| {
    secret
        .data
        .retain(|key, _| key == "tls.crt" || key == "tls.key");
    secret.string_data.clear();
});

/// A ConfigMap.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigMap {
    data: Option<BTreeMap<String, String>>,
}

impl Watched for ConfigMap {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ConfigMap";
    const PLURAL: &'static str = "configmaps";

    fn read(document: Value) -> Result<Self, String> {
        read(document)
    }

    fn input(self, source: Source, _: ObjectMeta) -> Input {
        Input::ConfigMap(source, Some(self.data.unwrap_or_default()))
    }

    fn gone(source: Source, _: ObjectKey) -> Input {
        Input::ConfigMap(source, None)
    }
}

/// A Secret of which only the roots are kept, never a key.
#[derive(Clone)]
pub(crate) struct RootsSecret(Roots);

/// Without what stands there.
impl fmt::Debug for RootsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RootsSecret").finish_non_exhaustive()
    }
}

/// Where a Secret has the authority of its certificate
/// (`networking/pkg/certificates/constants.go`).
const AUTHORITY: &str = "ca.crt";

impl Watched for RootsSecret {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Secret";
    const PLURAL: &'static str = "secrets";

    fn read(document: Value) -> Result<Self, String> {
        let secret: crds::Secret = read_secret(document)?;
        let roots = match secret.bytes(AUTHORITY) {
            Ok(Some(roots)) => Roots::from([(AUTHORITY.to_owned(), roots)]),
            // Empty until its certificate is issued.
            Ok(None) => Roots::new(),
            Err(_) => {
                return Err(format!("data[{AUTHORITY}]: is no base64, {UNREADABLE}"));
            }
        };
        Ok(Self(roots))
    }

    fn input(self, source: Source, meta: ObjectMeta) -> Input {
        Input::Roots(place(source, meta), Some(self.0))
    }

    fn gone(source: Source, key: ObjectKey) -> Input {
        Input::Roots(RootsPlace { source, key }, None)
    }
}

/// A ConfigMap that holds roots under any key.
#[derive(Clone, Debug)]
pub(crate) struct TrustBundle(ConfigMap);

impl Watched for TrustBundle {
    const GROUP: &'static str = ConfigMap::GROUP;
    const VERSION: &'static str = ConfigMap::VERSION;
    const KIND: &'static str = ConfigMap::KIND;
    const PLURAL: &'static str = ConfigMap::PLURAL;

    fn read(document: Value) -> Result<Self, String> {
        read(document).map(Self)
    }

    fn input(self, source: Source, meta: ObjectMeta) -> Input {
        let data = self.0.data.unwrap_or_default().into_iter();
        let roots = data.map(|(key, text)| (key, text.into_bytes())).collect();
        Input::Roots(place(source, meta), Some(roots))
    }

    fn gone(source: Source, key: ObjectKey) -> Input {
        Input::Roots(RootsPlace { source, key }, None)
    }
}

fn place(source: Source, meta: ObjectMeta) -> RootsPlace {
    let key = ObjectKey::new(
        meta.namespace.unwrap_or_default(),
        meta.name.unwrap_or_default(),
    );
    RootsPlace { source, key }
}

/// A slice of gateways: beyond what plans need, which pod an address is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GatewaySlice {
    endpoints: Option<Vec<SliceEndpoint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SliceEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<crds::EndpointConditions>,
    target_ref: Option<TargetRef>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: String,
    namespace: String,
    name: String,
}

impl Watched for GatewaySlice {
    const GROUP: &'static str = "discovery.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "EndpointSlice";
    const PLURAL: &'static str = "endpointslices";

    fn read(document: Value) -> Result<Self, String> {
        read(document)
    }

    fn input(self, _: Source, meta: ObjectMeta) -> Input {
        let key = ObjectKey::new(
            meta.namespace.unwrap_or_default(),
            meta.name.unwrap_or_default(),
        );
        let endpoints = self.endpoints.unwrap_or_default();
        Input::GatewaySlice(key, Some(endpoints.iter().filter_map(gateway).collect()))
    }

    fn gone(_: Source, key: ObjectKey) -> Input {
        Input::GatewaySlice(key, None)
    }
}

/// A gateway; what is no pod could never acknowledge anything.
fn gateway(endpoint: &SliceEndpoint) -> Option<GatewayEndpoint> {
    let pod = endpoint.target_ref.as_ref()?;
    let ip: IpAddr = endpoint.addresses.as_ref()?.first()?.parse().ok()?;
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    (pod.kind == "Pod").then(|| GatewayEndpoint {
        node: format!("{}/{}", pod.namespace, pod.name),
        ip,
        ready: conditions.ready.unwrap_or(true),
        terminating: conditions.terminating.unwrap_or(false),
    })
}

//! Core objects, slim: only the fields that Sluice uses.

use serde::{Deserialize, Serialize};

use crate::{IntOrString, ObjectMeta, null};

/// `v1 Service`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Name and namespace.
    #[serde(deserialize_with = "null::value")]
    pub metadata: ObjectMeta,
    /// Ports and kind.
    #[serde(deserialize_with = "null::value")]
    pub spec: ServiceSpec,
}

/// `spec` of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP` (also where empty), `NodePort`, `LoadBalancer`, `ExternalName`.
    #[serde(rename = "type", deserialize_with = "null::value")]
    pub kind: String,
    /// Ports.
    #[serde(deserialize_with = "null::list")]
    pub ports: Vec<ServicePort>,
    /// The name that a Service of type ExternalName stands for.
    #[serde(deserialize_with = "null::value")]
    pub external_name: String,
}

/// One port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name; may be empty where there is one port only.
    #[serde(deserialize_with = "null::value")]
    pub name: String,
    /// Port number of the Service.
    #[serde(deserialize_with = "null::value")]
    pub port: i32,
    /// Port of the pod, by number or by the name of a container port.
    pub target_port: Option<IntOrString>,
    /// `kubernetes.io/h2c` asks for HTTP/2 with prior knowledge.
    #[serde(deserialize_with = "null::value")]
    pub app_protocol: String,
    /// `TCP` where empty.
    #[serde(deserialize_with = "null::value")]
    pub protocol: String,
}

/// `v1 Endpoints`, which Serving still writes for public Services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoints {
    /// Name (of the Service) and namespace.
    #[serde(deserialize_with = "null::value")]
    pub metadata: ObjectMeta,
    /// Groups of addresses with the same ports.
    #[serde(deserialize_with = "null::list")]
    pub subsets: Vec<EndpointSubset>,
}

/// One group of an Endpoints object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// Ready addresses.
    #[serde(deserialize_with = "null::list")]
    pub addresses: Vec<EndpointsAddress>,
    /// Addresses that are not ready.
    #[serde(deserialize_with = "null::list")]
    pub not_ready_addresses: Vec<EndpointsAddress>,
    /// Ports, by the name of the Service port.
    #[serde(deserialize_with = "null::list")]
    pub ports: Vec<EndpointsPort>,
}

/// An address of an Endpoints object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointsAddress {
    /// IP address.
    #[serde(deserialize_with = "null::value")]
    pub ip: String,
}

/// A port of an Endpoints object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointsPort {
    /// Name of the Service port.
    #[serde(deserialize_with = "null::value")]
    pub name: String,
    /// Port number, resolved.
    #[serde(deserialize_with = "null::value")]
    pub port: i32,
}

/// `discovery.k8s.io/v1 EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Name, namespace, and the label that names the Service.
    #[serde(deserialize_with = "null::value")]
    pub metadata: ObjectMeta,
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(deserialize_with = "null::value")]
    pub address_type: String,
    /// Addresses with their conditions.
    #[serde(deserialize_with = "null::list")]
    pub endpoints: Vec<Endpoint>,
    /// Ports, by the name of the Service port.
    #[serde(deserialize_with = "null::list")]
    pub ports: Vec<EndpointSlicePort>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Addresses of the one endpoint; the first is used, as kube-proxy does.
    #[serde(deserialize_with = "null::list")]
    pub addresses: Vec<String>,
    /// Whether it may get traffic.
    #[serde(deserialize_with = "null::value")]
    pub conditions: EndpointConditions,
}

/// Conditions of one endpoint; absent means unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Ready and not terminating; unknown counts as ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Would be ready but for terminating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// On its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// A port of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSlicePort {
    /// Name of the Service port.
    #[serde(deserialize_with = "null::value")]
    pub name: String,
    /// Port number, resolved; absent means all ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

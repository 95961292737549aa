//! The shapes that Knative and Kubernetes give us, exactly as they serialise.
//!
//! *Reads* JSON-like documents through serde, `null` as Go reads it. *Gives*
//! [`Ingress`] with Knative's defaulting, validation and `K-Network-Hash`; slim
//! core objects that hold only the fields that Sluice uses; and, for documents
//! that people write, the fields that a kind does not have ([`unknown_fields`]).
//! *Never* has an opinion: what a gateway can or cannot serve is `translate`'s
//! business.
//!
//! What Go makes of the same documents is in `testdata/`, written by Knative's own
//! library (`e2e/cmd/golden-hash`); `hack/generate-golden-hash` makes it again.
//!
//! Start at [`Ingress`].

mod core;
mod defaults;
mod fields;
mod go_json;
mod hash;
mod ingress;
mod list;
mod meta;
mod null;
mod port;
mod secret;
mod validate;

#[cfg(test)]
mod tests;

pub use crate::core::{
    Endpoint, EndpointConditions, EndpointSlice, EndpointSlicePort, EndpointSubset, Endpoints,
    EndpointsAddress, EndpointsPort, Service, ServicePort, ServiceSpec,
};
pub use crate::fields::{Kind, UnknownField, unknown_fields};
pub use crate::ingress::{
    HeaderMatch, HttpIngressPath, HttpIngressRuleValue, HttpOption, Ingress, IngressBackendSplit,
    IngressRule, IngressSpec, IngressTls, Visibility,
};
pub use crate::list::List;
pub use crate::meta::ObjectMeta;
pub use crate::port::IntOrString;
pub use crate::secret::{Secret, SecretError, SecretValue};
pub use crate::validate::{FaultKind, FieldFault};

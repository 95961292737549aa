//! The shapes that Knative and Kubernetes give us, exactly as they serialise.
//!
//! *Reads* JSON-like documents through serde. *Gives* [`Ingress`] with Knative's
//! defaulting, validation and `K-Network-Hash`, and slim core objects holding
//! only the fields that Sluice uses. *Never* has an opinion: what a gateway can
//! or cannot serve is `translate`'s business.
//!
//! Start at [`Ingress`].

mod core;
mod ingress;
mod list;
mod meta;
mod null;
mod port;

pub use crate::core::{
    Endpoint, EndpointConditions, EndpointSlice, EndpointSlicePort, EndpointSubset, Endpoints,
    EndpointsAddress, EndpointsPort, Secret, SecretValue, Service, ServicePort, ServiceSpec,
};
pub use crate::ingress::{
    HeaderMatch, HttpIngressPath, HttpIngressRuleValue, HttpOption, Ingress, IngressBackendSplit,
    IngressRule, IngressSpec, IngressTls, Visibility,
};
pub use crate::list::List;
pub use crate::meta::ObjectMeta;
pub use crate::port::IntOrString;

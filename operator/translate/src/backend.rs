//! From a split to the Service port behind it.

use std::num::NonZeroU16;

use sluice_crds as crds;
use sluice_ir::{
    Cluster, Discovery, ObjectKey, Protocol, Reason, Rejection, ServicePort, Transport,
};

use crate::address::external_name;
use crate::endpoints::is_public;
use crate::field::{AtSplit, quote};
use crate::rejections::rejection;
use crate::{Backends, Inputs};

/// The Service port that a split names.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) service_port: ServicePort,
    pub(crate) cluster: Cluster,
    /// Whether it is Sluice's own private gateway, under another name.
    pub(crate) leads_back: bool,
}

/// Looks a split's Service and port up. Whether endpoints exist is not asked:
/// without any the cluster answers 503, and gets better without us.
pub(crate) fn upstream(
    inputs: &Inputs<'_>,
    split: &crds::IngressBackendSplit,
    at: AtSplit,
) -> Result<Upstream, Rejection> {
    let name = split.service_name.as_str();
    let Some(service) = inputs.services.get(name) else {
        return Err(rejection(
            Reason::ServiceMissing,
            format!("{at}.serviceName"),
            format!(
                "Service {}, which does not exist in namespace {}",
                quote(name),
                quote(&inputs.ingress.metadata.namespace)
            ),
            "a Service of that namespace",
            "create the Service, or correct the name",
        ));
    };
    let (number, port) = port(service, &split.service_port, at)?;
    let mut leads_back = false;
    let discovery = if is_external(service) {
        let external = &service.spec.external_name;
        let host = external_name(external, inputs.config.allow_loopback).map_err(|fault| {
            rejection(
                Reason::ForbiddenExternalName,
                format!("{at}.serviceName"),
                format!(
                    "Service {} with externalName {}, which is {fault}",
                    quote(name),
                    quote(external)
                ),
                "a DNS name, or an IPv4 address where a backend may be",
                "correct spec.externalName of the Service",
            )
        })?;
        leads_back = inputs.config.private_gateways.contains(&host);
        Discovery::Dns {
            name: host.to_string(),
            port: number,
        }
    } else {
        Discovery::Endpoints
    };
    let transport = transport(inputs, &discovery, at)?;
    Ok(Upstream {
        service_port: ServicePort {
            service: ObjectKey::new(&inputs.ingress.metadata.namespace, name),
            port: number,
        },
        cluster: Cluster {
            protocol: port.map_or(Protocol::Http1, |port| protocol(service, port)),
            discovery,
            transport,
        },
        leads_back,
    })
}

/// What protects the connections to a Service. A name outside is no pod of
/// Knative's and has none of its certificates: the hop to a gateway of Sluice's
/// own, by which a DomainMapping is routed, is one of them.
fn transport(
    inputs: &Inputs<'_>,
    discovery: &Discovery,
    at: AtSplit,
) -> Result<Transport, Rejection> {
    match (inputs.config.backends, discovery) {
        (Backends::Plain, _) | (_, Discovery::Dns { .. }) => Ok(Transport::Plain),
        (Backends::Tls, Discovery::Endpoints) => Ok(Transport::Tls),
        (Backends::Untrusted, Discovery::Endpoints) => Err(rejection(
            Reason::TrustMissing,
            format!("{at}.serviceName"),
            "system-internal-tls, and no certificate of an authority to trust",
            "roots in ca.crt of the Secret routing-serving-certs, or in a ConfigMap labelled \
             networking.knative.dev/trust-bundle, both in the namespace of Knative Serving",
            "install what issues Knative's internal certificates, or set system-internal-tls \
             in config-network to Disabled",
        )),
    }
}

/// Whether a Service stands for a DNS name.
pub(crate) fn is_external(service: &crds::Service) -> bool {
    service.spec.kind == "ExternalName"
}

/// The TCP port of a Service with a number.
pub(crate) fn port_by_number(
    service: &crds::Service,
    number: NonZeroU16,
) -> Option<&crds::ServicePort> {
    let number = i32::from(number.get());
    let mut ports = service.spec.ports.iter().filter(|port| is_tcp(port));
    ports.find(|port| port.port == number)
}

fn is_tcp(port: &crds::ServicePort) -> bool {
    matches!(port.protocol.as_str(), "" | "TCP")
}

/// The port that a split asks for: its number in the Service, and what the
/// Service says of it. An ExternalName Service need not list ports; then any
/// number will do.
fn port<'a>(
    service: &'a crds::Service,
    asked: &crds::IntOrString,
    at: AtSplit,
) -> Result<(NonZeroU16, Option<&'a crds::ServicePort>), Rejection> {
    find_port(service, asked).ok_or_else(|| port_missing(service, asked, at))
}

/// As [`port`], where nobody is to be told.
pub(crate) fn find_port<'a>(
    service: &'a crds::Service,
    asked: &crds::IntOrString,
) -> Option<(NonZeroU16, Option<&'a crds::ServicePort>)> {
    let number = |port: i32| u16::try_from(port).ok().and_then(NonZeroU16::new);
    match asked {
        crds::IntOrString::Int(asked) => number(*asked).and_then(|number| {
            let listed = port_by_number(service, number);
            let unlisted = is_external(service) && service.spec.ports.is_empty();
            (listed.is_some() || unlisted).then_some((number, listed))
        }),
        crds::IntOrString::String(asked) => {
            let mut ports = service.spec.ports.iter().filter(|port| is_tcp(port));
            ports
                .find(|port| !asked.is_empty() && port.name == *asked)
                .and_then(|port| Some((number(port.port)?, Some(port))))
        }
    }
}

fn port_missing(service: &crds::Service, asked: &crds::IntOrString, at: AtSplit) -> Rejection {
    const SHOWN: usize = 8;
    let ports = &service.spec.ports;
    let mut known: Vec<String> = ports
        .iter()
        .filter(|port| is_tcp(port))
        .take(SHOWN)
        .map(|port| match port.name.as_str() {
            "" => port.port.to_string(),
            name => format!("{} ({})", port.port, quote(name)),
        })
        .collect();
    if ports.len() > SHOWN {
        known.push("…".to_owned());
    }
    let expected = if known.is_empty() {
        "a TCP port, of which the Service has none".to_owned()
    } else {
        format!("one of its TCP ports: {}", known.join(", "))
    };
    let (found, fix) = match asked {
        crds::IntOrString::Int(number) => (
            number.to_string(),
            "correct the port, or add it to the Service",
        ),
        crds::IntOrString::String(name) if name.parse::<u16>().is_ok() => {
            (quote(name), "write a port number without quotes")
        }
        crds::IntOrString::String(name) => {
            (quote(name), "correct the port, or add it to the Service")
        }
    };
    rejection(
        Reason::PortMissing,
        format!("{at}.servicePort"),
        format!(
            "port {found}, which Service {} does not have",
            quote(&service.metadata.name)
        ),
        expected,
        fix,
    )
}

/// What a port speaks. Of the port `https` of a revision's public Service nothing
/// says so itself: behind it is what is behind its other port
/// (`pkg/reconciler/serverlessservice/resources/services.go`).
fn protocol(service: &crds::Service, port: &crds::ServicePort) -> Protocol {
    if port.name == "https" && is_public(service) {
        let mut others = service.spec.ports.iter();
        let other = others.find(|other| other.name != port.name);
        return other.map_or(Protocol::Http1, spoken);
    }
    spoken(port)
}

/// HTTP/2 with prior knowledge, by what the port says of itself: `appProtocol`
/// first, which exists for this, then its name. Only the referenced port counts:
/// a Service may well have an `http` and a `grpc` port side by side.
fn spoken(port: &crds::ServicePort) -> Protocol {
    match port.app_protocol.as_str() {
        "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => return Protocol::Http2,
        "http" | "kubernetes.io/ws" => return Protocol::Http1,
        _ => {}
    }
    let name = port.name.as_str();
    // gRPC-Web is what browsers speak: over HTTP/1.1.
    if name == "grpc-web" || name.starts_with("grpc-web-") {
        return Protocol::Http1;
    }
    let speaks = |prefix: &str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if ["http2", "h2c", "grpc"].into_iter().any(speaks) {
        Protocol::Http2
    } else {
        Protocol::Http1
    }
}

#[cfg(test)]
mod tests;

//! Small worlds for tests.

use std::collections::{BTreeMap, BTreeSet};

use sluice_crds as crds;
use sluice_ir::{Host, Plan, Reason, Rejection};

use crate::{Config, Inputs, Target, Translated, Translation, translate};

pub(crate) const NAMESPACE: &str = "default";

/// Certificates that rcgen makes are valid then.
const NOW: &str = "2026-06-01T00:00:00Z";

/// What the ExternalName Service [`gateway`] stands for.
const PRIVATE_GATEWAY: &str = "sluice-internal.sluice-system.svc.cluster.local";

pub(crate) fn config() -> Config {
    Config {
        cluster_suffix: "cluster.local".into(),
        private_gateways: BTreeSet::from([host(PRIVATE_GATEWAY)]),
        allow_loopback: false,
        backends: crate::Backends::Plain,
    }
}

pub(crate) fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

pub(crate) fn metadata(name: &str) -> crds::ObjectMeta {
    crds::ObjectMeta {
        name: name.into(),
        namespace: NAMESPACE.into(),
        ..crds::ObjectMeta::default()
    }
}

pub(crate) fn port(name: &str, port: i32) -> crds::ServicePort {
    crds::ServicePort {
        name: name.into(),
        port,
        ..crds::ServicePort::default()
    }
}

pub(crate) fn service(name: &str, ports: &[crds::ServicePort]) -> crds::Service {
    crds::Service {
        metadata: metadata(name),
        spec: crds::ServiceSpec {
            ports: ports.to_vec(),
            ..crds::ServiceSpec::default()
        },
    }
}

pub(crate) fn external(name: &str, external_name: &str) -> crds::Service {
    let mut service = service(name, &[port("http", 80)]);
    service.spec.kind = "ExternalName".into();
    service.spec.external_name = external_name.into();
    service
}

/// A Service that stands for the private gateway.
pub(crate) fn gateway(name: &str) -> crds::Service {
    external(name, PRIVATE_GATEWAY)
}

pub(crate) fn split(service: &str, percent: i64) -> crds::IngressBackendSplit {
    crds::IngressBackendSplit {
        service_namespace: NAMESPACE.into(),
        service_name: service.into(),
        service_port: crds::IntOrString::Int(80),
        percent,
        ..crds::IngressBackendSplit::default()
    }
}

pub(crate) fn path(prefix: &str, splits: &[crds::IngressBackendSplit]) -> crds::HttpIngressPath {
    crds::HttpIngressPath {
        path: prefix.into(),
        splits: splits.to_vec().into(),
        ..crds::HttpIngressPath::default()
    }
}

pub(crate) fn rule(hosts: &[&str], paths: &[crds::HttpIngressPath]) -> crds::IngressRule {
    crds::IngressRule {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        visibility: crds::Visibility::default(),
        http: Some(crds::HttpIngressRuleValue {
            paths: paths.to_vec().into(),
        }),
    }
}

pub(crate) fn local(mut rule: crds::IngressRule) -> crds::IngressRule {
    rule.visibility = crds::Visibility(crds::Visibility::CLUSTER_LOCAL.into());
    rule
}

pub(crate) fn ingress(name: &str, rules: &[crds::IngressRule]) -> crds::Ingress {
    crds::Ingress {
        metadata: metadata(name),
        spec: crds::IngressSpec {
            rules: rules.to_vec(),
            ..crds::IngressSpec::default()
        },
    }
}

pub(crate) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

pub(crate) fn matches<const N: usize>(
    pairs: [(&str, &str); N],
) -> BTreeMap<String, crds::HeaderMatch> {
    pairs
        .map(|(name, value)| {
            let exact = value.to_owned();
            (name.to_owned(), crds::HeaderMatch { exact })
        })
        .into()
}

/// What an Ingress finds around it.
#[derive(Default)]
pub(crate) struct Around<'a> {
    pub(crate) services: Vec<crds::Service>,
    pub(crate) secrets: Vec<crds::Secret>,
    pub(crate) targets: BTreeMap<Host, Target<'a>>,
}

/// Translates with `around`; every claim is owned.
pub(crate) fn translated(ingress: &crds::Ingress, around: &Around<'_>) -> Translation {
    let config = config();
    translate(&Inputs {
        ingress,
        config: &config,
        now: NOW.parse().unwrap(),
        services: by_name(&around.services, |service| &service.metadata),
        secrets: by_name(&around.secrets, |secret| &secret.metadata),
        owners: BTreeMap::new(),
        targets: around.targets.clone(),
    })
}

/// The plan of an Ingress that must not be refused.
pub(crate) fn plan(ingress: &crds::Ingress, around: &Around<'_>) -> Plan {
    match translated(ingress, around).translated {
        Translated::Plan(plan) => plan,
        Translated::Refused(refused) => panic!("refused: {}", refused.reason),
    }
}

/// The only rejection of a verdict.
pub(crate) fn rejection(translation: &Translation) -> &Rejection {
    match translation.verdict.rejections.as_slice() {
        [only] => only,
        others => panic!("not one rejection: {others:#?}"),
    }
}

pub(crate) fn reasons(translation: &Translation) -> Vec<Reason> {
    let rejections = translation.verdict.rejections.iter();
    rejections.map(|rejection| rejection.reason).collect()
}

fn by_name<T>(objects: &[T], metadata: fn(&T) -> &crds::ObjectMeta) -> BTreeMap<&str, &T> {
    let objects = objects.iter();
    objects
        .map(|object| (metadata(object).name.as_str(), object))
        .collect()
}

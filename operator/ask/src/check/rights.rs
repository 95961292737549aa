//! The rights that are asked for, one verb at a time.

use super::facts::Right;

/// Verb, group, resource, name; in Sluice's own namespace.
const ASKING: [(&str, &str, &str, Option<&str>); 4] = [
    ("list", "", "pods", None),
    ("create", "", "pods/portforward", None),
    ("create", "", "serviceaccounts/token", Some("sluice-status")),
    (
        "get",
        "coordination.k8s.io",
        "leases",
        Some("sluice-operator"),
    ),
];

/// Verb, group, resource; in all namespaces.
const READING: [(&str, &str, &str); 7] = [
    ("list", "networking.internal.knative.dev", "ingresses"),
    ("get", "serving.knative.dev", "services"),
    ("get", "serving.knative.dev", "routes"),
    ("get", "serving.knative.dev", "configurations"),
    ("get", "serving.knative.dev", "revisions"),
    ("list", "discovery.k8s.io", "endpointslices"),
    ("list", "apps", "deployments"),
];

/// Group and resource of what is installed for the whole cluster, and in namespaces.
const INSTALLED: [(&str, &str); 21] = [
    ("", "namespaces"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
    ),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "services"),
    ("apps", "deployments"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("caching.internal.knative.dev", "images"),
    ("networking.internal.knative.dev", "certificates"),
    ("networking.internal.knative.dev", "ingresses"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("serving.knative.dev", "domainmappings"),
    ("serving.knative.dev", "services"),
];

/// What somebody needs who asks.
pub(super) fn asking(system: &str) -> Vec<Right> {
    let own = ASKING.iter().map(|(verb, group, resource, name)| Right {
        verb: (*verb).to_owned(),
        group: (*group).to_owned(),
        resource: (*resource).to_owned(),
        namespace: Some(system.to_owned()),
        name: name.map(str::to_owned),
        allowed: false,
    });
    let reading = READING
        .iter()
        .map(|(verb, group, resource)| right(verb, group, resource));
    own.chain(reading).collect()
}

/// What somebody needs who installs: everywhere, since namespaces are made too.
pub(super) fn installing() -> Vec<Right> {
    let of = |(group, resource): &(&str, &str)| {
        ["get", "create", "patch"].map(|verb| right(verb, group, resource))
    };
    INSTALLED.iter().flat_map(of).collect()
}

fn right(verb: &str, group: &str, resource: &str) -> Right {
    Right {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: None,
        name: None,
        allowed: false,
    }
}

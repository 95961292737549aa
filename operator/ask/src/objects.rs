//! Objects of the API server: got and listed, never written.

#[cfg(test)]
mod tests;

use std::fmt;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, PostParams};
use x509_parser::pem::Pem;

use crate::check::Right;
use crate::error::{AskError, asked};
use crate::object::Object;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Service of Knative's.
    Ksvc,
    /// What a Knative Service runs.
    Configuration,
    /// One state of a Configuration.
    Revision,
    /// Where a Knative Service is reached.
    Route,
    /// What an ingress such as Sluice serves.
    Ingress,
    /// Who answers for a Service.
    EndpointSlice,
    /// Settings.
    ConfigMap,
    /// What has an address.
    Service,
    /// What runs.
    Deployment,
}

impl Kind {
    /// Group, version, kind and plural.
    fn parts(self) -> [&'static str; 4] {
        const SERVING: &str = "serving.knative.dev";
        match self {
            Self::Ksvc => [SERVING, "v1", "Service", "services"],
            Self::Configuration => [SERVING, "v1", "Configuration", "configurations"],
            Self::Revision => [SERVING, "v1", "Revision", "revisions"],
            Self::Route => [SERVING, "v1", "Route", "routes"],
            Self::Ingress => [
                "networking.internal.knative.dev",
                "v1alpha1",
                "Ingress",
                "ingresses",
            ],
            Self::ConfigMap => ["", "v1", "ConfigMap", "configmaps"],
            Self::Service => ["", "v1", "Service", "services"],
            Self::Deployment => ["apps", "v1", "Deployment", "deployments"],
            Self::EndpointSlice => ["discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"],
        }
    }

    fn resource(self) -> ApiResource {
        let [group, version, kind, plural] = self.parts();
        let separator = if group.is_empty() { "" } else { "/" };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{group}{separator}{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [group, _, _, plural] = self.parts();
        match group {
            "" => f.write_str(plural),
            group => write!(f, "{plural}.{group}"),
        }
    }
}

/// What asks.
pub struct Objects {
    client: Client,
}

impl Objects {
    /// Asks by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The object of that name; `None` where there is none, or no such kind.
    ///
    /// # Errors
    /// No right, no answer.
    pub async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, AskError> {
        let api = self.api(kind, Some(namespace));
        let doing = format!("get {kind} {name} in namespace {namespace}");
        let got = asked(&doing, &right("get", kind), api.get_opt(name)).await?;
        got.map(|got| object(&doing, &got)).transpose()
    }

    /// The objects of a namespace, or of all, with these labels.
    ///
    /// # Errors
    /// No right, no answer, no such kind.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Object>, AskError> {
        let api = self.api(kind, namespace);
        let whose = namespace.map_or_else(
            || "of all namespaces".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        let doing = format!("list {kind} {whose}");
        let mut params = ListParams::default();
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        let listed = asked(&doing, &right("list", kind), api.list(&params)).await?;
        listed.iter().map(|one| object(&doing, one)).collect()
    }

    /// The version of Kubernetes, such as `v1.36.3`.
    ///
    /// # Errors
    /// No answer.
    pub async fn version(&self) -> Result<String, AskError> {
        let fix = "let the API server be asked for /version";
        let version = asked("get /version", fix, self.client.apiserver_version()).await?;
        Ok(version.git_version)
    }

    /// Whether who asks has a right.
    ///
    /// # Errors
    /// No answer.
    pub async fn may(&self, right: &Right) -> Result<bool, AskError> {
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, sub)) => (resource, Some(sub.to_owned())),
            None => (right.resource.as_str(), None),
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(right.verb.clone()),
                    group: Some(right.group.clone()),
                    resource: Some(resource.to_owned()),
                    subresource,
                    namespace: right.namespace.clone(),
                    name: right.name.clone(),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let doing = "create selfsubjectaccessreviews.authorization.k8s.io";
        let fix = "bind the ClusterRole system:basic-user to yourself";
        let params = PostParams::default();
        let reviewed = asked(doing, fix, reviews.create(&params, &review)).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }

    /// When the certificate of a Secret ends, in seconds since 1970; `None` where there
    /// is no Secret, or no certificate in it. Nothing else of it is kept.
    ///
    /// # Errors
    /// No right, no answer.
    pub async fn not_after(&self, namespace: &str, name: &str) -> Result<Option<i64>, AskError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let doing = format!("get secrets {name} in namespace {namespace}");
        let fix = "bind a Role to yourself that has the verb get on secrets, or leave certificates to who has it";
        let secret = asked(&doing, fix, secrets.get_opt(name)).await?;
        let chain = secret.and_then(|secret| secret.data?.remove("tls.crt"));
        let leaf = chain.and_then(|chain| Pem::iter_from_buffer(&chain.0).next()?.ok());
        let end = |pem: Pem| Some(pem.parse_x509().ok()?.validity().not_after.timestamp());
        Ok(leaf.and_then(end))
    }

    fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = kind.resource();
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

fn right(verb: &str, kind: Kind) -> String {
    format!(
        "the ClusterRole view has the verb {verb} on {kind}: kubectl create clusterrolebinding YOU-view --clusterrole=view --user=YOU"
    )
}

fn object(doing: &str, got: &DynamicObject) -> Result<Object, AskError> {
    serde_json::to_value(got)
        .map(Object)
        .map_err(|source| AskError::Api {
            doing: doing.to_owned(),
            source: kube::Error::SerdeError(source),
        })
}

//! Objects of the API server: got and listed, never written.

#[cfg(test)]
mod tests;

use std::fmt;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};

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
        "bind a Role to yourself that has the verb {verb} on {kind}, such as the ClusterRole view with Knative's part in it"
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

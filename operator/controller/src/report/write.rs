//! Writing one status.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use sluice_ir::ObjectKey;

use crate::status::IngressStatus;
use crate::watch::{Slim, Stored, StoredIngress};

/// A server that does not answer must not hold a turn for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// A status to write over the version that it was decided on.
pub(crate) struct Write {
    pub(crate) client: Client,
    pub(crate) key: ObjectKey,
    pub(crate) resource_version: String,
    pub(crate) status: IngressStatus,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Written {
    /// Written; as it now is.
    Done(Stored),
    /// Someone else wrote meanwhile; as it now is.
    Conflict(Stored),
    /// There is no such Ingress any more.
    Gone,
    /// Neither: try again later.
    Failed(String),
}

impl Write {
    pub(crate) async fn run(self) -> Written {
        match tokio::time::timeout(PATIENCE, self.write()).await {
            Ok(written) => written,
            Err(_) => Written::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    async fn write(self) -> Written {
        type Ingress = Slim<StoredIngress>;
        let api: Api<Ingress> = Api::namespaced(self.client, &self.key.namespace);
        // A merge leaves what is not Sluice's; the version makes it a conflict
        // where this status was decided on what is no more.
        let patch = json!({
            "apiVersion": Ingress::api_version(&()),
            "kind": Ingress::kind(&()),
            "metadata": { "resourceVersion": self.resource_version },
            "status": self.status,
        });
        let name = &self.key.name;
        let params = PatchParams::default();
        match api.patch_status(name, &params, &Patch::Merge(&patch)).await {
            Ok(answer) => answer.into_stored().map_or_else(unreadable, Written::Done),
            Err(kube::Error::Api(status)) if status.code == 404 => Written::Gone,
            Err(kube::Error::Api(status)) if status.code == 409 => match api.get_opt(name).await {
                Ok(Some(answer)) => answer
                    .into_stored()
                    .map_or_else(unreadable, Written::Conflict),
                Ok(None) => Written::Gone,
                Err(error) => Written::Failed(said("get", "ingresses", error)),
            },
            Err(error) => Written::Failed(said("patch", "ingresses/status", error)),
        }
    }
}

fn unreadable() -> Written {
    Written::Failed("the answer is not the ingress".into())
}

fn said(verb: &str, resource: &str, error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "cannot {verb} {resource}: found 403, expected the right to; grant {verb} on \
             {resource}.networking.internal.knative.dev to sluice's service account: {}",
            status.message
        ),
        kube::Error::Api(status) => {
            format!(
                "cannot {verb} {resource}: {} {}",
                status.code, status.message
            )
        }
        other => format!("cannot {verb} {resource}: {other}"),
    }
}

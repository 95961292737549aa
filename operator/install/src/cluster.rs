//! The API server: objects of any kind, by server-side apply.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::InstallError;
use crate::manifest::{Object, Reference};
use crate::plan::{Change, Data, compare};

/// Who owns the fields of what is installed.
pub const FIELD_MANAGER: &str = "sluice-install";

/// The namespace of Knative Serving.
pub const SERVING: &str = "knative-serving";

/// Kinds of a group and version, by kind: resource, and whether it has namespaces.
type Kinds = BTreeMap<String, (ApiResource, bool)>;

/// A cluster that is installed on.
#[derive(Clone)]
pub struct Cluster {
    /// Asks the API server.
    pub client: Client,
    /// Where it is, for people.
    url: String,
    kinds: Arc<Mutex<BTreeMap<String, Kinds>>>,
}

/// True of an answer with this status code.
pub(crate) fn is_code(error: &Error, code: u16) -> bool {
    matches!(error, Error::Api(status) if status.code == code)
}

/// True where an object is refused only as a webhook does not answer yet.
pub(crate) fn is_deaf_webhook(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.message.contains("failed calling webhook"))
}

impl Cluster {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(client: Client, url: &str) -> Self {
        Self {
            client,
            url: url.to_owned(),
            kinds: Arc::default(),
        }
    }

    /// The version of Kubernetes, which shows that it answers.
    ///
    /// # Errors
    /// [`InstallError::Unreachable`] where nobody does, or who asks is not known there.
    pub async fn reach(&self) -> Result<String, InstallError> {
        match self.client.apiserver_version().await {
            Ok(version) => Ok(version.git_version),
            // It answers; the version is not for everyone.
            Err(Error::Api(status)) if status.code == 403 => Ok("of an unknown version".to_owned()),
            Err(error) => Err(InstallError::unreachable(&self.url, &error)),
        }
    }

    /// Whoever asks is, by the API server's own word.
    pub async fn whoami(&self) -> String {
        let reviews: Api<SelfSubjectReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        review
            .ok()
            .and_then(|review| review.status?.user_info?.username)
            .unwrap_or_else(|| "the user of this kubeconfig".to_owned())
    }

    /// None where the API server does not know the kind.
    async fn kind(&self, reference: &Reference) -> Result<Option<(ApiResource, bool)>, Error> {
        let version = &reference.api_version;
        let mut kinds = self.kinds.lock().await;
        // What was not there may have come since.
        if kinds
            .get(version)
            .is_none_or(|kinds| !kinds.contains_key(&reference.kind))
        {
            let listed = if reference.group().is_empty() {
                self.client.list_core_api_resources(version).await
            } else {
                self.client.list_api_group_resources(version).await
            };
            let listed = match listed {
                Ok(listed) => listed,
                Err(error) if is_code(&error, 404) => return Ok(None),
                Err(error) => return Err(error),
            };
            let (group, plain) = version.split_once('/').unwrap_or(("", version));
            let found = listed
                .resources
                .into_iter()
                .filter(|resource| !resource.name.contains('/'))
                .map(|resource| {
                    let kind = GroupVersionKind::gvk(group, plain, &resource.kind);
                    let api = ApiResource::from_gvk_with_plural(&kind, &resource.name);
                    (resource.kind, (api, resource.namespaced))
                })
                .collect();
            kinds.insert(version.clone(), found);
        }
        Ok(kinds
            .get(version)
            .and_then(|kinds| kinds.get(&reference.kind))
            .cloned())
    }

    async fn api(&self, reference: &Reference) -> Result<Option<Api<DynamicObject>>, Error> {
        Ok(self.kind(reference).await?.map(|(resource, namespaced)| {
            let client = self.client.clone();
            match &reference.namespace {
                Some(namespace) if namespaced => Api::namespaced_with(client, namespace, &resource),
                _ if namespaced => Api::default_namespaced_with(client, &resource),
                _ => Api::all_with(client, &resource),
            }
        }))
    }

    /// The object as it is; None where it, its namespace or its kind is not there.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names it.
    pub async fn get(&self, reference: &Reference) -> Result<Option<Value>, InstallError> {
        let found = async {
            let Some(api) = self.api(reference).await? else {
                return Ok(None);
            };
            match api.get(&reference.name).await {
                Ok(found) => Ok(Some(found)),
                // Also of a kind that was there when it was last asked about.
                Err(error) if is_code(&error, 404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let found = found
            .await
            .map_err(|error| InstallError::refused(reference, &error))?;
        found.map(|object| as_value(reference, &object)).transpose()
    }

    /// What applying it would do, by the API server's own word.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names the object.
    pub async fn change(&self, object: &Object) -> Result<(Change, Option<Value>), InstallError> {
        let Some(is) = self.get(&object.reference).await? else {
            return Ok((Change::Create, None));
        };
        match self.patch(object, true).await {
            Ok(would_be) => {
                let would_be = as_value(&object.reference, &would_be)?;
                Ok((compare(&is, &would_be), Some(is)))
            }
            // It cannot be tried before the webhook runs, so it is written again.
            Err(error) if is_deaf_webhook(&error) => {
                let fields = vec!["cannot be compared, as its webhook does not answer".to_owned()];
                Ok((Change::Update { fields }, Some(is)))
            }
            Err(error) => Err(InstallError::refused(&object.reference, &error)),
        }
    }

    /// Makes the object be as it is here; fields of others stay.
    ///
    /// # Errors
    /// The API server's own, for whoever tries again to tell them apart.
    pub(crate) async fn apply(&self, object: &Object) -> Result<(), Error> {
        self.patch(object, false).await.map(drop)
    }

    async fn patch(&self, object: &Object, dry_run: bool) -> Result<DynamicObject, Error> {
        let reference = &object.reference;
        let Some(api) = self.api(reference).await? else {
            return Err(unknown_kind(reference));
        };
        let mut how = PatchParams::apply(FIELD_MANAGER).force();
        how.dry_run = dry_run;
        api.patch(&reference.name, &how, &Patch::Apply(&object.body))
            .await
    }

    /// Asks for the object to go; false where it is not there.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names it.
    pub async fn delete(&self, reference: &Reference) -> Result<bool, InstallError> {
        self.delete_by(reference, &DeleteParams::background()).await
    }

    /// Asks for the object to go, once all that it owns has gone.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names it.
    pub async fn delete_with_dependents(
        &self,
        reference: &Reference,
    ) -> Result<bool, InstallError> {
        self.delete_by(reference, &DeleteParams::foreground()).await
    }

    async fn delete_by(
        &self,
        reference: &Reference,
        how: &DeleteParams,
    ) -> Result<bool, InstallError> {
        let gone = async {
            let Some(api) = self.api(reference).await? else {
                return Ok(false);
            };
            match api.delete(&reference.name, how).await {
                Ok(_) => Ok(true),
                Err(error) if is_code(&error, 404) => Ok(false),
                Err(error) => Err(error),
            }
        };
        gone.await
            .map_err(|error| InstallError::refused(reference, &error))
    }

    /// The entries of one of Knative's ConfigMaps; empty where it is not there.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names it.
    pub async fn settings(&self, map: &str) -> Result<Data, InstallError> {
        let found = self.get(&serving_map(map)).await?;
        let data = found
            .as_ref()
            .and_then(|map| map.get("data"))
            .and_then(Value::as_object);
        Ok(data
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect())
    }

    /// Writes one entry of one of Knative's ConfigMaps; None takes it away.
    ///
    /// # Errors
    /// The API server's own.
    pub(crate) async fn set(&self, map: &str, key: &str, value: Option<&str>) -> Result<(), Error> {
        let patch = serde_json::json!({ "data": { key: value } });
        self.merge(&serving_map(map), &patch).await
    }

    /// Changes these fields of an object and no other; those that are null go.
    ///
    /// # Errors
    /// The API server's own.
    pub(crate) async fn merge(&self, reference: &Reference, patch: &Value) -> Result<(), Error> {
        let Some(api) = self.api(reference).await? else {
            return Err(unknown_kind(reference));
        };
        let how = PatchParams {
            field_manager: Some(format!("{FIELD_MANAGER}-settings")),
            ..PatchParams::default()
        };
        api.patch(&reference.name, &how, &Patch::Merge(patch))
            .await
            .map(drop)
    }

    /// Fails with the first of these verbs that who asks has no right to, on any of these
    /// objects' kinds. Kinds that are not there yet belong to who may make them.
    ///
    /// # Errors
    /// [`InstallError::Forbidden`] names the verb and the resource.
    pub async fn may<'a>(
        &self,
        verbs: &[&str],
        objects: impl Iterator<Item = &'a Reference>,
    ) -> Result<(), InstallError> {
        let mut asked = std::collections::BTreeSet::new();
        for reference in objects {
            let kind = self.kind(reference).await;
            let kind = kind.map_err(|error| InstallError::refused(reference, &error))?;
            let Some((resource, namespaced)) = kind else {
                continue;
            };
            let namespace = reference.namespace.clone().filter(|_| namespaced);
            for verb in verbs {
                let right = ResourceAttributes {
                    verb: Some((*verb).to_owned()),
                    group: Some(resource.group.clone()),
                    resource: Some(resource.plural.clone()),
                    namespace: namespace.clone(),
                    ..ResourceAttributes::default()
                };
                let key = (
                    resource.group.clone(),
                    resource.plural.clone(),
                    namespace.clone(),
                    *verb,
                );
                if !asked.insert(key) || self.has(right).await? {
                    continue;
                }
                let dot = if resource.group.is_empty() { "" } else { "." };
                return Err(InstallError::Forbidden {
                    who: self.whoami().await,
                    verb: (*verb).to_owned(),
                    resource: format!("{}{dot}{}", resource.plural, resource.group),
                    place: namespace
                        .map(|namespace| format!(" in namespace {namespace}"))
                        .unwrap_or_default(),
                });
            }
        }
        Ok(())
    }

    async fn has(&self, right: ResourceAttributes) -> Result<bool, InstallError> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| InstallError::unreachable(&self.url, &error))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Where all objects of a kind are, in one namespace or in every.
    async fn all(&self, any: &Reference) -> Result<Option<Api<DynamicObject>>, Error> {
        Ok(self.kind(any).await?.map(|(resource, _)| {
            let client = self.client.clone();
            match &any.namespace {
                Some(namespace) => Api::namespaced_with(client, namespace, &resource),
                None => Api::all_with(client, &resource),
            }
        }))
    }

    /// All objects of a kind, whole, in one namespace or in every; none where the API
    /// server does not know the kind.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names the kind.
    pub async fn list(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Value>, InstallError> {
        let any = any_of(version, kind, namespace);
        let listed = async {
            let Some(api) = self.all(&any).await? else {
                return Ok(Vec::new());
            };
            Ok(api.list(&ListParams::default()).await?.items)
        };
        let listed = listed
            .await
            .map_err(|error| InstallError::refused(&any, &error))?;
        listed.iter().map(|object| as_value(&any, object)).collect()
    }

    /// All objects of a kind that no other owns, in one namespace or in every; none where
    /// the API server does not know the kind.
    ///
    /// # Errors
    /// [`InstallError::Refused`] names the kind.
    pub async fn list_unowned(
        &self,
        version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Reference>, InstallError> {
        let any = any_of(version, kind, namespace);
        let listed = async {
            let Some(api) = self.all(&any).await? else {
                return Ok(Vec::new());
            };
            Ok(api.list_metadata(&ListParams::default()).await?.items)
        };
        let listed = listed
            .await
            .map_err(|error| InstallError::refused(&any, &error))?;
        Ok(listed
            .into_iter()
            .filter(|object| {
                object
                    .metadata
                    .owner_references
                    .iter()
                    .flatten()
                    .next()
                    .is_none()
            })
            .map(|object| Reference {
                namespace: object.metadata.namespace,
                name: object.metadata.name.unwrap_or_default(),
                ..any.clone()
            })
            .collect())
    }
}

/// Whatever is of a kind, in one namespace or in every.
fn any_of(version: &str, kind: &str, namespace: Option<&str>) -> Reference {
    Reference {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: "*".to_owned(),
    }
}

pub(crate) fn serving_map(name: &str) -> Reference {
    Reference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(SERVING.to_owned()),
        name: name.to_owned(),
    }
}

fn as_value(reference: &Reference, object: &DynamicObject) -> Result<Value, InstallError> {
    serde_json::to_value(object)
        .map_err(|error| InstallError::refused(reference, &Error::SerdeError(error)))
}

fn unknown_kind(reference: &Reference) -> Error {
    let status = kube::core::Status::failure(
        &format!(
            "the API server has no kind {} in {}",
            reference.kind, reference.api_version
        ),
        "NotFound",
    );
    Error::Api(Box::new(status.with_code(404)))
}

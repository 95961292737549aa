//! Where the certificate authority of the xDS port is kept.
//!
//! *Reads and writes* one Secret, by optimistic locking, and one ConfigMap with
//! what is public of it. *Gives* the Secret's data, and each later change of
//! them, so that all replicas follow a rotation. *Never* looks inside: what
//! the data mean is the caller's affair.
//!
//! Start at [`SecretKeeper::load_or_create`].

mod bundle;
mod error;
mod kept;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::timeout;

pub use bundle::{BUNDLE_KEY, BUNDLE_NAME};
pub use error::{AuthorityError, LoadError};
pub use kept::{Created, Data, Kept, Replaced};

/// The name of the Secret that holds the authority.
pub const SECRET_NAME: &str = "sluice-xds-ca";

const FIELD_MANAGER: &str = "sluice";
/// One request to the API server may take this long.
const BOUND: Duration = Duration::from_secs(10);
/// Each lost race is a write by another replica; so many in a row are not
/// replicas that start at the same time.
const RACES: u32 = 5;

/// Keeps one Secret.
#[derive(Clone)]
pub struct SecretKeeper {
    client: Client,
    namespace: String,
    name: String,
}

impl SecretKeeper {
    /// The keeper of [`SECRET_NAME`] in `namespace`.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self {
            client,
            namespace: namespace.into(),
            name: SECRET_NAME.to_owned(),
        }
    }

    /// What is kept, as `parse` understands it; what `make` makes, if nothing
    /// is kept. An empty Secret is filled: a role without the verb create may
    /// come with one. When replicas start together, one makes and all read the
    /// same. What `parse` refuses is left as it is: to write a new authority
    /// over it would cut off all gateways.
    ///
    /// # Errors
    /// [`LoadError`] of the keeper, of `parse` or of `make`.
    pub async fn load_or_create<T, E>(
        &self,
        parse: impl Fn(&Data) -> Result<T, E> + Send + Sync,
        make: impl FnOnce() -> Result<Data, E> + Send,
    ) -> Result<(T, Kept), LoadError<E>>
    where
        T: Send,
        E: std::error::Error + Send + 'static,
    {
        let understood = |kept: Kept| match parse(&kept.data) {
            Ok(parsed) => Ok((parsed, kept)),
            Err(source) => Err(LoadError::NotUnderstood {
                object: self.object(),
                source,
            }),
        };
        let mut found = self.read().await?;
        if let Some(kept) = found.take_if(|kept| !kept.data.is_empty()) {
            return understood(kept);
        }
        let data = make().map_err(|source| LoadError::NotMade {
            object: self.object(),
            source,
        })?;
        for _ in 0..RACES {
            let won = match &found {
                None => match self.create(&data).await? {
                    Created::Made(kept) => Some(kept),
                    Created::LostRace => None,
                },
                Some(empty) => match self.replace(&data, &empty.resource_version).await? {
                    Replaced::Made(kept) => Some(kept),
                    Replaced::Conflict => None,
                },
            };
            if let Some(kept) = won {
                tracing::info!(object = self.object(), "made a certificate authority");
                return understood(kept);
            }
            found = self.read().await?;
            if let Some(kept) = found.take_if(|kept| !kept.data.is_empty()) {
                return understood(kept);
            }
        }
        Err(LoadError::Keeper(AuthorityError::Contended {
            object: self.object(),
            attempts: RACES,
        }))
    }

    /// What is kept now; `None` where there is no Secret.
    ///
    /// # Errors
    /// [`AuthorityError`] where the API server gives no answer.
    pub async fn read(&self) -> Result<Option<Kept>, AuthorityError> {
        let found = self
            .ask("reading", self.secrets().get_opt(&self.name))
            .await?;
        Ok(found.map(Kept::of))
    }

    /// Makes the Secret, unless another replica came first.
    ///
    /// # Errors
    /// [`AuthorityError`] where the API server gives no answer.
    pub async fn create(&self, data: &Data) -> Result<Created, AuthorityError> {
        let mut secret = Secret {
            type_: Some("Opaque".to_owned()),
            data: Some(encode(data)),
            ..Secret::default()
        };
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.labels = Some(labels());
        let api = self.secrets();
        let params = parameters();
        match self.ask("creating", api.create(&params, &secret)).await {
            Ok(secret) => Ok(Created::Made(Kept::of(secret))),
            Err(error) if error.is_conflict() => Ok(Created::LostRace),
            Err(error) => Err(error),
        }
    }

    /// Puts `data` in place of all that is kept, if that is still what was read
    /// as `resource_version`. Labels and annotations stay.
    ///
    /// # Errors
    /// [`AuthorityError`] where the API server gives no answer.
    pub async fn replace(
        &self,
        data: &Data,
        resource_version: &str,
    ) -> Result<Replaced, AuthorityError> {
        let api = self.secrets();
        let Some(mut secret) = self.ask("reading", api.get_opt(&self.name)).await? else {
            return Ok(Replaced::Conflict);
        };
        if secret.metadata.resource_version.as_deref() != Some(resource_version) {
            return Ok(Replaced::Conflict);
        }
        secret.data = Some(encode(data));
        let params = parameters();
        let writing = api.replace(&self.name, &params, &secret);
        match self.ask("replacing", writing).await {
            Ok(secret) => Ok(Replaced::Made(Kept::of(secret))),
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(Replaced::Conflict),
            Err(error) => Err(error),
        }
    }

    /// What is kept, now and at each change. Never ends: a broken watch is
    /// taken up again, with growing pauses. A deleted or emptied Secret gives
    /// nothing, since gateways still trust what it held.
    pub fn watch(&self) -> impl Stream<Item = Kept> + Send + use<> {
        let object = self.object();
        let mut last: Option<Data> = None;
        watcher::watch_object(self.secrets(), &self.name)
            .default_backoff()
            .filter_map(move |seen| {
                let kept = match seen {
                    Ok(secret) => secret.map(Kept::of),
                    Err(error) => {
                        let reason = error::reason_of_watch(&error);
                        tracing::warn!(object, reason, "watch broken, taking it up again");
                        return std::future::ready(None);
                    }
                };
                let Some(kept) = kept.filter(|kept| !kept.data.is_empty()) else {
                    tracing::warn!(
                        object,
                        "holds no certificate authority, keeping the one in use"
                    );
                    return std::future::ready(None);
                };
                // A label that changed is no rotation.
                let changed = last.as_ref() != Some(&kept.data);
                last = Some(kept.data.clone());
                std::future::ready(changed.then_some(kept))
            })
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn object(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.name)
    }

    async fn ask<T>(
        &self,
        doing: &'static str,
        request: impl Future<Output = kube::Result<T>> + Send,
    ) -> Result<T, AuthorityError> {
        ask(self.object(), doing, request).await
    }
}

async fn ask<T>(
    object: String,
    doing: &'static str,
    request: impl Future<Output = kube::Result<T>> + Send,
) -> Result<T, AuthorityError> {
    match timeout(BOUND, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AuthorityError::of(object, doing, error)),
        Err(_) => Err(AuthorityError::Slow {
            object,
            doing,
            bound: BOUND,
        }),
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn encode(data: &Data) -> BTreeMap<String, ByteString> {
    let entries = data.iter();
    entries
        .map(|(key, value)| (key.clone(), ByteString(value.clone())))
        .collect()
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "sluice".to_owned())])
}

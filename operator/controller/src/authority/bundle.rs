//! The public half of the authority, for gateways to trust.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{AuthorityError, FIELD_MANAGER, SecretKeeper, ask, labels};

/// The name of the ConfigMap with the certificates to trust.
pub const BUNDLE_NAME: &str = "sluice-xds-ca";
/// The key of the ConfigMap that holds them, as PEM.
pub const BUNDLE_KEY: &str = "bundle.crt";

impl SecretKeeper {
    /// Makes `pem` what gateways trust, by server-side apply. Writes nothing
    /// where it is there already. Whether it wrote.
    ///
    /// # Errors
    /// [`AuthorityError`] where the API server gives no answer, and where `pem`
    /// holds a private key, since every pod of the namespace may read it.
    pub async fn publish_bundle(&self, pem: &str) -> Result<bool, AuthorityError> {
        let object = format!("ConfigMap {}/{BUNDLE_NAME}", self.namespace);
        if pem.contains("PRIVATE KEY") {
            return Err(AuthorityError::PrivateKey { object });
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = ask(object.clone(), "reading", api.get_opt(BUNDLE_NAME)).await?;
        let data = found.and_then(|map| map.data);
        if data.is_some_and(|data| data.get(BUNDLE_KEY).is_some_and(|found| found == pem)) {
            return Ok(false);
        }
        let wanted = Patch::Apply(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": BUNDLE_NAME, "labels": labels() },
            "data": BTreeMap::from([(BUNDLE_KEY, pem)]),
        }));
        // By force: a bundle edited by hand would cut gateways off.
        let params = PatchParams::apply(FIELD_MANAGER).force();
        ask(object, "applying", api.patch(BUNDLE_NAME, &params, &wanted)).await?;
        Ok(true)
    }
}

//! The certificate of the gateways' own, by `internal-certificate` of
//! `config-sluice`.

use std::collections::BTreeMap;

use sluice_crds as crds;
use sluice_ir::{Certificate, Host, ObjectKey};
use sluice_translate::certificates_by_name;

/// The Secrets of Sluice's own namespace, which are few, and what became of the one
/// that is chosen.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    namespace: String,
    secrets: BTreeMap<ObjectKey, crds::Secret>,
    differ: bool,
    chosen: Option<String>,
}

impl OwnCertificate {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            secrets: BTreeMap::new(),
            differ: false,
            chosen: None,
        }
    }

    /// A Secret as it now is; `None`: gone.
    pub(super) fn take(&mut self, key: &ObjectKey, secret: Option<&crds::Secret>) {
        if key.namespace != self.namespace {
            return;
        }
        match secret {
            Some(secret) => self.secrets.insert(key.clone(), secret.clone()),
            None => self.secrets.remove(key),
        };
        self.differ |= self.chosen.as_deref() == Some(&*key.name);
    }

    /// What gateways are to show, if that differs. A Secret that is missing or cannot
    /// be read changes nothing: what was shown before stays.
    pub(super) fn settle(&mut self, chosen: Option<&str>) -> Option<BTreeMap<Host, Certificate>> {
        let chosen_differs = self.chosen.as_deref() != chosen;
        if !(std::mem::take(&mut self.differ) || chosen_differs) {
            return None;
        }
        self.chosen = chosen.map(str::to_owned);
        let Some(name) = chosen else {
            return Some(BTreeMap::new());
        };
        let key = ObjectKey::new(&*self.namespace, name);
        let read = match self.secrets.get(&key) {
            Some(secret) => certificates_by_name(secret),
            None => Err(format!(
                "found no such Secret of type kubernetes.io/tls, expected one in namespace \
                 {}; create it, or correct internal-certificate in config-sluice",
                self.namespace
            )),
        };
        match read {
            Ok(certificates) => Some(certificates),
            Err(fault) => {
                tracing::warn!("internal-certificate: Secret {key}: {fault}");
                None
            }
        }
    }
}

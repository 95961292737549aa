//! What an installation made and changed, kept in the cluster: the one source of what
//! an uninstall may take away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::manifest::{Object, Reference};
use crate::{InstallError, product};

const FORMAT: u32 = 1;
const KEY: &str = "inventory.json";

/// The name of the ConfigMap, in the namespace of Sluice.
pub const NAME: &str = "sluice-inventory";

/// What was made and changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    pub(crate) format: u32,
    /// The version of Sluice that wrote it last.
    pub sluice: String,
    /// The version of Knative that was installed; none where one was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub knative: Option<String>,
    /// SHA-256 of Knative's manifests, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// What of Sluice is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// Whether that build came to run, and not only to be applied.
    #[serde(default = "yes")]
    pub proven: bool,
    /// The last build before it that came to run: the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Build>,
    /// Every object that was made, in the order in which it was.
    pub made: Vec<Reference>,
    /// Every entry of others' ConfigMaps that was changed.
    pub settings: Vec<Setting>,
}

fn yes() -> bool {
    true
}

/// A build of Sluice: its Deployments, as they were applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Build {
    /// `0.1.0`.
    pub version: String,
    /// Of operator and gateway, whole.
    pub deployments: Vec<Value>,
}

impl Build {
    /// The build that these objects are.
    #[must_use]
    pub fn of(objects: &[Object]) -> Self {
        Self {
            version: product::VERSION.to_owned(),
            deployments: objects
                .iter()
                .filter(|object| object.reference.kind == "Deployment")
                .map(|object| object.body.clone())
                .collect(),
        }
    }

    /// Its Deployments, to be applied again.
    ///
    /// # Errors
    /// [`InstallError::Manifest`] where one was changed to be none.
    pub fn objects(&self) -> Result<Vec<Object>, InstallError> {
        let deployments = self.deployments.iter().cloned();
        deployments.map(|body| Object::new(body, NAME)).collect()
    }
}

/// An entry of a ConfigMap that is not Sluice's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Setting {
    /// Of Knative: `config-network`.
    pub map: String,
    /// `ingress-class`.
    pub key: String,
    /// What it was before the first installation; none where it was not there.
    pub was: Option<String>,
    /// What was written; none where it was taken away.
    pub now: Option<String>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            format: FORMAT,
            sluice: product::VERSION.to_owned(),
            knative: None,
            manifests: None,
            build: None,
            proven: true,
            before: None,
            made: Vec::new(),
            settings: Vec::new(),
        }
    }
}

impl Inventory {
    /// Where it is.
    #[must_use]
    pub fn reference() -> Reference {
        Reference {
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            namespace: Some(product::NAMESPACE.to_owned()),
            name: NAME.to_owned(),
        }
    }

    /// Reads the ConfigMap.
    ///
    /// # Errors
    /// [`InstallError::Inventory`] says what is wrong with it.
    pub fn from_object(object: &Value) -> Result<Self, InstallError> {
        let text = object
            .get("data")
            .and_then(|data| data.get(KEY))
            .and_then(Value::as_str)
            .ok_or_else(|| InstallError::Inventory {
                what: format!("data.{KEY}: found nothing, expected what install wrote"),
            })?;
        let inventory: Self =
            serde_json::from_str(text).map_err(|error| InstallError::Inventory {
                what: format!("data.{KEY}: {error}"),
            })?;
        if inventory.format != FORMAT {
            return Err(InstallError::Inventory {
                what: format!("format: found {}, expected {FORMAT}", inventory.format),
            });
        }
        Ok(inventory)
    }

    /// The ConfigMap.
    ///
    /// # Errors
    /// [`InstallError::Inventory`] where it cannot be written as JSON.
    pub fn to_object(&self) -> Result<Value, InstallError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| InstallError::Inventory {
            what: error.to_string(),
        })?;
        let mut data = BTreeMap::new();
        data.insert(KEY, text);
        Ok(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": NAME,
                "namespace": product::NAMESPACE,
                "labels": {
                    "networking.knative.dev/ingress-provider": "sluice",
                    "app.kubernetes.io/component": "net-sluice",
                },
            },
            "data": data,
        }))
    }

    /// True of what was made here.
    #[must_use]
    pub fn has_made(&self, reference: &Reference) -> bool {
        self.made.contains(reference)
    }

    /// Notes what is about to be made.
    pub fn make(&mut self, references: impl IntoIterator<Item = Reference>) {
        for reference in references {
            if !self.has_made(&reference) {
                self.made.push(reference);
            }
        }
    }

    /// Notes the build that is about to be applied; the last one that ran stays as the way
    /// back.
    pub fn apply(&mut self, build: Build) {
        if self.build.as_ref() == Some(&build) {
            return;
        }
        let was = self.build.replace(build);
        if self.proven {
            self.before = was;
        } else if self.before == self.build {
            self.before = None;
        }
        self.proven = false;
    }

    /// Notes that a build runs again, in place of the one that was applied.
    pub fn go_back(&mut self, build: Build) {
        let was = self.build.replace(build);
        self.before = was.filter(|_| self.proven);
        self.proven = true;
    }

    /// Forgets an entry: nothing is brought back of it.
    pub fn forget(&mut self, map: &str, key: &str) {
        self.settings
            .retain(|known| known.map != map || known.key != key);
    }

    /// Notes what is about to be changed. What was there before the first change stays
    /// what an uninstall brings back.
    pub fn set(&mut self, setting: Setting) {
        let known = self
            .settings
            .iter_mut()
            .find(|known| known.map == setting.map && known.key == setting.key);
        match known {
            Some(known) => known.now = setting.now,
            None => self.settings.push(setting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(was: Option<&str>, now: &str) -> Setting {
        Setting {
            map: "config-network".into(),
            key: "ingress-class".into(),
            was: was.map(str::to_owned),
            now: Some(now.into()),
        }
    }

    #[test]
    fn the_value_before_the_first_change_is_kept() {
        let mut inventory = Inventory::default();
        inventory.set(class(Some("first"), "ours"));
        inventory.set(class(Some("ours"), "ours-again"));
        assert_eq!(inventory.settings, [class(Some("first"), "ours-again")]);
    }

    #[test]
    fn the_build_before_is_kept_and_the_same_again_is_none() {
        let build = |version: &str| Build {
            version: version.into(),
            deployments: Vec::new(),
        };
        let mut inventory = Inventory::default();
        let ways = |inventory: &Inventory| (inventory.build.clone(), inventory.before.clone());
        inventory.apply(build("1"));
        assert_eq!(ways(&inventory), (Some(build("1")), None));
        inventory.proven = true;
        inventory.apply(build("2"));
        inventory.apply(build("2"));
        assert_eq!(ways(&inventory), (Some(build("2")), Some(build("1"))));
        // One that never ran is no way back.
        inventory.apply(build("3"));
        assert_eq!(ways(&inventory), (Some(build("3")), Some(build("1"))));
        let mut back = inventory.clone();
        back.go_back(build("1"));
        assert_eq!(ways(&back), (Some(build("1")), None));
        inventory.proven = true;
        inventory.go_back(build("1"));
        assert_eq!(ways(&inventory), (Some(build("1")), Some(build("3"))));
        assert!(inventory.proven);
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_is_there_twice() {
        let mut inventory = Inventory::default();
        inventory.make([Inventory::reference(), Inventory::reference()]);
        inventory.set(class(None, "ours"));
        assert_eq!(inventory.made.len(), 1);
        let object = inventory.to_object().unwrap();
        assert_eq!(Inventory::from_object(&object).unwrap(), inventory);
    }

    #[test]
    fn one_that_was_changed_by_hand_is_refused() {
        let mut object = Inventory::default().to_object().unwrap();
        object["data"][KEY] = json!("{\"format\": 2}");
        assert!(Inventory::from_object(&object).is_err());
        object["data"][KEY] = json!("{");
        let said = Inventory::from_object(&object).unwrap_err().to_string();
        assert!(said.contains("data.inventory.json: EOF"), "{said}");
    }
}

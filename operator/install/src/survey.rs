//! What is in a cluster before anything is done to it.

use serde_json::Value;

use crate::cluster::{Cluster, SERVING};
use crate::inventory::Inventory;
use crate::manifest::Reference;
use crate::{InstallError, source};

/// The oldest and the newest minor of Knative Serving 1 whose Ingresses Sluice reads.
pub const MINORS: std::ops::RangeInclusive<u32> = 15..=23;

/// What to do about Knative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnativeChoice {
    /// Adopt the one that is there, else install one.
    Auto,
    /// Install it, over one that is there.
    Install,
    /// Adopt the one that is there, else fail.
    Skip,
}

/// What is there.
#[derive(Clone, Debug)]
pub struct Survey {
    /// `v1.36.3`.
    pub kubernetes: String,
    /// The version of a Knative Serving that is there, if its label says it.
    pub knative: Option<String>,
    /// Of an installation before this one.
    pub inventory: Option<Inventory>,
}

/// Knative's own, without which nothing of it lives.
pub(crate) fn controller() -> Reference {
    Reference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        namespace: Some(SERVING.to_owned()),
        name: "controller".to_owned(),
    }
}

impl Survey {
    /// Asks the API server; writes nothing.
    ///
    /// # Errors
    /// [`InstallError::Unreachable`], [`InstallError::Inventory`].
    pub async fn take(cluster: &Cluster) -> Result<Self, InstallError> {
        let kubernetes = cluster.reach().await?;
        let inventory = match cluster.get(&Inventory::reference()).await? {
            Some(object) => Some(Inventory::from_object(&object)?),
            None => None,
        };
        let knative = cluster.get(&controller()).await?.map(|found| {
            found
                .pointer("/metadata/labels")
                .and_then(|labels| labels.get("app.kubernetes.io/version"))
                .and_then(Value::as_str)
                .unwrap_or("of an unknown version")
                .to_owned()
        });
        Ok(Self {
            kubernetes,
            knative,
            inventory,
        })
    }

    /// True where Knative was installed by Sluice, or was begun to be.
    #[must_use]
    pub fn made_knative(&self) -> bool {
        self.inventory
            .as_ref()
            .is_some_and(|inventory| inventory.knative.is_some())
    }

    /// True where Knative's manifests are needed.
    ///
    /// # Errors
    /// [`InstallError::KnativeMissing`]; [`InstallError::KnativeVersion`] where the one
    /// that is to be adopted is not one that Sluice knows.
    pub fn needs_knative(&self, choice: KnativeChoice) -> Result<bool, InstallError> {
        match (choice, &self.knative) {
            (KnativeChoice::Install, _) => Ok(true),
            (KnativeChoice::Auto, _) if self.made_knative() => Ok(true),
            (KnativeChoice::Auto, None) => Ok(true),
            (KnativeChoice::Skip, None) => Err(InstallError::KnativeMissing),
            (_, Some(version)) => known(version).map(|()| false),
        }
    }

    /// Fails where there is a Sluice that was installed in another way: its rights would
    /// go to this one, and nothing would bring them back.
    pub(crate) async fn another(&self, cluster: &Cluster) -> Result<(), InstallError> {
        let binding = Reference {
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            kind: "ClusterRoleBinding".to_owned(),
            namespace: None,
            name: "sluice-operator".to_owned(),
        };
        let made = self.inventory.as_ref();
        if made.is_some_and(|inventory| inventory.has_made(&binding)) {
            return Ok(());
        }
        let Some(found) = cluster.get(&binding).await? else {
            return Ok(());
        };
        let namespace = found
            .pointer("/subjects/0/namespace")
            .and_then(Value::as_str);
        Err(InstallError::Another {
            name: binding.name,
            namespace: namespace.unwrap_or("of nobody").to_owned(),
        })
    }
}

/// Fails for a version that says clearly that it is outside of what Sluice knows.
fn known(found: &str) -> Result<(), InstallError> {
    // A build of one's own has no number to compare.
    let Ok((major, minor, _)) = source::version(found) else {
        return Ok(());
    };
    if major == 1 && MINORS.contains(&minor) {
        return Ok(());
    }
    Err(InstallError::KnativeVersion {
        found: found.to_owned(),
        expected: format!("1.{} to 1.{}", MINORS.start(), MINORS.end()),
        what: if (major, minor) < (1, *MINORS.start()) {
            "upgrade Knative first, one minor at a time"
        } else {
            "take a newer version of sluice"
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(knative: Option<&str>, made: bool) -> Survey {
        Survey {
            kubernetes: "v1.36.3".into(),
            knative: knative.map(str::to_owned),
            inventory: made.then(|| Inventory {
                knative: Some("1.23.0".into()),
                ..Inventory::default()
            }),
        }
    }

    #[test]
    fn a_knative_that_is_there_is_adopted_unless_it_is_ours() {
        use KnativeChoice::{Auto, Install, Skip};
        let needs = |survey: Survey, choice| survey.needs_knative(choice).unwrap();
        assert!(needs(survey(None, false), Auto));
        assert!(!needs(survey(Some("1.22.1"), false), Auto));
        assert!(needs(survey(Some("1.22.1"), true), Auto));
        assert!(needs(survey(None, true), Auto));
        assert!(needs(survey(Some("1.22.1"), false), Install));
        assert!(!needs(survey(Some("devel"), true), Skip));
        assert!(survey(None, false).needs_knative(Skip).is_err());
    }

    #[test]
    fn a_version_outside_the_range_is_named_with_the_range() {
        let said = |version| {
            survey(Some(version), false)
                .needs_knative(KnativeChoice::Auto)
                .unwrap_err()
                .to_string()
        };
        assert!(said("1.14.0").contains("Sluice is for 1.15 to 1.23: upgrade Knative first"));
        assert!(said("v2.0.1").contains("take a newer version of sluice"));
    }
}

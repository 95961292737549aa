//! Sluice's own manifests, as they were when this program was built.

use crate::manifest::{self, Object, Reference};
use crate::{InstallError, images};

/// The namespace that Sluice runs in.
pub const NAMESPACE: &str = "sluice-system";

/// This build's version, of Sluice and of its images.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of Envoy that gateways run.
const ENVOY_IMAGE: &str = "docker.io/envoyproxy/envoy:distroless-v1.40.0";
const SLUICE_IMAGE: &str = "ghcr.io/sluice-knative/sluice";

/// `config/`, in the order in which it is applied.
const FILES: [(&str, &str); 8] = [
    (
        "100-namespace.yaml",
        include_str!("../../../config/100-namespace.yaml"),
    ),
    (
        "200-serviceaccounts.yaml",
        include_str!("../../../config/200-serviceaccounts.yaml"),
    ),
    (
        "210-operator-access.yaml",
        include_str!("../../../config/210-operator-access.yaml"),
    ),
    (
        "220-status-access.yaml",
        include_str!("../../../config/220-status-access.yaml"),
    ),
    (
        "300-config-sluice.yaml",
        include_str!("../../../config/300-config-sluice.yaml"),
    ),
    (
        "400-operator.yaml",
        include_str!("../../../config/400-operator.yaml"),
    ),
    (
        "500-gateway.yaml",
        include_str!("../../../config/500-gateway.yaml"),
    ),
    (
        "600-networkpolicies.yaml",
        include_str!("../../../config/600-networkpolicies.yaml"),
    ),
];

/// Which images are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Of operator and companion.
    pub sluice: String,
    /// Of Envoy.
    pub envoy: String,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            sluice: format!("{SLUICE_IMAGE}:{VERSION}"),
            envoy: ENVOY_IMAGE.to_owned(),
        }
    }
}

impl Images {
    /// The same from another registry.
    #[must_use]
    pub fn at(&self, registry: &str) -> Self {
        Self {
            sluice: images::at(&self.sluice, registry),
            envoy: images::at(&self.envoy, registry),
        }
    }
}

/// Sluice's objects, in the order in which they are applied: what hack/render-manifests
/// makes of `config/`.
///
/// # Errors
/// [`InstallError::Manifest`] where one is not what it should be: a fault of the build.
pub fn objects(images: &Images) -> Result<Vec<Object>, InstallError> {
    let mut all = Vec::new();
    for (file, text) in FILES {
        let text = text
            .replace(
                "image: SLUICE_IMAGE\n",
                &format!("image: {}\n", images.sluice),
            )
            .replace(
                "image: ENVOY_IMAGE\n",
                &format!("image: {}\n", images.envoy),
            )
            .replace(
                "app.kubernetes.io/version: devel\n",
                &format!("app.kubernetes.io/version: \"{VERSION}\"\n"),
            );
        all.extend(manifest::read(&text, file)?);
    }
    Ok(all)
}

/// What operators make while they run, and nobody lists: their authority, what gateways
/// trust, and who leads.
pub(crate) fn made_by_operators() -> Vec<Reference> {
    let made = [
        ("v1", "Secret", "sluice-xds-ca"),
        ("v1", "ConfigMap", "sluice-xds-ca"),
        ("coordination.k8s.io/v1", "Lease", "sluice-operator"),
    ];
    made.map(|(version, kind, name)| Reference {
        api_version: version.to_owned(),
        kind: kind.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        name: name.to_owned(),
    })
    .into()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    use super::*;

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn every_numbered_file_is_embedded() {
        let mut names: Vec<String> = fs::read_dir(root().join("config"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        names.sort();
        assert_eq!(names, FILES.map(|(name, _)| name));
    }

    #[test]
    fn the_same_as_the_rendered_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluice.yaml");
        let ended = Command::new(root().join("hack/render-manifests"))
            .arg(&file)
            .env_remove("SLUICE_IMAGE")
            .env_remove("ENVOY_IMAGE")
            .env_remove("SLUICE_VERSION")
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let rendered = manifest::read(&fs::read_to_string(file).unwrap(), "sluice.yaml").unwrap();
        let own = objects(&Images::default()).unwrap();
        assert_eq!(own.len(), rendered.len());
        for (own, rendered) in own.iter().zip(&rendered) {
            assert_eq!(own.body, rendered.body, "{}", own.reference);
        }
    }
}

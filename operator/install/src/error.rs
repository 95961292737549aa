//! Why something is not installed.

use std::time::Duration;

use crate::manifest::Reference;

/// One thing that stands in the way, with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// A manifest cannot be read.
    #[error("{file}: {what}")]
    Manifest {
        /// Its name.
        file: String,
        /// What is wrong, and where.
        what: String,
    },
    /// Manifests, but not those of Knative Serving.
    #[error(
        "{found}: no Deployment \"controller\" in these files, expected Knative Serving's manifests, such as serving-crds.yaml and serving-core.yaml of a release"
    )]
    NoKnative {
        /// The files.
        found: String,
    },
    /// Sources in place of a release.
    #[error(
        "image {image}: found a place for an image, expected an image; these are Knative's sources, take the manifests of a release"
    )]
    Unbuilt {
        /// As it stands there.
        image: String,
    },
    /// A bundle is not what it says.
    #[error("bundle: {what}")]
    Bundle {
        /// The file in it, what was found, what was expected.
        what: String,
    },
    /// Not a version.
    #[error("version {found:?}: expected one of Knative Serving's releases, such as 1.23.0")]
    Version {
        /// As it was given.
        found: String,
    },
    /// A release cannot be had.
    #[error(
        "{url}: {what}; without internet, make a bundle elsewhere (sluice bundle create) and name it by --bundle"
    )]
    Release {
        /// Where it was looked for.
        url: String,
        /// What came of it.
        what: String,
    },
    /// A file of this machine.
    #[error("{path}: {source}")]
    File {
        /// Its path.
        path: String,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A Knative that Sluice does not know.
    #[error(
        "Knative Serving {found} is in namespace knative-serving; Sluice is for {expected}: {what}"
    )]
    KnativeVersion {
        /// The version found.
        found: String,
        /// The range.
        expected: String,
        /// What to do.
        what: &'static str,
    },
    /// No Knative where it was to be adopted.
    #[error(
        "Knative Serving is not in this cluster (no Deployment knative-serving/controller); leave --knative=skip out to have it installed"
    )]
    KnativeMissing,
    /// A right is missing; asked before anything is written.
    #[error(
        "{who} may not {verb} {resource}{place}; ask whoever runs the cluster for the right, or name another user's kubeconfig by --kubeconfig"
    )]
    Forbidden {
        /// The user.
        who: String,
        /// `create`.
        verb: String,
        /// `customresourcedefinitions.apiextensions.k8s.io`.
        resource: String,
        /// ` in namespace x`, or empty.
        place: String,
    },
    /// The API server does not answer.
    #[error("the API server at {url} does not answer: {what}")]
    Unreachable {
        /// Where it is.
        url: String,
        /// What happened.
        what: String,
    },
    /// The API server refuses an object.
    #[error("{object}: {what}")]
    Refused {
        /// Which one.
        object: String,
        /// The API server's words.
        what: String,
    },
    /// A namespace is on its way out.
    #[error(
        "Namespace {name} is being deleted, so nothing can be made in it: {held}; once it has gone, the same command again"
    )]
    Terminating {
        /// Which one.
        name: String,
        /// What holds it, and the next command.
        held: String,
    },
    /// What was waited for did not come.
    #[error("{what} after {} s: {missing}", after.as_secs())]
    Timeout {
        /// `Deployment knative-serving/webhook is not available`.
        what: String,
        /// How long was waited.
        after: Duration,
        /// What was missing at the end, and the next command.
        missing: String,
    },
    /// No inventory.
    #[error(
        "no inventory: ConfigMap sluice-system/sluice-inventory is not there, so nothing here was made by `sluice install`; what was applied by hand is taken away by hand: kubectl delete -f sluice.yaml"
    )]
    NoInventory,
    /// An inventory that cannot be read.
    #[error(
        "ConfigMap sluice-system/sluice-inventory: {what}; it was changed by hand, or by a newer version of sluice: use that one"
    )]
    Inventory {
        /// What was found.
        what: String,
    },
    /// No way back.
    #[error(
        "the inventory has no build before this one, so there is none to go back to; `sluice upgrade` keeps one"
    )]
    NoBefore,
    /// Nothing of a name among what may be moved.
    #[error(
        "{name}: found no Service, Route, DomainMapping or Ingress of this name and of class {class}{place}; {what}"
    )]
    NothingOfName {
        /// As it was given.
        name: String,
        /// The class that it was looked for in.
        class: String,
        /// ` in namespace x`, or empty.
        place: String,
        /// What there is.
        what: String,
    },
    /// An object did not come to the other class, and is in the one that it had.
    #[error("{object} was not moved to {class}, and is served as before: {why}")]
    NotMoved {
        /// Which one.
        object: String,
        /// Where it was to go.
        class: String,
        /// What happened.
        why: String,
    },
    /// Something is left where nothing may be.
    #[error(
        "{count} of class {class} are left, {first} first; move them before the class is left for good: {next}"
    )]
    NotAllMoved {
        /// How many objects.
        count: usize,
        /// The class.
        class: String,
        /// The first of them.
        first: String,
        /// The command that moves them.
        next: String,
    },
    /// A migration that never was.
    #[error(
        "ConfigMap knative-serving/config-network ingress-class: found {found}, expected {from} or {to}; nothing has moved between these two, so there is nothing to end; name the ingress that is there by --from"
    )]
    NothingToEnd {
        /// The class of all, as it is.
        found: String,
        /// The class that was left.
        from: String,
        /// The class that was come to.
        to: String,
    },
    /// Objects that ask for Sluice by name, where Sluice is to go and they stay.
    #[error(
        "{count} of users' objects ask for Sluice by name, {first} first, and would have no ingress; move them: sluice migrate --from sluice --to kourier, or whichever is there; or leave them so, by --abandon"
    )]
    StillServed {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A Sluice that no inventory lists.
    #[error(
        "ClusterRoleBinding {name}: found one for namespace {namespace}, which `sluice install` did not make; go on the way it was installed, as with Helm or kubectl, or take it away first"
    )]
    Another {
        /// `sluice-operator`.
        name: String,
        /// Whose operators have its rights.
        namespace: String,
    },
    /// An upgrade did not come to its end, and what was there before is there again.
    #[error("{why}; the upgrade was taken back, and {version} runs as before")]
    TakenBack {
        /// What happened.
        why: String,
        /// The version that runs.
        version: String,
    },
    /// The request through the gateway failed.
    #[error("a request through the gateway at {address} for host {host}: {what}")]
    Request {
        /// What was dialled.
        address: String,
        /// The Host header.
        host: String,
        /// What came of it.
        what: String,
    },
    /// Something stayed at an uninstall.
    #[error("{count} of what was to go is still there: {what}")]
    Stayed {
        /// How many objects.
        count: usize,
        /// Each with what holds it.
        what: String,
    },
}

impl InstallError {
    pub(crate) fn refused(object: &Reference, error: &kube::Error) -> Self {
        let mut what = told(error);
        // The API server's own, not a webhook's, which forbids for reasons of its own.
        if what.contains(" is forbidden: User ") {
            what.push_str("; ask whoever runs the cluster for the right, or name another user's kubeconfig by --kubeconfig");
        }
        Self::Refused {
            object: object.to_string(),
            what,
        }
    }

    pub(crate) fn unreachable(url: &str, error: &kube::Error) -> Self {
        Self::Unreachable {
            url: url.to_owned(),
            what: told(error),
        }
    }
}

/// The API server's own sentence; else an error with all that caused it, as the outermost
/// says only that it failed.
pub(crate) fn told(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

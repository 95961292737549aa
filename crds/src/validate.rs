//! What Knative's validation would not admit (`knative.dev/networking
//! pkg/apis/networking/v1alpha1/ingress_validation.go`), and two checks beyond it.

use thiserror::Error;

use crate::{
    HttpIngressPath, HttpOption, Ingress, IngressBackendSplit, IngressRule, IngressSpec,
    IngressTls, IntOrString, Visibility,
};

/// One field that is not as the API wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{field}: found {found}, expected {expected}")]
pub struct FieldFault {
    /// Path of the field, as Knative writes it: `spec.rules[0].http.paths[1].splits`.
    pub field: String,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// What stands there; text in quotes, `nothing` where it is left out or empty.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// Not there, or empty.
    Missing,
    /// An `httpOption` or a percentage that the API does not have.
    Invalid,
    /// The percentages of a path do not sum to 100.
    PercentSum,
    /// A backend in another namespace than the Ingress.
    ForeignNamespace,
    /// A visibility that the API does not name. Knative admits it.
    UnknownVisibility,
    /// A port that no Service can have. Knative admits it.
    ImpossiblePort,
}

impl FaultKind {
    /// Whether Knative's own validation finds it too. What it does not find may
    /// well be stored in a cluster.
    #[must_use]
    pub fn is_knatives(self) -> bool {
        !matches!(self, Self::UnknownVisibility | Self::ImpossiblePort)
    }
}

impl Ingress {
    /// All faults of the spec, in the order of its fields; none for a spec that
    /// Knative's webhook admits and that names visibilities and ports that exist.
    ///
    /// Reads the object as it is, so a rule with nothing in it is missing as a
    /// whole before [`Ingress::set_defaults`], and lacks `http` after it.
    ///
    /// Finds what Knative finds and more: there, the first faulty split of a path
    /// hides the others.
    #[must_use]
    pub fn validate(&self) -> Vec<FieldFault> {
        let mut check = Check {
            namespace: &self.metadata.namespace,
            faults: Vec::new(),
        };
        check.spec(&self.spec);
        check.faults
    }
}

struct Check<'a> {
    namespace: &'a str,
    faults: Vec<FieldFault>,
}

impl Check<'_> {
    fn spec(&mut self, spec: &IngressSpec) {
        if *spec == IngressSpec::default() {
            self.missing("spec".into(), "a spec with at least one rule");
            return;
        }
        for (index, tls) in spec.tls.iter().enumerate() {
            self.tls(&format!("spec.tls[{index}]"), tls);
        }
        if spec.rules.is_empty() {
            self.missing("spec.rules".into(), "at least one rule");
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            self.rule(&format!("spec.rules[{index}]"), rule);
        }
        let options = ["", HttpOption::ENABLED, HttpOption::REDIRECTED];
        let option = spec.http_option.0.as_str();
        if !options.contains(&option) {
            self.add(
                "spec.httpOption".into(),
                FaultKind::Invalid,
                format!("{option:?}"),
                "Enabled or Redirected, or nothing for Enabled",
            );
        }
    }

    fn tls(&mut self, at: &str, tls: &IngressTls) {
        if *tls == IngressTls::default() {
            self.missing(at.into(), "secretName and secretNamespace");
            return;
        }
        if tls.secret_name.is_empty() {
            self.missing(format!("{at}.secretName"), "the name of a Secret");
        }
        if tls.secret_namespace.is_empty() {
            self.missing(
                format!("{at}.secretNamespace"),
                "the namespace of the Secret",
            );
        }
    }

    fn rule(&mut self, at: &str, rule: &IngressRule) {
        if *rule == IngressRule::default() {
            self.missing(at.into(), "hosts and http");
            return;
        }
        let visibilities = ["", Visibility::EXTERNAL_IP, Visibility::CLUSTER_LOCAL];
        let visibility = rule.visibility.0.as_str();
        if !visibilities.contains(&visibility) {
            self.add(
                format!("{at}.visibility"),
                FaultKind::UnknownVisibility,
                format!("{visibility:?}"),
                "ExternalIP or ClusterLocal, or nothing for ExternalIP",
            );
        }
        let Some(http) = &rule.http else {
            self.missing(format!("{at}.http"), "http with at least one path");
            return;
        };
        if http.paths.is_empty() {
            self.missing(format!("{at}.http.paths"), "at least one path");
        }
        for (index, path) in http.paths.iter().enumerate() {
            self.path(&format!("{at}.http.paths[{index}]"), path);
        }
    }

    fn path(&mut self, at: &str, path: &HttpIngressPath) {
        if path.splits.is_empty() {
            if is_unset(path) {
                self.missing(at.into(), "a path with at least one split");
            } else {
                self.missing(format!("{at}.splits"), "at least one split");
            }
            return;
        }
        for (index, split) in path.splits.iter().enumerate() {
            self.split(&format!("{at}.splits[{index}]"), split);
        }
        if path.splits.iter().any(|split| !is_share(split.percent)) {
            // Their sum says nothing more.
            return;
        }
        let sum: i64 = path.splits.iter().map(|split| split.percent).sum();
        let defaulted = path.splits.len() == 1 && sum == 0;
        if sum != 100 && !defaulted {
            self.add(
                format!("{at}.splits"),
                FaultKind::PercentSum,
                format!("percentages that sum to {sum}"),
                "percentages that sum to 100",
            );
        }
    }

    fn split(&mut self, at: &str, split: &IngressBackendSplit) {
        if !is_share(split.percent) {
            self.add(
                format!("{at}.percent"),
                FaultKind::Invalid,
                split.percent.to_string(),
                "a number from 0 to 100",
            );
        }
        let names_nothing = split.service_namespace.is_empty()
            && split.service_name.is_empty()
            && split.service_port == IntOrString::default();
        if names_nothing {
            let expected = "serviceNamespace, serviceName and servicePort";
            self.missing(at.into(), expected);
            return;
        }
        self.namespace(&format!("{at}.serviceNamespace"), &split.service_namespace);
        if split.service_name.is_empty() {
            self.missing(format!("{at}.serviceName"), "the name of a Service");
        }
        self.port(&format!("{at}.servicePort"), &split.service_port);
    }

    fn namespace(&mut self, at: &str, namespace: &str) {
        let expected = format!("the Ingress's namespace {:?}", self.namespace);
        if namespace.is_empty() {
            self.missing(at.into(), &expected);
        } else if namespace != self.namespace {
            let found = format!("{namespace:?}");
            self.add(at.into(), FaultKind::ForeignNamespace, found, &expected);
        }
    }

    fn port(&mut self, at: &str, port: &IntOrString) {
        let expected = "a port number from 1 to 65535, or the name of a port";
        match port {
            IntOrString::Int(0) => self.missing(at.into(), expected),
            IntOrString::Int(1..=65_535) => {}
            IntOrString::String(name) if !name.is_empty() => {}
            impossible => {
                let found = impossible.to_string();
                self.add(at.into(), FaultKind::ImpossiblePort, found, expected);
            }
        }
    }

    fn missing(&mut self, field: String, expected: &str) {
        self.add(field, FaultKind::Missing, "nothing".into(), expected);
    }

    fn add(&mut self, field: String, kind: FaultKind, found: String, expected: &str) {
        self.faults.push(FieldFault {
            field,
            kind,
            found,
            expected: expected.to_owned(),
        });
    }
}

fn is_share(percent: i64) -> bool {
    (0..=100).contains(&percent)
}

/// Whether a path says nothing at all; an empty list of splits counts as none.
fn is_unset(path: &HttpIngressPath) -> bool {
    path.path.is_empty()
        && path.rewrite_host.is_empty()
        && path.headers.is_empty()
        && path.splits.is_empty()
        && path.append_headers.is_empty()
}

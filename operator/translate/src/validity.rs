//! Faults that refuse the whole generation: what Knative's own validation would
//! not admit (`knative.dev/networking pkg/apis/networking/v1alpha1/
//! ingress_validation.go`), and what cannot be planned at all.

use sluice_crds as crds;
use sluice_ir::Reason;

use crate::field::{AtPath, AtRule, AtSplit, quote};
use crate::rejections::{Rejections, rejection};

/// Notes every refusing fault of a spec; none means that it can be planned.
pub(crate) fn check(ingress: &crds::Ingress, rejections: &mut Rejections) {
    let mut check = Check {
        namespace: &ingress.metadata.namespace,
        rejections,
    };
    let spec = &ingress.spec;
    check.http_option(&spec.http_option);
    for (index, tls) in spec.tls.iter().enumerate() {
        check.tls(index, tls);
    }
    if spec.rules.is_empty() {
        check.missing("spec.rules", "no rules", "at least one rule");
    }
    for (index, rule) in spec.rules.iter().enumerate() {
        check.rule(AtRule(index), rule);
    }
}

struct Check<'a> {
    namespace: &'a str,
    rejections: &'a mut Rejections,
}

impl Check<'_> {
    fn http_option(&mut self, option: &crds::HttpOption) {
        let known = ["", crds::HttpOption::ENABLED, crds::HttpOption::REDIRECTED];
        if !known.contains(&option.0.as_str()) {
            self.rejections.add(rejection(
                Reason::InvalidSpec,
                "spec.httpOption",
                quote(&option.0),
                "Enabled or Redirected",
                "write one of the two, or leave the field out for Enabled",
            ));
        }
    }

    fn tls(&mut self, index: usize, tls: &crds::IngressTls) {
        for (field, value) in [
            ("secretName", &tls.secret_name),
            ("secretNamespace", &tls.secret_namespace),
        ] {
            if value.is_empty() {
                let field = format!("spec.tls[{index}].{field}");
                self.missing(&field, "nothing", "where the certificate's Secret is");
            }
        }
    }

    fn rule(&mut self, at: AtRule, rule: &crds::IngressRule) {
        if rule.hosts.is_empty() {
            self.rejections.add(rejection(
                Reason::HostRequired,
                format!("{at}.hosts"),
                "no hosts",
                "at least one host",
                "list each host that the rule serves; a rule for all hosts is not supported",
            ));
        }
        let known = [
            "",
            crds::Visibility::EXTERNAL_IP,
            crds::Visibility::CLUSTER_LOCAL,
        ];
        if !known.contains(&rule.visibility.0.as_str()) {
            self.rejections.add(rejection(
                Reason::InvalidSpec,
                format!("{at}.visibility"),
                quote(&rule.visibility.0),
                "ExternalIP or ClusterLocal",
                "write one of the two, or leave the field out for ExternalIP",
            ));
        }
        match &rule.http {
            None => self.missing(&format!("{at}.http"), "nothing", "paths under http"),
            Some(http) if http.paths.is_empty() => {
                self.missing(&format!("{at}.http.paths"), "no paths", "at least one path");
            }
            Some(http) => {
                for (index, path) in http.paths.iter().enumerate() {
                    self.path(at.path(index), path);
                }
            }
        }
    }

    fn path(&mut self, at: AtPath, path: &crds::HttpIngressPath) {
        if path.splits.is_empty() {
            let field = format!("{at}.splits");
            self.missing(&field, "no splits", "at least one split");
            return;
        }
        for (index, split) in path.splits.iter().enumerate() {
            self.split(at.split(index), split);
        }
        let shares = || path.splits.iter().map(|split| split.percent);
        if shares().any(|percent| !(0..=100).contains(&percent)) {
            return;
        }
        let sum: i64 = shares().sum();
        let defaulted = path.splits.len() == 1 && sum == 0;
        if sum != 100 && !defaulted {
            self.rejections.add(rejection(
                Reason::PercentSum,
                format!("{at}.splits"),
                format!("percentages that sum to {sum}"),
                "100",
                "change percent of the splits so that they sum to 100",
            ));
        }
    }

    fn split(&mut self, at: AtSplit, split: &crds::IngressBackendSplit) {
        if !(0..=100).contains(&split.percent) {
            self.rejections.add(rejection(
                Reason::InvalidSpec,
                format!("{at}.percent"),
                split.percent.to_string(),
                "a number from 0 to 100",
                "write the split's share in percent",
            ));
        }
        if split.service_name.is_empty() {
            let field = format!("{at}.serviceName");
            self.missing(&field, "nothing", "the name of a Service");
        }
        if split.service_port == crds::IntOrString::Int(0) {
            let field = format!("{at}.servicePort");
            self.missing(&field, "nothing", "the number or name of a Service port");
        }
        if split.service_namespace.is_empty() {
            let field = format!("{at}.serviceNamespace");
            let expected = format!("the Ingress's namespace {}", quote(self.namespace));
            self.missing(&field, "nothing", &expected);
        } else if split.service_namespace != self.namespace {
            self.rejections.add(rejection(
                Reason::CrossNamespaceBackend,
                format!("{at}.serviceNamespace"),
                quote(&split.service_namespace),
                format!("the Ingress's namespace {}", quote(self.namespace)),
                "name a Service of the Ingress's own namespace",
            ));
        }
    }

    fn missing(&mut self, field: &str, found: &str, expected: &str) {
        self.rejections.add(rejection(
            Reason::InvalidSpec,
            field,
            found,
            expected,
            "fill in the field",
        ));
    }
}

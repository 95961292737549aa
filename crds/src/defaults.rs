//! What Knative's defaulting fills in (`knative.dev/networking
//! pkg/apis/networking/v1alpha1/ingress_defaults.go`).
//!
//! In a cluster Serving's webhook does it before an object is stored, but not
//! every writer passes there, and an update need not; so what is stored may lack
//! it, and a reader defaults in memory.

use crate::{HttpIngressPath, Ingress, IngressRule, Visibility};

impl Ingress {
    /// Fills in what Knative fills in: a visibility that is not set becomes
    /// `ExternalIP`, and the only split of a path gets 100 percent where it has
    /// none. All else stays, `httpOption` too: that unset means `Enabled` is for
    /// whoever reads it to know, and must not reach the hash.
    ///
    /// Total, where Knative's own panics at a rule without `http`.
    pub fn set_defaults(&mut self) {
        self.spec.rules.iter_mut().for_each(default_rule);
    }

    /// A copy with the defaults filled in: see [`Ingress::set_defaults`].
    #[must_use]
    pub fn defaulted(&self) -> Self {
        let mut ingress = self.clone();
        ingress.set_defaults();
        ingress
    }
}

fn default_rule(rule: &mut IngressRule) {
    if rule.visibility.is_unset() {
        rule.visibility = Visibility(Visibility::EXTERNAL_IP.to_owned());
    }
    if let Some(http) = &mut rule.http {
        http.paths.iter_mut().for_each(default_path);
    }
}

fn default_path(path: &mut HttpIngressPath) {
    if path.splits.len() != 1 {
        return;
    }
    for split in &mut path.splits {
        if split.percent == 0 {
            split.percent = 100;
        }
    }
}

//! What is to be done, from what is wanted and what is there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::inventory::Setting;
use crate::manifest::{Object, Reference};

/// The class that Knative is to write into its Ingresses.
pub const CLASS: &str = "sluice.ingress.networking.knative.dev";

/// Knative's ConfigMaps that are written to.
pub const CONFIG_NETWORK: &str = "config-network";
/// See [`CONFIG_NETWORK`].
pub const CONFIG_DOMAIN: &str = "config-domain";

/// The key that Knative reads first.
pub(crate) const CLASS_KEY: &str = "ingress-class";
/// The key of before, which older guides still write.
const STALE_CLASS_KEY: &str = "ingress.class";

/// Objects that are applied one after the other, and waited for together.
#[derive(Clone, Debug)]
pub struct Component {
    /// For people: `Knative's kinds`.
    pub name: &'static str,
    /// In the order in which they are applied.
    pub objects: Vec<Object>,
}

/// The order of an installation: kinds, what is of these kinds, what stands on it.
#[must_use]
pub fn components(knative: Option<&[Object]>, sluice: &[Object]) -> Vec<Component> {
    let mut all = Vec::new();
    if let Some(objects) = knative {
        let (kinds, rest): (Vec<Object>, Vec<Object>) =
            objects.iter().cloned().partition(|object| {
                object.reference.is_definition() || object.reference.kind == "Namespace"
            });
        all.push(Component {
            name: "knative's kinds",
            objects: kinds,
        });
        // A webhook stands in the way of what it is asked about until it runs.
        let (last, rest): (Vec<Object>, Vec<Object>) = rest
            .into_iter()
            .partition(|object| object.reference.kind.ends_with("WebhookConfiguration"));
        all.push(Component {
            name: "knative serving",
            objects: rest.into_iter().chain(last).collect(),
        });
    }
    all.push(Component {
        name: "sluice",
        objects: sluice.to_vec(),
    });
    all
}

/// What applying an object would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "change")]
pub enum Change {
    /// It is not there.
    Create,
    /// These fields are other than they should be.
    Update {
        /// Each with its path, and what is there and is wanted.
        fields: Vec<String>,
    },
    /// Nothing.
    None,
}

/// The longest value that a difference shows.
const SHOWN: usize = 60;

/// Which fields of an object would change; what the API server, or a webhook about itself,
/// keeps there is no difference. Contents of Secrets are not shown.
#[must_use]
pub fn compare(is: &Value, would_be: &Value) -> Change {
    let kind = is.get("kind").and_then(Value::as_str).unwrap_or_default();
    let mut comparison = Comparison {
        secret: kind == "Secret",
        webhook: kind.ends_with("WebhookConfiguration"),
        fields: Vec::new(),
    };
    comparison.walk("", is, would_be);
    let fields = comparison.fields;
    if fields.is_empty() {
        Change::None
    } else {
        Change::Update { fields }
    }
}

struct Comparison {
    secret: bool,
    webhook: bool,
    fields: Vec<String>,
}

impl Comparison {
    fn walk(&mut self, path: &str, is: &Value, would_be: &Value) {
        if is == would_be || self.is_kept_by_others(path) {
            return;
        }
        match (is, would_be) {
            (Value::Object(is), Value::Object(would_be)) => {
                let none = Value::Null;
                let names: BTreeSet<&String> = is.keys().chain(would_be.keys()).collect();
                for name in names {
                    let (is, would_be) = (is.get(name), would_be.get(name));
                    let path = format!("{path}/{name}");
                    self.walk(&path, is.unwrap_or(&none), would_be.unwrap_or(&none));
                }
            }
            (Value::Array(is), Value::Array(would_be)) if is.len() == would_be.len() => {
                for (number, (is, would_be)) in is.iter().zip(would_be).enumerate() {
                    self.walk(&format!("{path}/{number}"), is, would_be);
                }
            }
            _ => {
                let place = path.trim_start_matches('/').replace('/', ".");
                self.fields.push(if self.secret {
                    format!("{place}: differs")
                } else {
                    format!("{place}: {} -> {}", shown(is), shown(would_be))
                });
            }
        }
    }

    fn is_kept_by_others(&self, path: &str) -> bool {
        const SERVERS: [&str; 4] = [
            "/metadata/managedFields",
            "/metadata/resourceVersion",
            "/metadata/generation",
            "/status",
        ];
        // Knative's webhook writes what it is asked about by itself (its
        // knative.dev/pkg/webhook), over what its manifest has there.
        let rules = path.starts_with("/webhooks/") && path.ends_with("/rules");
        SERVERS.contains(&path) || (self.webhook && rules)
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() {
        return "nothing".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() > SHOWN {
        let start: String = text.chars().take(SHOWN).collect();
        return format!("{start}…");
    }
    text
}

/// One object of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The component that it belongs to.
    pub component: &'static str,
    /// Which it is.
    pub object: Reference,
    /// What is done with it.
    #[serde(flatten)]
    pub change: Change,
}

/// All that would be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// By object, in the order in which they are applied.
    pub objects: Vec<Line>,
    /// Entries of Knative's ConfigMaps.
    pub settings: Vec<Setting>,
    /// What people should know.
    pub notes: Vec<String>,
}

impl Plan {
    /// True where nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.objects.iter().all(|line| line.change == Change::None)
    }

    /// True of an object that is there as it should be.
    pub(crate) fn leaves(&self, object: &Reference) -> bool {
        self.change_of(object) == Some(&Change::None)
    }

    /// What is done with an object of the plan.
    pub(crate) fn change_of(&self, object: &Reference) -> Option<&Change> {
        let line = self.objects.iter().find(|line| line.object == *object);
        line.map(|line| &line.change)
    }

    /// What is not there.
    pub fn missing(&self) -> impl Iterator<Item = &Reference> {
        self.objects
            .iter()
            .filter(|line| line.change == Change::Create)
            .map(|line| &line.object)
    }
}

/// Objects by component; with `#`, which fields of each.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut component = "";
        for line in &self.objects {
            if line.change == Change::None {
                continue;
            }
            if component != line.component {
                component = line.component;
                writeln!(f, "{component}")?;
            }
            match &line.change {
                Change::Create => writeln!(f, "  + {}", line.object)?,
                Change::Update { fields } => {
                    writeln!(f, "  ~ {}", line.object)?;
                    let shown = if f.alternate() {
                        fields.as_slice()
                    } else {
                        &[]
                    };
                    for field in shown {
                        writeln!(f, "      {field}")?;
                    }
                }
                Change::None => {}
            }
        }
        if !self.settings.is_empty() {
            writeln!(f, "settings of knative")?;
        }
        for setting in &self.settings {
            let word = |value: &Option<String>| match value {
                Some(value) => format!("{value:?}"),
                None => "nothing".to_owned(),
            };
            writeln!(
                f,
                "  ~ {} {}: {} -> {}",
                setting.map,
                setting.key,
                word(&setting.was),
                word(&setting.now)
            )?;
        }
        if self.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Data of a ConfigMap.
pub type Data = BTreeMap<String, String>;

/// What has Knative write its Ingresses for Sluice. A note names a key that older guides
/// have, which no longer counts and confuses who reads it.
#[must_use]
pub fn class(network: &Data) -> (Vec<Setting>, Vec<String>) {
    let mut settings = Vec::new();
    let mut notes = Vec::new();
    let change = |key: &str, now: Option<&str>| Setting {
        map: CONFIG_NETWORK.to_owned(),
        key: key.to_owned(),
        was: network.get(key).cloned(),
        now: now.map(str::to_owned),
    };
    if network.get(CLASS_KEY).map(String::as_str) != Some(CLASS) {
        settings.push(change(CLASS_KEY, Some(CLASS)));
    }
    if let Some(stale) = network.get(STALE_CLASS_KEY) {
        settings.push(change(STALE_CLASS_KEY, None));
        notes.push(format!(
            "{CONFIG_NETWORK} has the old key {STALE_CLASS_KEY} ({stale:?}), which {CLASS_KEY} overrides; it is taken away, and an uninstall brings it back"
        ));
    }
    (settings, notes)
}

/// The domain of Services outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// `example.com`.
    pub name: String,
    /// What is to be written for it.
    pub settings: Vec<Setting>,
    /// What people should know.
    pub notes: Vec<String>,
}

/// Which domain Services have: the one that is set for all, or the one that is wanted.
/// None is there and none wanted: None.
#[must_use]
pub fn domain(domains: &Data, wanted: Option<&str>) -> Option<Domain> {
    // An entry without a selector is for all Services (Knative's pkg/reconciler/route/config/domain.go).
    let set = domains
        .iter()
        .find(|(name, selector)| !name.starts_with('_') && selector.trim().is_empty())
        .map(|(name, _)| name.clone());
    match (set, wanted) {
        (Some(name), Some(wanted)) if name != wanted => Some(Domain {
            notes: vec![format!(
                "{CONFIG_DOMAIN} has {name} for all Services, so it is left alone; take that entry away to have {wanted}"
            )],
            name,
            settings: Vec::new(),
        }),
        (Some(name), _) => Some(Domain {
            name,
            settings: Vec::new(),
            notes: Vec::new(),
        }),
        (None, Some(wanted)) => Some(Domain {
            name: wanted.to_owned(),
            settings: vec![Setting {
                map: CONFIG_DOMAIN.to_owned(),
                key: wanted.to_owned(),
                was: domains.get(wanted).cloned(),
                now: Some(String::new()),
            }],
            notes: Vec::new(),
        }),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::read;

    fn data(entries: &[(&str, &str)]) -> Data {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn kinds_come_first_and_webhooks_last() {
        let knative = read(
            "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: k}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: w}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: c}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: k}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: k}}",
            "k",
        )
        .unwrap();
        let sluice = read(
            "{apiVersion: v1, kind: Namespace, metadata: {name: sluice-system}}",
            "s",
        )
        .unwrap();
        let order: Vec<String> = components(Some(&knative), &sluice)
            .iter()
            .flat_map(|component| {
                component
                    .objects
                    .iter()
                    .map(|object| format!("{}: {}", component.name, object.reference))
            })
            .collect();
        assert_eq!(
            order,
            [
                "knative's kinds: CustomResourceDefinition c",
                "knative's kinds: Namespace k",
                "knative serving: Service k/s",
                "knative serving: ConfigMap k/m",
                "knative serving: ValidatingWebhookConfiguration w",
                "sluice: Namespace sluice-system",
            ]
        );
        assert_eq!(components(None, &sluice).len(), 1);
    }

    #[test]
    fn a_difference_names_field_and_both_values() {
        let is = json!({"kind": "Service", "metadata": {"name": "a", "resourceVersion": "1", "managedFields": []},
            "spec": {"ports": [{"port": 80}], "type": "ClusterIP"}, "status": {"x": 1}});
        let would = json!({"kind": "Service", "metadata": {"name": "a", "resourceVersion": "2", "managedFields": [1]},
            "spec": {"ports": [{"port": 81}], "type": "ClusterIP", "selector": {"a": "b"}}, "status": {}});
        assert_eq!(
            compare(&is, &would),
            Change::Update {
                fields: vec![
                    "spec.ports.0.port: 80 -> 81".to_owned(),
                    "spec.selector: nothing -> {\"a\":\"b\"}".to_owned(),
                ]
            }
        );
        assert_eq!(compare(&is, &is), Change::None);
    }

    #[test]
    fn what_a_webhook_writes_about_itself_is_no_difference() {
        let hook = |operation: &str| json!({"kind": "MutatingWebhookConfiguration", "webhooks": [{"rules": [{"operations": [operation]}]}]});
        assert_eq!(compare(&hook("CREATE"), &hook("UPDATE")), Change::None);
    }

    #[test]
    fn a_secret_shows_no_content() {
        let is = json!({"kind": "Secret", "data": {"k": "b2xk"}});
        let would = json!({"kind": "Secret", "data": {"k": "bmV3"}});
        let Change::Update { fields } = compare(&is, &would) else {
            panic!("no difference");
        };
        assert_eq!(fields, ["data.k: differs"]);
    }

    #[test]
    fn the_class_is_set_and_a_stale_key_is_named() {
        let (settings, notes) = class(&data(&[("_example", "ingress-class: x")]));
        assert_eq!(settings.len(), 1);
        assert_eq!(settings[0].was, None);
        assert!(notes.is_empty());

        let (settings, notes) = class(&data(&[
            ("ingress-class", CLASS),
            ("ingress.class", "kourier"),
        ]));
        assert_eq!(settings[0].key, "ingress.class");
        assert_eq!(
            (settings[0].was.as_deref(), settings[0].now.as_deref()),
            (Some("kourier"), None)
        );
        assert!(
            notes[0].contains("ingress.class (\"kourier\")"),
            "{notes:?}"
        );

        assert_eq!(class(&data(&[("ingress-class", CLASS)])), (vec![], vec![]));
    }

    #[test]
    fn a_domain_for_all_is_left_alone() {
        let selected = data(&[("_example", "x"), ("shop.com", "selector:\n  a: b\n")]);
        assert_eq!(domain(&selected, None), None);
        let found = domain(&selected, Some("10.0.0.1.sslip.io")).unwrap();
        assert_eq!(found.name, "10.0.0.1.sslip.io");
        assert_eq!(found.settings[0].now.as_deref(), Some(""));

        let set = data(&[("mine.com", "")]);
        assert_eq!(domain(&set, None).unwrap().name, "mine.com");
        let kept = domain(&set, Some("other.com")).unwrap();
        assert_eq!((kept.name.as_str(), kept.settings.len()), ("mine.com", 0));
        assert!(
            kept.notes[0].contains("take that entry away"),
            "{:?}",
            kept.notes
        );
    }

    #[test]
    fn a_plan_reads_like_this() {
        let reference = |kind: &str, namespace: Option<&str>, name: &str| Reference {
            api_version: "v1".into(),
            kind: kind.into(),
            namespace: namespace.map(str::to_owned),
            name: name.into(),
        };
        let (settings, notes) = class(&data(&[("ingress.class", "old")]));
        let plan = Plan {
            objects: vec![
                Line {
                    component: "knative serving",
                    object: reference("ConfigMap", Some("knative-serving"), "config-gc"),
                    change: Change::None,
                },
                Line {
                    component: "sluice",
                    object: reference("Namespace", None, "sluice-system"),
                    change: Change::Create,
                },
                Line {
                    component: "sluice",
                    object: reference("Service", Some("sluice-system"), "sluice"),
                    change: Change::Update {
                        fields: vec!["spec.type: \"A\" -> \"B\"".into()],
                    },
                },
            ],
            settings,
            notes,
        };
        assert_eq!(
            format!("{plan:#}"),
            "sluice
  + Namespace sluice-system
  ~ Service sluice-system/sluice
      spec.type: \"A\" -> \"B\"
settings of knative
  ~ config-network ingress-class: nothing -> \"sluice.ingress.networking.knative.dev\"
  ~ config-network ingress.class: \"old\" -> nothing
note: config-network has the old key ingress.class (\"old\"), which ingress-class overrides; it is taken away, and an uninstall brings it back
"
        );
        assert_eq!(Plan::default().to_string(), "nothing to do\n");
    }
}

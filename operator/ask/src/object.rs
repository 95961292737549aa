//! Objects of the API server as they came, and what is read of them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An object, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(pub Value);

/// One entry of `status.conditions`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition<'a> {
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl Object {
    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`.
    pub(crate) fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// Namespace and name.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// What stands at a JSON pointer; empty where no text does.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        let found = self.0.pointer(pointer);
        found.and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn number(&self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer)?.as_i64()
    }

    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        let found = self.0.pointer(pointer).and_then(Value::as_array);
        found.map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["labels"][name].as_str()
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][name].as_str()
    }

    pub(crate) fn condition(&self, name: &str) -> Option<Condition<'_>> {
        let conditions = self.list("/status/conditions").iter();
        let found = conditions.into_iter().find(|one| one["type"] == name)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        Some(Condition {
            status: text("status"),
            reason: text("reason"),
            message: text("message"),
        })
    }

    /// Whether its controller has seen the newest generation.
    pub(crate) fn is_observed(&self) -> bool {
        let generation = self.number("/metadata/generation");
        generation.is_some() && generation == self.number("/status/observedGeneration")
    }

    /// Whether the newest generation is Ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_observed()
            && self
                .condition("Ready")
                .is_some_and(|one| one.status == "True")
    }

    /// When it was deleted and what holds it, where it goes away.
    pub(crate) fn going(&self) -> Option<String> {
        let since = self.text("/metadata/deletionTimestamp");
        let holding = self.list("/metadata/finalizers").iter();
        let holding: Vec<&str> = holding.filter_map(Value::as_str).collect();
        (!since.is_empty()).then(|| {
            format!(
                "it is being deleted since {since}, held by the finalizers {}",
                holding.join(", ")
            )
        })
    }

    /// How far it is, in few words: those of the condition without its message, which is
    /// told once, with the cause.
    pub(crate) fn word(&self) -> String {
        match self.condition("Ready") {
            Some(ready) if self.going().is_none() && self.is_observed() => {
                let message = if ready.reason.is_empty() {
                    ready.message
                } else {
                    ""
                };
                Condition { message, ..ready }.told()
            }
            _ => self.told(),
        }
    }

    /// How far it is: `Ready`, or the reason and the message of its condition.
    pub(crate) fn told(&self) -> String {
        if self.going().is_some() {
            return "being deleted".to_owned();
        }
        if !self.is_observed() {
            return "its newest generation is not taken up yet".to_owned();
        }
        match self.condition("Ready") {
            None => "it has no condition Ready yet".to_owned(),
            Some(ready) => ready.told(),
        }
    }
}

impl Condition<'_> {
    /// One line.
    pub(crate) fn told(&self) -> String {
        let word = match self.status {
            "True" => return "Ready".to_owned(),
            "False" => "not Ready",
            _ => "not Ready yet",
        };
        match (self.reason, self.message) {
            ("", "") => word.to_owned(),
            (reason, "") => format!("{word}: {reason}"),
            ("", message) => format!("{word}: {message}"),
            (reason, message) => format!("{word}: {reason}: {message}"),
        }
    }
}

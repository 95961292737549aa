//! `sluice explain`: from a Knative Service or an Ingress to the gateways, and why
//! it is not Ready.

mod chain;
mod judge;

use serde::{Deserialize, Serialize};

use crate::object::Object;
use crate::page::{Gateways, Plan};
use crate::table::plain;

/// The class whose Ingresses Sluice serves, and where an Ingress says it.
pub(crate) const CLASS: &str = "sluice.ingress.networking.knative.dev";
pub(crate) const CLASS_KEY: &str = "networking.knative.dev/ingress.class";

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Which of the two.
    pub kind: SubjectKind,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// What can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A Service of Knative's.
    Ksvc,
    /// An Ingress of Knative's.
    Ingress,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            SubjectKind::Ksvc => "ksvc",
            SubjectKind::Ingress => "ingress",
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

/// All that an explanation is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gathered {
    /// What is to be explained.
    pub subject: Subject,
    /// Where Sluice runs.
    pub system: String,
    /// The Knative Service, if there is one.
    #[serde(default)]
    pub ksvc: Option<Object>,
    /// Its Configuration.
    #[serde(default)]
    pub configuration: Option<Object>,
    /// Its newest Revision, and those that traffic goes to.
    #[serde(default)]
    pub revisions: Vec<Object>,
    /// Its Route, or that of the Ingress.
    #[serde(default)]
    pub route: Option<Object>,
    /// The Ingress.
    #[serde(default)]
    pub ingress: Option<Object>,
    /// The EndpointSlices of the Services that the Ingress names.
    #[serde(default)]
    pub slices: Vec<Object>,
    /// What the operator has of the Ingress; absent where it knows none.
    #[serde(default)]
    pub plan: Option<Plan>,
    /// What gateways hold.
    #[serde(default)]
    pub gateways: Option<Gateways>,
    /// Why the operator could not be asked.
    #[serde(default)]
    pub unanswered: Option<String>,
}

/// An explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What is explained.
    pub about: String,
    /// Whether nothing is in its way.
    pub ready: bool,
    /// From the object to the gateways.
    pub chain: Vec<Step>,
    /// What is in its way: first what the rest follows from.
    pub causes: Vec<Cause>,
}

/// One line of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How far it is set in.
    pub depth: usize,
    /// What is there.
    pub text: String,
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The object, and its field where one is meant.
    pub about: String,
    /// What is wrong with it.
    pub why: String,
    /// A command, or what to do.
    pub fix: String,
}

impl Explanation {
    /// Explains what was gathered.
    #[must_use]
    pub fn of(gathered: &Gathered) -> Self {
        let causes = judge::causes(gathered);
        Self {
            about: gathered.subject.to_string(),
            ready: causes.is_empty(),
            chain: chain::steps(gathered),
            causes,
        }
    }

    /// Lines for people.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = String::new();
        for step in &self.chain {
            text.push_str(&"  ".repeat(step.depth));
            text.push_str(&plain(&step.text));
            text.push('\n');
        }
        text.push('\n');
        if self.ready {
            text.push_str(&plain(&format!("{}: nothing is in its way", self.about)));
            text.push('\n');
        }
        for cause in &self.causes {
            let why = format!("{}: {}", cause.about, cause.why);
            for (word, line) in [("why", &why), ("fix", &cause.fix)] {
                text.push_str(&format!("{word}: {}\n", plain(line)));
            }
        }
        text
    }
}

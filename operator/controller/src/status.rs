//! The status of an Ingress: what it is to say, as a pure function.
//!
//! Knative's contract: three conditions, `Ready` the conjunction of the other two,
//! and exactly one entry in each load-balancer list. A condition that holds for the
//! generation at hand is not taken back while gateways take up a change that needs
//! no new generation (a renewed certificate, a Service that changed): traffic is
//! served all the while, and what a Route propagates must not flap.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sluice_ir::{Outcome, Rejection, Verdict};

use crate::config::{Options, PRIVATE_SERVICE, PUBLIC_SERVICE};
use crate::gateways::GatewayRefusal;

const NETWORK_CONFIGURED: &str = "NetworkConfigured";
const LOAD_BALANCER_READY: &str = "LoadBalancerReady";
const READY: &str = "Ready";

/// How many rejections a message holds.
const NAMED_REJECTIONS: usize = 5;
/// Bytes of a message; a status is copied into a Route and from there to a Service.
const MESSAGE_BYTES: usize = 1024;

/// `status` of an Ingress; what Sluice does not write is left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IngressStatus {
    pub(crate) observed_generation: i64,
    #[serde(deserialize_with = "or_default")]
    pub(crate) conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_load_balancer: Option<LoadBalancer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) private_load_balancer: Option<LoadBalancer>,
}

/// One condition, as Knative's `apis.Condition` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) severity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_transition_time: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) message: String,
}

/// Where a side is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    pub(crate) ingress: Vec<LoadBalancerIngress>,
}

/// One entry of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LoadBalancerIngress {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) ip: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) domain: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) domain_internal: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) mesh_only: bool,
}

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The addresses that every status carries.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    public: LoadBalancer,
    private: LoadBalancer,
}

impl Addresses {
    pub(crate) fn of(options: &Options) -> Self {
        // A name without an IP: Route then makes an ExternalName of it, which
        // follows the Service wherever it goes.
        let at = |service| LoadBalancer {
            ingress: vec![LoadBalancerIngress {
                domain_internal: options.local_name(service),
                ..LoadBalancerIngress::default()
            }],
        };
        Self {
            public: at(PUBLIC_SERVICE),
            private: at(PRIVATE_SERVICE),
        }
    }
}

/// What there is to say of an Ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding<'a> {
    /// This generation is not served at all.
    Refused(&'a Verdict),
    /// A gateway refused what was built for it.
    GatewayRefused(&'a GatewayRefusal),
    /// All but what the rejections name is served.
    Partial(&'a Verdict),
    /// There is no gateway to serve it.
    NoGateway,
    /// Gateways do not serve it all yet, as far as is known; and what has been missing
    /// for long.
    Waiting(Option<&'a str>),
    /// Every gateway serves it.
    Served,
}

impl<'a> Finding<'a> {
    /// What is known without asking the gateways whether they serve it; `None`
    /// where that is to be asked.
    pub(crate) fn at_once(
        verdict: &'a Verdict,
        refusal: Option<&'a GatewayRefusal>,
    ) -> Option<Self> {
        match (verdict.outcome, refusal) {
            (Outcome::Refused, _) => Some(Finding::Refused(verdict)),
            (_, Some(refusal)) => Some(Finding::GatewayRefused(refusal)),
            (Outcome::Partial, None) => Some(Finding::Partial(verdict)),
            (Outcome::Accepted, None) => None,
        }
    }
}

impl IngressStatus {
    /// Whether this says that the generation is served.
    pub(crate) fn is_ready(&self, generation: i64) -> bool {
        self.observed_generation == generation && self.is_true(READY)
    }

    fn is_true(&self, kind: &str) -> bool {
        self.condition(kind)
            .is_some_and(|condition| condition.status == "True")
    }

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind)
    }

    /// The status that a finding asks for: equal to this one where nothing is to
    /// be written.
    pub(crate) fn to_say(
        &self,
        generation: i64,
        finding: Finding<'_>,
        addresses: &Addresses,
        now: Timestamp,
    ) -> Self {
        let waits = matches!(finding, Finding::Waiting(_) | Finding::NoGateway);
        if waits && self.is_ready(generation) {
            return self.clone();
        }
        let (network, balancer) = outcome_of(finding);
        let ready = network
            .not_true()
            .or(balancer.not_true())
            .unwrap_or(Outlook::TRUE);
        let conditions = [
            (LOAD_BALANCER_READY, balancer),
            (NETWORK_CONFIGURED, network),
            (READY, ready),
        ]
        .into_iter()
        .map(|(kind, outlook)| self.with_time(kind, &outlook, now))
        .collect();
        let (public, private) = match finding {
            Finding::Served | Finding::Partial(_) => (
                Some(addresses.public.clone()),
                Some(addresses.private.clone()),
            ),
            // Whoever was told an address may still be using it.
            _ => (
                self.public_load_balancer.clone(),
                self.private_load_balancer.clone(),
            ),
        };
        Self {
            observed_generation: generation,
            conditions,
            public_load_balancer: public,
            private_load_balancer: private,
        }
    }

    /// A condition whose time is that of its last change of status.
    fn with_time(&self, kind: &str, outlook: &Outlook, now: Timestamp) -> Condition {
        let since = self
            .condition(kind)
            .filter(|before| before.status == outlook.status)
            .and_then(|before| before.last_transition_time.clone());
        Condition {
            kind: kind.to_owned(),
            status: outlook.status.to_owned(),
            severity: String::new(),
            last_transition_time: Some(since.unwrap_or_else(|| seconds(now))),
            reason: outlook.reason.clone(),
            message: outlook.message.clone(),
        }
    }
}

/// A condition before it has a type and a time.
#[derive(Clone, Debug)]
struct Outlook {
    status: &'static str,
    reason: String,
    message: String,
}

impl Outlook {
    const TRUE: Self = Self {
        status: "True",
        reason: String::new(),
        message: String::new(),
    };

    fn new(status: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            message: message.into(),
        }
    }

    fn not_true(&self) -> Option<Self> {
        (self.status != "True").then(|| self.clone())
    }
}

/// NetworkConfigured and LoadBalancerReady.
fn outcome_of(finding: Finding<'_>) -> (Outlook, Outlook) {
    match finding {
        Finding::Served => (Outlook::TRUE, Outlook::TRUE),
        Finding::Waiting(missing) => {
            let mut message = "waiting until every gateway serves this generation".to_owned();
            if let Some(missing) = missing {
                message = cut(format!("{message}: {missing}"));
            }
            let waiting = Outlook::new("Unknown", "Uninitialized", message);
            (Outlook::TRUE, waiting)
        }
        Finding::NoGateway => (
            Outlook::TRUE,
            Outlook::new(
                "Unknown",
                "NoGateway",
                "no gateway is ready; see the pods behind the service sluice-internal",
            ),
        ),
        Finding::Partial(verdict) => (
            Outlook::TRUE,
            Outlook::new("False", reason(verdict), message(verdict)),
        ),
        Finding::GatewayRefused(refusal) => (
            Outlook::TRUE,
            Outlook::new(
                "False",
                "GatewayRefused",
                cut(format!(
                    "gateway {} refused {} {}: {}",
                    refusal.gateway, refusal.kind, refusal.name, refusal.detail
                )),
            ),
        ),
        Finding::Refused(verdict) => (
            Outlook::new("False", reason(verdict), message(verdict)),
            Outlook::new(
                "Unknown",
                "Uninitialized",
                "this generation is refused; what gateways served before stays",
            ),
        ),
    }
}

/// The rejections that take something away; a warning is for events alone.
fn weighty(verdict: &Verdict) -> impl Iterator<Item = &Rejection> {
    // Of a refused Ingress only what refuses it: the rest comes to nothing.
    let refused = verdict.outcome == Outcome::Refused;
    verdict.rejections.iter().filter(move |rejection| {
        !rejection.reason.warns() && (!refused || rejection.reason.refuses())
    })
}

fn reason(verdict: &Verdict) -> String {
    weighty(verdict)
        .next()
        .map_or_else(|| "Uninitialized".into(), |first| first.reason.to_string())
}

fn message(verdict: &Verdict) -> String {
    let mut named: Vec<String> = weighty(verdict)
        .take(NAMED_REJECTIONS)
        .map(ToString::to_string)
        .collect();
    let more = weighty(verdict).count().saturating_sub(NAMED_REJECTIONS);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    cut(named.join("; "))
}

/// The text, or its beginning at a character's border.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        let mut end = MESSAGE_BYTES - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

//! `sluice why`: which way one request takes through a gateway, and what caused each
//! step of it.

mod answer;
mod near;
mod request;
mod share;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Outcome, Share, Way};
pub use request::{From, Request, RequestError};

use crate::object::Object;
use crate::page::Plan;
use crate::table::plain;

/// All that an answer is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Every Ingress of the cluster, of whatever class.
    pub ingresses: Vec<Object>,
    /// What gateways serve for those that name the host, or may have named it.
    pub plans: Vec<Plan>,
}

impl Known {
    /// The Ingresses whose plans are needed, by namespace and name: those that name
    /// the host or the TLS server name, and where none does, those whose gateways may
    /// serve another generation than the one that is there.
    #[must_use]
    pub fn needed(ingresses: &[Object], request: &Request) -> Vec<(String, String)> {
        let key = |one: &&Object| (one.namespace().to_owned(), one.name().to_owned());
        let hosts = [&request.host, &request.server_name];
        let ours = || ingresses.iter().filter(|one| answer::is_ours(one));
        let naming: Vec<_> = ours()
            .filter(|one| hosts.iter().any(|host| answer::place(one, host).is_some()))
            .map(|one| key(&one))
            .collect();
        if !naming.is_empty() {
            return naming;
        }
        ours()
            .filter(|one| !one.is_ready())
            .map(|one| key(&one))
            .collect()
    }
}

impl Answer {
    /// Lines for people.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!("{}\n", self.request);
        for step in &self.way {
            text.push_str(&format!("  {:<9}{}\n", step.step, step.what));
            if let Some(cause) = &step.cause {
                text.push_str(&format!("  {:<9}  by {cause}\n", ""));
            }
        }
        let outcome = &self.outcome;
        let word = outcome
            .reason
            .as_deref()
            .map_or_else(String::new, |word| format!(" {word}"));
        let status = outcome
            .status
            .map_or_else(String::new, |status| format!("{status}{word}: "));
        text.push_str(&format!("answer: {status}{}\n", outcome.what));
        for hint in &outcome.hints {
            text.push_str(&format!("  {hint}\n"));
        }
        text.lines()
            .map(|line| plain(line.trim_end()) + "\n")
            .collect()
    }
}

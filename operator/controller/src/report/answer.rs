//! What somebody asked to know of Ingresses and gateways.

use sluice_ir::ObjectKey;

use super::Reporter;
use super::entry::Entry;
use super::quorum::{Quorum, members};
use crate::health::IngressState;
use crate::inspect::{IngressView, Question, QuorumView, WaitsFor};

impl<P> Reporter<P> {
    /// Answers; who asked may have gone, which is no news.
    pub(super) fn answer(&self, question: Question) {
        match question {
            Question::Ingresses { namespace, answer } => {
                let asked_for = |key: &&ObjectKey| {
                    let namespace = namespace.as_ref();
                    namespace.is_none_or(|namespace| key.namespace == *namespace)
                };
                let keys = self.entries.keys().filter(asked_for);
                let _ = answer.send(keys.filter_map(|key| self.view(key)).collect());
            }
            Question::Ingress {
                key,
                planned,
                answer,
            } => {
                let _ = answer.send(self.view(&key).map(|view| (view, planned)));
            }
            Question::Gateways(answer) => {
                let members = members(&self.slices, &self.fleet);
                let views = members.into_iter().map(|(node, member)| {
                    let view = QuorumView {
                        address: member.address,
                        ready: member.ready,
                        terminating: member.terminating,
                        required: member.is_required(),
                    };
                    (node.to_owned(), view)
                });
                let _ = answer.send(views.collect());
            }
        }
    }

    fn view(&self, key: &ObjectKey) -> Option<IngressView> {
        let entry = self.entries.get(key)?;
        let judged = entry.judged.as_ref();
        Some(IngressView {
            ingress: key.clone(),
            generation: judged.map_or(0, |judged| judged.generation),
            hash: judged
                .and_then(|judged| judged.plan.as_ref())
                .map(|plan| plan.hash.clone()),
            revision: judged.map_or(0, |judged| judged.revision),
            state: entry.state,
            verdict: judged.map(|judged| judged.verdict.clone()),
            waits_for: self.waits_for(entry),
        })
    }

    fn waits_for(&self, entry: &Entry) -> Option<WaitsFor> {
        let (Some(judged), Some(stored)) = (&entry.judged, &entry.stored) else {
            return Some(WaitsFor::Translation);
        };
        match entry.state {
            Some(IngressState::NoGateway) => Some(WaitsFor::Gateway),
            Some(IngressState::Waiting) if stored.generation != judged.generation => {
                Some(WaitsFor::Translation)
            }
            Some(IngressState::Waiting) => match entry.awaiting {
                Some(revision) => Some(WaitsFor::Revision {
                    revision,
                    gateways: Quorum::behind(&self.slices, &self.fleet, revision),
                }),
                None => Some(WaitsFor::Probe {
                    found: entry.unconfirmed.clone(),
                }),
            },
            _ => None,
        }
    }
}

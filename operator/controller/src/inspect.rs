//! What a running controller is asked: nothing is gathered before somebody asks.
//!
//! A question goes through the loop, which knows plans and endpoints, on to the
//! reporter, which knows how far each Ingress is. So an answer holds all that the
//! loop had taken when it was asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use sluice_ir::{Endpoints, ObjectKey, Plan, ServicePort, Verdict};
use tokio::sync::{mpsc, oneshot};

use crate::health::IngressState;

/// Questions that wait for the loop; who asks more waits.
const QUESTIONS: usize = 16;

/// Asks a running controller. Clones ask the same one.
#[derive(Clone, Debug)]
pub struct Inspector {
    questions: mpsc::Sender<Question>,
}

/// The other end of an [`Inspector`], which [`crate::run`] answers.
#[derive(Debug)]
pub struct Questions(pub(crate) mpsc::Receiver<Question>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller does not answer: it has ended, or not begun")]
pub struct Unanswered;

/// One question, with where the answer goes.
#[derive(Debug)]
pub(crate) enum Question {
    Ingresses {
        namespace: Option<String>,
        answer: oneshot::Sender<Vec<IngressView>>,
    },
    Ingress {
        key: ObjectKey,
        /// What the loop knows of it.
        planned: Option<Planned>,
        answer: oneshot::Sender<Option<(IngressView, Option<Planned>)>>,
    },
    Gateways(oneshot::Sender<BTreeMap<String, QuorumView>>),
}

/// How far one Ingress is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IngressView {
    /// The Ingress.
    pub ingress: ObjectKey,
    /// Its newest generation that was judged.
    pub generation: i64,
    /// `K-Network-Hash` of what is served for it; `None` where nothing ever was.
    pub hash: Option<String>,
    /// The revision since which its plan stands.
    pub revision: u64,
    /// What became of it; `None` before that is known.
    pub state: Option<IngressState>,
    /// What of it cannot be served; `None` before it was judged.
    pub verdict: Option<Verdict>,
    /// What is missing before it is Ready, where that is not the Ingress's fault.
    pub waits_for: Option<WaitsFor>,
}

/// What an Ingress waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its newest generation is not judged yet.
    Translation,
    /// There is no gateway.
    Gateway,
    /// These gateways are yet to apply the revision.
    Revision {
        /// The revision since which its plan stands.
        revision: u64,
        /// Who has not applied it.
        gateways: Vec<String>,
    },
    /// The replica that leads is to find it served by every gateway.
    Probe {
        /// What the last round found instead; on the replica that leads only.
        found: Option<String>,
    },
}

/// What gateways serve for one Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The newest plan that was not refused.
    pub plan: Arc<Plan>,
    /// Where its clusters answer.
    pub endpoints: BTreeMap<ServicePort, Endpoints>,
}

/// One gateway, as Kubernetes and its stream have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumView {
    /// Where it is probed, as far as its Service tells.
    pub address: Option<IpAddr>,
    /// Whether Kubernetes says that it is ready.
    pub ready: bool,
    /// Whether it is on its way out.
    pub terminating: bool,
    /// Whether an Ingress waits for it before it is Ready.
    pub required: bool,
}

/// Both ends of a line to a controller.
#[must_use]
pub fn inspector() -> (Inspector, Questions) {
    let (questions, asked) = mpsc::channel(QUESTIONS);
    (Inspector { questions }, Questions(asked))
}

impl Inspector {
    /// Every Ingress of Sluice's class, or those of one namespace, by name.
    ///
    /// # Errors
    /// [`Unanswered`] where no controller runs.
    pub async fn ingresses(
        &self,
        namespace: Option<String>,
    ) -> Result<Vec<IngressView>, Unanswered> {
        let ask = |answer| Question::Ingresses { namespace, answer };
        self.ask(ask).await
    }

    /// One Ingress, and what is served for it; `None` where there is none.
    ///
    /// # Errors
    /// [`Unanswered`] where no controller runs.
    pub async fn ingress(
        &self,
        key: ObjectKey,
    ) -> Result<Option<(IngressView, Option<Planned>)>, Unanswered> {
        let ask = |answer| Question::Ingress {
            key,
            planned: None,
            answer,
        };
        self.ask(ask).await
    }

    /// Every gateway that Kubernetes or a stream knows, by node id.
    ///
    /// # Errors
    /// [`Unanswered`] where no controller runs.
    pub async fn gateways(&self) -> Result<BTreeMap<String, QuorumView>, Unanswered> {
        self.ask(Question::Gateways).await
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.send(question(answer)).await;
        asked.map_err(|_| Unanswered)?;
        answered.await.map_err(|_| Unanswered)
    }
}

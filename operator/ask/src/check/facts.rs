//! What is gathered for a check, and gathering it. What cannot be had is a fact too.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use serde::{Deserialize, Serialize};

use super::rights;
use crate::error::AskError;
use crate::explain::{CLASS, CLASS_KEY};
use crate::object::Object;
use crate::objects::{Kind, Objects};
use crate::operator::Pages;
use crate::page::{Gateways, Ingresses, Operator, Refusals};

/// Where Knative Serving runs.
const SERVING: &str = "knative-serving";
/// What the objects of an ingress are labelled with.
const PROVIDER: &str = "networking.knative.dev/ingress-provider";

/// All that a report is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Whether Sluice is yet to be installed.
    pub pre: bool,
    /// Where Sluice runs.
    pub system: String,
    /// Seconds since 1970.
    pub now: i64,
    /// Where the API server is.
    pub url: String,
    /// Such as `v1.36.3`; absent where it does not answer.
    pub kubernetes: Option<String>,
    /// What was asked for, and whether it is allowed.
    pub rights: Vec<Right>,
    /// Whether Knative's kinds are there.
    pub kinds: bool,
    /// The Deployments of Knative Serving.
    pub serving: Vec<Object>,
    /// `config-network`.
    pub network: Option<Object>,
    /// `config-domain`.
    pub domain: Option<Object>,
    /// The Service with the public address.
    pub service: Option<Object>,
    /// What the operator says of itself.
    pub operator: Option<Operator>,
    /// Of gateways.
    pub gateways: Option<Gateways>,
    /// Of what they refused.
    pub refusals: Option<Refusals>,
    /// Of Ingresses.
    pub judged: Option<Ingresses>,
    /// Every Ingress of the cluster, of whatever class.
    pub ingresses: Vec<Object>,
    /// The certificates that Ingresses of Sluice's class name.
    pub certificates: Vec<Certificate>,
    /// The Deployments of every ingress.
    pub providers: Vec<Object>,
    /// By code: why nobody could look.
    pub unread: BTreeMap<String, String>,
}

/// A right, as the API server was asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Right {
    /// Such as `list`.
    pub verb: String,
    /// Empty for the core.
    pub group: String,
    /// Plural, with the subresource.
    pub resource: String,
    /// `None`: in all.
    pub namespace: Option<String>,
    /// `None`: of any name.
    pub name: Option<String>,
    /// The answer.
    pub allowed: bool,
}

/// How long a certificate is valid. Nothing else of its Secret is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// Namespace and name.
    pub secret: String,
    /// An Ingress that names it.
    pub ingress: String,
    /// Seconds since 1970; absent where there is none.
    pub not_after: Option<i64>,
}

/// Gathers all that there is. The first error of the API server's being away ends it.
///
/// # Errors
/// The API server does not answer, or does not know who asks.
pub async fn facts(
    client: Client,
    url: &str,
    system: &str,
    pre: bool,
    now: i64,
) -> Result<Facts, AskError> {
    let objects = Objects::new(client.clone());
    let mut facts = Facts {
        pre,
        system: system.to_owned(),
        now,
        url: url.to_owned(),
        kubernetes: Some(objects.version().await?),
        ..Facts::default()
    };
    let wanted = if pre {
        rights::installing()
    } else {
        rights::asking(system)
    };
    for right in wanted {
        let allowed = objects.may(&right).await?;
        facts.rights.push(Right { allowed, ..right });
    }
    match objects.list(Kind::Ingress, None, "").await {
        Ok(ingresses) => (facts.kinds, facts.ingresses) = (true, ingresses),
        Err(AskError::Missing { .. }) => {}
        Err(error) => {
            // Who may not list them learns nothing of whether they are there.
            facts.kinds = true;
            facts.miss(&["SLC0601", "SLC0602", "SLC0603"], error)?;
        }
    }
    match objects.list(Kind::Deployment, Some(SERVING), "").await {
        Ok(serving) => facts.serving = serving,
        Err(error) => facts.miss(&["SLC0301", "SLC0302", "SLC0303"], error)?,
    }
    match objects.list(Kind::Deployment, None, PROVIDER).await {
        Ok(providers) => facts.providers = providers,
        Err(error) => facts.miss(&["SLC0604"], error)?,
    }
    match objects
        .get(Kind::ConfigMap, SERVING, "config-network")
        .await
    {
        Ok(network) => facts.network = network,
        Err(error) => facts.miss(&["SLC0401", "SLC0402"], error)?,
    }
    match objects.get(Kind::ConfigMap, SERVING, "config-domain").await {
        Ok(domain) => facts.domain = domain,
        Err(error) => facts.miss(&["SLC0403"], error)?,
    }
    if pre {
        return Ok(facts);
    }
    match objects.get(Kind::Service, system, "sluice").await {
        Ok(service) => facts.service = service,
        Err(error) => facts.miss(&["SLC0506"], error)?,
    }
    if let Err(error) = of_operator(&mut facts, client).await {
        facts.miss(
            &["SLC0501", "SLC0502", "SLC0503", "SLC0504", "SLC0505"],
            error,
        )?;
    }
    of_certificates(&mut facts, &objects).await?;
    Ok(facts)
}

impl Facts {
    /// Keeps why nobody could look; an API server that is away is an error of all.
    fn miss(&mut self, codes: &[&str], error: AskError) -> Result<(), AskError> {
        if error.is_unreachable() {
            return Err(error);
        }
        for code in codes {
            self.unread.insert((*code).to_owned(), error.to_string());
        }
        Ok(())
    }
}

async fn of_operator(facts: &mut Facts, client: Client) -> Result<(), AskError> {
    let mut pages = Pages::open(client, &facts.system).await?;
    facts.operator = Some(pages.operator().await?);
    facts.gateways = Some(pages.gateways().await?);
    facts.refusals = Some(pages.refusals().await?);
    facts.judged = Some(pages.ingresses().await?);
    Ok(())
}

async fn of_certificates(facts: &mut Facts, objects: &Objects) -> Result<(), AskError> {
    let mut seen = BTreeSet::new();
    let mut named = Vec::new();
    for ingress in &facts.ingresses {
        if ingress.annotation(CLASS_KEY) != Some(CLASS) {
            continue;
        }
        for tls in ingress.list("/spec/tls") {
            let text = |field: &str| tls[field].as_str().unwrap_or_default().to_owned();
            let secret = (text("secretNamespace"), text("secretName"));
            if seen.insert(secret.clone()) {
                named.push((secret, ingress.key()));
            }
        }
    }
    for ((namespace, name), ingress) in named {
        match objects.not_after(&namespace, &name).await {
            Ok(not_after) => facts.certificates.push(Certificate {
                secret: format!("{namespace}/{name}"),
                ingress,
                not_after,
            }),
            Err(error) => return facts.miss(&["SLC0602"], error),
        }
    }
    Ok(())
}

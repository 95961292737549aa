//! What an explanation needs, from the API server and from the operator.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::AskError;
use crate::explain::{Gathered, Subject, SubjectKind};
use crate::object::Object;
use crate::objects::{Kind, Objects};
use crate::operator::Pages;
use crate::why::{Known, Request};

/// Gathers what is known of a subject. Without an operator that answers, what the
/// API server has is gathered all the same, and why it did not answer.
///
/// # Errors
/// The API server gives no answer, or no right.
pub async fn gather(
    objects: &Objects,
    pages: Result<Pages, AskError>,
    subject: Subject,
    system: &str,
) -> Result<Gathered, AskError> {
    let namespace = subject.namespace.clone();
    let mut gathered = Gathered {
        subject,
        system: system.to_owned(),
        ksvc: None,
        configuration: None,
        revisions: Vec::new(),
        route: None,
        ingress: None,
        slices: Vec::new(),
        plan: None,
        gateways: None,
        unanswered: None,
    };
    let mut ksvc = Some(gathered.subject.name.clone());
    let mut route = ksvc.clone();
    if gathered.subject.kind == SubjectKind::Ingress {
        let name = &gathered.subject.name;
        gathered.ingress = objects.get(Kind::Ingress, &namespace, name).await?;
        let label = |label: &str| {
            let ingress = gathered.ingress.as_ref()?;
            ingress.label(label).map(str::to_owned)
        };
        ksvc = label("serving.knative.dev/service");
        route = label("serving.knative.dev/route");
    }
    if let Some(name) = &ksvc {
        gathered.ksvc = objects.get(Kind::Ksvc, &namespace, name).await?;
        if gathered.ksvc.is_some() {
            gathered.configuration = objects.get(Kind::Configuration, &namespace, name).await?;
        }
    }
    if let Some(name) = &route {
        gathered.route = objects.get(Kind::Route, &namespace, name).await?;
        if gathered.subject.kind == SubjectKind::Ksvc && gathered.route.is_some() {
            gathered.ingress = objects.get(Kind::Ingress, &namespace, name).await?;
        }
    }
    for name in revisions(&gathered) {
        gathered
            .revisions
            .extend(objects.get(Kind::Revision, &namespace, &name).await?);
    }
    let Some(ingress) = gathered.ingress.clone() else {
        return Ok(gathered);
    };
    let services = services(&ingress);
    if !services.is_empty() {
        let names: Vec<String> = services.into_iter().collect();
        let labels = format!("kubernetes.io/service-name in ({})", names.join(","));
        let kind = Kind::EndpointSlice;
        gathered.slices = objects.list(kind, Some(&namespace), &labels).await?;
    }
    match of_operator(pages, &mut gathered, ingress.name()).await {
        Err(error) if error.is_unreachable() => return Err(error),
        Err(error) => gathered.unanswered = Some(error.to_string()),
        Ok(()) => {}
    }
    Ok(gathered)
}

async fn of_operator(
    pages: Result<Pages, AskError>,
    gathered: &mut Gathered,
    ingress: &str,
) -> Result<(), AskError> {
    let mut pages = pages?;
    gathered.plan = pages.plan(&gathered.subject.namespace, ingress).await?;
    gathered.gateways = Some(pages.gateways().await?);
    Ok(())
}

/// The newest Revision, and those that traffic goes to.
fn revisions(gathered: &Gathered) -> BTreeSet<String> {
    let newest = gathered
        .configuration
        .as_ref()
        .map(|one| one.text("/status/latestCreatedRevisionName").to_owned());
    let targets = gathered
        .route
        .iter()
        .flat_map(|route| route.list("/status/traffic"));
    let targets = targets.filter_map(|one| Some(one["revisionName"].as_str()?.to_owned()));
    newest
        .into_iter()
        .chain(targets)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The Services that an Ingress names in its own namespace.
fn services(ingress: &Object) -> BTreeSet<String> {
    let paths = ingress
        .list("/spec/rules")
        .iter()
        .flat_map(|rule| rule["http"]["paths"].as_array().into_iter().flatten());
    paths
        .flat_map(|path| path["splits"].as_array().into_iter().flatten())
        .filter_map(|split: &Value| Some(split["serviceName"].as_str()?.to_owned()))
        .collect()
}

/// What an answer to `why` needs: every Ingress, and the plans of those that may
/// serve the host.
///
/// # Errors
/// The API server or the operator gives no answer, or no right.
pub async fn known(
    objects: &Objects,
    pages: &mut Pages,
    request: &Request,
) -> Result<Known, AskError> {
    let ingresses = objects.list(Kind::Ingress, None, "").await?;
    let mut plans = Vec::new();
    for (namespace, name) in Known::needed(&ingresses, request) {
        plans.extend(pages.plan(&namespace, &name).await?);
    }
    Ok(Known { ingresses, plans })
}

//! The installation: prepared without a write, then done step by step. Each step may be
//! done again, so whatever ends it halfway, the same command goes on.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::bundle::Knative;
use crate::cluster::{Cluster, FIELD_MANAGER, is_code, is_deaf_webhook};
use crate::error::told;
use crate::inventory::{Build, Inventory, Setting};
use crate::manifest::{Object, Reference};
use crate::plan::{
    CONFIG_DOMAIN, CONFIG_NETWORK, Change, Component, Line, Plan, class, components, domain,
};
use crate::request::{self, Address};
use crate::survey::Survey;
use crate::uninstall::held;
use crate::wait::{Deadline, available, established, webhooks};
use crate::{Images, InstallError, product};

/// So many objects are compared at once.
const AT_ONCE: usize = 8;
const INTERVAL: Duration = Duration::from_millis(500);

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which images.
    pub images: Images,
    /// The domain of Services; none for one of the gateway's address.
    pub domain: Option<String>,
    /// Wires Knative to the gateways, by entries of its ConfigMaps.
    pub settings: bool,
    /// Leaves `ingress-class` as it is.
    pub keep_class: bool,
    /// How long a balancer is waited for.
    pub balancer: Duration,
    /// Proves by a request that traffic flows.
    pub request: bool,
    /// Waits for Deployments to be available, and does what needs them.
    pub wait: bool,
    /// For all of it.
    pub timeout: Duration,
}

/// What is going on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "event")]
pub enum Event {
    /// A component is being worked on.
    Began {
        /// Its name.
        component: String,
    },
    /// A component is done.
    Done {
        /// Its name.
        component: String,
        /// How.
        outcome: String,
        /// How long it took.
        seconds: f64,
    },
    /// What people should know.
    Note {
        /// One sentence.
        text: String,
    },
}

/// Where events go.
pub type Tell<'a> = dyn FnMut(Event) + Send + 'a;

/// An installation that has written nothing yet.
#[derive(Debug)]
pub struct Prepared {
    /// What it would do.
    pub plan: Plan,
    pub(crate) components: Vec<Component>,
    pub(crate) inventory: Inventory,
}

impl Prepared {
    /// True where nothing is to be done, and what is there came to run.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.plan.is_empty() && self.inventory.proven
    }
}

/// What is there at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// A Service's URL, with `NAME` and `NAMESPACE` in place of its own.
    pub url: Option<String>,
    /// Where the gateways are.
    pub address: Option<String>,
    /// Their domain.
    pub domain: Option<String>,
}

/// Compares what is wanted with what is there, and asks whether it may be written.
///
/// # Errors
/// [`InstallError::Forbidden`] before anything else; [`InstallError::Refused`].
pub async fn prepare(
    cluster: &Cluster,
    survey: &Survey,
    knative: Option<&Knative>,
    options: &Options,
) -> Result<Prepared, InstallError> {
    let sluice = product::objects(&options.images)?;
    let components = components(knative.map(|knative| knative.objects.as_slice()), &sluice);
    let all = components.iter().flat_map(|component| &component.objects);
    let all = all.map(|object| &object.reference);
    cluster.may(&["create", "patch"], all).await?;
    survey.another(cluster).await?;

    let mut inventory = survey.inventory.clone().unwrap_or_default();
    let mut plan = Plan::default();
    let compared: Vec<(Line, bool)> = stream::iter(components.iter().flat_map(|component| {
        component
            .objects
            .iter()
            .map(|object| (component.name, object))
    }))
    .map(|(component, object)| async move {
        if object.reference.kind == "Namespace" {
            ending(cluster, &object.reference).await?;
        }
        let (change, is) = cluster.change(object).await?;
        let interrupted = survey.inventory.is_none() && is.as_ref().is_some_and(is_ours_alone);
        let line = Line {
            component,
            object: object.reference.clone(),
            change,
        };
        Ok::<_, InstallError>((line, interrupted))
    })
    .buffered(AT_ONCE)
    .try_collect()
    .await?;
    for (line, interrupted) in compared {
        if line.change == Change::Create || interrupted {
            inventory.make([line.object.clone()]);
        }
        plan.objects.push(line);
    }
    inventory.sluice = product::VERSION.to_owned();
    inventory.apply(Build::of(&sluice));
    if let Some(knative) = knative {
        // Over one of others nothing of it is ours but what was missing.
        if survey.made_knative() || survey.knative.is_none() {
            inventory.knative = Some(knative.version.clone());
            inventory.manifests = Some(knative.hash.clone());
        }
    }
    if options.settings {
        settings(cluster, options, &mut plan).await?;
    }
    Ok(Prepared {
        plan,
        components,
        inventory,
    })
}

/// What is to be written into Knative's ConfigMaps.
async fn settings(
    cluster: &Cluster,
    options: &Options,
    plan: &mut Plan,
) -> Result<(), InstallError> {
    if !options.keep_class {
        let (settings, notes) = class(&cluster.settings(CONFIG_NETWORK).await?);
        plan.settings.extend(settings);
        plan.notes.extend(notes);
    }
    match domain(&cluster.settings(CONFIG_DOMAIN).await?, options.domain.as_deref()) {
        Some(domain) => {
            plan.settings.extend(domain.settings);
            plan.notes.extend(domain.notes);
        }
        None if options.wait => plan.notes.push(format!(
            "{CONFIG_DOMAIN} has no domain for all Services; it gets one of the gateway's address, once it has one"
        )),
        None => plan.notes.push(format!(
            "{CONFIG_DOMAIN} has no domain for all Services; give one by --domain"
        )),
    }
    Ok(())
}

/// True of an object that nobody but an installation has ever written: one that was ended
/// before it could write its inventory.
fn is_ours_alone(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Namespace")
        && object
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array)
            .is_some_and(|managers| {
                managers
                    .iter()
                    .all(|manager| manager["manager"] == FIELD_MANAGER)
            })
}

/// Fails where a namespace is being deleted: whatever is made in it would be refused, or
/// go with it.
async fn ending(cluster: &Cluster, namespace: &Reference) -> Result<(), InstallError> {
    match cluster.get(namespace).await? {
        Some(is) if is.pointer("/metadata/deletionTimestamp").is_some() => {
            Err(InstallError::Terminating {
                name: namespace.name.clone(),
                held: held(namespace, &is),
            })
        }
        _ => Ok(()),
    }
}

/// Does what was prepared.
///
/// # Errors
/// Any of [`InstallError`]; the same again goes on from there.
pub async fn install(
    cluster: &Cluster,
    prepared: Prepared,
    options: &Options,
    tell: &mut Tell<'_>,
) -> Result<Installed, InstallError> {
    let deadline = Deadline::within(options.timeout);
    let Prepared {
        plan,
        components,
        mut inventory,
    } = prepared;
    for note in &plan.notes {
        tell(Event::Note { text: note.clone() });
    }
    for setting in &plan.settings {
        inventory.set(setting.clone());
    }
    // The inventory lists what is about to be made before any of it is; so its own
    // namespace is the one thing that comes first.
    let own_namespace: Vec<Object> = components
        .iter()
        .flat_map(|component| &component.objects)
        .filter(|object| {
            object.reference.kind == "Namespace" && object.reference.name == product::NAMESPACE
        })
        .cloned()
        .collect();
    apply(cluster, own_namespace, deadline).await?;
    store(cluster, &inventory).await?;

    for component in &components {
        let mut step = Step::begin(component.name, tell);
        let changed: Vec<Object> = component
            .objects
            .iter()
            .filter(|object| !plan.leaves(&object.reference))
            .cloned()
            .collect();
        let count = changed.len();
        apply(cluster, changed, deadline).await?;
        for (deployment, replicas) in least(component, &plan) {
            let patched = cluster
                .merge(&deployment, &json!({"spec": {"replicas": replicas}}))
                .await;
            patched.map_err(|error| InstallError::refused(&deployment, &error))?;
        }
        established(cluster, &component.objects, deadline).await?;
        let mut outcome = format!("{count} of {} objects applied", component.objects.len());
        if options.wait && available(cluster, &component.objects, deadline).await? > 0 {
            outcome.push_str(", available");
            if component.name == "knative serving" {
                webhooks(cluster, deadline).await?;
                outcome.push_str(", webhooks answer");
            }
        }
        step.done(outcome);
    }
    if !plan.settings.is_empty() {
        let mut step = Step::begin("settings", tell);
        for setting in &plan.settings {
            write(cluster, setting, deadline).await?;
        }
        step.done(listed(&plan.settings));
    }
    if !options.wait {
        // Whether it comes to run is for whoever does not wait to see.
        prove(cluster, &mut inventory).await?;
        return Ok(Installed {
            url: None,
            address: None,
            domain: None,
        });
    }
    settle(cluster, options, &mut inventory, deadline, tell).await
}

/// Deployments that are made here, with the replicas that their autoscaler will want at
/// least. It says so some seconds later, and until then there would be one of each.
fn least(component: &Component, plan: &Plan) -> Vec<(Reference, u64)> {
    let made = |reference: &Reference| plan.change_of(reference) == Some(&Change::Create);
    let scalers = component
        .objects
        .iter()
        .filter(|object| object.reference.kind == "HorizontalPodAutoscaler");
    let wanted = scalers.filter_map(|scaler| {
        let spec = scaler.body.get("spec")?;
        let target = spec.pointer("/scaleTargetRef/name")?.as_str()?;
        let deployment = component.objects.iter().find(|object| {
            let is = &object.reference;
            is.kind == "Deployment"
                && is.name == target
                && is.namespace == scaler.reference.namespace
        })?;
        Some((
            deployment.reference.clone(),
            spec.get("minReplicas")?.as_u64()?,
        ))
    });
    wanted
        .filter(|(reference, least)| *least > 1 && made(reference))
        .collect()
}

/// What can be done once the gateways run: address, domain, a request.
async fn settle(
    cluster: &Cluster,
    options: &Options,
    inventory: &mut Inventory,
    deadline: Deadline,
    tell: &mut Tell<'_>,
) -> Result<Installed, InstallError> {
    let mut step = Step::begin("address", tell);
    let address = request::address(cluster, options.balancer).await?;
    step.done(if address.balanced {
        format!("{address}, of a load balancer")
    } else {
        format!("{address}, a port of a node, as no load balancer gave one")
    });

    let magic = address.magic_domain();
    let wanted = options.domain.clone().or(magic);
    let domain = domain(&cluster.settings(CONFIG_DOMAIN).await?, wanted.as_deref());
    match &domain {
        Some(domain) if !domain.settings.is_empty() => {
            let mut step = Step::begin("domain", tell);
            for setting in &domain.settings {
                inventory.set(setting.clone());
            }
            store(cluster, inventory).await?;
            for setting in &domain.settings {
                write(cluster, setting, deadline).await?;
            }
            step.done(format!("{} for all Services", domain.name));
        }
        Some(_) => {}
        None => tell(Event::Note {
            text: format!(
                "{CONFIG_DOMAIN}: the gateways have the name {}, of which no domain can be made; give one by --domain",
                address.host
            ),
        }),
    }
    if options.request {
        let mut step = Step::begin("request", tell);
        step.done(request::prove(cluster, &address, deadline).await?);
    }
    prove(cluster, inventory).await?;
    let domain = domain.map(|domain| domain.name);
    Ok(Installed {
        url: domain.as_ref().map(|domain| url(domain, &address)),
        address: Some(address.to_string()),
        domain,
    })
}

/// Notes that what was applied runs: from now on it is a way back.
pub(crate) async fn prove(
    cluster: &Cluster,
    inventory: &mut Inventory,
) -> Result<(), InstallError> {
    if inventory.proven {
        return Ok(());
    }
    inventory.proven = true;
    store(cluster, inventory).await
}

fn url(domain: &str, address: &Address) -> String {
    format!("http://NAME.NAMESPACE.{domain}{}", address.suffix())
}

fn listed(settings: &[Setting]) -> String {
    let words: Vec<String> = settings
        .iter()
        .map(|setting| match &setting.now {
            Some(now) => format!("{} {} = {now}", setting.map, setting.key),
            None => format!("{} {} taken away", setting.map, setting.key),
        })
        .collect();
    words.join(", ")
}

/// Applies objects; those that a webhook or a kind still stands in the way of again and
/// again, as what they wait for may be among the others.
pub(crate) async fn apply(
    cluster: &Cluster,
    mut objects: Vec<Object>,
    deadline: Deadline,
) -> Result<(), InstallError> {
    loop {
        let mut left = Vec::new();
        let mut last = None;
        for object in objects {
            match cluster.apply(&object).await {
                Ok(()) => {}
                Err(error)
                    if is_deaf_webhook(&error) || is_code(&error, 404) || is_code(&error, 409) =>
                {
                    last = Some((object.reference.clone(), error));
                    left.push(object);
                }
                Err(error) => return Err(InstallError::refused(&object.reference, &error)),
            }
        }
        let Some((reference, error)) = last else {
            return Ok(());
        };
        if deadline.is_over() {
            return Err(InstallError::Timeout {
                what: format!("{reference} cannot be applied"),
                after: deadline.elapsed(),
                missing: told(&error),
            });
        }
        objects = left;
        sleep(INTERVAL).await;
    }
}

/// Writes an entry of one of Knative's ConfigMaps, as soon as its webhook lets it.
pub(crate) async fn write(
    cluster: &Cluster,
    setting: &Setting,
    deadline: Deadline,
) -> Result<(), InstallError> {
    let what = format!(
        "ConfigMap knative-serving/{} cannot be changed",
        setting.map
    );
    deadline
        .until(&what, || async {
            match cluster
                .set(&setting.map, &setting.key, setting.now.as_deref())
                .await
            {
                Ok(()) => Ok(None),
                Err(error) => Ok(Some(told(&error))),
            }
        })
        .await
}

/// Writes the inventory.
pub(crate) async fn store(cluster: &Cluster, inventory: &Inventory) -> Result<(), InstallError> {
    let object = Object {
        reference: Inventory::reference(),
        body: inventory.to_object()?,
    };
    let applied = cluster.apply(&object).await;
    applied.map_err(|error| InstallError::refused(&object.reference, &error))
}

/// A component that is worked on.
pub(crate) struct Step<'a, 'b> {
    component: String,
    began: Instant,
    tell: &'a mut Tell<'b>,
}

impl<'a, 'b> Step<'a, 'b> {
    pub(crate) fn begin(component: &str, tell: &'a mut Tell<'b>) -> Self {
        tell(Event::Began {
            component: component.to_owned(),
        });
        Self {
            component: component.to_owned(),
            began: Instant::now(),
            tell,
        }
    }

    pub(crate) fn done(&mut self, outcome: String) {
        (self.tell)(Event::Done {
            component: self.component.clone(),
            outcome,
            seconds: self.began.elapsed().as_secs_f64(),
        });
    }
}

/// Which of these would be made anew: for a plan without a cluster.
///
/// # Errors
/// [`InstallError::Manifest`].
pub fn printed(knative: Option<&Knative>, options: &Options) -> Result<Vec<Object>, InstallError> {
    let sluice = product::objects(&options.images)?;
    let components = components(knative.map(|knative| knative.objects.as_slice()), &sluice);
    let mut objects: Vec<Object> = components
        .into_iter()
        .flat_map(|component| component.objects)
        .collect();
    // The settings are part of Knative's own ConfigMaps here, as nothing is there yet.
    let mut data = Vec::new();
    if !options.keep_class {
        data.extend(class(&Default::default()).0);
    }
    if let Some(domain) = domain(&Default::default(), options.domain.as_deref()) {
        data.extend(domain.settings);
    }
    for setting in data {
        let map = objects
            .iter_mut()
            .find(|object| is_map(&object.reference, &setting.map));
        if let (Some(object), Some(now)) = (map, setting.now)
            && let Some(fields) = object.body.as_object_mut()
        {
            let data = fields
                .entry("data")
                .or_insert_with(|| Value::Object(Default::default()));
            if let Some(data) = data.as_object_mut() {
                data.insert(setting.key, Value::String(now));
            }
        }
    }
    Ok(objects)
}

fn is_map(reference: &Reference, name: &str) -> bool {
    reference.kind == "ConfigMap" && reference.name == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::read;

    #[test]
    fn what_is_made_begins_with_as_many_as_its_autoscaler_wants() {
        let manifest = |kind: &str, rest: &str| {
            format!("{{apiVersion: a/v1, kind: {kind}, metadata: {{name: g, namespace: n}}{rest}}}")
        };
        let scaler = ", spec: {minReplicas: 2, scaleTargetRef: {kind: Deployment, name: g}}";
        let text = format!(
            "{}\n---\n{}",
            manifest("Deployment", ""),
            manifest("HorizontalPodAutoscaler", scaler)
        );
        let objects = read(&text, "g.yaml").unwrap();
        let deployment = objects[0].reference.clone();
        let component = Component {
            name: "sluice",
            objects,
        };
        let plan = |change| Plan {
            objects: vec![Line {
                component: "sluice",
                object: deployment.clone(),
                change,
            }],
            ..Plan::default()
        };
        let made = least(&component, &plan(Change::Create));
        assert_eq!(made, [(deployment.clone(), 2)]);
        // One that is there is the autoscaler's alone.
        assert!(least(&component, &plan(Change::None)).is_empty());
    }
}

//! What is in the way, in the order of the chain: what comes first is what the rest
//! follows from.

use super::{CLASS, CLASS_KEY, Cause, Gathered, SubjectKind};
use crate::object::{Condition, Object};
use crate::page::{Awaited, GatewayState, Plan};

pub(super) fn causes(gathered: &Gathered) -> Vec<Cause> {
    let mut causes = Vec::new();
    let subject = &gathered.subject;
    let own = match subject.kind {
        SubjectKind::Ksvc => gathered.ksvc.as_ref(),
        SubjectKind::Ingress => gathered.ingress.as_ref(),
    };
    if let Some(why) = own.and_then(Object::going) {
        // What is left of it is no fault of anything else.
        let namespace = &subject.namespace;
        let of_it = match (
            subject.kind,
            own.and_then(|one| one.label("serving.knative.dev/service")),
        ) {
            (SubjectKind::Ksvc, _) => format!(" -l serving.knative.dev/service={}", subject.name),
            (SubjectKind::Ingress, Some(ksvc)) => format!(" -l serving.knative.dev/service={ksvc}"),
            (SubjectKind::Ingress, None) => String::new(),
        };
        causes.push(Cause {
            about: subject.to_string(),
            why,
            fix: format!("kubectl -n {namespace} get configuration,revision,rt,king,pods{of_it}; what is still there holds it"),
        });
        return causes;
    }
    if subject.kind == SubjectKind::Ksvc {
        let Some(ksvc) = &gathered.ksvc else {
            causes.push(not_there(gathered, "ksvc"));
            return causes;
        };
        of_revisions(gathered, ksvc, &mut causes);
    }
    if let Some(route) = &gathered.route {
        of_route(gathered, route, &mut causes);
    }
    match &gathered.ingress {
        Some(ingress) => of_ingress(gathered, ingress, &mut causes),
        None if subject.kind == SubjectKind::Ingress => {
            causes.push(not_there(gathered, "king"));
        }
        // Without a Revision there is nothing to route to, and no Ingress.
        None if causes.is_empty() => causes.push(Cause {
            about: subject.to_string(),
            why: "Knative has written no Ingress for it".to_owned(),
            fix: "kubectl -n knative-serving logs deployment/controller --tail=50".to_owned(),
        }),
        None => {}
    }
    let own = gathered.ksvc.as_ref().or(gathered.route.as_ref());
    if let Some(own) = own.filter(|own| causes.is_empty() && !own.is_ready()) {
        let kind = if gathered.ksvc.is_some() {
            "ksvc"
        } else {
            "rt"
        };
        causes.push(Cause {
            about: format!("{kind} {}", own.key()),
            why: own.told(),
            fix: format!(
                "kubectl -n {} describe {kind} {}",
                own.namespace(),
                own.name()
            ),
        });
    }
    causes
}

fn not_there(gathered: &Gathered, kind: &str) -> Cause {
    let subject = &gathered.subject;
    Cause {
        about: subject.to_string(),
        why: format!(
            "not there: namespace {} has none of this name",
            subject.namespace
        ),
        fix: format!("kubectl get {kind} --all-namespaces; name another namespace by --namespace"),
    }
}

fn of_revisions(gathered: &Gathered, ksvc: &Object, causes: &mut Vec<Cause>) {
    if !ksvc.is_observed() {
        causes.push(Cause {
            about: gathered.subject.to_string(),
            why: "Knative's controller has not taken up its newest generation".to_owned(),
            fix: "kubectl -n knative-serving get pods -l app=controller".to_owned(),
        });
        return;
    }
    let Some(configuration) = &gathered.configuration else {
        return;
    };
    if configuration.is_ready() {
        return;
    }
    let newest = configuration.text("/status/latestCreatedRevisionName");
    let revision = gathered.revisions.iter().find(|one| one.name() == newest);
    let Some(revision) = revision.filter(|revision| !revision.is_ready()) else {
        causes.push(Cause {
            about: format!("configuration {}", configuration.key()),
            why: configuration.told(),
            fix: "kubectl -n knative-serving logs deployment/controller --tail=50".to_owned(),
        });
        return;
    };
    let older = configuration.text("/status/latestReadyRevisionName");
    let meanwhile = if older.is_empty() || older == newest {
        String::new()
    } else {
        format!("; {older} serves meanwhile")
    };
    causes.push(Cause {
        about: format!("revision {}", revision.key()),
        why: format!("{}{meanwhile}", revision.told()),
        fix: start(revision),
    });
}

/// What to do about a revision that does not start.
fn start(revision: &Object) -> String {
    let (namespace, name) = (revision.namespace(), revision.name());
    let pods = format!("-l serving.knative.dev/revision={name}");
    let ready = revision.condition("Ready");
    let (reason, message) = ready
        .map(|one| (one.reason, one.message))
        .unwrap_or_default();
    let of_image = ["ContainerMissing", "ErrImagePull", "ImagePullBackOff"];
    if of_image.contains(&reason) || message.contains("fetch image") {
        return "correct spec.template.spec.containers[].image of the ksvc, or name a pull secret of its registry in spec.template.spec.imagePullSecrets".to_owned();
    }
    if reason.starts_with("ExitCode")
        || reason == "ContainerUnhealthy"
        || reason == "CrashLoopBackOff"
    {
        return format!("kubectl -n {namespace} logs {pods} -c user-container --tail=50");
    }
    format!("kubectl -n {namespace} describe pods {pods}")
}

fn of_route(gathered: &Gathered, route: &Object, causes: &mut Vec<Cause>) {
    let about = format!("route {}", route.key());
    if !route.is_observed() {
        if causes.is_empty() {
            causes.push(Cause {
                about,
                why: "Knative's controller has not taken up its newest generation".to_owned(),
                fix: "kubectl -n knative-serving get pods -l app=controller".to_owned(),
            });
        }
        return;
    }
    let assigned = route.condition("AllTrafficAssigned");
    if let Some(assigned) = assigned.filter(|one| one.status != "True") {
        // Traffic for a Revision that does not start is told of already.
        if causes.is_empty() {
            let kind = if gathered.ksvc.is_some() {
                "ksvc"
            } else {
                "route.serving.knative.dev"
            };
            causes.push(Cause {
                about: format!("{about} spec.traffic"),
                why: assigned.told(),
                fix: format!(
                    "kubectl -n {} edit {kind} {}",
                    route.namespace(),
                    route.name()
                ),
            });
        }
    }
    let provisioned = route.condition("CertificateProvisioned");
    // Before there is traffic nobody has looked at certificates, and says nothing of them.
    let is_cause = |one: &Condition<'_>| {
        one.status == "False"
            || (one.status != "True" && (causes.is_empty() || !one.reason.is_empty()))
    };
    if let Some(provisioned) = provisioned.filter(is_cause) {
        causes.push(Cause {
            about: format!("{about} CertificateProvisioned"),
            why: provisioned.told(),
            fix: format!(
                "kubectl -n {} describe kcert,certificate",
                route.namespace()
            ),
        });
    }
}

fn of_ingress(gathered: &Gathered, ingress: &Object, causes: &mut Vec<Cause>) {
    let about = format!("ingress {}", ingress.key());
    let class = ingress.annotation(CLASS_KEY).unwrap_or_default();
    if class != CLASS {
        let whose = if class.is_empty() {
            "has no class".to_owned()
        } else {
            format!("is of class {class}")
        };
        let fix = match gathered.ksvc.as_ref().or(gathered.route.as_ref()) {
            Some(owner) => format!(
                "kubectl -n {} annotate {} {} {CLASS_KEY}={CLASS} --overwrite",
                owner.namespace(),
                if gathered.ksvc.is_some() {
                    "ksvc"
                } else {
                    "route.serving.knative.dev"
                },
                owner.name()
            ),
            None => format!("set its annotation {CLASS_KEY} to {CLASS}"),
        };
        causes.push(Cause {
            about: format!("{about} metadata.annotations[{CLASS_KEY}]"),
            why: format!("it {whose}, and Sluice serves {CLASS} alone"),
            fix,
        });
        return;
    }
    let Some(plan) = &gathered.plan else {
        without_a_plan(gathered, ingress, causes);
        return;
    };
    for rejection in &plan.ingress.rejections {
        causes.push(Cause {
            about: format!("{about} {}", rejection.field),
            why: format!(
                "{}: found {}, expected {}",
                rejection.reason, rejection.found, rejection.expected
            ),
            fix: rejection.fix.clone(),
        });
    }
    if let Some(waits_for) = &plan.ingress.waits_for {
        causes.push(waiting(gathered, &about, waits_for));
    }
    nobody_behind(gathered, plan, causes);
    let generation = ingress.number("/metadata/generation");
    if causes.is_empty() && generation != Some(plan.ingress.generation) {
        causes.push(waiting(gathered, &about, &Awaited::Translation));
    } else if causes.is_empty() && !ingress.is_ready() {
        causes.push(Cause {
            about,
            why: format!(
                "the operator serves it, and its status says: {}",
                ingress.told()
            ),
            fix: format!(
                "kubectl -n {} logs deployment/sluice-operator --tail=50",
                gathered.system
            ),
        });
    }
}

/// The operator told nothing of this Ingress.
fn without_a_plan(gathered: &Gathered, ingress: &Object, causes: &mut Vec<Cause>) {
    let about = format!("ingress {}", ingress.key());
    let system = &gathered.system;
    if let Some(unanswered) = &gathered.unanswered {
        if !ingress.is_ready() {
            causes.push(Cause {
                about,
                why: ingress.told(),
                fix: format!(
                    "kubectl -n {} describe king {}",
                    ingress.namespace(),
                    ingress.name()
                ),
            });
        }
        causes.push(Cause {
            about: "operator".to_owned(),
            why: unanswered.clone(),
            fix: format!("kubectl -n {system} get pods"),
        });
        return;
    }
    causes.push(Cause {
        about,
        why: "the operator does not know it yet".to_owned(),
        fix: format!("kubectl -n {system} logs deployment/sluice-operator --tail=50"),
    });
}

fn waiting(gathered: &Gathered, about: &str, waits_for: &Awaited) -> Cause {
    let system = &gathered.system;
    let fix = match waits_for {
        Awaited::Translation | Awaited::Unknown => {
            format!("kubectl -n {system} logs deployment/sluice-operator --tail=50")
        }
        Awaited::Gateway => format!("kubectl -n {system} get pods -l app=sluice-gateway"),
        Awaited::Revision { gateways, .. } => of_gateways(gathered, gateways),
        Awaited::Probe { .. } => {
            format!("kubectl -n {system} logs -l app=sluice-gateway -c envoy --tail=50")
        }
    };
    Cause {
        about: about.to_owned(),
        why: waits_for.told(),
        fix,
    }
}

/// What to do about gateways that do not follow: by what each is.
fn of_gateways(gathered: &Gathered, waited_for: &[String]) -> String {
    let gateways = gathered.gateways.iter().flat_map(|page| &page.gateways);
    let states: Vec<GatewayState> = gateways
        .filter(|gateway| waited_for.contains(&gateway.name))
        .map(|gateway| gateway.state)
        .collect();
    if states.contains(&GatewayState::Nack) {
        return "sluice status: it says what was refused, and in whose words".to_owned();
    }
    let pod = waited_for.first().and_then(|name| name.split_once('/'));
    let (namespace, name) = pod.unwrap_or((&gathered.system, "-l app=sluice-gateway"));
    format!("kubectl -n {namespace} logs {name} -c companion --tail=50")
}

/// Services of the plan that nobody answers for: a 503, though all else is well.
fn nobody_behind(gathered: &Gathered, plan: &Plan, causes: &mut Vec<Cause>) {
    for (name, cluster) in &plan.clusters {
        if cluster.dns.is_some() || !cluster.addresses.is_empty() {
            continue;
        }
        let mut parts = name.split('/');
        let (namespace, service) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let has_pods = gathered.slices.iter().any(|slice| {
            slice.label("kubernetes.io/service-name") == Some(service)
                && slice
                    .list("/endpoints")
                    .iter()
                    .any(|one| one["conditions"]["ready"] != false)
        });
        let (why, fix) = if has_pods {
            (
                "it has ready endpoints, and gateways have none of its port",
                format!(
                    "kubectl -n {namespace} get service {service} -o yaml; compare its ports with its EndpointSlices"
                ),
            )
        } else {
            (
                "nobody is behind it: neither a pod nor an activator is ready (503 NoEndpoints)",
                format!(
                    "kubectl -n {namespace} get pods,sks; kubectl -n knative-serving get pods -l app=activator"
                ),
            )
        };
        causes.push(Cause {
            about: format!("service {name}"),
            why: why.to_owned(),
            fix,
        });
    }
}

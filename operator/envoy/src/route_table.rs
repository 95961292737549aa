//! RouteConfigurations: all that one Ingress serves on one side.

use std::collections::BTreeSet;

use prost::Message;
use sluice_ir::{Headers, Host, ObjectKey, Plan, RefusedPlan, Side, VirtualHost};

use crate::shape::Shape;
use crate::{Content, Edge, Kind, Resource, answer, name, pb, route};

/// The table of a plan on one side; `None` where it has no hosts there.
pub(crate) fn table(plan: &Plan, side: Side, edge: &Edge) -> Option<Resource> {
    let mut shape = Shape::new(Kind::RouteTable);
    // A host twice in one table would make Envoy refuse all of it.
    let mut seen = BTreeSet::new();
    let mut virtual_hosts = Vec::new();
    for virtual_host in plan.sides.get(&side).into_iter().flatten() {
        let hosts: BTreeSet<&Host> = virtual_host
            .hosts
            .iter()
            .filter(|host| seen.insert(*host))
            .collect();
        for host in &hosts {
            shape.add_text("host", host.as_str());
        }
        if hosts.is_empty() {
            continue;
        }
        if virtual_host.redirect {
            shape.add("redirect");
            // One by one, for the answer names the host.
            virtual_hosts.extend(
                hosts
                    .into_iter()
                    .map(|host| redirecting(virtual_host, host, plan, edge, &mut shape)),
            );
        } else {
            virtual_hosts.push(pb::VirtualHost {
                name: format!("rule-{}", virtual_host.rule),
                domains: hosts.into_iter().map(ToString::to_string).collect(),
                routes: routes(virtual_host, None, plan, edge, &mut shape),
                retry_policy: Some(route::retry_policy()),
                ..pb::VirtualHost::default()
            });
        }
    }
    if virtual_hosts.is_empty() {
        return None;
    }
    let hosts: BTreeSet<Host> = seen.into_iter().cloned().collect();
    let reason = format!(
        "ingress {}: this gateway refused its configuration",
        plan.ingress
    );
    Some(Resource {
        kind: Kind::RouteTable,
        name: name::table(side, &plan.ingress),
        content: Some(encode(&plan.ingress, side, virtual_hosts)),
        standby: Some(standby(&plan.ingress, side, &hosts, &reason)),
        table: None,
        key: None,
        shape: shape.finish(),
    })
}

/// The table of a refused plan: whatever a gateway holds stays; one that holds
/// nothing answers 503 and says why. `None` where it has no hosts on the side.
pub(crate) fn held(refused: &RefusedPlan, side: Side) -> Option<Resource> {
    let hosts = refused.hosts.get(&side)?;
    if hosts.is_empty() {
        return None;
    }
    let reason = format!("ingress {}: {}", refused.ingress, refused.reason);
    Some(Resource {
        kind: Kind::RouteTable,
        name: name::table(side, &refused.ingress),
        content: None,
        standby: Some(standby(&refused.ingress, side, hosts, &reason)),
        table: None,
        key: None,
        shape: 0,
    })
}

/// The table of the readiness listener: it is sent after all else, so that an
/// answer means that all else is held.
pub(crate) fn readiness() -> Resource {
    let message = pb::RouteConfiguration {
        name: name::READINESS_TABLE.to_owned(),
        virtual_hosts: vec![pb::VirtualHost {
            name: "readiness".to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![pb::Route {
                r#match: Some(route::get("/ready")),
                action: Some(pb::Action::DirectResponse(pb::DirectResponseAction {
                    status: 200,
                    body: pb::inline("ready\n"),
                    ..pb::DirectResponseAction::default()
                })),
                ..pb::Route::default()
            }],
            ..pb::VirtualHost::default()
        }],
        ..pb::RouteConfiguration::default()
    };
    let mut shape = Shape::new(Kind::RouteTable);
    shape.add("readiness");
    Resource {
        kind: Kind::RouteTable,
        name: name::READINESS_TABLE.to_owned(),
        content: Some(Content::new(message.encode_to_vec())),
        standby: None,
        table: None,
        key: None,
        shape: shape.finish(),
    }
}

fn redirecting(
    virtual_host: &VirtualHost,
    host: &Host,
    plan: &Plan,
    edge: &Edge,
    shape: &mut Shape,
) -> pb::VirtualHost {
    pb::VirtualHost {
        name: format!("rule-{}/{host}", virtual_host.rule),
        domains: vec![host.to_string()],
        routes: routes(virtual_host, Some(host), plan, edge, shape),
        retry_policy: Some(route::retry_policy()),
        ..pb::VirtualHost::default()
    }
}

/// The routes of a virtual host in matching order. With `redirect`, plain HTTP
/// meets only routes that keep HTTP; which of them, the order of all decides:
/// a route that comes before one that keeps HTTP redirects what it matches.
fn routes(
    virtual_host: &VirtualHost,
    redirect: Option<&Host>,
    plan: &Plan,
    edge: &Edge,
    shape: &mut Shape,
) -> Vec<pb::Route> {
    let all = &virtual_host.routes;
    let mut routes = Vec::with_capacity(2 * all.len() + 4);
    if let Some(key) = &edge.probe_key {
        routes.push(route::own_probe(key, &plan.hash));
    }
    let keeping = match redirect {
        None => 0,
        Some(_) => all
            .iter()
            .rposition(|route| route.keeps_http)
            .map_or(0, |last| last + 1),
    };
    for (at, own) in all.iter().enumerate() {
        if let Some(host) = redirect {
            if at == keeping {
                redirect_all(host, plan, edge, &mut routes);
            } else if at < keeping && !own.keeps_http {
                routes.push(route::redirect(
                    &own.prefix,
                    &own.headers,
                    host.as_str(),
                    edge.https_port,
                ));
            }
        }
        if redirect.is_some() && own.keeps_http {
            shape.add("keeps-http");
        }
        routes.extend(route::routes(own, &plan.hash, shape));
    }
    if let Some(host) = redirect
        && keeping == all.len()
    {
        redirect_all(host, plan, edge, &mut routes);
    }
    let has_catch_all = all
        .iter()
        .any(|route| route.prefix == "/" && route.headers.is_empty());
    if !has_catch_all {
        routes.push(route::probe(&plan.hash));
        routes.push(answer::no_such_path(route::matcher("/", &Headers::new())));
        shape.add("respond-404");
    }
    routes
}

/// Sends all plain HTTP to HTTPS but probes, which the gateway answers: a
/// redirect would not tell which generation made it.
fn redirect_all(host: &Host, plan: &Plan, edge: &Edge, routes: &mut Vec<pb::Route>) {
    routes.push(route::only_plain_http(route::probe(&plan.hash)));
    routes.push(route::redirect(
        "/",
        &Headers::new(),
        host.as_str(),
        edge.https_port,
    ));
}

fn standby(ingress: &ObjectKey, side: Side, hosts: &BTreeSet<Host>, reason: &str) -> Content {
    let virtual_host = pb::VirtualHost {
        name: "standby".to_owned(),
        domains: hosts.iter().map(ToString::to_string).collect(),
        routes: vec![pb::Route {
            name: "standby".to_owned(),
            ..answer::respond(route::matcher("/", &Headers::new()), 503, reason)
        }],
        ..pb::VirtualHost::default()
    };
    Content::standby(encode(ingress, side, vec![virtual_host]).body)
}

fn encode(ingress: &ObjectKey, side: Side, virtual_hosts: Vec<pb::VirtualHost>) -> Content {
    let message = pb::RouteConfiguration {
        name: name::table(side, ingress),
        virtual_hosts,
        // Not `strip_any_host_port`: the application sees the Host as it was sent.
        ignore_port_in_host_matching: true,
        ..pb::RouteConfiguration::default()
    };
    Content::new(message.encode_to_vec())
}

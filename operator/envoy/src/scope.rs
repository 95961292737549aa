//! Scopes: which table answers for which host.

use prost::Message;
use sluice_ir::{Host, ObjectKey, Side};

use crate::shape::Shape;
use crate::{Content, Kind, Resource, name, pb};

/// The scope that leads a host to the table of an Ingress.
pub(crate) fn scope(side: Side, ingress: &ObjectKey, host: &Host) -> Resource {
    build(
        side,
        name::scope(side, host),
        &name::table(side, ingress),
        host.as_str(),
    )
}

/// The scope that keeps a table subscribed and warm on a gateway before a host
/// moves to it: Envoy asks for a table only when a scope names it, and a live
/// scope moved to a table not yet held is a window of 404s. Its key is none that
/// a client can send (`/` stands in no authority). `None` for a table that
/// belongs to no Ingress.
#[must_use]
pub fn anchor(table: &str) -> Option<Resource> {
    name::owner(Kind::RouteTable, table)?;
    let side = Side::ALL
        .into_iter()
        .find(|side| table.split('/').next() == Some(side.prefix()))?;
    Some(build(
        side,
        name::anchor_scope(table),
        table,
        &format!("!{table}"),
    ))
}

fn build(side: Side, name: String, table: &str, key: &str) -> Resource {
    let fragment = pb::Fragment {
        r#type: Some(pb::fragment::Type::StringKey(key.to_owned())),
    };
    // Scopes are global to an Envoy: the number of fragments is what keeps the
    // internal ones from ever matching on an external listener.
    let fragments = vec![fragment; arity(side)];
    let message = pb::ScopedRouteConfiguration {
        name: name.clone(),
        route_configuration_name: table.to_owned(),
        key: Some(pb::ScopeKey { fragments }),
        ..pb::ScopedRouteConfiguration::default()
    };
    let mut shape = Shape::new(Kind::Scope);
    shape.add(side.prefix());
    Resource {
        kind: Kind::Scope,
        key: name::scope_key(&name),
        name,
        content: Some(Content::leading_to(table, message.encode_to_vec())),
        standby: None,
        table: Some(table.to_owned()),
        shape: shape.finish(),
    }
}

/// How many fragments, all of them the host, the key of a scope has.
pub(crate) fn arity(side: Side) -> usize {
    match side {
        Side::External => 1,
        Side::Internal => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_never_share_a_key() {
        let ingress = ObjectKey::new("default", "hello");
        let host = "hello.example.com".parse().unwrap();
        let [external, internal] = Side::ALL.map(|side| {
            let body = scope(side, &ingress, &host).content.unwrap().body;
            let key = pb::ScopedRouteConfiguration::decode(body).unwrap().key;
            key.unwrap().fragments
        });
        assert_eq!((external.len(), internal.len()), (1, 2));
        assert_eq!(internal, [external[0].clone(), external[0].clone()]);
    }

    #[test]
    fn an_anchor_holds_its_table_and_no_host() {
        for side in Side::ALL {
            let table = name::table(side, &ObjectKey::new("default", "hello"));
            let made = anchor(&table).unwrap();
            assert_eq!(made.table.as_deref(), Some(table.as_str()));
            assert_eq!(made.key, name::scope_key(&made.name));
            let body = made.content.unwrap().body;
            let message = pb::ScopedRouteConfiguration::decode(body).unwrap();
            assert_eq!(message.route_configuration_name, table);
            let fragments = message.key.unwrap().fragments;
            assert_eq!(fragments.len(), arity(side));
            for fragment in fragments {
                let Some(pb::fragment::Type::StringKey(key)) = fragment.r#type else {
                    panic!("no key in an anchor");
                };
                assert!(key.parse::<Host>().is_err(), "{key} is a host");
            }
        }
        assert!(anchor(name::READINESS_TABLE).is_none());
    }
}

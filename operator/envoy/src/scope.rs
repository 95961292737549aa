//! Scopes: which table answers for which host.

use crate::{Content, Kind, Resource, name};

/// The scope that keeps a table subscribed and warm on a gateway before a host
/// moves to it. `None` for a table that no plan has (readiness).
#[must_use]
pub fn anchor(table: &str) -> Option<Resource> {
    let name = name::anchor_scope(table);
    name::owner(Kind::RouteTable, table)?;
    Some(Resource {
        kind: Kind::Scope,
        key: name::scope_key(&name),
        name,
        content: Some(Content::new(Vec::new())),
        standby: None,
        table: Some(table.to_owned()),
        shape: 0,
    })
}

//! What crosses between the controller and the gateways' streams: changes of
//! plans one way, acknowledgements and refusals the other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_controller::{FleetView, GatewayRefusal, GatewayView, Gateways, Settings, Tracing};
use sluice_envoy::{Assembly, Edge, ProbeKey, Update, name};
use sluice_identity::GatewayName;
use sluice_ir::{Certificate, Host, ObjectKey};
use sluice_translate::Changes;
use sluice_xds::{Publisher, Quarantined};
use tokio::sync::watch;

/// All gateways, as the controller has them.
pub(super) struct Fleet {
    publisher: Publisher,
    building: Mutex<Building>,
    view: watch::Sender<FleetView>,
    tracing: watch::Sender<Tracing>,
}

struct Building {
    assembly: Assembly,
    edge: Edge,
    /// Whether the first publication was made, which must be the whole world.
    opened: bool,
}

impl Fleet {
    pub(super) fn new(publisher: Publisher, probe_key: &str) -> Self {
        let edge = Edge {
            probe_key: Some(ProbeKey::new(probe_key)),
            ..Edge::default()
        };
        Self {
            publisher,
            building: Mutex::new(Building {
                assembly: Assembly::new(&edge),
                edge,
                opened: false,
            }),
            view: watch::Sender::new(FleetView::default()),
            tracing: watch::Sender::new(Tracing::default()),
        }
    }

    /// Where spans are to go.
    pub(super) fn tracing(&self) -> watch::Receiver<Tracing> {
        self.tracing.subscribe()
    }

    /// Says what the streams say, for as long as the process lives.
    pub(super) async fn follow(self: Arc<Self>) {
        let mut streams = self.publisher.watch();
        loop {
            let seen = view(&streams.borrow_and_update());
            self.view.send_if_modified(|view| {
                let differs = *view != seen;
                *view = seen;
                differs
            });
            if streams.changed().await.is_err() {
                return;
            }
        }
    }

    fn building(&self) -> MutexGuard<'_, Building> {
        // An assembly that a panic left is rebuilt by no one: better to serve on.
        self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateways for Fleet {
    fn publish(&self, changes: Changes) -> u64 {
        let mut building = self.building();
        let update = if building.opened {
            building.assembly.apply(&changes.plans, &changes.endpoints)
        } else {
            building.opened = true;
            let mut whole = building.assembly.initial();
            let Update {
                upserts,
                removals,
                held,
            } = building.assembly.apply(&changes.plans, &changes.endpoints);
            whole.upserts.extend(upserts);
            whole.removals.extend(removals);
            whole.held.extend(held);
            whole
        };
        // Under the lock: updates reach the publisher in the order they were built.
        self.publisher.publish(update).0
    }

    fn fleet(&self) -> watch::Receiver<FleetView> {
        self.view.subscribe()
    }

    fn configure(&self, settings: &Settings) {
        self.tracing.send_if_modified(|tracing| {
            let differs = *tracing != settings.tracing;
            tracing.clone_from(&settings.tracing);
            differs
        });
        let mut building = self.building();
        let edge = Edge {
            trusted_hops: settings.trusted_hops,
            access_log: settings.access_log,
            server_header: settings.server_header,
            client_streams: settings.client_streams,
            https_port: settings.https_port,
            ..building.edge.clone()
        };
        building.edge.clone_from(&edge);
        let update = building.assembly.configure(&edge);
        if building.opened {
            self.publisher.publish(update);
        }
    }

    fn trust(&self, roots: &str) {
        let mut building = self.building();
        let update = building.assembly.set_trust(roots);
        if building.opened {
            self.publisher.publish(update);
        }
    }

    fn certificates(&self, own: BTreeMap<Host, Certificate>) {
        let mut building = self.building();
        let update = building.assembly.set_certificates(own);
        if building.opened {
            self.publisher.publish(update);
        }
    }
}

/// The node id of a gateway that has proven its name.
pub(super) fn node_id(gateway: &GatewayName) -> String {
    format!("{}/{}", gateway.namespace, gateway.pod)
}

fn view(fleet: &sluice_xds::Fleet) -> FleetView {
    // By stream, the newest last: one that broke and was not noticed yet counts
    // for nothing beside the one that took its place.
    let gateways: BTreeMap<String, GatewayView> = fleet
        .nodes
        .values()
        .filter(|node| !node.id.is_empty())
        .map(|node| {
            let view = GatewayView {
                acked: node.acked.map(|revision| revision.0),
                serving: node.serving,
            };
            (node.id.clone(), view)
        })
        .collect();
    FleetView {
        gateways,
        refused: fleet.quarantined.iter().map(refusal).collect(),
    }
}

fn refusal(refused: &Quarantined) -> GatewayRefusal {
    GatewayRefusal {
        ingress: owner(refused),
        kind: refused.kind.to_string(),
        name: refused.name.clone(),
        detail: refused.detail.clone(),
        gateway: refused.node.clone(),
    }
}

/// Whose a refused resource is; a scope's version says which table it leads to.
pub(super) fn owner(refused: &Quarantined) -> Option<ObjectKey> {
    let by_name = name::owner(refused.kind, &refused.name);
    let by_table = || {
        let table = sluice_envoy::Content::table_of(&refused.version)?;
        name::owner(sluice_envoy::Kind::RouteTable, table)
    };
    by_name
        .or_else(by_table)
        .filter(|owner| !owner.name.is_empty())
}

#[cfg(test)]
mod tests {
    use sluice_envoy::Kind;
    use sluice_xds::{Node, Revision, StreamId};

    use super::*;

    fn node(id: &str, acked: Option<u64>) -> Node {
        Node {
            id: id.into(),
            acked: acked.map(Revision),
            ..Node::default()
        }
    }

    #[test]
    fn the_newest_stream_of_a_gateway_speaks_for_it() {
        let mut fleet = sluice_xds::Fleet::default();
        fleet
            .nodes
            .insert(StreamId(1), node("sluice-system/a", Some(7)));
        fleet
            .nodes
            .insert(StreamId(2), node("sluice-system/a", None));
        fleet.nodes.insert(StreamId(3), node("", Some(9)));
        let view = view(&fleet);
        assert_eq!(view.gateways.len(), 1);
        assert_eq!(view.gateways["sluice-system/a"].acked, None);
    }

    #[test]
    fn a_refusal_names_its_ingress_where_it_has_one() {
        let refused = |kind, name: &str, version: &str| Quarantined {
            kind,
            name: name.into(),
            version: version.into(),
            node: "sluice-system/a".into(),
            detail: String::new(),
        };
        let shop = Some(ObjectKey::new("default", "shop"));
        let table = refused(Kind::RouteTable, "ext/default/shop", "1");
        assert_eq!(owner(&table), shop);
        let content = sluice_envoy::Content::leading_to("int/default/shop", Vec::new());
        let scope = refused(Kind::Scope, "int/shop.default", &content.version);
        assert_eq!(owner(&scope), shop);
        assert_eq!(owner(&refused(Kind::Cluster, "default/shop/80", "1")), None);
    }

    #[test]
    fn the_first_publication_is_whole_and_settings_reach_listeners() {
        let publisher = Publisher::default();
        let fleet = Fleet::new(publisher.clone(), "key");
        fleet.configure(&Settings::default());
        assert_eq!(
            publisher.revision(),
            Revision(0),
            "nothing before the world"
        );
        let first = fleet.publish(Changes::default());
        assert_eq!(first, 1);
        assert_eq!(
            fleet.publish(Changes::default()),
            1,
            "no change, no revision"
        );
        fleet.configure(&Settings::default());
        assert_eq!(publisher.revision(), Revision(1));
        fleet.configure(&Settings {
            access_log: true,
            ..Settings::default()
        });
        assert_eq!(publisher.revision(), Revision(2));
        let mut tracing = fleet.tracing();
        fleet.configure(&Settings {
            access_log: true,
            tracing: Tracing {
                sampling_rate: 0.5,
                ..Tracing::default()
            },
            ..Settings::default()
        });
        assert_eq!(publisher.revision(), Revision(2), "no gateway's business");
        assert_eq!(tracing.borrow_and_update().sampling_rate, 0.5);
    }
}

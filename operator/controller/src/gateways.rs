//! What the controller asks of whoever speaks with the gateways: plain data, so
//! that neither room knows the other.

use std::collections::BTreeMap;

use sluice_ir::{Certificate, Host, ObjectKey};
use sluice_translate::Changes;
use tokio::sync::watch;

use crate::config::Settings;

/// The fleet of gateways, as the controller sees it. What carries the plans to
/// them is no business of this room.
pub trait Gateways: Send + Sync + 'static {
    /// Has all gateways serve these changes and gives the revision that holds
    /// them, at least 1: 0 stands for a gateway that applied nothing. Called once
    /// with the whole world, then with what differs. Must not wait for a gateway.
    fn publish(&self, changes: Changes) -> u64;

    /// What the gateways hold, and what they refused.
    fn fleet(&self) -> watch::Receiver<FleetView>;

    /// What an operator chose in ConfigMaps. Called
    /// before the first [`Gateways::publish`], and again whenever it differs.
    fn configure(&self, settings: &Settings) {
        let _ = settings;
    }

    /// The roots that backends are trusted by, PEM. Called before the first
    /// [`Gateways::publish`] with a cluster that speaks TLS, and again whenever they
    /// differ.
    fn trust(&self, roots: &str) {
        let _ = roots;
    }

    /// Certificates that gateways show for names which no Ingress has one for.
    fn certificates(&self, own: BTreeMap<Host, Certificate>) {
        let _ = own;
    }
}

/// What the gateways hold, and what of the world as published they refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetView {
    /// Connected gateways by node id, `<namespace>/<pod>`.
    pub gateways: BTreeMap<String, GatewayView>,
    /// What is not sent any more since a gateway refused it.
    pub refused: Vec<GatewayRefusal>,
}

/// One connected gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayView {
    /// The newest revision that it applied whole; `None` before the first.
    pub acked: Option<u64>,
    /// Whether it may be getting requests.
    pub serving: bool,
}

/// Something that a gateway refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayRefusal {
    /// The Ingress that it was built for; `None` for what several share.
    pub ingress: Option<ObjectKey>,
    /// The kind of resource, such as `route configuration`.
    pub kind: String,
    /// The name of the resource.
    pub name: String,
    /// What the gateway said.
    pub detail: String,
    /// The gateway that refused it first.
    pub gateway: String,
}

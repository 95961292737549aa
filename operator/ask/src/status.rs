//! `sluice status`: gateways and Ingresses, and how far each is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::operator::Build;
use crate::page::{Gateway, GatewayState, Gateways, Ingress, Ingresses, Operator, Refusals, Type};
use crate::table::{columns, plain, row};

/// In the order of configuration: what is routed to comes before what routes.
const TYPES: [&str; 6] = ["CDS", "EDS", "SDS", "LDS", "SRDS", "RDS"];

/// All that is asked for, at about the same moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The replica that was asked.
    pub operator: Operator,
    /// What gateways hold.
    #[serde(flatten)]
    pub gateways: Gateways,
    /// What gateways refused.
    #[serde(flatten)]
    pub refusals: Refusals,
    /// How far Ingresses are.
    #[serde(flatten)]
    pub ingresses: Ingresses,
    /// What runs in each gateway's pod, by the pod's name.
    #[serde(default)]
    pub builds: BTreeMap<String, Build>,
}

impl Status {
    /// Lines for people. Ingresses that are Ready are counted, and listed only
    /// where `all` says so.
    #[must_use]
    pub fn told(&self, all: bool) -> String {
        let mut text = self.operator();
        text.push('\n');
        text.push_str(&self.gateways());
        text.push('\n');
        text.push_str(&self.ingresses(all));
        text
    }

    fn operator(&self) -> String {
        let operator = &self.operator;
        let leads = if operator.leads {
            "leads"
        } else {
            "does not lead: gateways are connected to another, whose word counts"
        };
        let mut text = format!(
            "operator {}: version {}, revision {}, {leads}\n",
            plain(&operator.name),
            plain(&operator.version),
            operator.revision
        );
        for missing in &operator.missing {
            text.push_str(&format!("  waits for {}\n", plain(missing)));
        }
        for complaint in &operator.complaints {
            text.push_str(&format!("  {}\n", plain(complaint)));
        }
        text
    }

    fn gateways(&self) -> String {
        let gateways = &self.gateways.gateways;
        if gateways.is_empty() {
            return "no gateway: nothing is served\n".to_owned();
        }
        let mut rows = vec![row(["GATEWAY", "STATE", "POD", "REVISION"])];
        if let Some(head) = rows.first_mut() {
            head.extend(TYPES.map(str::to_owned));
            head.extend(["VERSION", "ENVOY"].map(str::to_owned));
        }
        for gateway in gateways {
            rows.push(self.gateway(gateway));
        }
        let mut text = columns(&rows, "");
        for refused in &self.refusals.refusals {
            let ingress = refused.ingress.as_ref();
            let of = ingress.map_or_else(String::new, |key| format!(" of ingress {key}"));
            text.push_str(&plain(&format!(
                "  {} refused {} {}{of}: {}",
                refused.gateway, refused.kind, refused.name, refused.detail
            )));
            text.push('\n');
        }
        text
    }

    fn gateway(&self, gateway: &Gateway) -> Vec<String> {
        let newest = self.gateways.revision;
        let acked = match gateway.acked_revision {
            Some(acked) if acked < newest => format!("{acked} of {newest}"),
            Some(acked) => acked.to_string(),
            None => format!("none of {newest}"),
        };
        let mut cells = vec![
            gateway.name.clone(),
            word(gateway.state).to_owned(),
            pod(gateway).to_owned(),
            acked,
        ];
        for of in TYPES {
            cells.push(
                gateway
                    .types
                    .get(of)
                    .map_or_else(|| "-".to_owned(), of_type),
            );
        }
        let pod = gateway.name.rsplit('/').next().unwrap_or_default();
        let build = self.builds.get(pod).cloned().unwrap_or_default();
        cells.push(build.version.unwrap_or_else(|| "unknown".to_owned()));
        // Its image says it where there is no stream.
        let envoy = gateway.envoy.clone().or(build.envoy);
        cells.push(envoy.unwrap_or_else(|| "unknown".to_owned()));
        cells
    }

    fn ingresses(&self, all: bool) -> String {
        let ingresses = &self.ingresses.ingresses;
        if ingresses.is_empty() {
            return "no Ingress of Sluice's class\n".to_owned();
        }
        let mut states: BTreeMap<(bool, &str), usize> = BTreeMap::new();
        for ingress in ingresses {
            // What is Ready comes first.
            *states
                .entry((!ingress.is_ready(), ingress.state()))
                .or_default() += 1;
        }
        let counts: Vec<String> = states
            .iter()
            .map(|((_, state), number)| format!("{number} {}", plain(state)))
            .collect();
        let mut text = format!("ingresses {}: {}\n", ingresses.len(), counts.join(", "));
        let mut shown: Vec<&Ingress> = ingresses
            .iter()
            .filter(|ingress| all || !ingress.is_ready() || !ingress.rejections.is_empty())
            .collect();
        shown.sort_by_key(|ingress| (ingress.is_ready(), ingress.state(), ingress.key()));
        for ingress in shown {
            text.push_str(&plain(&format!(
                "  {} {} (generation {})",
                ingress.state(),
                ingress.key(),
                ingress.generation
            )));
            text.push('\n');
            let rejections = ingress.rejections.iter().map(|rejection| rejection.told());
            for line in ingress
                .waits_for
                .iter()
                .map(|one| one.told())
                .chain(rejections)
            {
                text.push_str(&format!("    {}\n", plain(&line)));
            }
        }
        text
    }
}

fn word(state: GatewayState) -> &'static str {
    match state {
        GatewayState::Synced => "SYNCED",
        GatewayState::Stale => "STALE",
        GatewayState::Nack => "NACK",
        GatewayState::Disconnected => "DISCONNECTED",
        GatewayState::Unknown => "UNKNOWN",
    }
}

fn pod(gateway: &Gateway) -> &'static str {
    match (gateway.terminating, gateway.ready) {
        (true, _) => "terminating",
        (false, true) => "ready",
        (false, false) => "not ready",
    }
}

fn of_type(of: &Type) -> String {
    let word = word(of.state);
    match of.state {
        GatewayState::Stale => format!("{word} {}", of.due),
        GatewayState::Nack => format!("{word} {}", of.refused),
        _ => word.to_owned(),
    }
}

//! Golden cases: what they hold, and where they lie.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sluice_envoy::{Assembly, Edge, PlanChange, Update};
use sluice_ir::{Endpoints, ObjectKey, Plan, RefusedPlan};

/// What an Assembly is told, in steps, and of whose edge.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the edge has that is not its default.
    #[serde(default)]
    pub edge: Choices,
    /// Whether listeners and the readiness table are shown.
    #[serde(default)]
    pub show_listeners: bool,
    /// The roots that backends are trusted by.
    #[serde(default)]
    pub trust: Option<String>,
    /// One update each.
    pub steps: Vec<Step>,
}

/// What of an edge a case may choose.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Choices {
    pub address: Option<IpAddr>,
    pub https_port: Option<u16>,
    pub trusted_hops: u32,
    pub access_log: bool,
    pub server_header: bool,
}

/// One call of `Assembly::apply`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    pub serve: Vec<Plan>,
    pub hold: Vec<RefusedPlan>,
    pub remove: Vec<ObjectKey>,
    pub endpoints: Vec<Endpoints>,
}

impl Case {
    pub fn edge(&self) -> Edge {
        let base = self.edge.address.map_or_else(Edge::default, Edge::at);
        Edge {
            https_port: self.edge.https_port.unwrap_or(base.https_port),
            trusted_hops: self.edge.trusted_hops,
            access_log: self.edge.access_log,
            server_header: self.edge.server_header,
            ..base
        }
    }

    /// The Assembly after all steps, and the update of the last one.
    pub fn run(&self) -> (Assembly, Update) {
        let mut assembly = Assembly::new(&self.edge());
        let mut last = self.trust.as_ref().map_or_else(Update::default, |roots| {
            let first = assembly.set_trust(roots);
            assert!(assembly.set_trust(roots).is_empty(), "no change, no update");
            first
        });
        for step in &self.steps {
            last = step.apply(&mut assembly);
        }
        (assembly, last)
    }
}

impl Step {
    fn apply(&self, assembly: &mut Assembly) -> Update {
        let mut plans = BTreeMap::new();
        for plan in &self.serve {
            let change = PlanChange::Serve(Arc::new(plan.clone()));
            plans.insert(plan.ingress.clone(), change);
        }
        for refused in &self.hold {
            let change = PlanChange::Hold(Arc::new(refused.clone()));
            plans.insert(refused.ingress.clone(), change);
        }
        for ingress in &self.remove {
            plans.insert(ingress.clone(), PlanChange::Remove);
        }
        let endpoints = self
            .endpoints
            .iter()
            .map(|endpoints| (endpoints.service_port.clone(), endpoints.clone()))
            .collect();
        assembly.apply(&plans, &endpoints)
    }
}

pub fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Every case by its name.
pub fn all() -> BTreeMap<String, Case> {
    files(".in.yaml")
        .into_iter()
        .map(|(name, path)| {
            let text = fs::read_to_string(&path).unwrap();
            let case = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (name, case)
        })
        .collect()
}

/// Files of the testdata folder by what stands before their ending.
pub fn files(ending: &str) -> BTreeMap<String, PathBuf> {
    fs::read_dir(testdata())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(ending)?.to_owned();
            Some((name, path))
        })
        .collect()
}

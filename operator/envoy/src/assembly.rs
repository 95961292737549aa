//! All plans together: which resources there are, and what a change changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sluice_ir::{
    Certificate, Cluster, Discovery, Endpoints, Host, ObjectKey, Plan, PlanChange, RefusedPlan,
    ServicePort, Side,
};

use crate::route_table;
use crate::{Edge, Kind, Resource, Update, cluster, endpoints, listeners, name, scope, secret};

/// The resources of all Ingresses and of the edge. Equal plans give equal
/// resources, whatever the order in which they came; a change costs what it
/// touches, whatever else there is.
#[derive(Debug)]
pub struct Assembly {
    edge: Edge,
    /// The name under which gateways ask for the roots of backends.
    trust: String,
    /// Shown for hosts that no Ingress has a certificate for.
    own: BTreeMap<Host, Certificate>,
    ingresses: BTreeMap<ObjectKey, Standing>,
    /// Who wants a host; the first has it.
    claims: BTreeMap<(Side, Host), BTreeSet<Claimant>>,
    /// Who uses a cluster; the first says what it is.
    users: BTreeMap<ServicePort, BTreeSet<Claimant>>,
    endpoints: BTreeMap<ServicePort, Endpoints>,
    /// Whose scope a host has at the moment.
    owners: BTreeMap<(Side, Host), ObjectKey>,
    resources: BTreeMap<(Kind, String), Resource>,
}

/// What is known of one Ingress.
#[derive(Debug, Default)]
struct Standing {
    /// The last plan that was to be served.
    good: Option<Arc<Plan>>,
    /// The refusal of the newest generation.
    refused: Option<Arc<RefusedPlan>>,
}

/// An Ingress that wants a host or a cluster. One that is refused (`true`) has
/// it only while no other serves it.
type Claimant = (bool, ObjectKey);

/// What a change touched.
#[derive(Default)]
struct Touched {
    ingresses: BTreeSet<ObjectKey>,
    hosts: BTreeSet<(Side, Host)>,
    ports: BTreeSet<ServicePort>,
}

impl Assembly {
    /// An assembly without plans: listeners and the readiness table only.
    #[must_use]
    pub fn new(edge: &Edge) -> Self {
        let resources = listeners(edge)
            .into_iter()
            .map(|resource| ((resource.kind, resource.name.clone()), resource))
            .collect();
        Self {
            edge: edge.clone(),
            trust: name::backend_trust(edge.probe_key.as_ref()),
            own: BTreeMap::new(),
            ingresses: BTreeMap::new(),
            claims: BTreeMap::new(),
            users: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            owners: BTreeMap::new(),
            resources,
        }
    }

    /// All there is, as one update: what a server is given that knows nothing.
    #[must_use]
    pub fn initial(&self) -> Update {
        let held = self
            .ingresses
            .iter()
            .filter(|(_, standing)| standing.is_held())
            .map(|(ingress, _)| (ingress.clone(), true));
        Update {
            upserts: self.resources.values().cloned().collect(),
            removals: Vec::new(),
            held: held.collect(),
        }
    }

    /// Another edge: listeners that differ, and tables that name something of it.
    /// Costs all there is, and a changed listener cuts WebSockets at the end of
    /// its drain, so it is for choices that are made once in a long while.
    pub fn configure(&mut self, edge: &Edge) -> Update {
        let mut update = Update::default();
        if self.edge == *edge {
            return update;
        }
        self.edge = edge.clone();
        let mut differing = BTreeMap::new();
        let trust = name::backend_trust(edge.probe_key.as_ref());
        let before = std::mem::replace(&mut self.trust, trust.clone());
        if before != trust {
            self.rename_trust(before, trust, &mut differing);
        }
        for resource in listeners(edge) {
            let (kind, name) = (resource.kind, resource.name.clone());
            self.put(kind, name, Some(resource), &mut differing);
        }
        let ingresses: Vec<ObjectKey> = self.ingresses.keys().cloned().collect();
        for ingress in ingresses {
            self.settle_tables(&ingress, &mut differing);
        }
        update.take(differing);
        update
    }

    /// The roots that backends are trusted by, PEM, where clusters speak TLS. Given
    /// before the first such cluster, and again when they differ: one resource for
    /// all clusters.
    pub fn set_trust(&mut self, roots: &str) -> Update {
        let mut differing = BTreeMap::new();
        let resource = secret::trust(&self.trust, roots);
        self.put(
            Kind::Secret,
            self.trust.clone(),
            Some(resource),
            &mut differing,
        );
        let mut update = Update::default();
        update.take(differing);
        update
    }

    /// Takes over what became of some Ingresses and of some Service ports, and
    /// says what that changes. Endpoints of a port that no plan uses are not kept:
    /// they must be told again when one does.
    pub fn apply(
        &mut self,
        plans: &BTreeMap<ObjectKey, PlanChange>,
        endpoints: &BTreeMap<ServicePort, Endpoints>,
    ) -> Update {
        let mut update = Update::default();
        let mut touched = Touched::default();
        for (ingress, change) in plans {
            self.apply_plan(ingress, change, &mut touched, &mut update);
        }
        for (service_port, changed) in endpoints {
            self.endpoints.insert(service_port.clone(), changed.clone());
            touched.ports.insert(service_port.clone());
        }
        let mut differing = BTreeMap::new();
        for service_port in touched.ports {
            self.settle_port(&service_port, &mut differing);
        }
        for claim in &touched.hosts {
            self.settle_scope(claim, &mut differing);
        }
        for (_, host) in touched.hosts {
            self.settle_secret(&host, &mut differing);
        }
        for ingress in touched.ingresses {
            self.settle_tables(&ingress, &mut differing);
        }
        update.take(differing);
        update
    }

    /// Every resource there is, by type and name.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.values()
    }

    fn apply_plan(
        &mut self,
        ingress: &ObjectKey,
        change: &PlanChange,
        touched: &mut Touched,
        update: &mut Update,
    ) {
        let was = self.ingresses.remove(ingress).unwrap_or_default();
        let is = match change {
            PlanChange::Serve(plan) => Standing {
                good: Some(Arc::clone(plan)),
                refused: None,
            },
            PlanChange::Hold(refused) => Standing {
                good: was.good.clone(),
                refused: Some(Arc::clone(refused)),
            },
            PlanChange::Remove => Standing::default(),
        };
        for claim in was.hosts() {
            leave(&mut self.claims, &claim, &was.claimant(ingress));
            touched.hosts.insert(claim);
        }
        for claim in is.hosts() {
            let claimants = self.claims.entry(claim.clone()).or_default();
            claimants.insert(is.claimant(ingress));
            touched.hosts.insert(claim);
        }
        for (service_port, _) in was.clusters() {
            leave(&mut self.users, service_port, &was.claimant(ingress));
            touched.ports.insert(service_port.clone());
        }
        for (service_port, _) in is.clusters() {
            let users = self.users.entry(service_port.clone()).or_default();
            users.insert(is.claimant(ingress));
            touched.ports.insert(service_port.clone());
        }
        if was.is_held() != is.is_held() {
            update.held.insert(ingress.clone(), is.is_held());
        }
        touched.ingresses.insert(ingress.clone());
        if *change != PlanChange::Remove {
            self.ingresses.insert(ingress.clone(), is);
        }
    }

    fn settle_port(&mut self, service_port: &ServicePort, differing: &mut Differing) {
        let name = name::cluster(service_port);
        let wanted = self
            .users
            .get(service_port)
            .and_then(BTreeSet::first)
            .and_then(|(_, ingress)| self.ingresses.get(ingress)?.cluster(service_port));
        let (cluster, load) = match wanted {
            None => {
                self.endpoints.remove(service_port);
                (None, None)
            }
            Some(wanted) => {
                let known = self.endpoints.get(service_port);
                let load = (wanted.discovery == Discovery::Endpoints)
                    .then(|| endpoints::endpoints(service_port, known));
                (
                    Some(cluster::cluster(service_port, wanted, &self.trust)),
                    load,
                )
            }
        };
        self.put(Kind::Cluster, name.clone(), cluster, differing);
        self.put(Kind::Endpoints, name, load, differing);
    }

    /// Certificates of the gateways' own, by the name that a client asks for. That of
    /// an Ingress goes first.
    pub fn set_certificates(&mut self, own: BTreeMap<Host, Certificate>) -> Update {
        let before = std::mem::replace(&mut self.own, own);
        let hosts: BTreeSet<Host> = before.keys().chain(self.own.keys()).cloned().collect();
        let mut differing = BTreeMap::new();
        for host in hosts {
            self.settle_secret(&host, &mut differing);
        }
        let mut update = Update::default();
        update.take(differing);
        update
    }

    /// The roots under another name, and every cluster that asks for them.
    fn rename_trust(&mut self, before: String, after: String, differing: &mut Differing) {
        if let Some(mut resource) = self.resources.get(&(Kind::Secret, before.clone())).cloned() {
            resource.name.clone_from(&after);
            self.put(Kind::Secret, before, None, differing);
            self.put(Kind::Secret, after, Some(resource), differing);
        }
        let ports: Vec<ServicePort> = self.users.keys().cloned().collect();
        for port in ports {
            self.settle_port(&port, differing);
        }
    }

    fn settle_scope(&mut self, claim: &(Side, Host), differing: &mut Differing) {
        let (side, host) = claim;
        let owner = self.claims.get(claim).and_then(BTreeSet::first);
        let owner = owner.map(|(_, ingress)| ingress.clone());
        let before = match &owner {
            Some(owner) => self.owners.insert(claim.clone(), owner.clone()),
            None => self.owners.remove(claim),
        };
        if before == owner {
            return;
        }
        let scope = owner.map(|owner| scope::scope(*side, &owner, host));
        self.put(Kind::Scope, name::scope(*side, host), scope, differing);
    }

    /// One certificate per host, for the handshake does not tell on which side
    /// it is: that of the external owner goes first.
    fn settle_secret(&mut self, host: &Host, differing: &mut Differing) {
        let certificate = Side::ALL.into_iter().find_map(|side| {
            let owner = self.owners.get(&(side, host.clone()))?;
            self.ingresses.get(owner)?.certificate(side, host)
        });
        let certificate = certificate.or_else(|| self.own.get(host));
        let secret = certificate.map(|certificate| secret::secret(host, certificate));
        self.put(Kind::Secret, host.to_string(), secret, differing);
    }

    fn settle_tables(&mut self, ingress: &ObjectKey, differing: &mut Differing) {
        for side in Side::ALL {
            let standing = self.ingresses.get(ingress);
            let table = standing.and_then(|standing| standing.table(side, &self.edge));
            let name = name::table(side, ingress);
            self.put(Kind::RouteTable, name, table, differing);
        }
    }

    /// Makes a resource what it is to be, and notes it if that differs.
    fn put(
        &mut self,
        kind: Kind,
        name: String,
        resource: Option<Resource>,
        differing: &mut Differing,
    ) {
        let key = (kind, name);
        if self.resources.get(&key) == resource.as_ref() {
            return;
        }
        match &resource {
            Some(resource) => self.resources.insert(key.clone(), resource.clone()),
            None => self.resources.remove(&key),
        };
        differing.insert(key, resource);
    }
}

/// What a resource became; `None` where it is no more.
type Differing = BTreeMap<(Kind, String), Option<Resource>>;

impl Standing {
    /// Refused, and nothing of it was served by this process: what gateways may
    /// still hold is not known here.
    fn is_held(&self) -> bool {
        self.good.is_none() && self.refused.is_some()
    }

    fn claimant(&self, ingress: &ObjectKey) -> Claimant {
        (self.refused.is_some(), ingress.clone())
    }

    fn hosts(&self) -> Vec<(Side, Host)> {
        let mut hosts = Vec::new();
        for side in Side::ALL {
            if let Some(plan) = &self.good {
                hosts.extend(plan.hosts(side).map(|host| (side, host.clone())));
            } else if let Some(refused) = &self.refused {
                let names = refused.hosts.get(&side).into_iter().flatten();
                hosts.extend(names.map(|host| (side, host.clone())));
            }
        }
        hosts
    }

    /// Clusters of the last good plan and of the refused one; the newer says
    /// what a cluster is.
    fn clusters(&self) -> BTreeMap<&ServicePort, &Cluster> {
        let good = self.good.iter().flat_map(|plan| &plan.clusters);
        let refused = self.refused.iter().flat_map(|refused| &refused.clusters);
        good.chain(refused).collect()
    }

    fn cluster(&self, service_port: &ServicePort) -> Option<&Cluster> {
        let refused = self.refused.as_ref();
        let good = self.good.as_ref();
        refused
            .and_then(|refused| refused.clusters.get(service_port))
            .or_else(|| good.and_then(|plan| plan.clusters.get(service_port)))
    }

    fn certificate(&self, side: Side, host: &Host) -> Option<&Certificate> {
        self.good.as_ref()?.certificates.get(&side)?.get(host)
    }

    fn table(&self, side: Side, edge: &Edge) -> Option<Resource> {
        match (&self.good, &self.refused) {
            (Some(plan), _) => route_table::table(plan, side, edge),
            (None, Some(refused)) => route_table::held(refused, side),
            (None, None) => None,
        }
    }
}

fn leave<K: Ord>(groups: &mut BTreeMap<K, BTreeSet<Claimant>>, key: &K, claimant: &Claimant) {
    if let Some(group) = groups.get_mut(key) {
        group.remove(claimant);
        if group.is_empty() {
            groups.remove(key);
        }
    }
}

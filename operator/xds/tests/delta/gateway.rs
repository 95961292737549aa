//! A gateway as Envoy behaves: what it subscribes to by itself, when it holds
//! back an ACK, what of a refused response it takes all the same. It notes
//! every moment in which a client of it would have been harmed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use sluice_envoy::{Kind, name};
use sluice_xds::wire::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node, Status};

/// What a body contains that the gateway refuses.
pub const BAD: &str = "BAD";

/// What the name of a cluster contains that may be refused.
const MAY_BE_REFUSED: &str = "bad";

#[derive(Clone, Debug, Default)]
pub struct Held {
    pub version: String,
    pub body: String,
}

pub struct Gateway {
    pub id: String,
    pub held: BTreeMap<(Kind, String), Held>,
    pub asked: BTreeSet<(Kind, String)>,
    active: BTreeSet<Kind>,
    pub outbox: VecDeque<DeltaDiscoveryRequest>,
    /// A CDS response whose clusters wait for their assignments.
    warming: Option<(String, BTreeSet<String>)>,
    /// Every response as it came.
    pub log: Vec<DeltaDiscoveryResponse>,
    /// What should never happen.
    pub harm: Vec<String>,
    /// Hosts that found no virtual host for a moment.
    pub lost_hosts: BTreeSet<String>,
    /// Whether it answers at all.
    pub mute: bool,
    /// Types that it never asks for.
    pub without: BTreeSet<Kind>,
    /// Types that it has ever asked for; it asks for them again on a new stream.
    started: BTreeSet<Kind>,
    /// Whether clusters were ever answered.
    clusters_came: bool,
    /// Clusters whose assignment came, or was said not to be.
    assigned: BTreeSet<String>,
    /// What this gateway alone refuses.
    pub refuses: String,
}

impl Gateway {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            held: BTreeMap::new(),
            asked: BTreeSet::new(),
            active: BTreeSet::new(),
            outbox: VecDeque::new(),
            warming: None,
            log: Vec::new(),
            harm: Vec::new(),
            lost_hosts: BTreeSet::new(),
            mute: false,
            without: BTreeSet::new(),
            started: BTreeSet::new(),
            clusters_came: false,
            assigned: BTreeSet::new(),
            refuses: BAD.to_owned(),
        }
    }

    /// A new stream: cold it asks for clusters first, warm for all it has.
    pub fn connect(&mut self) {
        self.outbox.clear();
        self.active.clear();
        self.warming = None;
        self.started.insert(Kind::Cluster);
        for kind in Kind::ALL {
            if self.started.contains(&kind) {
                self.begin(kind);
            }
        }
    }

    fn begin(&mut self, kind: Kind) {
        if self.without.contains(&kind) || !self.active.insert(kind) {
            return;
        }
        self.started.insert(kind);
        let names = self.asked.iter().filter(|(k, _)| *k == kind);
        let held = self.held.iter().filter(|((k, _), _)| *k == kind);
        let request = DeltaDiscoveryRequest {
            node: Some(Node {
                id: self.id.clone(),
                cluster: "sluice".to_owned(),
                ..Node::default()
            }),
            type_url: kind.type_url().to_owned(),
            resource_names_subscribe: names.map(|(_, name)| name.clone()).collect(),
            initial_resource_versions: held
                .map(|((_, name), held)| (name.clone(), held.version.clone()))
                .collect(),
            ..Default::default()
        };
        self.outbox.push_back(request);
    }

    pub fn ask(&mut self, kind: Kind, name: &str) {
        if self.without.contains(&kind) || !self.asked.insert((kind, name.to_owned())) {
            return;
        }
        if self.active.contains(&kind) {
            self.outbox.push_back(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_subscribe: vec![name.to_owned()],
                ..Default::default()
            });
        } else {
            self.begin(kind);
        }
    }

    pub fn drop_interest(&mut self, kind: Kind, name: &str) {
        self.held.remove(&(kind, name.to_owned()));
        if self.asked.remove(&(kind, name.to_owned())) {
            self.outbox.push_back(DeltaDiscoveryRequest {
                type_url: kind.type_url().to_owned(),
                resource_names_unsubscribe: vec![name.to_owned()],
                ..Default::default()
            });
        }
    }

    pub fn names(&self, kind: Kind) -> Vec<&str> {
        let of_kind = self.held.keys().filter(|(k, _)| *k == kind);
        of_kind.map(|(_, name)| name.as_str()).collect()
    }

    pub fn body(&self, kind: Kind, name: &str) -> Option<&str> {
        let held = self.held.get(&(kind, name.to_owned()))?;
        Some(held.body.as_str())
    }

    pub fn is_ready(&self) -> bool {
        self.body(Kind::RouteTable, name::READINESS_TABLE).is_some()
    }

    /// Takes a response and puts its answers into the outbox.
    pub fn take(&mut self, response: &DeltaDiscoveryResponse) {
        self.log.push(response.clone());
        if self.mute {
            return;
        }
        let kind = Kind::from_type_url(&response.type_url).unwrap();
        let before = match kind {
            Kind::Scope => self.routed(),
            _ => BTreeMap::new(),
        };
        let refused = self.apply(kind, response);
        let nonce = response.nonce.clone();
        if let Some(why) = refused {
            self.answer(kind, nonce, Some(why));
        } else if kind == Kind::Cluster && !self.without.contains(&Kind::Endpoints) {
            let changed = response.resources.iter().map(|r| r.name.clone());
            self.warming = Some((nonce, changed.collect()));
            self.warm(None);
        } else {
            self.answer(kind, nonce, None);
        }
        if kind == Kind::Endpoints {
            let resources = response.resources.iter().map(|r| r.name.clone());
            for name in resources.chain(response.removed_resources.iter().cloned()) {
                self.warm(Some(&name));
                self.assigned.insert(name);
            }
        }
        self.look_for_harm(kind, response, &before);
        self.clusters_came |= kind == Kind::Cluster;
        let warm = |c: &&str| self.assigned.contains(*c) || self.without.contains(&Kind::Endpoints);
        if self.clusters_came && self.names(Kind::Cluster).iter().all(warm) {
            self.begin(Kind::Listener);
        }
        if kind == Kind::Listener {
            self.begin(Kind::Scope);
            self.ask(Kind::RouteTable, name::READINESS_TABLE);
        }
    }

    /// A cluster's assignment came; the last one releases the ACK.
    fn warm(&mut self, name: Option<&str>) {
        let Some((nonce, mut waiting)) = self.warming.take() else {
            return;
        };
        if let Some(name) = name {
            waiting.remove(name);
        }
        if waiting.is_empty() {
            self.answer(Kind::Cluster, nonce, None);
        } else {
            self.warming = Some((nonce, waiting));
        }
    }

    fn answer(&mut self, kind: Kind, nonce: String, error: Option<String>) {
        self.outbox.push_back(DeltaDiscoveryRequest {
            type_url: kind.type_url().to_owned(),
            response_nonce: nonce,
            error_detail: error.map(|message| Status { code: 13, message }),
            ..Default::default()
        });
    }

    /// Applies a response, or says why it is refused; and then takes of it what
    /// Envoy takes (`research` facts: nothing of SRDS and CDS, some of RDS).
    fn apply(&mut self, kind: Kind, response: &DeltaDiscoveryResponse) -> Option<String> {
        let text = |r: &sluice_xds::wire::Resource| {
            let value = &r.resource.as_ref().unwrap().value;
            String::from_utf8_lossy(value).into_owned()
        };
        let is_bad = |body: &str| body.contains(&self.refuses);
        let bad = response.resources.iter().find(|r| is_bad(&text(r)));
        let bad = bad.map(|r| format!("refused {}", r.name));
        if kind == Kind::Scope {
            let mut keys: BTreeMap<String, String> = BTreeMap::new();
            let removed = &response.removed_resources;
            let kept = self.names(kind).into_iter().map(str::to_owned);
            let kept: Vec<String> = kept.filter(|name| !removed.contains(name)).collect();
            let added = response.resources.iter().map(|r| r.name.clone());
            for name in kept.into_iter().chain(added).collect::<BTreeSet<_>>() {
                let key = name::scope_key(&name).unwrap();
                if let Some(other) = keys.insert(key, name.clone()) {
                    let why = format!("scope key conflict: {name} and {other}");
                    self.harm.push(why.clone());
                    return Some(why);
                }
            }
        }
        if bad.is_some() && matches!(kind, Kind::Scope | Kind::Cluster) {
            return bad;
        }
        for (i, resource) in response.resources.iter().enumerate() {
            let body = text(resource);
            let partly = kind == Kind::RouteTable && bad.is_some() && i % 2 == 1;
            if is_bad(&body) || partly {
                continue;
            }
            if matches!(kind, Kind::Endpoints | Kind::RouteTable | Kind::Secret)
                && !self.asked.contains(&(kind, resource.name.clone()))
            {
                continue;
            }
            let version = resource.version.clone();
            self.held
                .insert((kind, resource.name.clone()), Held { version, body });
        }
        for name in &response.removed_resources {
            match kind {
                // Envoy ignores both.
                Kind::Endpoints | Kind::RouteTable => {}
                Kind::Secret => self.drop_interest(kind, name),
                _ => {
                    self.held.remove(&(kind, name.clone()));
                }
            }
        }
        match kind {
            Kind::Cluster => self.follow_clusters(response),
            Kind::Scope => self.follow_scopes(),
            _ => {}
        }
        bad
    }

    fn follow_clusters(&mut self, response: &DeltaDiscoveryResponse) {
        for resource in &response.resources {
            self.ask(Kind::Endpoints, &resource.name);
        }
        for name in &response.removed_resources {
            self.drop_interest(Kind::Endpoints, name);
            self.assigned.remove(name);
        }
    }

    fn follow_scopes(&mut self) {
        let wanted: BTreeSet<String> = self.routed().into_values().collect();
        for table in &wanted {
            self.ask(Kind::RouteTable, table);
        }
        let asked = self.asked.iter().filter(|(k, _)| *k == Kind::RouteTable);
        let idle: Vec<String> = asked
            .map(|(_, name)| name.clone())
            .filter(|name| name != name::READINESS_TABLE && !wanted.contains(name))
            .collect();
        for table in idle {
            self.drop_interest(Kind::RouteTable, &table);
        }
    }

    /// Which table answers for each key.
    fn routed(&self) -> BTreeMap<String, String> {
        let scopes = self.names(Kind::Scope).into_iter();
        scopes
            .map(|scope| {
                let body = self.body(Kind::Scope, scope).unwrap_or_default();
                let named = scope.rsplit_once('/').unwrap().0;
                let table = body.strip_prefix("to ").unwrap_or(named);
                (name::scope_key(scope).unwrap(), table.to_owned())
            })
            .collect()
    }

    fn look_for_harm(
        &mut self,
        kind: Kind,
        response: &DeltaDiscoveryResponse,
        before: &BTreeMap<String, String>,
    ) {
        match kind {
            Kind::Scope => {
                for (key, table) in self.routed() {
                    let old = before.get(&key);
                    if old.is_some_and(|old| *old != table)
                        && self.body(Kind::RouteTable, &table).is_none()
                    {
                        let harm = format!("{key} led to {table}, which is not held");
                        self.harm.push(harm);
                    }
                    if old.is_some() {
                        self.look_for_lost_host(&key, &table);
                    }
                }
            }
            Kind::RouteTable => {
                let changed = response.resources.iter().map(|r| r.name.clone());
                let changed: BTreeSet<String> = changed.collect();
                for (key, table) in self.routed() {
                    if changed.contains(&table) {
                        self.look_for_lost_host(&key, &table);
                    }
                }
                changed.iter().for_each(|t| self.look_for_lost_cluster(t));
            }
            Kind::Cluster if !response.removed_resources.is_empty() => {
                let tables = self.names(Kind::RouteTable).into_iter();
                let tables: Vec<String> = tables.map(str::to_owned).collect();
                tables.iter().for_each(|t| self.look_for_lost_cluster(t));
            }
            _ => {}
        }
    }

    fn look_for_lost_host(&mut self, key: &str, table: &str) {
        let host = key.split('|').nth(1).unwrap();
        let hosts = self.field(table, "hosts");
        if !host.starts_with('!') && !hosts.is_empty() && !hosts.iter().any(|h| h == host) {
            self.lost_hosts.insert(host.to_owned());
        }
    }

    fn look_for_lost_cluster(&mut self, table: &str) {
        for cluster in self.field(table, "clusters") {
            let held = self.body(Kind::Cluster, &cluster).is_some();
            if !held && !cluster.contains(MAY_BE_REFUSED) {
                let harm = format!("{table} leads to {cluster}, which is not held");
                self.harm.push(harm);
            }
        }
    }

    /// A field of a table's body: `hosts=a,b;clusters=c,d;…`.
    fn field(&self, table: &str, field: &str) -> Vec<String> {
        let body = self.body(Kind::RouteTable, table).unwrap_or_default();
        let prefix = format!("{field}=");
        let parts = body.split(';').find_map(|part| part.strip_prefix(&prefix));
        let names = parts.unwrap_or_default().split(',');
        names.filter(|n| !n.is_empty()).map(str::to_owned).collect()
    }
}

//! From the splits of a path to shares of its requests.

use sluice_crds as crds;
use sluice_ir::{Backend, Headers, Reason, Split};

use crate::Inputs;
use crate::backend::{Upstream, upstream};
use crate::field::{AtPath, AtSplit, quote};
use crate::headers;
use crate::rejections::{Rejections, rejection};

/// One split that gets requests, read.
#[derive(Debug)]
pub(crate) struct Share {
    at: AtSplit,
    service_name: String,
    pub(crate) split: Split,
    /// What it names, where that can be read.
    pub(crate) upstream: Option<Upstream>,
}

/// Reads the splits of a path that get requests, noting every fault in them.
pub(crate) fn read(
    inputs: &Inputs<'_>,
    path: &crds::HttpIngressPath,
    at: AtPath,
    rejections: &mut Rejections,
) -> Vec<Share> {
    shares(path)
        .map(|(index, percent, split)| {
            read_split(inputs, split, percent, at.split(index), rejections)
        })
        .collect()
}

/// The Service ports that the splits of a path name, as far as they can be read.
pub(crate) fn upstreams<'a>(
    inputs: &'a Inputs<'_>,
    path: &'a crds::HttpIngressPath,
    at: AtPath,
) -> impl Iterator<Item = Upstream> + 'a {
    let namespace = &inputs.ingress.metadata.namespace;
    path.splits
        .iter()
        .enumerate()
        .filter(move |(_, split)| split.service_namespace == *namespace)
        .filter_map(move |(index, split)| upstream(inputs, split, at.split(index)).ok())
}

/// The splits that get requests, with their percentages; a single split of 0 has
/// them all (`ingress_defaults.go`).
pub(crate) fn shares(
    path: &crds::HttpIngressPath,
) -> impl Iterator<Item = (usize, u8, &crds::IngressBackendSplit)> {
    let single = path.splits.len() == 1;
    path.splits
        .iter()
        .enumerate()
        .filter_map(move |(index, split)| {
            let percent = match split.percent {
                0 if single => 100,
                percent => u8::try_from(percent).unwrap_or(0),
            };
            (percent > 0).then_some((index, percent, split))
        })
}

fn read_split(
    inputs: &Inputs<'_>,
    split: &crds::IngressBackendSplit,
    percent: u8,
    at: AtSplit,
    rejections: &mut Rejections,
) -> Share {
    let set = format_args!("{at}.appendHeaders");
    let set_headers = headers::to_set(&split.append_headers, set, rejections);
    let found = upstream(inputs, split, at).map_err(|fault| rejections.add(fault));
    let (backend, set_headers) = match (&found, set_headers) {
        (Ok(upstream), Ok(headers)) => {
            let service_port = upstream.service_port.clone();
            (Backend::Cluster(service_port), headers)
        }
        (Err(reason), _) => (Backend::Unavailable(reason.clone()), Headers::new()),
        (_, Err(reason)) => (Backend::Unavailable(reason), Headers::new()),
    };
    Share {
        at,
        service_name: split.service_name.clone(),
        split: Split {
            percent,
            backend,
            set_headers,
        },
        upstream: found.ok(),
    }
}

impl Share {
    /// Whether this split would send requests into a gateway again.
    pub(crate) fn leads_back(&self) -> bool {
        let serves = matches!(self.split.backend, Backend::Cluster(_));
        serves && self.upstream.as_ref().is_some_and(|u| u.leads_back)
    }

    /// Without a rewrite the gateway would find the very path that sent it there.
    pub(crate) fn cut_loop(&self, at: AtPath, rejections: &mut Rejections) -> Split {
        let reason = rejections.add(rejection(
            Reason::RewriteLoop,
            format!("{}.serviceName", self.at),
            format!(
                "Service {}, which leads back into this gateway to the same host",
                quote(&self.service_name)
            ),
            "a Service that leads on",
            format!("set {at}.rewriteHost to the host to serve, or name another Service"),
        ));
        Split {
            percent: self.split.percent,
            backend: Backend::Unavailable(reason),
            set_headers: Headers::new(),
        }
    }
}

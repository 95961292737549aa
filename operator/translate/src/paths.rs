//! From a path to what must match, and to what happens then.

use sluice_crds as crds;
use sluice_ir::{Action, Headers, Host, Reason};

use crate::Inputs;
use crate::backend::Upstream;
use crate::field::{AtPath, quote};
use crate::headers;
use crate::rejections::{Rejections, rejection};
use crate::splits::{self, Share};

/// Where an ACME client looks for its answer over plain HTTP (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// Longest path prefix in bytes; Envoy takes 60 KiB of request headers in all
/// (`max_request_headers_kb`), so that nothing could match a longer one.
const LONGEST_PREFIX: usize = 60 * 1024;

/// The status of what has no backend: never 404, which says that the host or
/// path is unknown.
pub(crate) const UNAVAILABLE: u16 = 503;

/// Which requests a path takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) prefix: String,
    pub(crate) headers: Headers,
}

impl Match {
    /// Whether plain HTTP must be answered even where the host redirects.
    pub(crate) fn keeps_http(&self) -> bool {
        self.prefix.starts_with(ACME_CHALLENGE)
    }
}

/// What a path does with what it takes.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// All of it is said here.
    Act(Action),
    /// It leads back into a gateway.
    Enter(Entrance),
}

/// A rewrite through Sluice's own private gateway.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    /// Under which host requests enter.
    pub(crate) rewrite: Rewrite,
    /// The headers that requests carry when they enter; `None` where several
    /// splits enter, or not all, so that one answer cannot stand for them.
    pub(crate) carried: Option<Headers>,
    /// The same by way of the gateway's address.
    pub(crate) two_hops: Action,
}

/// A `rewriteHost`, read.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    /// As it stands, for a backend.
    pub(crate) written: String,
    /// As the internal side looks it up.
    pub(crate) host: Host,
    /// As the internal side passes it on: folded, its port kept.
    pub(crate) authority: String,
}

/// One path, read.
#[derive(Clone, Debug)]
pub(crate) struct ReadPath {
    pub(crate) at: AtPath,
    /// `None` where no request can ever match.
    pub(crate) matching: Option<Match>,
    pub(crate) deed: Deed,
    /// What its splits name.
    pub(crate) upstreams: Vec<Upstream>,
}

/// Reads one path, noting every fault in it.
pub(crate) fn read(
    inputs: &Inputs<'_>,
    path: &crds::HttpIngressPath,
    at: AtPath,
    rejections: &mut Rejections,
) -> ReadPath {
    let prefix = prefix(&path.path, at, rejections);
    let headers = headers::to_match(&path.headers, format_args!("{at}.headers"), rejections);
    let matching = match (prefix, headers) {
        (Some(prefix), Ok(headers)) => Some(Match { prefix, headers }),
        _ => None,
    };
    let set = format_args!("{at}.appendHeaders");
    let set_headers = headers::to_set(&path.append_headers, set, rejections);
    let rewrite = rewrite(&path.rewrite_host, at, rejections);
    let shares = splits::read(inputs, path, at, rejections);
    let deed = match (set_headers, rewrite) {
        (Ok(set_headers), Ok(rewrite)) => deed(at, set_headers, rewrite, &shares, rejections),
        (Err(reason), _) | (_, Err(reason)) => Deed::Act(unavailable(reason)),
    };
    ReadPath {
        at,
        matching,
        deed,
        upstreams: shares
            .into_iter()
            .filter_map(|share| share.upstream)
            .collect(),
    }
}

/// A path that answers 503 whole.
pub(crate) fn unavailable(reason: String) -> Action {
    Action::Respond {
        status: UNAVAILABLE,
        reason,
    }
}

fn deed(
    at: AtPath,
    set_headers: Headers,
    rewrite: Option<Rewrite>,
    shares: &[Share],
    rejections: &mut Rejections,
) -> Deed {
    let splits = |rejections: &mut Rejections, cut: bool| {
        let split = |share: &Share| match cut && share.leads_back() {
            true => share.cut_loop(at, rejections),
            false => share.split.clone(),
        };
        shares.iter().map(split).collect()
    };
    let Some(rewrite) = rewrite else {
        return Deed::Act(Action::Forward {
            host_rewrite: None,
            set_headers,
            splits: splits(rejections, true),
        });
    };
    let carried = match shares {
        [only] => {
            let mut carried = set_headers.clone();
            carried.extend(only.split.set_headers.clone());
            // The internal entry removes these from what it receives.
            carried.retain(|name, _| !headers::removed_at_entry(name));
            Some(carried)
        }
        _ => None,
    };
    let two_hops = Action::Forward {
        host_rewrite: Some(rewrite.written.clone()),
        set_headers,
        splits: splits(rejections, false),
    };
    if shares.iter().any(Share::leads_back) {
        Deed::Enter(Entrance {
            rewrite,
            carried,
            two_hops,
        })
    } else {
        Deed::Act(two_hops)
    }
}

/// Reads `path`: a literal prefix, everything where it is empty. What stands
/// behind `?` or `#` never takes part in matching.
fn prefix(text: &str, at: AtPath, rejections: &mut Rejections) -> Option<String> {
    if text.is_empty() {
        return Some("/".to_owned());
    }
    let legal = |c: char| matches!(c, '!'..='~') && !matches!(c, '?' | '#');
    let (found, fix) = if !text.starts_with('/') {
        (format!("path {}", quote(text)), "put a slash in front")
    } else if let Some(c) = text.chars().find(|c| !legal(*c)) {
        let fix = if matches!(c, '?' | '#') {
            "remove it and what follows; a query takes no part in matching"
        } else {
            "percent-encode it, as clients do"
        };
        (format!("path {} with {c:?}", quote(text)), fix)
    } else if text.len() > LONGEST_PREFIX {
        (
            format!("a path of {} bytes", text.len()),
            "shorten the path",
        )
    } else {
        return Some(text.to_owned());
    };
    rejections.add(rejection(
        Reason::InvalidPath,
        format!("{at}.path"),
        found,
        format!("visible ASCII from a slash, without ? and #, at most {LONGEST_PREFIX} bytes"),
        fix,
    ));
    None
}

fn rewrite(text: &str, at: AtPath, rejections: &mut Rejections) -> Result<Option<Rewrite>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match Host::parse(text) {
        Ok(host) => Ok(Some(Rewrite {
            written: text.to_owned(),
            authority: match text.split_once(':') {
                Some((_, port)) => format!("{host}:{port}"),
                None => host.to_string(),
            },
            host,
        })),
        Err(fault) => Err(rejections.add(rejection(
            Reason::InvalidRewriteHost,
            format!("{at}.rewriteHost"),
            format!("host {}, which {fault}", quote(text)),
            "a host name",
            "correct the host",
        ))),
    }
}

#[cfg(test)]
mod tests;

//! Header names and values: what may be matched on, what may be set.

use std::collections::BTreeMap;
use std::fmt::Display;

use sluice_crds as crds;
use sluice_ir::{Headers, Reason, Rejection};

use crate::field::quote;
use crate::rejections::{Rejections, rejection};

/// Longest header name or value that Envoy takes in a route, in bytes
/// (`HeaderValue.key` and `.value` in `envoy/config/core/v3/base.proto`).
const LONGEST: usize = 16_384;

/// Most headers set at one level. Envoy takes 1,000 per level
/// (`Route.request_headers_to_add`); a mapping done in one hop joins up to three
/// of ours, and the probe's hash comes on top.
const MOST: usize = 300;

/// Belongs to the connection or to the framing of the message; a gateway writes
/// these itself (RFC 9110 §7.6.1, RFC 9113 §8.2.2).
const CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Readiness is judged by these; a route that set them would answer for another.
const PROBE: [&str; 2] = ["k-network-hash", "k-network-probe"];

/// Removed from every request at entry, on both sides, so that no client can
/// speak for the activator: `knative.dev/networking pkg/http/header` and
/// `knative.dev/serving pkg/activator`.
const CONTROL: [&str; 5] = [
    "k-passthrough-lb",
    "k-proxy-request",
    "knative-serving-default-route",
    "knative-serving-namespace",
    "knative-serving-revision",
];

/// Envoy's own control headers, removed at entry as well.
const ENVOY_PREFIX: &str = "x-envoy-";

/// Whether a request loses this header when it enters a gateway.
pub(crate) fn removed_at_entry(name: &str) -> bool {
    CONTROL.contains(&name) || name.starts_with(ENVOY_PREFIX)
}

/// Reads `headers` of a path. `Err` says why no request can ever match.
pub(crate) fn to_match(
    headers: &BTreeMap<String, crds::HeaderMatch>,
    field: impl Display,
    rejections: &mut Rejections,
) -> Result<Headers, String> {
    let entries = headers.iter().map(|(name, value)| (name, &value.exact));
    read(entries, field, rejections, matchable)
}

/// Reads `appendHeaders` of a path or split. `Err` says what may not be set.
pub(crate) fn to_set(
    headers: &BTreeMap<String, String>,
    field: impl Display,
    rejections: &mut Rejections,
) -> Result<Headers, String> {
    if headers.len() > MOST {
        return Err(rejections.add(rejection(
            Reason::InvalidHeaderName,
            field,
            format!("{} headers", headers.len()),
            format!("at most {MOST}"),
            "set fewer headers",
        )));
    }
    read(headers.iter(), field, rejections, settable)
}

fn read<'a>(
    entries: impl Iterator<Item = (&'a String, &'a String)>,
    field: impl Display,
    rejections: &mut Rejections,
    judge: impl Fn(&str, &str, &str) -> Result<(), Rejection>,
) -> Result<Headers, String> {
    let mut read = Headers::new();
    let mut fault = None;
    for (written, value) in entries {
        let name = written.to_ascii_lowercase();
        let at = format!("{field}[{}]", quote(written));
        let judged = judge(&name, value, &at).and_then(|()| match read.get(&name) {
            Some(other) if other != value => Err(rejection(
                Reason::InvalidHeaderName,
                &at,
                format!("a second value for header {}", quote(&name)),
                "each header once, since case does not tell names apart",
                "remove one of the two",
            )),
            _ => Ok(()),
        });
        match judged {
            Ok(()) => {
                read.insert(name, value.clone());
            }
            Err(rejection) => {
                let line = rejections.add(rejection);
                fault.get_or_insert(line);
            }
        }
    }
    fault.map_or(Ok(read), Err)
}

fn matchable(name: &str, value: &str, at: &str) -> Result<(), Rejection> {
    token(name, at)?;
    // `te`, `trailer` and `upgrade` reach the routes, the others do not.
    let gone = matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding"
    );
    if gone || removed_at_entry(name) {
        return Err(rejection(
            Reason::InvalidHeaderName,
            at,
            format!("{}, which gateways remove before routing", quote(name)),
            "a header that reaches the routes",
            "match on another header",
        ));
    }
    if name == "host" {
        return Err(rejection(
            Reason::InvalidHeaderName,
            at,
            "\"host\"",
            "a header other than Host",
            "write the host under hosts of a rule",
        ));
    }
    legal(value, at)?;
    if value.trim_matches([' ', '\t']) != value {
        return Err(rejection(
            Reason::InvalidHeaderValue,
            at,
            "a value with a blank at its start or end",
            "a value without, as every HTTP parser removes them",
            "remove the blanks around the value",
        ));
    }
    Ok(())
}

fn settable(name: &str, value: &str, at: &str) -> Result<(), Rejection> {
    token(name, at)?;
    let owner = if CONNECTION.contains(&name) {
        "gateways write themselves"
    } else if PROBE.contains(&name) {
        "readiness probes use"
    } else if name.starts_with(ENVOY_PREFIX) {
        "commands Envoy"
    } else {
        return legal(value, at);
    };
    let fix = match name {
        "host" => "use rewriteHost",
        _ => "remove the header",
    };
    Err(rejection(
        Reason::InvalidHeaderName,
        at,
        format!("{}, which {owner}", quote(name)),
        "a header that an application may set",
        fix,
    ))
}

/// A name is a token (RFC 9110 §5.1); pseudo headers (`:path`) are not.
fn token(name: &str, at: &str) -> Result<(), Rejection> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let found = if name.is_empty() {
        "an empty name".to_owned()
    } else if let Some(c) = name.chars().find(|c| !allowed(*c)) {
        format!("a name with {c:?}")
    } else if name.len() > LONGEST {
        format!("a name of {} bytes", name.len())
    } else {
        return Ok(());
    };
    Err(rejection(
        Reason::InvalidHeaderName,
        at,
        found,
        format!("letters, digits and !#$%&'*+-.^_`|~ only, at most {LONGEST} bytes"),
        "correct the name",
    ))
}

/// A value is visible text, blanks and tabs (RFC 9110 §5.5). The value itself is
/// never shown: it may be a credential.
fn legal(value: &str, at: &str) -> Result<(), Rejection> {
    let illegal = |c: &char| matches!(c, '\0'..='\x08' | '\n'..='\x1f' | '\x7f');
    // In Envoy's format of header values a literal percent sign is written twice.
    let written = value.len() + value.matches('%').count();
    let found = if let Some(c) = value.chars().find(illegal) {
        format!("a value with {c:?}")
    } else if written > LONGEST {
        format!("a value of {written} bytes, percent signs counted twice")
    } else {
        return Ok(());
    };
    Err(rejection(
        Reason::InvalidHeaderValue,
        at,
        found,
        format!("visible characters, blanks and tabs only, at most {LONGEST} bytes"),
        "correct the value",
    ))
}

//! Header names and values: what may be matched on, what may be set.

use std::collections::BTreeMap;
use std::fmt::Display;

use sluice_crds as crds;
use sluice_ir::{CONTROL_HEADERS, Headers, Reason};

use crate::field::quote;
use crate::rejections::{Rejections, rejection};

/// Longest header name or value that Envoy takes in a route, in bytes
/// (`HeaderValue.key` and `.value` in `envoy/config/core/v3/base.proto`).
const LONGEST: usize = 16_384;

/// Most headers set at one level. Envoy takes 1,000 in one place
/// (`Route.request_headers_to_add`), where up to four of our levels may meet: path
/// and split of a mapping that is done in one hop, path and split of its target.
/// A few that a gateway adds come on top.
const MOST: usize = 240;

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

/// Those of [`CONNECTION`] that are gone when routes are matched; the others are
/// not, and may be matched on.
const GONE: [&str; 4] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
];

/// Readiness is judged by these; a route that set them would answer for another.
const PROBE: [&str; 2] = ["k-network-hash", "k-network-probe"];

/// Envoy's own control headers, removed at entry as well.
const ENVOY_PREFIX: &str = "x-envoy-";

/// Whether a request loses this header when it enters a gateway.
pub(crate) fn removed_at_entry(name: &str) -> bool {
    CONTROL_HEADERS.contains(&name) || name.starts_with(ENVOY_PREFIX)
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

/// What is wrong with one header; the texts complete those of a rejection.
struct Fault {
    reason: Reason,
    found: String,
    expected: String,
    fix: &'static str,
}

impl Fault {
    fn name(found: impl Into<String>, expected: impl Into<String>, fix: &'static str) -> Self {
        Self {
            reason: Reason::InvalidHeaderName,
            found: found.into(),
            expected: expected.into(),
            fix,
        }
    }

    fn value(found: impl Into<String>, expected: impl Into<String>, fix: &'static str) -> Self {
        Self {
            reason: Reason::InvalidHeaderValue,
            ..Self::name(found, expected, fix)
        }
    }
}

fn read<'a>(
    entries: impl Iterator<Item = (&'a String, &'a String)>,
    field: impl Display,
    rejections: &mut Rejections,
    judge: impl Fn(&str, &str) -> Result<(), Fault>,
) -> Result<Headers, String> {
    let mut read = Headers::new();
    let mut first_fault = None;
    for (written, value) in entries {
        let name = written.to_ascii_lowercase();
        let judged = judge(&name, value).and_then(|()| match read.get(&name) {
            Some(other) if other != value => Err(Fault::name(
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
            Err(fault) => {
                let at = format!("{field}[{}]", quote(written));
                let rejection = rejection(fault.reason, at, fault.found, fault.expected, fault.fix);
                let line = rejections.add(rejection);
                first_fault.get_or_insert(line);
            }
        }
    }
    first_fault.map_or(Ok(read), Err)
}

fn matchable(name: &str, value: &str) -> Result<(), Fault> {
    token(name)?;
    if name == "host" {
        return Err(Fault::name(
            "header \"host\"",
            "a header other than Host",
            "write the host under hosts of a rule",
        ));
    }
    if GONE.contains(&name) || removed_at_entry(name) {
        return Err(Fault::name(
            format!(
                "header {}, which gateways remove before routing",
                quote(name)
            ),
            "a header that reaches the routes",
            "match on another header",
        ));
    }
    legal(value)?;
    if value.trim_matches([' ', '\t']) != value {
        return Err(Fault::value(
            "a value with a blank at its start or end",
            "a value without, as every HTTP parser removes them",
            "remove the blanks around the value",
        ));
    }
    Ok(())
}

fn settable(name: &str, value: &str) -> Result<(), Fault> {
    token(name)?;
    let owner = if CONNECTION.contains(&name) {
        "gateways write themselves"
    } else if PROBE.contains(&name) {
        "readiness probes use"
    } else if name.starts_with(ENVOY_PREFIX) {
        "commands Envoy"
    } else {
        return legal(value);
    };
    let fix = match name {
        "host" => "use rewriteHost",
        _ => "remove the header",
    };
    Err(Fault::name(
        format!("header {}, which {owner}", quote(name)),
        "a header that an application may set",
        fix,
    ))
}

/// A name is a token (RFC 9110 §5.1); pseudo headers (`:path`) are not.
fn token(name: &str) -> Result<(), Fault> {
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
    let expected = format!("letters, digits and !#$%&'*+-.^_`|~ only, at most {LONGEST} bytes");
    Err(Fault::name(found, expected, "correct the name"))
}

/// A value is visible text, blanks and tabs (RFC 9110 §5.5). The value itself is
/// never shown: it may be a credential.
fn legal(value: &str) -> Result<(), Fault> {
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
    let expected = format!("visible characters, blanks and tabs only, at most {LONGEST} bytes");
    Err(Fault::value(found, expected, "correct the value"))
}

#[cfg(test)]
mod tests;

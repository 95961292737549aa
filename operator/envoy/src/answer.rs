//! Answers that the gateway makes by itself, and how they say why.

use crate::pb;

/// Response header that tells an answer of the gateway from one of the
/// application, and says why.
pub(crate) const REASON_HEADER: &str = "x-sluice-reason";

/// More than this of a reason is cut: Envoy refuses bodies over 4 KiB, and
/// clients long headers.
const REASON_BYTES: usize = 512;

/// The first word of a reason: stable, for programs; what follows is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A part of the Ingress that is not served, or all of it.
    NotServed,
    /// A mapping leads to where nothing is.
    NoSuchTarget,
    /// The host is served, and no path of it takes this one.
    NoSuchPath,
    /// Plain HTTP, where the host wants TLS.
    HttpsRequired,
}

/// A route that answers by itself, in one line of text.
pub(crate) fn respond(own_match: pb::RouteMatch, status: u16, reason: &str) -> pb::Route {
    let code = if status == 404 {
        Code::NoSuchTarget
    } else {
        Code::NotServed
    };
    let reason = one_line(reason);
    pb::Route {
        r#match: Some(own_match),
        response_headers_to_add: vec![reason_header(code, &reason)],
        action: Some(pb::Action::DirectResponse(pb::DirectResponseAction {
            status: status.into(),
            body: pb::inline(format!("{reason}\n")),
            ..pb::DirectResponseAction::default()
        })),
        ..pb::Route::default()
    }
}

/// The answer to what no path of a host takes; without it Envoy's own would not
/// tell such a path from an unknown host.
pub(crate) fn no_such_path(own_match: pb::RouteMatch) -> pb::Route {
    pb::Route {
        name: "no-such-path".to_owned(),
        r#match: Some(own_match),
        response_headers_to_add: vec![reason_header(
            Code::NoSuchPath,
            "no path of this host takes this request",
        )],
        action: Some(pb::Action::DirectResponse(pb::DirectResponseAction {
            status: 404,
            ..pb::DirectResponseAction::default()
        })),
        ..pb::Route::default()
    }
}

/// The response header that says why.
pub(crate) fn reason_header(code: Code, reason: &str) -> pb::HeaderValueOption {
    let printable: String = one_line(reason)
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    pb::set_header(REASON_HEADER, &format!("{code:?}: {printable}"))
}

/// By what an answer of Envoy's own is told from others.
enum Sign {
    /// The flag that Envoy gives it.
    Flag(&'static str),
    /// Its status.
    Status(u32),
    /// No other sign fits, and it is no success.
    AnyFailure,
}

/// What Envoy's own answers say; the first sign that fits. A cluster-local host
/// asked for from outside has the sign of an unknown one, and so its words.
const REASONS: [(Sign, &str); 14] = [
    (
        Sign::Flag("NR"),
        "NoSuchHost: no Ingress serves this host here",
    ),
    (
        Sign::Flag("UH"),
        "NoEndpoints: no endpoint of the backend is ready",
    ),
    (
        Sign::Flag("NC"),
        "UnknownBackend: the backend is not known to this gateway yet",
    ),
    (
        Sign::Flag("UF"),
        "ConnectFailed: no endpoint of the backend accepts connections",
    ),
    (
        Sign::Flag("DF"),
        "ConnectFailed: the name of the backend cannot be resolved",
    ),
    (
        Sign::Flag("UC"),
        "BackendClosed: the backend closed the connection before it answered",
    ),
    (
        Sign::Flag("UR"),
        "BackendReset: the backend reset the request before it answered",
    ),
    (
        Sign::Flag("UPE"),
        "BackendProtocol: the answer of the backend is not valid HTTP",
    ),
    (
        Sign::Flag("UO"),
        "TooManyRequests: too many requests wait for the backend",
    ),
    (
        Sign::Flag("OM"),
        "Overloaded: this gateway is short of memory or connections",
    ),
    (
        Sign::Status(408),
        "RequestTimeout: the request did not come in time",
    ),
    (
        Sign::Status(431),
        "HeadersTooLarge: the headers of the request are too many or too long",
    ),
    (
        Sign::Status(400),
        "BadRequest: the request is not valid HTTP",
    ),
    (
        Sign::AnyFailure,
        "GatewayFailure: this gateway could not do what was asked",
    ),
];

/// Names the answers that Envoy makes by itself. A reason that a route has set
/// already stands.
pub(crate) fn local_replies() -> pb::LocalReplyConfig {
    let mapper = |(sign, reason): &(Sign, &str)| {
        let mut header = pb::set_header(REASON_HEADER, reason);
        header.append_action = pb::HeaderAppendAction::AddIfAbsent.into();
        pb::ResponseMapper {
            filter: Some(pb::AccessLogFilter {
                filter_specifier: Some(filter(sign)),
            }),
            headers_to_add: vec![header],
            ..pb::ResponseMapper::default()
        }
    };
    pb::LocalReplyConfig {
        mappers: REASONS.iter().map(mapper).collect(),
        ..pb::LocalReplyConfig::default()
    }
}

fn filter(sign: &Sign) -> pb::AccessLogFilterSpecifier {
    let status = |op: pb::ComparisonOp, status: u32| {
        pb::AccessLogFilterSpecifier::StatusCodeFilter(pb::StatusCodeFilter {
            comparison: Some(pb::ComparisonFilter {
                op: op.into(),
                value: Some(pb::RuntimeUInt32 {
                    default_value: status,
                    // Envoy wants one; nothing sets it.
                    runtime_key: format!("sluice.reason.{status}"),
                }),
            }),
        })
    };
    match sign {
        Sign::Flag(flag) => {
            pb::AccessLogFilterSpecifier::ResponseFlagFilter(pb::ResponseFlagFilter {
                flags: vec![(*flag).to_owned()],
            })
        }
        Sign::Status(code) => status(pb::ComparisonOp::Eq, *code),
        Sign::AnyFailure => status(pb::ComparisonOp::Ge, 400),
    }
}

/// Takes the header from whatever a backend answers, so that nobody but this
/// gateway says why. It runs for answers of backends alone: those that Envoy
/// makes by itself never come by it.
pub(crate) fn strip_from_backends() -> pb::ResponseHeaderMutation {
    pb::ResponseHeaderMutation {
        mutations: Some(pb::Mutations {
            response_mutations: vec![pb::HeaderMutation {
                action: Some(pb::HeaderMutationAction::Remove(REASON_HEADER.to_owned())),
            }],
            ..pb::Mutations::default()
        }),
        ..pb::ResponseHeaderMutation::default()
    }
}

/// The first `REASON_BYTES` of a text, control characters as spaces.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.trim().chars() {
        if line.len() + c.len_utf8() > REASON_BYTES {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(one_line(" a\r\nb\tc "), "a  b c");
        let long = one_line(&"é".repeat(600));
        assert_eq!((long.len(), long.chars().count()), (512, 256));
    }

    #[test]
    fn a_reason_is_fit_for_a_header() {
        let header = reason_header(Code::NotServed, "naïve\n100 %");
        let header = header.header.unwrap_or_default();
        assert_eq!(header.key, REASON_HEADER);
        assert_eq!(header.value, "NotServed: na?ve 100 %%");
    }
}

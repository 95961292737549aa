//! Answers that the gateway makes by itself, and how they say why.

use crate::pb;

/// Response header that tells an answer of the gateway from one of the
/// application, and says why.
pub(crate) const REASON_HEADER: &str = "x-sluice-reason";

/// More than this of a reason is cut: Envoy refuses bodies over 4 KiB, and
/// clients long headers.
const REASON_BYTES: usize = 512;

/// A route that answers by itself, in one line of text.
pub(crate) fn respond(own_match: pb::RouteMatch, status: u16, reason: &str) -> pb::Route {
    let reason = one_line(reason);
    pb::Route {
        r#match: Some(own_match),
        response_headers_to_add: vec![reason_header(&reason)],
        action: Some(pb::Action::DirectResponse(pb::DirectResponseAction {
            status: status.into(),
            body: pb::inline(format!("{reason}\n")),
            ..pb::DirectResponseAction::default()
        })),
        ..pb::Route::default()
    }
}

/// The response header that says why.
pub(crate) fn reason_header(reason: &str) -> pb::HeaderValueOption {
    let printable: String = one_line(reason)
        .chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect();
    pb::set_header(REASON_HEADER, &printable)
}

/// What Envoy's own answers say, by the flag that Envoy gives them: an unknown
/// host or path, a cluster without endpoints, a backend that cannot be reached.
/// A reason that a route has set already stands.
pub(crate) fn local_replies() -> pb::LocalReplyConfig {
    const REASONS: [(&str, &str); 5] = [
        ("NR", "no route for this host and path"),
        ("UH", "no endpoint of the backend is ready"),
        ("NC", "the backend is not known to this gateway yet"),
        ("UF", "no endpoint of the backend accepts connections"),
        ("UO", "too many requests wait for the backend"),
    ];
    let mapper = |(flag, reason): (&str, &str)| {
        let mut header = reason_header(reason);
        header.append_action = pb::HeaderAppendAction::AddIfAbsent.into();
        pb::ResponseMapper {
            filter: Some(pb::AccessLogFilter {
                filter_specifier: Some(pb::AccessLogFilterSpecifier::ResponseFlagFilter(
                    pb::ResponseFlagFilter {
                        flags: vec![flag.to_owned()],
                    },
                )),
            }),
            headers_to_add: vec![header],
            ..pb::ResponseMapper::default()
        }
    };
    pb::LocalReplyConfig {
        mappers: REASONS.into_iter().map(mapper).collect(),
        ..pb::LocalReplyConfig::default()
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
        let header = reason_header("naïve\n100 %").header.unwrap_or_default();
        assert_eq!(header.key, REASON_HEADER);
        assert_eq!(header.value, "na?ve 100 %%");
    }
}

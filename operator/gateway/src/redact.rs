//! Keeps secrets out of what Envoy's log says.
//!
//! When Envoy refuses a resource for breaking a rule of its schema, it repeats
//! the whole resource in its log, private keys included (observed with 1.40.0
//! for secrets in the bootstrap and over SDS).

use std::borrow::Cow;

/// The fields by which Envoy's configuration carries data inline, keys among
/// them, in the spellings of text format and JSON.
const INLINE: [&str; 4] = [
    "inline_string",
    "inline_bytes",
    "inlineString",
    "inlineBytes",
];

const PEM_BEGIN: &str = "-----BEGIN";
const PEM_END: &str = "-----END";
const INSTEAD: &str = "[redacted]";

/// The text without the values of inline data and without PEM blocks.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    if !INLINE.iter().any(|field| text.contains(field)) && !text.contains(PEM_BEGIN) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = next_secret(rest) {
        kept.push_str(&rest[..start]);
        kept.push_str(INSTEAD);
        rest = &rest[end..];
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// Where the first secret begins and ends, in bytes.
fn next_secret(text: &str) -> Option<(usize, usize)> {
    let inline = INLINE
        .iter()
        .flat_map(|field| text.match_indices(field))
        .filter_map(|(at, field)| {
            let begin = at + field.len();
            let value = begin + value_offset(&text[begin..])?;
            Some((value, value + quoted_length(&text[value..])))
        })
        .min();
    let pem = text.find(PEM_BEGIN).map(|begin| {
        let end = text[begin..].find(PEM_END);
        (begin, end.map_or(text.len(), |end| begin + end))
    });
    match (inline, pem) {
        (Some(inline), Some(pem)) => Some(inline.min(pem)),
        (inline, pem) => inline.or(pem),
    }
}

/// Behind a field's name: how far to the first character inside the quotes of
/// its value, if it has one here.
fn value_offset(behind: &str) -> Option<usize> {
    let value = behind
        .strip_prefix('"')
        .unwrap_or(behind)
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    Some(behind.len() - value.len())
}

/// Length up to the closing quote; all of it where that is missing, since Envoy
/// breaks what it repeats over lines.
fn quoted_length(value: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at,
            _ => {}
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_envoy_repeats_loses_its_values() {
        let text = "rejected: \nname: \"s\"\nprivate_key {\n    inline_string: \"KEY\\\"MORE\"\n  }\n: Proto constraint validation failed";
        assert_eq!(
            redact(text),
            "rejected: \nname: \"s\"\nprivate_key {\n    inline_string: \"[redacted]\"\n  }\n: Proto constraint validation failed"
        );
        assert_eq!(
            redact(r#"{"a":{"inline_bytes":"S0VZ"},"b":{"inlineString" : "KEY"}}"#),
            r#"{"a":{"inline_bytes":"[redacted]"},"b":{"inlineString" : "[redacted]"}}"#
        );
    }

    #[test]
    fn a_value_that_goes_on_in_another_line_is_cut_to_the_end() {
        assert_eq!(
            redact("  inline_bytes: \"KEY"),
            "  inline_bytes: \"[redacted]"
        );
    }

    #[test]
    fn blocks_in_pem_go_wherever_they_stand() {
        let text = "key -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- refused";
        assert_eq!(
            redact(text),
            "key [redacted]-----END EC PRIVATE KEY----- refused"
        );
        assert_eq!(redact("x -----BEGIN EC PRIV"), "x [redacted]");
    }

    #[test]
    fn plain_words_stay() {
        for text in [
            "cannot bind '127.0.0.1:80': Permission denied",
            "no such field: 'inline_strin'",
            "field inline_string is required",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn no_value_survives(before in ".{0,20}", key in "[^\"\\\\]{8,40}", after in ".{0,20}") {
            prop_assume!(!before.contains(&key) && !after.contains(&key));
            let text = format!("{before}inline_bytes: \"{key}\"{after}");
            prop_assert!(!redact(&text).contains(&key));
        }

        #[test]
        fn any_text_is_survived(text in "(inline_string|inlineBytes|[\":\\\\ \n-]|-----BEGIN|-----END|é|.){0,40}") {
            redact(&text);
        }
    }
}
